//! GeoKeys (OGC 19-008r4, GeoTIFF 1.1, section 7): which reference system it is.

use std::collections::BTreeMap;

use super::crs::{self, Crs, Ellipsoid, Projection};
use super::directory::{Bytes, Directory};
use crate::{FormatError, Limits};

/// Tags that hold the keys and their longer values.
const DIRECTORY: u16 = 34735;
const DOUBLES: u16 = 34736;

/// "The parameters follow", instead of a code.
const USER_DEFINED: u16 = 32767;

#[derive(Debug)]
pub(crate) struct GeoKeys {
    shorts: BTreeMap<u16, u16>,
    doubles: BTreeMap<u16, f64>,
}

/// The reference system, its code and how many metres (or degrees) a unit is.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) crs: Crs,
    pub(crate) epsg: Option<u16>,
    pub(crate) unit: f64,
    /// What had to be assumed.
    pub(crate) note: Option<String>,
}

impl GeoKeys {
    pub(crate) fn read(bytes: &Bytes, directory: &Directory, limits: &Limits) -> Result<Self, FormatError> {
        let keys = bytes.all_uints(directory, DIRECTORY, limits)?;
        let values = bytes.doubles(directory, DOUBLES, limits)?;
        let (mut shorts, mut doubles) = (BTreeMap::new(), BTreeMap::new());
        for key in keys.chunks_exact(4).skip(1) {
            let (id, at) = (key[0] as u16, key[3]);
            match key[1] as u16 {
                0 => {
                    shorts.insert(id, at as u16);
                }
                DOUBLES => {
                    let value = values.get(at as usize).copied().filter(|v| v.is_finite());
                    doubles.insert(
                        id,
                        value.ok_or_else(|| {
                            FormatError::new(&bytes.file, format!("GeoKey {id} has no finite value {at}"))
                        })?,
                    );
                }
                _ => {}
            }
        }
        Ok(Self { shorts, doubles })
    }

    /// True where tie points name the centres of cells (RasterPixelIsPoint).
    pub(crate) fn at_centres(&self) -> bool {
        self.shorts.get(&1025) == Some(&2)
    }

    fn code(&self, key: u16) -> Option<u16> {
        self.shorts.get(&key).copied().filter(|c| *c != 0 && *c != USER_DEFINED)
    }

    /// The first of several keys: writers differ in which they use.
    fn any(&self, keys: &[u16]) -> Option<f64> {
        keys.iter().find_map(|k| self.doubles.get(k)).copied()
    }

    fn or_zero(&self, keys: &[u16]) -> f64 {
        self.any(keys).unwrap_or(0.0)
    }

    /// # Errors
    /// What it is that cannot be carried over.
    pub(crate) fn reference(&self) -> Result<Option<Reference>, String> {
        let mut found = match self.shorts.get(&1024) {
            None if self.shorts.contains_key(&3072) => self.projected()?,
            None if self.shorts.contains_key(&2048) => self.geographic()?,
            None | Some(0 | 32767) => return Ok(None),
            Some(1) => self.projected()?,
            Some(2) => self.geographic()?,
            Some(3) => {
                return Err("the coordinates are geocentric; projected or geographic ones are read".into());
            }
            Some(n) => return Err(format!("the model type (GeoKey 1024) is {n}; expected 1 or 2")),
        };
        if found.note.is_none() && found.crs.is_of_a_national_datum() {
            found.note = Some(
                "places are on the datum of the file, older than satellites; its shift to WGS 84, of some 100 m, is not applied"
                    .to_owned(),
            );
        }
        Ok(Some(found))
    }

    fn geographic(&self) -> Result<Reference, String> {
        if let Some(unit) = self.code(2054).filter(|u| !matches!(u, 9102 | 9122)) {
            return Err(format!("angles are in unit EPSG:{unit}; degrees (9102) are read"));
        }
        let (ellipsoid, note) = self.ellipsoid()?;
        Ok(Reference { crs: Crs::Geographic(ellipsoid), epsg: self.code(2048), unit: 1.0, note })
    }

    fn ellipsoid(&self) -> Result<(Ellipsoid, Option<String>), String> {
        let meridian = self.or_zero(&[2061]);
        if meridian != 0.0 || self.code(2051).is_some_and(|m| m != 8901) {
            return Err(format!(
                "longitudes count from a meridian {meridian} degrees from Greenwich; only Greenwich is read"
            ));
        }
        if let Some(found) =
            self.code(2048).and_then(crs::geographic).or(self.code(2056).and_then(crs::ellipsoid))
        {
            return Ok((found, None));
        }
        if let Some(a) = self.any(&[2057]) {
            let inverse_flattening = match (self.any(&[2059]), self.any(&[2058])) {
                (Some(f), _) => f,
                (None, Some(b)) if a != b => a / (a - b),
                _ => 0.0,
            };
            if !(a > 1e6 && a < 1e7 && (inverse_flattening == 0.0 || inverse_flattening > 100.0)) {
                return Err(format!(
                    "the ellipsoid has a semi-major axis of {a} m and an inverse flattening of {inverse_flattening}; that is not the Earth"
                ));
            }
            return Ok((Ellipsoid { a, inverse_flattening }, None));
        }
        let named = self.code(2048).map_or_else(|| "not given".to_owned(), |c| format!("EPSG:{c}"));
        Ok((crs::WGS84, Some(format!("the geographic system is {named}; WGS 84 is assumed"))))
    }

    fn projected(&self) -> Result<Reference, String> {
        let epsg = self.code(3072);
        let unit = match (self.code(3076), self.any(&[3077])) {
            (None | Some(9001), None) | (Some(9001), _) => 1.0,
            (Some(9002), _) => 0.3048,
            (Some(9003), _) => 1200.0 / 3937.0,
            (None, Some(size)) if size > 0.0 => size,
            (code, size) => {
                return Err(format!(
                    "lengths are in unit EPSG:{code:?} of {size:?} m; metres or feet are read"
                ));
            }
        };
        if let Some(crs) = epsg.and_then(crs::projected) {
            return Ok(Reference { crs, epsg, unit, note: None });
        }
        let (ellipsoid, note) = self.ellipsoid()?;
        // Zones of UTM: 16001 to 16060 north, 16101 to 16160 south.
        let zone = self.code(3074).and_then(|c| match c {
            16001..=16060 => Some((c - 16000, true)),
            16101..=16160 => Some((c - 16100, false)),
            _ => None,
        });
        if let (Some((zone, north)), None) = (zone, self.code(3075)) {
            return Ok(Reference { crs: crs::utm(zone, north, ellipsoid), epsg, unit, note });
        }
        let Some(method) = self.code(3075) else {
            let named = epsg.map_or_else(|| "an unnamed projection".to_owned(), |c| format!("EPSG:{c}"));
            return Err(format!(
                "{named} is no projection that is known here, and its parameters are not in the file; reproject it, for example to EPSG:4326"
            ));
        };
        let crs = Crs::Projected {
            projection: self.projection(method)?,
            easting: unit * self.or_zero(&[3082, 3086, 3090]),
            northing: unit * self.or_zero(&[3083, 3087, 3091]),
            ellipsoid,
        };
        Ok(Reference { crs, epsg, unit, note })
    }

    /// By ProjMethodGeoKey (section 7.4.4 and annex C).
    fn projection(&self, method: u16) -> Result<Projection, String> {
        let latitude = self.or_zero(&[3081, 3085, 3089]);
        let longitude = self.or_zero(&[3080, 3084, 3088]);
        let scale = self.any(&[3092, 3093]).filter(|s| *s > 0.0).unwrap_or(1.0);
        let parallels = || {
            let first = self.any(&[3078]).ok_or("a standard parallel (GeoKey 3078) is missing")?;
            Ok::<_, String>((first, self.any(&[3079]).unwrap_or(first)))
        };
        Ok(match method {
            1 => Projection::TransverseMercator { latitude, longitude, scale },
            7 => {
                let parallel = self.any(&[3078]).ok_or(scale);
                Projection::Mercator { longitude, parallel }
            }
            8 => Projection::LambertConformal { latitude, longitude, parallels: parallels()? },
            9 if scale == 1.0 => {
                Projection::LambertConformal { latitude, longitude, parallels: (latitude, latitude) }
            }
            9 => {
                return Err(format!(
                    "a Lambert conformal conic projection with a scale factor of {scale} has no CF grid mapping; reproject it"
                ));
            }
            10 => Projection::LambertAzimuthal { latitude, longitude },
            11 => Projection::Albers { latitude, longitude, parallels: parallels()? },
            15 => {
                let longitude = self.or_zero(&[3095, 3080, 3088]);
                let at_pole = latitude.abs() == 90.0 || latitude == 0.0;
                let parallel = if at_pole { self.any(&[3078]).ok_or(scale) } else { Ok(latitude) };
                let north = parallel.unwrap_or(latitude) >= 0.0;
                Projection::PolarStereographic { north, longitude, parallel }
            }
            24 => Projection::Sinusoidal { longitude },
            28 => Projection::CylindricalEqualArea { longitude, parallel: self.or_zero(&[3078]) },
            _ => {
                const METHODS: [&str; 27] = [
                    "transverse Mercator",
                    "modified transverse Mercator",
                    "oblique Mercator",
                    "Laborde oblique Mercator",
                    "Rosenmund oblique Mercator",
                    "spherical oblique Mercator",
                    "Mercator",
                    "Lambert conformal conic",
                    "Lambert conformal conic",
                    "Lambert azimuthal equal area",
                    "Albers",
                    "azimuthal equidistant",
                    "equidistant conic",
                    "stereographic",
                    "polar stereographic",
                    "oblique stereographic",
                    "equirectangular",
                    "Cassini-Soldner",
                    "gnomonic",
                    "Miller cylindrical",
                    "orthographic",
                    "polyconic",
                    "Robinson",
                    "sinusoidal",
                    "Van der Grinten",
                    "New Zealand map grid",
                    "south-oriented transverse Mercator",
                ];
                let name = METHODS.get(usize::from(method).wrapping_sub(1)).unwrap_or(&"unknown");
                return Err(format!(
                    "the projection is {name} (method {method}), which is not read; reproject it, for example to EPSG:4326"
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::GeoKeys;

    fn note(epsg: u16) -> Option<String> {
        let keys = GeoKeys { shorts: BTreeMap::from([(1024, 1), (3072, epsg)]), doubles: BTreeMap::new() };
        keys.reference().expect("a known system").expect("it has one").note
    }

    #[test]
    fn a_national_datum_is_told_and_one_of_satellites_is_not() {
        for epsg in [27700, 31467, 26713, 23032] {
            assert!(note(epsg).is_some_and(|n| n.contains("shift to WGS 84")), "EPSG:{epsg}");
        }
        for epsg in [32633, 26913, 25832, 2154, 3857, 3411] {
            assert_eq!(note(epsg), None, "EPSG:{epsg}");
        }
    }
}
