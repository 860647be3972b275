//! The inverse transforms of libjpeg ("islow", 13-bit fixed point, in two passes): of eight
//! coefficients to eight samples, after Loeffler, Ligtenberg and Moschytz, or to sixteen,
//! which is how it makes a component of half the resolution fine.

const BITS: u32 = 13;
const PASS: u32 = 2;

/// A constant in fixed point.
const fn fix(v: f64) -> i32 {
    (v * (1 << BITS) as f64 + 0.5) as i32
}

/// Sums that wrap where a damaged stream has coefficients beyond any picture's.
type W = std::num::Wrapping<i32>;

fn times(v: W, constant: f64, sign: i32) -> W {
    v * std::num::Wrapping(sign * fix(constant))
}

/// Eight coefficients to eight sums, scaled by 2^13. `bias` is added before, for rounding.
fn eight(c: [W; 8], bias: W) -> [W; 8] {
    let z1 = times(c[2] + c[6], 0.541_196_100, 1);
    let t2 = z1 + times(c[6], 1.847_759_065, -1);
    let t3 = z1 + times(c[2], 0.765_366_865, 1);
    let t0 = ((c[0] + c[4]) << BITS as usize) + bias;
    let t1 = ((c[0] - c[4]) << BITS as usize) + bias;
    let even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3];
    let z5 = times(c[7] + c[3] + c[5] + c[1], 1.175_875_602, 1);
    let z1 = times(c[7] + c[1], 0.899_976_223, -1);
    let z2 = times(c[5] + c[3], 2.562_915_447, -1);
    let z3 = times(c[7] + c[3], 1.961_570_560, -1) + z5;
    let z4 = times(c[5] + c[1], 0.390_180_644, -1) + z5;
    let odd = [
        times(c[1], 1.501_321_110, 1) + z1 + z4,
        times(c[3], 3.072_711_026, 1) + z2 + z3,
        times(c[5], 2.053_119_869, 1) + z2 + z4,
        times(c[7], 0.298_631_336, 1) + z1 + z3,
    ];
    std::array::from_fn(|i| if i < 4 { even[i] + odd[i] } else { even[7 - i] - odd[7 - i] })
}

/// Eight coefficients to sixteen sums; cK is the cosine of K times 180/32 degrees, times the root of 2.
fn sixteen(c: [W; 8], bias: W) -> [W; 16] {
    let t0 = (c[0] << BITS as usize) + bias;
    let (t1, t2) = (times(c[4], 1.306_562_965, 1), times(c[4], 0.541_196_100, 1)); // c4, c12
    let outer = [t0 + t1, t0 + t2, t0 - t2, t0 - t1];
    let z4 = times(c[2] - c[6], 0.275_899_379, 1); // c14
    let z3 = times(c[2] - c[6], 1.387_039_845, 1); // c2
    let inner = [
        z3 + times(c[6], 2.562_915_447, 1),  // c6+c2
        z4 + times(c[2], 0.899_976_223, 1),  // c6-c14
        z3 + times(c[2], 0.601_344_887, -1), // c2-c10
        z4 + times(c[6], 0.509_795_579, -1), // c10-c14
    ];
    let even: [W; 8] =
        std::array::from_fn(|i| if i < 4 { outer[i] + inner[i] } else { outer[7 - i] - inner[7 - i] });
    let (z1, z2, z3, z4) = (c[1], c[3], c[5], c[7]);
    let mut o1 = times(z1 + z2, 1.353_318_001, 1); // c3
    let mut o2 = times(z1 + z3, 1.247_225_013, 1); // c5
    let mut o3 = times(z1 + z4, 1.093_201_867, 1); // c7
    let mut o4 = times(z1 - z4, 0.897_167_586, 1); // c9
    let mut o5 = times(z1 + z3, 0.666_655_658, 1); // c11
    let mut o6 = times(z1 - z2, 0.410_524_528, 1); // c13
    let o0 = o1 + o2 + o3 + times(z1, 2.286_341_144, -1); // c7+c5+c3-c1
    let o7 = o4 + o5 + o6 + times(z1, 1.835_730_603, -1); // c9+c11+c13-c15
    let both = times(z2 + z3, 0.138_617_169, 1); // c15
    o1 += both + times(z2, 0.071_888_074, 1); // c9+c11-c3-c15
    o2 += both + times(z3, 1.125_726_048, -1); // c5+c7+c15-c3
    let both = times(z3 - z2, 1.407_403_738, 1); // c1
    o5 += both + times(z3, 0.766_367_282, -1); // c1+c11-c9-c13
    o6 += both + times(z2, 1.971_951_411, 1); // c1+c5+c13-c7
    let both = times(z2 + z4, 0.666_655_658, -1); // -c11
    o1 += both;
    o3 += both + times(z4, 1.065_388_962, 1); // c3+c11+c15-c7
    let both = times(z2 + z4, 1.247_225_013, -1); // -c5
    o4 += both + times(z4, 3.141_271_809, 1); // c1+c5+c9-c13
    o6 += both;
    let both = times(z3 + z4, 1.353_318_001, -1); // -c3
    o2 += both;
    o3 += both;
    let both = times(z4 - z3, 0.410_524_528, 1); // c13
    o4 += both;
    o5 += both;
    let odd = [o0, o1, o2, o3, o4, o5, o6, o7];
    std::array::from_fn(|i| if i < 8 { even[i] + odd[i] } else { even[15 - i] - odd[15 - i] })
}

/// Samples of a block of 64 coefficients, which are multiplied by their quantisation: `width` x
/// `height` of them, each 8 or 16, in rows of `stride`, into `out` from its start.
pub(super) fn inverse(coefficients: &[i32; 64], width: usize, height: usize, out: &mut [u8], stride: usize) {
    let mut work = [[W::default(); 8]; 16];
    let half = std::num::Wrapping(1 << (BITS - PASS - 1));
    for x in 0..8 {
        let column = std::array::from_fn(|y| std::num::Wrapping(coefficients[y * 8 + x]));
        let mut put = |sums: &[W]| {
            sums.iter().zip(&mut work).for_each(|(sum, row)| row[x] = *sum >> (BITS - PASS) as usize);
        };
        if height == 16 { put(&sixteen(column, half)) } else { put(&eight(column, half)) }
    }
    let half = std::num::Wrapping(1 << (BITS + PASS + 2));
    for (row, line) in work.iter().take(height).zip(out.chunks_mut(stride)) {
        let mut put = |sums: &[W]| {
            let samples = sums.iter().map(|sum| super::clamp((*sum >> (BITS + PASS + 3) as usize).0 + 128));
            line.iter_mut().zip(samples).for_each(|(to, sample)| *to = sample);
        };
        if width == 16 { put(&sixteen(*row, half)) } else { put(&eight(*row, half)) }
    }
}
