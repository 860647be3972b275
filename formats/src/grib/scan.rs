//! Finds the messages of a file: `GRIB`, a length, and `7777` where it ends.
//!
//! Between messages anything may lie: bulletin headers of the telecommunication
//! system, zeros, garbage. It is stepped over and reported. A message that runs
//! beyond the end of the file takes the rest with it, for what follows is its own
//! data.

use super::octets::{Fault, Result, Section};
use super::window::Window;

const MAGIC: &[u8] = b"GRIB";
const END: &[u8] = b"7777";
/// Bytes between messages that are searched for the next one, in all.
const MOST_GARBAGE: u64 = 256 << 20;
/// Zeros behind a message that are nothing worth telling.
const MOST_PADDING: u64 = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) edition: u8,
}

/// What comes next in the file.
pub(crate) enum Next {
    Message(Message),
    /// A message that cannot be read.
    Broken(Fault),
    End,
}

pub(crate) struct Scanner {
    at: u64,
    searched: u64,
    pub(crate) gaps: Gaps,
}

/// What is no message, apart from zeros that pad one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gaps {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Offset of the first.
    pub(crate) first: u64,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self { at: 0, searched: 0, gaps: Gaps::default() }
    }

    pub(crate) fn next(&mut self, window: &mut Window<'_>) -> Next {
        let from = self.at;
        match self.find(window) {
            Ok(Some(at)) => {
                if at > from {
                    self.gap(window, from, at - from);
                }
                self.at = at;
            }
            Ok(None) => {
                if window.len() > from {
                    self.gap(window, from, window.len() - from);
                }
                self.at = window.len();
                return Next::End;
            }
            Err(fault) => {
                self.at = window.len();
                return Next::Broken(fault);
            }
        }
        match whole(window, self.at) {
            Ok(m) => {
                self.at = m.offset + m.len;
                Next::Message(m)
            }
            Err((resume, fault)) => {
                self.at = resume;
                Next::Broken(fault)
            }
        }
    }

    fn gap(&mut self, window: &mut Window<'_>, offset: u64, len: u64) {
        // Archives fill messages up to a multiple of some length.
        if len <= MOST_PADDING && window.get(offset, len).is_ok_and(|b| b.iter().all(|b| *b == 0)) {
            return;
        }
        if self.gaps.count == 0 {
            self.gaps.first = offset;
        }
        self.gaps.count += 1;
        self.gaps.bytes += len;
    }

    /// Where the next message begins.
    fn find(&mut self, window: &mut Window<'_>) -> Result<Option<u64>> {
        const STEP: u64 = 64 << 10;
        let mut at = self.at;
        if at + 8 <= window.len() && starts(window.get(at, 8)?) {
            return Ok(Some(at));
        }
        while at + 8 <= window.len() {
            let n = STEP.min(window.len() - at);
            let block = window.get(at, n)?;
            if let Some(i) = block.windows(8).position(starts) {
                return Ok(Some(at + i as u64));
            }
            self.searched += n;
            if self.searched > MOST_GARBAGE {
                return Err(Fault::at(
                    format!("no message in {MOST_GARBAGE} bytes between messages; the rest is not searched"),
                    at,
                ));
            }
            if n < STEP {
                break;
            }
            at += n - 7;
        }
        Ok(None)
    }
}

/// The message at `offset`, if the file has all of it; else where to search on.
fn whole(window: &mut Window<'_>, offset: u64) -> std::result::Result<Message, (u64, Fault)> {
    let resume = offset + 4;
    let m = measure(window, offset).map_err(|fault| (resume, fault))?;
    let left = window.len() - offset;
    if m.len > left {
        let reason = format!(
            "the message is {} bytes long by its header; the file ends after {left} of them: it is cut short, or the length is wrong",
            m.len
        );
        return Err((window.len(), Fault::at(reason, offset)));
    }
    let end = offset + m.len - 4;
    let last = window.get(end, 4).map_err(|fault| (resume, fault))?;
    if last != END {
        let reason = format!(
            "the message does not end with \"7777\" after the {} bytes of its header (there is {:?}): the length is wrong, or its end is damaged",
            m.len,
            String::from_utf8_lossy(last)
        );
        return Err((resume, Fault::at(reason, end)));
    }
    Ok(m)
}

/// True for the first eight bytes of a message of edition 1 or 2.
pub(crate) fn starts(head: &[u8]) -> bool {
    head.starts_with(MAGIC) && matches!(head.get(7), Some(1 | 2))
}

/// Edition and total length.
fn measure(window: &mut Window<'_>, offset: u64) -> Result<Message> {
    let head = Section { name: "section 0", offset, bytes: window.get(offset, 8)? };
    let edition = head.u8(8)?;
    let (len, least) = if edition == 2 {
        let head = Section { name: "section 0", offset, bytes: window.get(offset, 16)? };
        (head.u64(9)?, 16 + 4)
    } else {
        let len = u64::from(head.u24(5)?);
        (large(window, offset, len)?, 8 + 28 + 4)
    };
    if len < least {
        return Err(Fault::at(
            format!("the message is {len} bytes long by its header; {least} are the least"),
            offset,
        ));
    }
    Ok(Message { offset, len, edition })
}

/// Lengths of GRIB1 beyond 24 bits as ECMWF writes them: with the first bit set they
/// are in units of 120 bytes, and section 4 says by how much to correct.
fn large(window: &mut Window<'_>, offset: u64, len: u64) -> Result<u64> {
    const FLAG: u64 = 0x80_0000;
    if len & FLAG == 0 {
        return Ok(len);
    }
    let mut at = offset + 8;
    let length = |window: &mut Window<'_>, at: u64| -> Result<u64> {
        let bytes = window.get(at, 3)?;
        Ok(u64::from(Section { name: "section", offset: at, bytes }.u24(1)?))
    };
    let flags = window.get(offset + 8 + 7, 1)?.first().copied().unwrap_or(0);
    at += length(window, at)?;
    for present in [0x80, 0x40] {
        if flags & present != 0 {
            at += length(window, at)?;
        }
    }
    let section4 = length(window, at)?;
    // Otherwise an ordinary length that happens to be that large.
    Ok(if section4 < 120 { ((len & (FLAG - 1)) * 120).saturating_sub(section4) + 4 } else { len })
}
