//! GRIB2 section 3: grid definition templates.

use super::super::octets::{Fault, Result, Section};
use super::projection::{Earth, Projection};
use super::reduced::Rows;
use super::{
    Corners, Grid, Scan, SpaceView, cells, gaussian, latitudes, number, plane, projected, regular, rotated,
    space_view, text,
};
use crate::AttrValue;
use graticule_shared::dtype::DataType;

/// Missing, in four octets.
const MISSING: u32 = u32::MAX;

/// Reads section 3.
///
/// # Errors
/// A template that is not read, or numbers that contradict one another.
pub(crate) fn read(s: &Section<'_>) -> Result<Grid> {
    let template = s.u16(13)?;
    let points = s.u32(7)?;
    if s.u8(6)? != 0 && template == 0xffff {
        return Err(
            s.fault(6, "the grid is one that its centre has defined elsewhere; it is not in the file")
        );
    }
    let here = |f: Fault| Fault { offset: f.offset.or(Some(s.offset)), reason: with_name(s, f) };
    let grid = definition(s, template, points).map_err(here)?;
    if grid.points() != u64::from(points) {
        return Err(s.fault(
            7,
            format!(
                "{points} points are declared; the grid of {} has {}",
                grid.dims.iter().map(|(_, n)| n.to_string()).collect::<Vec<_>>().join(" by "),
                grid.points()
            ),
        ));
    }
    Ok(grid)
}

fn with_name(s: &Section<'_>, f: Fault) -> String {
    if f.reason.starts_with(s.name) { f.reason } else { format!("{}: {}", s.name, f.reason) }
}

fn definition(s: &Section<'_>, template: u16, points: u32) -> Result<Grid> {
    match template {
        0 | 1 => lat_lon(s, template == 1, points),
        40 | 41 => gaussian_grid(s, template == 41, points),
        10 => mercator(s),
        12 => transverse_mercator(s),
        20 => polar(s),
        30 | 31 => conic(s, template == 31),
        90 => satellite(s),
        101 => unstructured(s, points),
        140 => azimuthal(s),
        50..=53 => Err(s.fault(
            13,
            "spherical harmonics (spectral coefficients) are not points of a grid; transform them first",
        )),
        n => Err(s.fault(13, format!("grid definition template 3.{n} is not read; 0, 1, 10, 12, 20, 30, 31, 40, 41, 90, 101 and 140 are"))),
    }
}

/// Degrees at an octet; a millionth unless the section says another unit.
struct Angles(f64, f64);

impl Angles {
    const MICRO: Angles = Angles(1.0, 1e6);

    /// Basic angle and its subdivisions, octets 39 to 46.
    fn of(s: &Section<'_>) -> Result<Self> {
        let (basic, parts) = (s.u32(39)?, s.u32(43)?);
        if basic == 0 || basic == MISSING || parts == 0 || parts == MISSING {
            return Ok(Self::MICRO);
        }
        Ok(Self(f64::from(basic), f64::from(parts)))
    }

    fn at(&self, s: &Section<'_>, octet: usize) -> Result<f64> {
        Ok(f64::from(s.i32(octet)?) * self.0 / self.1)
    }

    fn increment(&self, s: &Section<'_>, octet: usize) -> Result<Option<f64>> {
        let raw = s.u32(octet)?;
        Ok((raw != MISSING && raw != 0).then(|| f64::from(raw) * self.0 / self.1))
    }
}

/// What 3.0 and 3.40 share, with their `flags` of resolution.
fn corners(s: &Section<'_>, gaussian: bool) -> Result<(Corners, u8)> {
    let a = Angles::of(s)?;
    let flags = s.u8(55)?;
    let c = Corners {
        ni: s.u32(31)?,
        nj: s.u32(35)?,
        lat1: a.at(s, 47)?,
        lon1: a.at(s, 51)?,
        lat2: a.at(s, 56)?,
        lon2: a.at(s, 60)?,
        di: if flags & 0x20 != 0 { a.increment(s, 64)? } else { None },
        dj: if flags & 0x10 != 0 && !gaussian { a.increment(s, 68)? } else { None },
        scan: Scan::of_flags(s.u8(72)?).map_err(|f| s.fault(72, f.reason))?,
    };
    Ok((c, flags))
}

/// The list of row lengths at the end of the section.
fn row_lengths(s: &Section<'_>, c: &Corners, first: usize) -> Result<Vec<u32>> {
    let size = usize::from(s.u8(11)?);
    // Some writers leave it 0; the sum of the lengths is checked anyway.
    if s.u8(12)? > 1 {
        return Err(s.fault(12, "the list of numbers is not one of full row lengths (Code Table 3.11)"));
    }
    if c.scan.i_negative || !c.scan.is_plain() {
        return Err(s.fault(72, "a reduced grid that is not scanned row by row from the west"));
    }
    (0..c.nj as usize)
        .map(|j| {
            let at = first + j * size;
            match size {
                1 => s.u8(at).map(u32::from),
                2 => s.u16(at).map(u32::from),
                4 => s.u32(at),
                n => Err(s.fault(11, format!("row lengths of {n} octets; 1, 2 and 4 are read"))),
            }
        })
        .collect()
}

/// Pole of a rotation, octets 73 to 84.
fn turned(s: &Section<'_>, grid: Grid, earth: &Earth) -> Result<Grid> {
    let angle = f64::from(s.f32(81)?);
    let a = Angles::MICRO;
    Ok(rotated(grid, a.at(s, 73)?, a.at(s, 77)?, if angle.is_finite() { angle } else { 0.0 }, earth))
}

fn lat_lon(s: &Section<'_>, is_rotated: bool, points: u32) -> Result<Grid> {
    let earth = Earth::edition2(s)?;
    let (mut c, flags) = corners(s, false)?;
    if c.ni == MISSING && !is_rotated {
        let lengths = row_lengths(s, &c, 73)?;
        c.ni = 1;
        c.check()?;
        let mut notes = Vec::new();
        let rows = latitudes(&c, &mut notes)?;
        let rows = Rows::new(&rows, lengths, u64::from(points), c.lon1, c.lon2, false)?;
        let mut grid = cells("reduced_ll", rows, Vec::new(), &earth);
        grid.notes = notes;
        return Ok(grid);
    }
    let grid = regular(if is_rotated { "rotated_ll" } else { "regular_ll" }, &c, None, &earth)?;
    let mut grid = if is_rotated { turned(s, grid, &earth)? } else { grid };
    grid.along_grid = is_rotated && flags & 0x08 != 0;
    Ok(grid)
}

fn gaussian_grid(s: &Section<'_>, is_rotated: bool, points: u32) -> Result<Grid> {
    let earth = Earth::edition2(s)?;
    let (c, flags) = corners(s, true)?;
    let n = s.u32(68)?;
    let latitudes = gaussian::between(n, c.nj, c.lat1, c.lat2)?;
    let mut grid = if c.ni == MISSING {
        if is_rotated {
            return Err(s.fault(13, "a rotated reduced Gaussian grid is not read"));
        }
        let lengths = row_lengths(s, &c, 73)?;
        let rows = Rows::new(&latitudes, lengths, u64::from(points), c.lon1, c.lon2, true)?;
        cells("reduced_gg", rows, Vec::new(), &earth)
    } else {
        let name = if is_rotated { "rotated_gg" } else { "regular_gg" };
        let grid = regular(name, &c, Some(latitudes), &earth)?;
        if is_rotated { turned(s, grid, &earth)? } else { grid }
    };
    grid.attributes.push(("GRIB_N", AttrValue::Ints(DataType::Int32, vec![i64::from(n)])));
    grid.along_grid = is_rotated && flags & 0x08 != 0;
    Ok(grid)
}

/// Points, first point and scanning mode of the projected templates.
fn first_point(s: &Section<'_>, scan_octet: usize) -> Result<Corners> {
    let a = Angles::MICRO;
    let (lat1, lon1) = (a.at(s, 39)?, a.at(s, 43)?);
    Ok(Corners {
        ni: s.u32(31)?,
        nj: s.u32(35)?,
        lat1,
        lon1,
        lat2: lat1,
        lon2: lon1,
        di: None,
        dj: None,
        scan: Scan::of_flags(s.u8(scan_octet)?).map_err(|f| s.fault(scan_octet, f.reason))?,
    })
}

/// Grid lengths in millimetres, as metres.
fn lengths(s: &Section<'_>, octet: usize) -> Result<(f64, f64)> {
    Ok((f64::from(s.u32(octet)?) / 1e3, f64::from(s.u32(octet + 4)?) / 1e3))
}

fn mercator(s: &Section<'_>) -> Result<Grid> {
    let earth = Earth::edition2(s)?;
    let c = first_point(s, 60)?;
    // The Manual allows 0 to 90 degrees; some centres write something else there.
    let orientation = Angles::MICRO.at(s, 61)?;
    if orientation > 0.0 && orientation <= 90.0 {
        return Err(s.fault(
            61,
            format!("a Mercator grid turned by {orientation} degrees against the equator is not read"),
        ));
    }
    let projection = Projection::Mercator { lon0: c.lon1, true_scale: Angles::MICRO.at(s, 48)? };
    let mut grid = projected("mercator", &c, lengths(s, 65)?, &projection, &earth)?;
    grid.along_grid = s.u8(47)? & 0x08 != 0;
    if orientation != 0.0 {
        grid.notes.push(format!(
            "the orientation of {orientation} degrees is none that the Manual allows, and is taken as 0"
        ));
    }
    Ok(grid)
}

fn polar(s: &Section<'_>) -> Result<Grid> {
    let earth = Earth::edition2(s)?;
    let c = first_point(s, 65)?;
    let a = Angles::MICRO;
    let south = s.u8(64)? & 0x80 != 0;
    let projection = Projection::PolarStereographic { south, lon0: a.at(s, 52)?, true_scale: a.at(s, 48)? };
    let mut grid = projected("polar_stereographic", &c, lengths(s, 56)?, &projection, &earth)?;
    grid.along_grid = s.u8(47)? & 0x08 != 0;
    Ok(grid)
}

fn conic(s: &Section<'_>, albers: bool) -> Result<Grid> {
    let earth = Earth::edition2(s)?;
    let c = first_point(s, 65)?;
    let a = Angles::MICRO;
    let (lat0, lon0, parallels) = (a.at(s, 48)?, a.at(s, 52)?, (a.at(s, 66)?, a.at(s, 70)?));
    let (name, projection) = if albers {
        ("albers", Projection::Albers { lat0, lon0, parallels })
    } else {
        ("lambert", Projection::Lambert { lat0, lon0, parallels })
    };
    let mut grid = projected(name, &c, lengths(s, 56)?, &projection, &earth)?;
    grid.along_grid = s.u8(47)? & 0x08 != 0;
    Ok(grid)
}

fn azimuthal(s: &Section<'_>) -> Result<Grid> {
    let earth = Earth::edition2(s)?;
    let c = first_point(s, 64)?;
    let a = Angles::MICRO;
    let projection = Projection::LambertAzimuthal { lat0: a.at(s, 47)?, lon0: a.at(s, 51)? };
    let mut grid = projected("lambert_azimuthal_equal_area", &c, lengths(s, 56)?, &projection, &earth)?;
    grid.along_grid = s.u8(55)? & 0x08 != 0;
    Ok(grid)
}

fn transverse_mercator(s: &Section<'_>) -> Result<Grid> {
    let earth = Earth::edition2(s)?;
    let mut c = first_point(s, 60)?;
    let (lat0, lon0) = (c.lat1, c.lon1);
    (c.lat1, c.lat2) = (0.0, 0.0);
    let metres = |octet: usize| Ok(f64::from(s.i32(octet)?) / 100.0);
    let projection = Projection::TransverseMercator {
        lat0,
        lon0,
        scale: f64::from(s.f32(48)?),
        false_x: metres(52)?,
        false_y: metres(56)?,
    };
    let steps = (f64::from(s.u32(61)?) / 100.0, f64::from(s.u32(65)?) / 100.0);
    plane("transverse_mercator", &c, (metres(69)?, metres(73)?), steps, &projection, &earth)
}

fn satellite(s: &Section<'_>) -> Result<Grid> {
    let earth = Earth::edition2(s)?;
    let mut c = first_point(s, 64)?;
    let view = SpaceView {
        lat: c.lat1,
        lon: c.lon1,
        diameter: (f64::from(s.u32(48)?), f64::from(s.u32(52)?)),
        nadir: (f64::from(s.u32(56)?) / 1e3, f64::from(s.u32(60)?) / 1e3),
        origin: (f64::from(s.u32(73)?), f64::from(s.u32(77)?)),
        orientation: Angles::MICRO.at(s, 65)?,
        distance: f64::from(s.u32(69)?) / 1e6,
    };
    (c.lat1, c.lat2) = (0.0, 0.0);
    space_view(&c, &view, &earth)
}

fn unstructured(s: &Section<'_>, points: u32) -> Result<Grid> {
    let uuid: Vec<String> = s.octets(20, 16)?.iter().map(|b| format!("{b:02x}")).collect();
    let uuid = uuid.concat();
    let uuid = [&uuid[..8], &uuid[8..12], &uuid[12..16], &uuid[16..20], &uuid[20..]].join("-");
    Ok(Grid {
        type_name: "unstructured_grid",
        dims: vec![("cell", u64::from(points))],
        scan: Scan::default(),
        coordinates: Vec::new(),
        mapping: None,
        attributes: vec![
            text("GRIB_uuidOfHGrid", &uuid),
            number("GRIB_numberOfGridUsed", f64::from(s.u24(16)?)),
            number("GRIB_numberOfGridInReference", f64::from(s.u8(19)?)),
        ],
        along_grid: false,
        notes: vec![format!(
            "the cells of grid {uuid} are only numbered; their positions are in a grid file of its centre"
        )],
    })
}
