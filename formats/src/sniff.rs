//! What a file is, by its first bytes. Names lie: download errors are saved as
//! `.nc`, GRIB is renamed, and the reader of the refusal should learn which.

use hdf5_reader::Storage;

use crate::FormatError;
use crate::netcdf3::Version;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    NetCdf3(Version),
    Hdf5,
    Grib,
    Tiff,
    /// GRIB travels so; what is inside is seen when it is unpacked.
    Gzip,
    /// A Zarr hierarchy, if it is one.
    #[cfg(feature = "zarr")]
    Zip,
    /// References, if there are any in it.
    #[cfg(feature = "zarr")]
    Json,
}

const HDF5_MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Version 2 or 3, with addresses of 8 bytes.
const SMALLEST_SUPERBLOCK: u64 = 48;
/// A user block before the HDF5 signature is a power of two from 512 on (HDF5
/// File Format Specification III.A); nobody keeps one beyond this.
const LAST_HDF5_OFFSET: u64 = 1 << 26;
/// Bulletin headers or garbage may come before the first GRIB message, up to here.
const LAST_GRIB_OFFSET: u64 = 64 << 10;

pub(crate) fn container(name: &str, storage: &dyn Storage) -> Result<Container, FormatError> {
    let len = storage.len();
    if len == 0 {
        return Err(FormatError::new(
            name,
            "the file is empty (0 bytes); expected NetCDF, HDF5, GRIB, GeoTIFF or Zarr",
        ));
    }
    let head = storage
        .read_range(0, len.min(512) as usize)
        .map_err(|e| FormatError::new(name, format!("the file cannot be read: {e}")).at_byte(0))?;
    match head.as_ref() {
        [b'C', b'D', b'F', version, ..] => {
            Version::from_byte(*version).map(Container::NetCdf3).ok_or_else(|| {
                FormatError::new(
                name,
                format!(
                    "NetCDF version byte is {version}; expected 1 (classic), 2 (64-bit offset) or 5 (CDF-5)"
                ),
            )
            .at_byte(3)
            })
        }
        h if h.starts_with(HDF5_MAGIC) && len < SMALLEST_SUPERBLOCK => Err(FormatError::new(
            name,
            format!("the file ends at byte {len}, within the HDF5 superblock: it is cut short"),
        )
        .at_byte(len)),
        h if h.starts_with(HDF5_MAGIC) => Ok(Container::Hdf5),
        h if h.starts_with(b"GRIB") && crate::grib::begins(&h[..h.len().min(8)]).is_some() => {
            Ok(Container::Grib)
        }
        h if crate::geotiff::begins(h) => Ok(Container::Tiff),
        [0x1f, 0x8b, ..] => Ok(Container::Gzip),
        #[cfg(feature = "zarr")]
        [b'P', b'K', 3, 4, ..] => Ok(Container::Zip),
        #[cfg(feature = "zarr")]
        h if h.trim_ascii_start().starts_with(b"{") => Ok(Container::Json),
        _ => {
            let mut at = 512;
            while at <= LAST_HDF5_OFFSET && at + 8 <= len {
                if storage.read_range(at, 8).is_ok_and(|b| b.as_ref() == HDF5_MAGIC) {
                    return Ok(Container::Hdf5);
                }
                at *= 2;
            }
            let first = storage.read_range(0, len.min(LAST_GRIB_OFFSET) as usize);
            if first.is_ok_and(|b| crate::grib::begins(&b).is_some()) {
                return Ok(Container::Grib);
            }
            Err(unknown(name, storage))
        }
    }
}

/// True for text that is a format of its own, and for signatures that are letters.
pub(crate) fn is_known_text(head: &[u8]) -> bool {
    const SIGNATURES: [&[u8]; 8] =
        [b"CDF", b"GRIB", b"%PDF", b"GIF8", b"BZh", b"BUFR", b"PAR1", b"SQLite format 3"];
    if SIGNATURES.iter().any(|s| head.starts_with(s)) {
        return true;
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    head.starts_with(b"netcdf ") || matches!(head.first(), Some(b'<' | b'{' | b'['))
}

/// The refusal of a file that is nothing known.
fn unknown(name: &str, storage: &dyn Storage) -> FormatError {
    let head = storage.read_range(0, storage.len().min(512) as usize);
    let what = head.map_or_else(|e| format!("the file cannot be read: {e}"), |h| looks_like(&h));
    FormatError::new(name, format!("{what}; expected NetCDF, HDF5, GRIB, GeoTIFF or Zarr")).at_byte(0)
}

/// A sentence about what `head` really is.
fn looks_like(head: &[u8]) -> String {
    const MAGICS: &[(&[u8], &str)] = &[
        (b"GRIB", "this begins like GRIB, but its edition is not 1 or 2"),
        (b"\x89PNG\r\n\x1a\n", "this is a PNG picture"),
        (b"\xff\xd8\xff", "this is a JPEG picture"),
        (b"GIF8", "this is a GIF picture"),
        (b"%PDF", "this is a PDF document"),
        (b"PK\x03\x04", "this is a ZIP archive; unpack it first"),
        (b"\x1f\x8b", "this is gzip-compressed; unpack it first"),
        (b"BZh", "this is bzip2-compressed; unpack it first"),
        (b"\xfd7zXZ\0", "this is xz-compressed; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "this is zstd-compressed; unpack it first"),
        (b"BUFR", "this is a BUFR file"),
        (b"\x0e\x03\x13\x01", "this is an HDF4 file"),
        (b"PAR1", "this is a Parquet file"),
        (b"SQLite format 3\0", "this is an SQLite database"),
    ];
    if let Some((_, sentence)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (*sentence).to_owned();
    }
    if head.iter().all(|b| *b == 0) {
        return "the file begins with zeros only, as after an interrupted download".to_owned();
    }
    let text = String::from_utf8_lossy(head);
    let start: String =
        text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).chars().take(60).collect();
    let lower = start.to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return "this is an HTML page, often a server's error or login page saved under this name".to_owned();
    }
    if lower.starts_with("<?xml") {
        return "this is an XML document, often a server's error message saved under this name".to_owned();
    }
    if text.starts_with("netcdf ") {
        return "this is CDL text, as ncdump prints it; make a NetCDF file of it with ncgen".to_owned();
    }
    if (lower.starts_with('{') || lower.starts_with('[')) && !text.contains('\u{fffd}') {
        return "this is JSON text; of kerchunk references, one object is read".to_owned();
    }
    let printable = head.iter().filter(|b| matches!(b, 9 | 10 | 13 | 32..=126)).count();
    if printable == head.len() {
        return format!("this is text beginning {start:?}");
    }
    let hex: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("the file begins with the bytes {}, which are no known signature", hex.join(" "))
}
