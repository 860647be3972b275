//! What a picture would read, before it reads any of it; and where that is more than one picture
//! may, the pictures side by side that together are what was asked and each may.

use std::ops::Range;
use std::sync::Arc;

use graticule_shared::cube::Variable;
use graticule_shared::frame::Frame;

use super::blocks::{MAX_BYTES, Wanted, touched};
use super::sheet::{self, Places, Sheet};
use super::{Pictures, Request};
use crate::edr::Cost;
use crate::opened::Opened;
use crate::problem::{Answer, Kind, Problem};

/// Parts that are listed; whoever would need more wants another picture.
const MOST_PARTS: usize = 256;

/// A picture whose cells are known.
pub struct Weighed<'a> {
    pub(super) opened: &'a Arc<Opened>,
    pub(super) request: &'a Request,
    pub(super) variable: &'a Variable,
    pub(super) sheet: Arc<Sheet>,
    pub(super) wanted: Wanted<'a>,
}

impl Weighed<'_> {
    /// Its values are the pixels.
    pub fn cost(&self) -> Cost {
        let Frame { width, height, .. } = self.request.frame;
        Cost {
            chunks: self.wanted.blocks.len() as u64,
            bytes: self.wanted.bytes(),
            values: u64::from(width) * u64::from(height),
        }
    }

    pub fn is_too_much(&self) -> bool {
        self.wanted.bytes() > MAX_BYTES
    }

    /// Too much, with what would be right.
    pub fn refusal(&self, right: &str) -> Problem {
        let (path, blocks, bytes) =
            (&self.wanted.array.path, self.wanted.blocks.len(), self.wanted.bytes_each);
        let right = if bytes > MAX_BYTES {
            "no picture of it can be drawn, however small: ingest it in smaller chunks"
        } else {
            right
        };
        let detail = format!(
            "{path}: {blocks} blocks of {bytes} bytes lie under this picture, more than the {MAX_BYTES} bytes of one: {right}"
        );
        Problem::new(Kind::TooLarge, detail).with("estimate", self.cost().json())
    }
}

impl Pictures {
    /// Pictures that have the same pixels together and can each be drawn; `None` where no few of
    /// them can, or where a part of it would be drawn from another level.
    ///
    /// # Errors
    /// Coordinates that do not read.
    pub async fn parts(&self, of: &Weighed<'_>) -> Answer<Option<Vec<Frame>>> {
        if of.wanted.bytes_each > MAX_BYTES {
            return Ok(None);
        }
        let turn = self.searching.clone().acquire_owned().await.map_err(Problem::internal)?;
        let most = usize::try_from(MAX_BYTES / of.wanted.bytes_each.max(1)).unwrap_or(usize::MAX);
        let (sheet, frame, block) = (Arc::clone(&of.sheet), of.request.frame.clone(), of.wanted.block);
        let (opened, variable) = (Arc::clone(of.opened), of.variable.clone());
        // Whoever asked may go; the search goes on, so it keeps its turn itself.
        let search = tokio::spawn(async move {
            let _turn = turn;
            let level = sheet.level;
            let cut = tokio::task::spawn_blocking(move || {
                let parts = cut(&sheet.places, [frame.width, frame.height], block, most)?;
                Some(parts.into_iter().map(|p| frame.part(p.columns, p.rows)).collect::<Vec<_>>())
            });
            let Some(parts) = cut.await.map_err(Problem::internal)? else { return Ok(None) };
            let same = sheet::is_level_of_all(&opened, &variable, level, &parts).await?;
            Ok(Some(parts).filter(|_| same))
        });
        search.await.map_err(Problem::internal)?
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Part {
    columns: Range<u32>,
    rows: Range<u32>,
}

impl Part {
    fn halves(&self) -> [Option<[Self; 2]>; 2] {
        let halved = |r: &Range<u32>| {
            let middle = r.start + r.end.saturating_sub(r.start) / 2;
            (r.end.saturating_sub(r.start) > 1).then_some([r.start..middle, middle..r.end])
        };
        [
            halved(&self.rows).map(|h| h.map(|rows| Self { rows, ..self.clone() })),
            halved(&self.columns).map(|h| h.map(|columns| Self { columns, ..self.clone() })),
        ]
    }
}

/// Parts of a picture with at most so many blocks under each, from above and from the left.
fn cut(places: &Places, [width, height]: [u32; 2], block: [u32; 2], most: usize) -> Option<Vec<Part>> {
    let count = |p: &Part| touched(places, width, p.columns.clone(), p.rows.clone(), block).len();
    let mut out = Vec::new();
    let mut left = vec![Part { columns: 0..width, rows: 0..height }];
    while let Some(part) = left.pop() {
        if count(&part) <= most {
            out.push(part);
            continue;
        }
        // Across what shares the fewest blocks: those under both halves are read twice.
        let halves = part.halves().into_iter().flatten();
        let [first, second] = halves.min_by_key(|[a, b]| count(a) + count(b))?;
        left.extend([second, first]);
        if out.len() + left.len() > MOST_PARTS {
            return None;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::sheet::NONE;
    use super::*;

    #[test]
    fn parts_hold_each_pixel_once_and_few_blocks_each() {
        // Cells of a level in blocks of 4 x 10, one pixel each, a column beside the grid.
        let rows: Vec<u32> = (0..16).collect();
        let columns: Vec<u32> = (0..30).chain([NONE]).collect();
        let each =
            rows.iter().flat_map(|r| columns.iter().map(|c| if *c == NONE { [NONE; 2] } else { [*r, *c] }));
        let each = Places::Each(each.collect());
        for places in [Places::Table { rows, columns }, each] {
            for most in [1, 2, 3, 5, 12] {
                let parts = cut(&places, [31, 16], [4, 10], most).unwrap();
                let mut seen = vec![0; 31 * 16];
                for p in &parts {
                    assert!(touched(&places, 31, p.columns.clone(), p.rows.clone(), [4, 10]).len() <= most);
                    for row in p.rows.clone() {
                        p.columns.clone().for_each(|c| seen[(row * 31 + c) as usize] += 1);
                    }
                }
                assert!(seen.iter().all(|n| *n == 1), "{most}: {parts:?}");
            }
            assert_eq!(cut(&places, [31, 16], [4, 10], 12).unwrap().len(), 1);
            assert_eq!(cut(&places, [31, 16], [4, 10], 0), None);
        }
    }

    #[test]
    fn what_would_need_very_many_parts_is_not_cut() {
        let places = Places::Table { rows: (0..400).collect(), columns: vec![0] };
        assert_eq!(cut(&places, [1, 400], [1, 1], 1), None);
    }
}
