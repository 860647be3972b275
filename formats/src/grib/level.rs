//! What a level is called and measured in (GRIB2 Code Table 4.5, GRIB1 Code
//! Table 3), under the names that ecCodes gives the types of level.

use std::borrow::Cow;

/// A type of level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LevelType {
    pub(crate) name: Cow<'static, str>,
    /// Of the values; empty for levels that have none, such as the surface.
    pub(crate) units: &'static str,
    /// CF `positive`, where the axis has a direction.
    pub(crate) positive: &'static str,
    pub(crate) standard_name: &'static str,
}

impl LevelType {
    /// False for what the tables of levels number though it lies nowhere: NCEP's ordered sequence
    /// (the partitions of swell) is a dimension like any other.
    pub(crate) fn is_vertical(&self) -> bool {
        self.name != "orderedSequenceData"
    }
}

/// A level or, with two values, a layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Level {
    pub(crate) kind: LevelType,
    pub(crate) first: Option<f64>,
    pub(crate) second: Option<f64>,
}

impl Level {
    pub(crate) fn new(kind: LevelType, first: Option<f64>, second: Option<f64>) -> Self {
        if kind.units.is_empty() {
            return Self { kind, first: None, second: None };
        }
        Self { kind, first, second }
    }

    /// The coordinate: of a layer its middle.
    pub(crate) fn value(&self) -> Option<f64> {
        match (self.first, self.second) {
            (Some(a), Some(b)) => Some((a + b) / 2.0),
            (a, b) => a.or(b),
        }
    }
}

const fn of(
    name: &'static str,
    units: &'static str,
    positive: &'static str,
    standard_name: &'static str,
) -> LevelType {
    LevelType { name: Cow::Borrowed(name), units, positive, standard_name }
}

/// A level without a value.
const fn bare(name: &'static str) -> LevelType {
    of(name, "", "", "")
}

/// The type of level that two fixed surfaces of GRIB2 make, and what the coded
/// values are multiplied with. `None` for the second where there is no second surface.
pub(crate) fn edition2(first: u8, second: Option<u8>, centre: u16) -> (LevelType, f64) {
    let ncep = centre == 7;
    let layer = second == Some(first);
    let kind = match (first, second) {
        (1, Some(7)) => bare("troposphere"),
        (1, Some(8)) => bare("entireAtmosphere"),
        (1, Some(9)) => bare("entireOcean"),
        (1, Some(162)) => bare("entireLake"),
        (1, Some(100)) => return (of("lowCloudLayer", "hPa", "down", "air_pressure"), 0.01),
        (7, Some(36)) => bare("stratosphere"),
        (100, Some(8)) => return (of("highCloudLayer", "hPa", "down", "air_pressure"), 0.01),
        (160, Some(9)) => bare("oceanSurfaceToBottom"),
        (100, _) => {
            let name = if layer { "isobaricLayer" } else { "isobaricInhPa" };
            return (of(name, "hPa", "down", "air_pressure"), 0.01);
        }
        (1, _) => bare("surface"),
        (2, _) => bare("cloudBase"),
        (3, _) => bare("cloudTop"),
        (4, _) => bare("isothermZero"),
        (5, _) => bare("adiabaticCondensation"),
        (6, _) => bare("maxWind"),
        (7, _) => bare("tropopause"),
        (8, _) => bare("nominalTop"),
        (9, _) => bare("seaBottom"),
        (10, _) => bare("atmosphere"),
        (11, _) => bare("cumulonimbusBase"),
        (12, _) => bare("cumulonimbusTop"),
        (14, _) => bare("freeConvection"),
        (15, _) => bare("convectiveCondensation"),
        (16, _) => bare("neutralBuoyancy"),
        (17, _) => bare("mostUnstableParcel"),
        (18, _) => bare("mixedLayerParcel"),
        (20, _) => of("isothermal", "K", "", ""),
        (101, _) => bare("meanSea"),
        (102, _) if layer => of("heightAboveSeaLayer", "m", "up", "altitude"),
        (102, _) => of("heightAboveSea", "m", "up", "altitude"),
        (103, _) if layer => of("heightAboveGroundLayer", "m", "up", "height"),
        (103, _) => of("heightAboveGround", "m", "up", "height"),
        (104, _) if layer => of("sigmaLayer", "1", "down", "atmosphere_sigma_coordinate"),
        (104, _) => of("sigma", "1", "down", "atmosphere_sigma_coordinate"),
        (105, _) if layer => of("hybridLayer", "1", "down", ""),
        (105, _) => of("hybrid", "1", "down", ""),
        (106, _) if layer => of("depthBelowLandLayer", "m", "down", "depth"),
        (106, _) => of("depthBelowLand", "m", "down", "depth"),
        (107, _) if layer => of("thetaLayer", "K", "up", "air_potential_temperature"),
        (107, _) => of("theta", "K", "up", "air_potential_temperature"),
        (108, _) if layer => of("pressureFromGroundLayer", "Pa", "up", ""),
        (108, _) => of("pressureFromGround", "Pa", "up", ""),
        (109, _) => of("potentialVorticity", "K m2 kg-1 s-1", "", "ertel_potential_vorticity"),
        (111, _) => of("eta", "1", "down", ""),
        (114, _) => of(if layer { "snowLayer" } else { "snow" }, "1", "down", ""),
        (117, _) => of("mixedLayerDepthGeneric", "m", "down", "depth"),
        (118, _) => of("hybridHeight", "1", "up", ""),
        (119, _) => of("hybridPressure", "1", "down", ""),
        (150, _) => of(if layer { "generalVerticalLayer" } else { "generalVertical" }, "1", "down", ""),
        (151, _) => of(if layer { "soilLayer" } else { "soil" }, "1", "down", ""),
        (152, _) => of(if layer { "seaIceLayer" } else { "seaIce" }, "1", "down", ""),
        (160, _) if layer => of("depthBelowSeaLayer", "m", "down", "depth"),
        (160, _) => of("depthBelowSea", "m", "down", "depth"),
        (162, _) => bare("lakeBottom"),
        (166, _) => bare("mixingLayer"),
        (168, _) => of(if layer { "oceanModelLayer" } else { "oceanModel" }, "1", "down", ""),
        (200, _) if ncep => bare("atmosphereSingleLayer"),
        (201, _) if ncep => bare("oceanSingleLayer"),
        (204, _) if ncep => bare("highestTroposphericFreezing"),
        (206, _) if ncep => bare("gridScaleCloudBottom"),
        (207, _) if ncep => bare("gridScaleCloudTop"),
        (209, _) if ncep => bare("boundaryLayerCloudBottom"),
        (210, _) if ncep => bare("boundaryLayerCloudTop"),
        (211, _) if ncep => bare("boundaryLayerCloudLayer"),
        (212, _) if ncep => bare("lowCloudBottom"),
        (213, _) if ncep => bare("lowCloudTop"),
        (214, _) if ncep => bare("lowCloudLayer"),
        (215, _) if ncep => bare("cloudCeiling"),
        (220, _) if ncep => bare("planetaryBoundaryLayer"),
        (222, _) if ncep => bare("middleCloudBottom"),
        (223, _) if ncep => bare("middleCloudTop"),
        (224, _) if ncep => bare("middleCloudLayer"),
        (232, _) if ncep => bare("highCloudBottom"),
        (233, _) if ncep => bare("highCloudTop"),
        (234, _) if ncep => bare("highCloudLayer"),
        (235, _) if ncep => of("oceanIsotherm", "0.1 degC", "", ""),
        (240, _) if ncep => bare("oceanMixedLayer"),
        (241, _) if ncep => of("orderedSequenceData", "1", "", ""),
        (242, _) if ncep => bare("convectiveCloudBottom"),
        (243, _) if ncep => bare("convectiveCloudTop"),
        (244, _) if ncep => bare("convectiveCloudLayer"),
        (245, _) if ncep => bare("lowestLevelWetBulb0"),
        (247, _) if ncep => bare("equilibrium"),
        (248, _) if ncep => bare("shallowConvectiveCloudBottom"),
        (249, _) if ncep => bare("shallowConvectiveCloudTop"),
        (251, _) if ncep => bare("deepConvectiveCloudBottom"),
        (252, _) if ncep => bare("deepConvectiveCloudTop"),
        (n, _) => LevelType {
            name: Cow::Owned(match second {
                Some(m) => format!("surfaceType{n}to{m}"),
                None => format!("surfaceType{n}"),
            }),
            units: "1",
            positive: "",
            standard_name: "",
        },
    };
    (kind, 1.0)
}

/// The level of GRIB1 octets 10 to 12: `kind` and the two octets, as one number
/// `both` or as `top` and `bottom`.
pub(crate) fn edition1(kind: u8, top: u8, bottom: u8) -> Level {
    let both = f64::from(u16::from_be_bytes([top, bottom]));
    let (a, b) = (f64::from(top), f64::from(bottom));
    let level = |kind: LevelType, v: f64| Level::new(kind, Some(v), None);
    let layer = |kind: LevelType, a: f64, b: f64| Level::new(kind, Some(a), Some(b));
    let pressure = "air_pressure";
    let sigma = "atmosphere_sigma_coordinate";
    match kind {
        20 => level(of("isothermal", "K", "", ""), both / 100.0),
        100 => level(of("isobaricInhPa", "hPa", "down", pressure), both),
        101 => layer(of("isobaricLayer", "hPa", "down", pressure), a * 10.0, b * 10.0),
        103 => level(of("heightAboveSea", "m", "up", "altitude"), both),
        104 => layer(of("heightAboveSeaLayer", "m", "up", "altitude"), a * 100.0, b * 100.0),
        105 => level(of("heightAboveGround", "m", "up", "height"), both),
        106 => layer(of("heightAboveGroundLayer", "m", "up", "height"), a * 100.0, b * 100.0),
        107 => level(of("sigma", "1", "down", sigma), both / 1e4),
        108 => layer(of("sigmaLayer", "1", "down", sigma), a / 100.0, b / 100.0),
        109 => level(of("hybrid", "1", "down", ""), both),
        110 => layer(of("hybridLayer", "1", "down", ""), a, b),
        111 => level(of("depthBelowLand", "m", "down", "depth"), both / 100.0),
        112 => layer(of("depthBelowLandLayer", "m", "down", "depth"), a / 100.0, b / 100.0),
        113 => level(of("theta", "K", "up", "air_potential_temperature"), both),
        114 => layer(of("thetaLayer", "K", "up", "air_potential_temperature"), 475.0 - a, 475.0 - b),
        115 => level(of("pressureFromGround", "hPa", "up", ""), both),
        116 => layer(of("pressureFromGroundLayer", "hPa", "up", ""), a, b),
        117 => {
            // A sign bit, in units of 10^-6.
            let pv = f64::from(super::octets::signed(u32::from(u16::from_be_bytes([top, bottom])), 16));
            level(of("potentialVorticity", "K m2 kg-1 s-1", "", "ertel_potential_vorticity"), pv / 1e6)
        }
        119 => level(of("eta", "1", "down", ""), both / 1e4),
        120 => layer(of("etaLayer", "1", "down", ""), a / 100.0, b / 100.0),
        121 => layer(of("isobaricLayerHighPrecision", "hPa", "down", pressure), 1100.0 - a, 1100.0 - b),
        125 => level(of("heightAboveGroundHighPrecision", "m", "up", "height"), both / 100.0),
        128 => layer(of("sigmaLayerHighPrecision", "1", "down", sigma), 1.1 - a / 1e3, 1.1 - b / 1e3),
        141 => layer(of("isobaricLayerMixedPrecision", "hPa", "down", pressure), a * 10.0, 1100.0 - b),
        160 => level(of("depthBelowSea", "m", "down", "depth"), both),
        210 => level(of("isobaricInPa", "Pa", "down", pressure), both),
        n => {
            let name = match n {
                1 => "surface",
                2 => "cloudBase",
                3 => "cloudTop",
                4 => "isothermZero",
                5 => "adiabaticCondensation",
                6 => "maxWind",
                7 => "tropopause",
                8 => "nominalTop",
                9 => "seaBottom",
                102 => "meanSea",
                200 => "entireAtmosphere",
                201 => "entireOcean",
                _ => {
                    let name = Cow::Owned(format!("levelType{n}"));
                    return level(LevelType { name, units: "1", positive: "", standard_name: "" }, both);
                }
            };
            Level::new(bare(name), None, None)
        }
    }
}
