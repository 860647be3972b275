//! Coordinate reference systems in CF's terms (CF Conventions, appendix F).

use graticule_shared::dtype::DataType;

use crate::AttrValue;

/// Semi-major axis in metres and inverse flattening (EPSG ellipsoid registry).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ellipsoid {
    pub(crate) a: f64,
    /// 0 for a sphere.
    pub(crate) inverse_flattening: f64,
}

pub(crate) const WGS84: Ellipsoid = Ellipsoid { a: 6_378_137.0, inverse_flattening: 298.257_223_563 };
const GRS80: Ellipsoid = Ellipsoid { a: 6_378_137.0, inverse_flattening: 298.257_222_101 };
const CLARKE_1866: Ellipsoid = Ellipsoid { a: 6_378_206.4, inverse_flattening: 294.978_698_213_898_2 };
const BESSEL: Ellipsoid = Ellipsoid { a: 6_377_397.155, inverse_flattening: 299.152_812_8 };
const INTERNATIONAL: Ellipsoid = Ellipsoid { a: 6_378_388.0, inverse_flattening: 297.0 };
const AIRY: Ellipsoid = Ellipsoid { a: 6_377_563.396, inverse_flattening: 299.324_964_6 };
const KRASSOWSKY: Ellipsoid = Ellipsoid { a: 6_378_245.0, inverse_flattening: 298.3 };
const WGS72: Ellipsoid = Ellipsoid { a: 6_378_135.0, inverse_flattening: 298.26 };
const HUGHES_1980: Ellipsoid = Ellipsoid { a: 6_378_273.0, inverse_flattening: 298.279_411_123_064 };
const WEB_SPHERE: Ellipsoid = Ellipsoid { a: 6_378_137.0, inverse_flattening: 0.0 };

/// The ellipsoid with an EPSG code.
pub(crate) fn ellipsoid(code: u16) -> Option<Ellipsoid> {
    Some(match code {
        7001 => AIRY,
        7004 => BESSEL,
        7008 => CLARKE_1866,
        7019 => GRS80,
        7022 => INTERNATIONAL,
        7024 => KRASSOWSKY,
        7030 => WGS84,
        7043 => WGS72,
        7058 => HUGHES_1980,
        _ => return None,
    })
}

/// The ellipsoid of a geographic system with an EPSG code; longitudes from Greenwich.
pub(crate) fn geographic(code: u16) -> Option<Ellipsoid> {
    Some(match code {
        4326 | 4979 => WGS84,
        4269 | 4258 | 4283 | 7844 | 4674 | 4167 | 4617 | 6318 | 6783 | 4612 | 4171 | 4737 | 4490 => GRS80,
        4267 => CLARKE_1866,
        4314 | 4312 | 4301 => BESSEL,
        4230 => INTERNATIONAL,
        4277 => AIRY,
        4284 => KRASSOWSKY,
        4322 => WGS72,
        // The same datums without a realisation.
        4001..=4050 => ellipsoid(code + 3000)?,
        _ => return None,
    })
}

/// A projection with the parameters that CF names. Angles in degrees, lengths in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Projection {
    TransverseMercator {
        latitude: f64,
        longitude: f64,
        scale: f64,
    },
    Albers {
        latitude: f64,
        longitude: f64,
        parallels: (f64, f64),
    },
    LambertConformal {
        latitude: f64,
        longitude: f64,
        parallels: (f64, f64),
    },
    LambertAzimuthal {
        latitude: f64,
        longitude: f64,
    },
    /// `parallel`: true scale; `Err`: the scale at the pole.
    PolarStereographic {
        north: bool,
        longitude: f64,
        parallel: Result<f64, f64>,
    },
    /// As above, at the equator.
    Mercator {
        longitude: f64,
        parallel: Result<f64, f64>,
    },
    Sinusoidal {
        longitude: f64,
    },
    CylindricalEqualArea {
        longitude: f64,
        parallel: f64,
    },
}

/// What the coordinates of an image mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Crs {
    Geographic(Ellipsoid),
    Projected { projection: Projection, easting: f64, northing: f64, ellipsoid: Ellipsoid },
}

impl Crs {
    /// True on an ellipsoid that was fitted to one continent, whose centre is not the Earth's.
    pub(crate) fn is_of_a_national_datum(&self) -> bool {
        let (Self::Geographic(ellipsoid) | Self::Projected { ellipsoid, .. }) = self;
        [CLARKE_1866, BESSEL, INTERNATIONAL, AIRY, KRASSOWSKY].contains(ellipsoid)
    }
}

/// Projected systems by EPSG code: zones of UTM and those most used otherwise.
pub(crate) fn projected(code: u16) -> Option<Crs> {
    use Projection::{
        Albers, CylindricalEqualArea, LambertAzimuthal, LambertConformal, Mercator, PolarStereographic,
    };
    let made = |projection, easting, northing, ellipsoid| {
        Some(Crs::Projected { projection, easting, northing, ellipsoid })
    };
    let azimuthal =
        |latitude, longitude, ellipsoid| made(LambertAzimuthal { latitude, longitude }, 0.0, 0.0, ellipsoid);
    let polar = |north, longitude, parallel, ellipsoid| {
        made(PolarStereographic { north, longitude, parallel: Ok(parallel) }, 0.0, 0.0, ellipsoid)
    };
    let albers = |latitude, longitude, parallels, (easting, northing)| {
        made(Albers { latitude, longitude, parallels }, easting, northing, GRS80)
    };
    let conformal = |latitude, longitude, parallels, (easting, northing)| {
        made(LambertConformal { latitude, longitude, parallels }, easting, northing, GRS80)
    };
    let meridian = |latitude, longitude, scale, (easting, northing), ellipsoid| {
        made(Projection::TransverseMercator { latitude, longitude, scale }, easting, northing, ellipsoid)
    };
    match code {
        32601..=32660 => Some(utm(code - 32600, true, WGS84)),
        32701..=32760 => Some(utm(code - 32700, false, WGS84)),
        32201..=32260 => Some(utm(code - 32200, true, WGS72)),
        32301..=32360 => Some(utm(code - 32300, false, WGS72)),
        25828..=25838 => Some(utm(code - 25800, true, GRS80)),
        26901..=26923 => Some(utm(code - 26900, true, GRS80)),
        26701..=26722 => Some(utm(code - 26700, true, CLARKE_1866)),
        23028..=23038 => Some(utm(code - 23000, true, INTERNATIONAL)),
        28348..=28358 => Some(utm(code - 28300, false, GRS80)),
        7846..=7859 => Some(utm(code - 7800, false, GRS80)),
        3857 | 3785 => made(Mercator { longitude: 0.0, parallel: Err(1.0) }, 0.0, 0.0, WEB_SPHERE),
        3395 => made(Mercator { longitude: 0.0, parallel: Err(1.0) }, 0.0, 0.0, WGS84),
        5070 | 6350 => albers(23.0, -96.0, (29.5, 45.5), (0.0, 0.0)),
        3338 => albers(50.0, -154.0, (55.0, 65.0), (0.0, 0.0)),
        3310 => albers(0.0, -120.0, (34.0, 40.5), (0.0, -4_000_000.0)),
        3005 => albers(45.0, -126.0, (50.0, 58.5), (1_000_000.0, 0.0)),
        3577 => albers(0.0, 132.0, (-18.0, -36.0), (0.0, 0.0)),
        3034 => conformal(52.0, 10.0, (35.0, 65.0), (4_000_000.0, 2_800_000.0)),
        2154 => conformal(46.5, 3.0, (49.0, 44.0), (700_000.0, 6_600_000.0)),
        3978 | 3979 => conformal(49.0, -95.0, (49.0, 77.0), (0.0, 0.0)),
        3347 => conformal(63.390_675, -91.866_666_666_666_67, (49.0, 77.0), (6_200_000.0, 3_000_000.0)),
        3035 => {
            let projection = LambertAzimuthal { latitude: 52.0, longitude: 10.0 };
            made(projection, 4_321_000.0, 3_210_000.0, GRS80)
        }
        3571..=3576 => {
            let longitude = [180.0, -150.0, -100.0, -40.0, 10.0, 90.0][usize::from(code - 3571)];
            azimuthal(90.0, longitude, WGS84)
        }
        6931 => azimuthal(90.0, 0.0, WGS84),
        6932 => azimuthal(-90.0, 0.0, WGS84),
        6933 => made(CylindricalEqualArea { longitude: 0.0, parallel: 30.0 }, 0.0, 0.0, WGS84),
        3031 => polar(false, 0.0, -71.0, WGS84),
        3976 => polar(false, 0.0, -70.0, WGS84),
        3412 => polar(false, 0.0, -70.0, HUGHES_1980),
        3995 => polar(true, 0.0, 71.0, WGS84),
        3413 => polar(true, -45.0, 70.0, WGS84),
        3411 => polar(true, -45.0, 70.0, HUGHES_1980),
        32661 | 32761 => {
            let projection =
                PolarStereographic { north: code == 32661, longitude: 0.0, parallel: Err(0.994) };
            made(projection, 2_000_000.0, 2_000_000.0, WGS84)
        }
        27700 => meridian(49.0, -2.0, 0.999_601_271_7, (400_000.0, -100_000.0), AIRY),
        2193 => meridian(0.0, 173.0, 0.9996, (1_600_000.0, 10_000_000.0), GRS80),
        31466..=31469 => {
            let zone = f64::from(code - 31464);
            meridian(0.0, 3.0 * zone, 1.0, (1e6 * zone + 500_000.0, 0.0), BESSEL)
        }
        _ => None,
    }
}

/// A zone of Universal Transverse Mercator, 1 to 60.
pub(crate) fn utm(zone: u16, north: bool, ellipsoid: Ellipsoid) -> Crs {
    Crs::Projected {
        projection: Projection::TransverseMercator {
            latitude: 0.0,
            longitude: f64::from(zone) * 6.0 - 183.0,
            scale: 0.9996,
        },
        easting: 500_000.0,
        northing: if north { 0.0 } else { 10_000_000.0 },
        ellipsoid,
    }
}

impl Crs {
    /// Attributes of the grid mapping variable.
    pub(crate) fn attributes(&self) -> Vec<(String, AttrValue)> {
        let number = |v: f64| AttrValue::Floats(DataType::Float64, vec![v]);
        let mut out: Vec<(String, AttrValue)> = Vec::new();
        let mut add = |name: &str, value: AttrValue| out.push((name.to_owned(), value));
        let name = |n: &str| AttrValue::Text(n.to_owned());
        let (Crs::Geographic(ellipsoid) | Crs::Projected { ellipsoid, .. }) = self;
        match self {
            Crs::Geographic(_) => add("grid_mapping_name", name("latitude_longitude")),
            Crs::Projected { projection, easting, northing, .. } => {
                match projection {
                    Projection::TransverseMercator { latitude, longitude, scale } => {
                        add("grid_mapping_name", name("transverse_mercator"));
                        add("latitude_of_projection_origin", number(*latitude));
                        add("longitude_of_central_meridian", number(*longitude));
                        add("scale_factor_at_central_meridian", number(*scale));
                    }
                    Projection::Albers { latitude, longitude, parallels }
                    | Projection::LambertConformal { latitude, longitude, parallels } => {
                        let equal_area = matches!(projection, Projection::Albers { .. });
                        let named =
                            if equal_area { "albers_conical_equal_area" } else { "lambert_conformal_conic" };
                        let both = if parallels.0 == parallels.1 {
                            vec![parallels.0]
                        } else {
                            vec![parallels.0, parallels.1]
                        };
                        add("grid_mapping_name", name(named));
                        add("standard_parallel", AttrValue::Floats(DataType::Float64, both));
                        add("latitude_of_projection_origin", number(*latitude));
                        add("longitude_of_central_meridian", number(*longitude));
                    }
                    Projection::LambertAzimuthal { latitude, longitude } => {
                        add("grid_mapping_name", name("lambert_azimuthal_equal_area"));
                        add("latitude_of_projection_origin", number(*latitude));
                        add("longitude_of_projection_origin", number(*longitude));
                    }
                    Projection::PolarStereographic { north, longitude, parallel } => {
                        add("grid_mapping_name", name("polar_stereographic"));
                        add("latitude_of_projection_origin", number(if *north { 90.0 } else { -90.0 }));
                        add("straight_vertical_longitude_from_pole", number(*longitude));
                        match parallel {
                            Ok(p) => add("standard_parallel", number(*p)),
                            Err(scale) => add("scale_factor_at_projection_origin", number(*scale)),
                        }
                    }
                    Projection::Mercator { longitude, parallel } => {
                        add("grid_mapping_name", name("mercator"));
                        add("longitude_of_projection_origin", number(*longitude));
                        match parallel {
                            Ok(p) => add("standard_parallel", number(*p)),
                            Err(scale) => add("scale_factor_at_projection_origin", number(*scale)),
                        }
                    }
                    Projection::Sinusoidal { longitude } => {
                        add("grid_mapping_name", name("sinusoidal"));
                        add("longitude_of_projection_origin", number(*longitude));
                    }
                    Projection::CylindricalEqualArea { longitude, parallel } => {
                        add("grid_mapping_name", name("lambert_cylindrical_equal_area"));
                        add("longitude_of_central_meridian", number(*longitude));
                        add("standard_parallel", number(*parallel));
                    }
                }
                add("false_easting", number(*easting));
                add("false_northing", number(*northing));
            }
        }
        if ellipsoid.inverse_flattening == 0.0 {
            add("earth_radius", number(ellipsoid.a));
        } else {
            let b = ellipsoid.a - ellipsoid.a / ellipsoid.inverse_flattening;
            add("semi_major_axis", number(ellipsoid.a));
            add("semi_minor_axis", number(b));
            add("inverse_flattening", number(ellipsoid.inverse_flattening));
        }
        add("longitude_of_prime_meridian", number(0.0));
        out
    }
}
