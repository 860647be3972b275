//! Where the cells are: the affine transform of an image, as two axes where it has them.

use super::directory::{Bytes, Directory};
use crate::{FormatError, Limits};

const PIXEL_SCALE: u16 = 33550;
const TIE_POINTS: u16 = 33922;
const TRANSFORMATION: u16 = 34264;

/// Cell centres: `first + i * step`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    pub(crate) first: f64,
    pub(crate) step: f64,
}

/// How rows and columns become coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Transform {
    /// The axes y and x.
    Axes(Axis, Axis),
    /// Rotated or sheared.
    Rotated(Affine),
}

/// `x = a column + b row + c`, `y = d column + e row + f`, for cell centres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub(crate) x: [f64; 3],
    pub(crate) y: [f64; 3],
}

impl Affine {
    /// The coordinates x and y.
    pub(crate) fn at(&self, row: u64, column: u64) -> (f64, f64) {
        let on = |[a, b, c]: [f64; 3]| a * column as f64 + b * row as f64 + c;
        (on(self.x), on(self.y))
    }
}

/// A shear of less than this much of a cell over the whole image is of rounding.
const NO_SHEAR: f64 = 1e-3;

/// Where an image of `[rows, columns]` is, if it says so.
///
/// # Errors
/// Bent, or not to be inverted.
pub(crate) fn read(
    bytes: &Bytes,
    directory: &Directory,
    at_centres: bool,
    [rows, columns]: [u64; 2],
    limits: &Limits,
) -> Result<Option<Transform>, FormatError> {
    let scale = bytes.doubles(directory, PIXEL_SCALE, limits)?;
    let ties = bytes.doubles(directory, TIE_POINTS, limits)?;
    let matrix = bytes.doubles(directory, TRANSFORMATION, limits)?;
    let wrong = |reason: String| Err(FormatError::new(&bytes.file, reason));
    // From the corner of a cell to its centre.
    let half = if at_centres { 0.0 } else { 0.5 };
    let (y, x) = if let [a, b, _, d, e, f, _, h, ..] = matrix[..] {
        let sheared = |across: f64, cells: u64, along: f64| {
            across.is_nan() || (across * cells as f64).abs() > NO_SHEAR * along.abs()
        };
        if sheared(b, rows, a) || sheared(e, columns, f) {
            let determinant = a * f - b * e;
            if ![a, b, d, e, f, h].iter().all(|v| v.is_finite()) || determinant == 0.0 {
                return wrong(format!(
                    "the transformation of cells to coordinates is [{a}, {b}, {d}; {e}, {f}, {h}]; expected finite numbers that can be inverted"
                ));
            }
            let (x, y) = ([a, b, d + half * (a + b)], [e, f, h + half * (e + f)]);
            return Ok(Some(Transform::Rotated(Affine { x, y })));
        }
        (Axis { first: h + half * f, step: f }, Axis { first: d + half * a, step: a })
    } else {
        match (&scale[..], &ties[..]) {
            ([sx, sy, ..], [i, j, _, x, y, _, ..]) => {
                let axis =
                    |origin: f64, at: f64, step: f64| Axis { first: origin + (half - at) * step, step };
                (axis(*y, *j, -*sy), axis(*x, *i, *sx))
            }
            (_, []) => return Ok(None),
            (_, ties) => {
                return wrong(format!(
                    "the image is placed by {} ground control points only, which is not read; warp it to a north-up grid first",
                    ties.len() / 6
                ));
            }
        }
    };
    for (name, axis) in [("y", y), ("x", x)] {
        if !(axis.first.is_finite() && axis.step.is_finite() && axis.step != 0.0) {
            return wrong(format!(
                "{name} of the cells begins at {} and grows by {}; expected finite numbers and a step",
                axis.first, axis.step
            ));
        }
    }
    Ok(Some(Transform::Axes(y, x)))
}
