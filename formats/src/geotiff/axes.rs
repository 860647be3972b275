//! Where the cells are: the affine transform of an image, as two axes.

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

/// The axes y and x, if the image says where it is.
///
/// # Errors
/// Rotated, sheared or bent: such an image has no axes.
pub(crate) fn read(
    bytes: &Bytes,
    directory: &Directory,
    at_centres: bool,
    limits: &Limits,
) -> Result<Option<(Axis, Axis)>, FormatError> {
    let scale = bytes.doubles(directory, PIXEL_SCALE, limits)?;
    let ties = bytes.doubles(directory, TIE_POINTS, limits)?;
    let matrix = bytes.doubles(directory, TRANSFORMATION, limits)?;
    let wrong = |reason: String| Err(FormatError::new(&bytes.file, reason));
    // From the corner of a cell to its centre.
    let half = if at_centres { 0.0 } else { 0.5 };
    let (y, x) = if let [a, b, _, d, e, f, _, h, ..] = matrix[..] {
        if b != 0.0 || e != 0.0 {
            return wrong(format!(
                "the image is rotated or sheared (ModelTransformation [{a}, {b}; {e}, {f}]), which is not read; warp it to a north-up grid first"
            ));
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
    Ok(Some((y, x)))
}
