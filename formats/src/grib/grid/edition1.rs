//! GRIB1 section 2: the grid description section, angles in millidegrees.

use super::super::octets::{Fault, Result, Section};
use super::projection::{Earth, Projection};
use super::reduced::Rows;
use super::{
    Corners, Grid, Scan, SpaceView, cells, gaussian, latitudes, projected, regular, rotated, space_view,
};
use crate::AttrValue;
use graticule_shared::dtype::DataType;

/// Missing, in two octets.
const MISSING: u16 = u16::MAX;

/// Reads section 2.
///
/// # Errors
/// A representation that is not read, or numbers that contradict one another.
pub(crate) fn read(s: &Section<'_>) -> Result<Grid> {
    let here = |f: Fault| Fault { offset: f.offset.or(Some(s.offset)), reason: f.reason };
    definition(s).map_err(here)
}

fn definition(s: &Section<'_>) -> Result<Grid> {
    match s.u8(6)? {
        kind @ (0 | 10) => lat_lon(s, kind == 10),
        kind @ (4 | 14) => gaussian_grid(s, kind == 14),
        1 => mercator(s),
        kind @ (3 | 8) => conic(s, kind == 8),
        5 => polar(s),
        90 => satellite(s),
        50 | 60 | 70 | 80 => Err(s.fault(
            6,
            "spherical harmonics (spectral coefficients) are not points of a grid; transform them first",
        )),
        n => Err(s.fault(
            6,
            format!("data representation type {n} is not read; 0, 1, 3, 4, 5, 8, 10, 14 and 90 are"),
        )),
    }
}

fn millidegrees(s: &Section<'_>, octet: usize) -> Result<f64> {
    Ok(f64::from(s.i24(octet)?) / 1e3)
}

fn corners(s: &Section<'_>, gaussian: bool) -> Result<(Corners, u8)> {
    let flags = s.u8(17)?;
    let increment = |octet: usize| -> Result<Option<f64>> {
        let raw = s.u16(octet)?;
        Ok((flags & 0x80 != 0 && raw != MISSING && raw != 0).then(|| f64::from(raw) / 1e3))
    };
    let c = Corners {
        ni: u32::from(s.u16(7)?),
        nj: u32::from(s.u16(9)?),
        lat1: millidegrees(s, 11)?,
        lon1: millidegrees(s, 14)?,
        lat2: millidegrees(s, 18)?,
        lon2: millidegrees(s, 21)?,
        di: increment(24)?,
        dj: if gaussian { None } else { increment(26)? },
        // Bit 4 and on are reserved here.
        scan: Scan::of_flags(s.u8(28)? & 0xe0)?,
    };
    Ok((c, flags))
}

/// Row lengths, if there are any (regulation 92.6.2).
fn row_lengths(s: &Section<'_>, c: &Corners) -> Result<Option<Vec<u32>>> {
    if c.ni != u32::from(MISSING) {
        return Ok(None);
    }
    let (vertical, at) = (usize::from(s.u8(4)?), s.u8(5)?);
    if at == 255 {
        return Err(s.fault(5, "neither a number of columns nor a list of row lengths"));
    }
    if c.scan.i_negative || !c.scan.is_plain() {
        return Err(s.fault(28, "a reduced grid that is not scanned row by row from the west"));
    }
    let first = usize::from(at) + 4 * vertical;
    (0..c.nj as usize).map(|j| s.u16(first + 2 * j).map(u32::from)).collect::<Result<_>>().map(Some)
}

/// Pole of a rotation, octets 33 to 42.
fn turned(s: &Section<'_>, grid: Grid, earth: &Earth) -> Result<Grid> {
    let angle = super::super::edition1::ibm(s.u32(39)?);
    Ok(rotated(grid, millidegrees(s, 33)?, millidegrees(s, 36)?, angle, earth))
}

fn lat_lon(s: &Section<'_>, is_rotated: bool) -> Result<Grid> {
    let (mut c, flags) = corners(s, false)?;
    let earth = Earth::edition1(flags);
    if let Some(lengths) = row_lengths(s, &c)? {
        c.ni = 1;
        c.check()?;
        let mut notes = Vec::new();
        let rows = latitudes(&c, &mut notes)?;
        let rows = Rows::new(&rows, lengths, 0, c.lon1, c.lon2, false)?;
        let mut grid = cells("reduced_ll", rows, Vec::new(), &earth);
        grid.notes = notes;
        return Ok(grid);
    }
    let grid = regular(if is_rotated { "rotated_ll" } else { "regular_ll" }, &c, None, &earth)?;
    let mut grid = if is_rotated { turned(s, grid, &earth)? } else { grid };
    grid.along_grid = is_rotated && flags & 0x08 != 0;
    Ok(grid)
}

fn gaussian_grid(s: &Section<'_>, is_rotated: bool) -> Result<Grid> {
    let (c, flags) = corners(s, true)?;
    let earth = Earth::edition1(flags);
    let n = u32::from(s.u16(26)?);
    let latitudes = gaussian::between(n, c.nj, c.lat1, c.lat2)?;
    let mut grid = match row_lengths(s, &c)? {
        Some(_) if is_rotated => return Err(s.fault(6, "a rotated reduced Gaussian grid is not read")),
        Some(lengths) => {
            cells("reduced_gg", Rows::new(&latitudes, lengths, 0, c.lon1, c.lon2, true)?, Vec::new(), &earth)
        }
        None => {
            let grid =
                regular(if is_rotated { "rotated_gg" } else { "regular_gg" }, &c, Some(latitudes), &earth)?;
            if is_rotated { turned(s, grid, &earth)? } else { grid }
        }
    };
    grid.attributes.push(("GRIB_N", AttrValue::Ints(DataType::Int32, vec![i64::from(n)])));
    grid.along_grid = is_rotated && flags & 0x08 != 0;
    Ok(grid)
}

/// Points, first point and scanning mode of the projected grids.
fn first_point(s: &Section<'_>) -> Result<Corners> {
    let (lat1, lon1) = (millidegrees(s, 11)?, millidegrees(s, 14)?);
    Ok(Corners {
        ni: u32::from(s.u16(7)?),
        nj: u32::from(s.u16(9)?),
        lat1,
        lon1,
        lat2: lat1,
        lon2: lon1,
        di: None,
        dj: None,
        scan: Scan::of_flags(s.u8(28)? & 0xe0)?,
    })
}

/// Grid lengths in metres.
fn lengths(s: &Section<'_>, octet: usize) -> Result<(f64, f64)> {
    Ok((f64::from(s.u24(octet)?), f64::from(s.u24(octet + 3)?)))
}

fn mercator(s: &Section<'_>) -> Result<Grid> {
    let flags = s.u8(17)?;
    let c = first_point(s)?;
    let projection = Projection::Mercator { lon0: c.lon1, true_scale: millidegrees(s, 24)? };
    let mut grid = projected("mercator", &c, lengths(s, 29)?, &projection, &Earth::edition1(flags))?;
    grid.along_grid = flags & 0x08 != 0;
    Ok(grid)
}

fn polar(s: &Section<'_>) -> Result<Grid> {
    let flags = s.u8(17)?;
    let c = first_point(s)?;
    // Grid lengths hold at 60 degrees (note 2 of the grid description).
    let south = s.u8(27)? & 0x80 != 0;
    let projection = Projection::PolarStereographic { south, lon0: millidegrees(s, 18)?, true_scale: 60.0 };
    let mut grid =
        projected("polar_stereographic", &c, lengths(s, 21)?, &projection, &Earth::edition1(flags))?;
    grid.along_grid = flags & 0x08 != 0;
    Ok(grid)
}

fn conic(s: &Section<'_>, albers: bool) -> Result<Grid> {
    let flags = s.u8(17)?;
    let c = first_point(s)?;
    let (lon0, parallels) = (millidegrees(s, 18)?, (millidegrees(s, 29)?, millidegrees(s, 32)?));
    let lat0 = parallels.0;
    let (name, projection) = if albers {
        ("albers", Projection::Albers { lat0, lon0, parallels })
    } else {
        ("lambert", Projection::Lambert { lat0, lon0, parallels })
    };
    let mut grid = projected(name, &c, lengths(s, 21)?, &projection, &Earth::edition1(flags))?;
    grid.along_grid = flags & 0x08 != 0;
    Ok(grid)
}

fn satellite(s: &Section<'_>) -> Result<Grid> {
    let mut c = first_point(s)?;
    let view = SpaceView {
        lat: c.lat1,
        lon: c.lon1,
        diameter: (f64::from(s.u24(18)?), f64::from(s.u24(21)?)),
        nadir: (f64::from(s.u16(24)?), f64::from(s.u16(26)?)),
        origin: (f64::from(s.u16(35)?), f64::from(s.u16(37)?)),
        orientation: millidegrees(s, 29)?,
        distance: f64::from(s.u24(32)?) / 1e6,
    };
    (c.lat1, c.lat2) = (0.0, 0.0);
    space_view(&c, &view, &Earth::edition1(s.u8(17)?))
}
