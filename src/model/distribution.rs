//! Named distributions of amounts: what modelled work, delays and faults are drawn from.
//!
//! One draw is one amount, whatever the distribution. Amounts are whole numbers of whatever unit their user names. The
//! logarithm, the exponential and the normal quantile are written out in additions, multiplications, divisions and square roots,
//! which IEEE 754 rounds the same way everywhere: a seed means the same amounts on every host.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A distribution of non-negative whole amounts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// Always the same.
    Constant(u64),
    /// Exponential: what is left does not depend on what has passed.
    Exponential {
        /// Its mean.
        mean: u64,
    },
    /// Its logarithm is normal: most are small, a few are large.
    LogNormal {
        /// Half of the amounts are below.
        median: u64,
        /// The standard deviation of the logarithm, in billionths.
        sigma_billionths: u64,
    },
    /// One of those that were measured, each equally likely. Never empty.
    Empirical(Arc<[u64]>),
}

impl Default for Distribution {
    /// Nothing.
    fn default() -> Distribution {
        Distribution::Constant(0)
    }
}

/// The normal quantile of 0.99.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

impl Distribution {
    /// The log-normal distribution of a median and a 99th percentile, which is not below it.
    pub fn log_normal_of_p99(median: u64, p99: u64) -> Distribution {
        let ratio = as_float(p99.max(median)) / as_float(median.max(1));
        let sigma = natural_logarithm(ratio) / NORMAL_P99;
        Distribution::LogNormal { median, sigma_billionths: as_amount(sigma * 1e9) }
    }

    /// The log-normal distribution of a mean and a standard deviation of the logarithm.
    pub fn log_normal_of_mean(mean: u64, sigma_billionths: u64) -> Distribution {
        let sigma = as_float(sigma_billionths) / 1e9;
        let median = as_amount(as_float(mean) / exponential(sigma * sigma / 2.0));
        Distribution::LogNormal { median, sigma_billionths }
    }

    /// Whether every amount of it is zero.
    pub fn is_zero(&self) -> bool {
        match self {
            Distribution::Constant(amount) | Distribution::Exponential { mean: amount } => *amount == 0,
            Distribution::LogNormal { median, .. } => *median == 0,
            Distribution::Empirical(amounts) => amounts.iter().all(|amount| *amount == 0),
        }
    }

    /// The amount of it that a draw is: the quantile at `draw` parts of 2^64.
    pub fn at(&self, draw: u64) -> u64 {
        match self {
            Distribution::Constant(amount) => *amount,
            Distribution::Exponential { mean } => as_amount(as_float(*mean) * standard_exponential(draw)),
            Distribution::LogNormal { median, sigma_billionths } => {
                let sigma = as_float(*sigma_billionths) / 1e9;
                as_amount(as_float(*median) * exponential(sigma * normal_quantile(uniform(draw))))
            }
            Distribution::Empirical(amounts) => {
                let count = u128::try_from(amounts.len()).unwrap_or(1);
                let index = usize::try_from((u128::from(draw) * count) >> 64).expect("it is below a length");
                amounts[index]
            }
        }
    }
}

/// The exponential amount of mean one that a draw is, below 38.
pub fn standard_exponential(draw: u64) -> f64 {
    -natural_logarithm(1.0 - uniform(draw))
}

/// The middle of one of 2^52 equal parts of (0, 1): never zero and never one.
fn uniform(draw: u64) -> f64 {
    (as_float(draw >> 12) + 0.5) / as_float(1 << 52)
}

#[expect(clippy::cast_precision_loss, reason = "an amount that was drawn is no exact number")]
fn as_float(amount: u64) -> f64 {
    amount as f64
}

/// Rounded to the nearest; zero below zero and for what is not a number, the greatest beyond it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn as_amount(value: f64) -> u64 {
    (value + 0.5) as u64
}

/// The natural logarithm of a positive normal number, within an ulp or two.
///
/// **Source:** the series of `log` in FreeBSD's msun (Sun Microsystems, 1993): `x = 2^k (1 + f)`, and a polynomial in `s = f / (2 + f)`.
pub fn natural_logarithm(x: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let bits = x.to_bits();
    // Shifts the range of the fraction to [sqrt(1/2), sqrt(2)).
    let shifted = bits.wrapping_add(0x3ff0_0000_0000_0000 - 0x3fe6_a09e_0000_0000);
    let exponent = i32::try_from(shifted >> 52).unwrap_or(i32::MAX) - 0x3ff;
    let fraction = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff) + 0x3fe6_a09e_0000_0000);
    let f = fraction - 1.0;
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (3.999_999_999_940_942e-1 + w * (2.222_219_843_214_978_4e-1 + w * 1.531_383_769_920_937_3e-1));
    let odd = z
        * (6.666_666_666_666_735e-1
            + w * (2.857_142_874_366_239e-1 + w * (1.818_357_216_161_805e-1 + w * 1.479_819_860_511_658_6e-1)));
    let k = f64::from(exponent);
    s * (half_square + even + odd) + k * LN2_LOW - half_square + f + k * LN2_HIGH
}

/// The exponential function, for arguments of which it is neither zero nor infinite; beyond them it stays at its bounds.
///
/// **Source:** as the logarithm: `x = k ln 2 + r`, and a rational function of `r`.
pub fn exponential(x: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const BOUND: f64 = 700.0;
    let x = x.clamp(-BOUND, BOUND);
    let k = (x * std::f64::consts::LOG2_E).round();
    let high = x - k * LN2_HIGH;
    let low = k * LN2_LOW;
    let r = high - low;
    let square = r * r;
    let c = r - square
        * (1.666_666_666_666_660_2e-1
            + square
                * (-2.777_777_777_701_559_3e-3
                    + square
                        * (6.613_756_321_437_934e-5
                            + square * (-1.653_390_220_546_525_2e-6 + square * 4.138_136_797_057_238_5e-8))));
    let fraction = 1.0 + (r * c / (2.0 - c) - low + high);
    #[expect(clippy::cast_possible_truncation, reason = "it is within ±1010")]
    let power = i64::from(k as i32) + 1023;
    fraction * f64::from_bits(u64::try_from(power).unwrap_or(0) << 52)
}

/// The quantile of the standard normal distribution, with a relative error below 1.2e-9. The argument is in (0, 1).
///
/// **Source:** the rational approximations of P. J. Acklam, 2003.
fn normal_quantile(p: f64) -> f64 {
    const LOW: f64 = 0.024_25;
    let tail = |p: f64| {
        let q = (-2.0 * natural_logarithm(p)).sqrt();
        let numerator = ((((-7.784_894_002_430_293e-3 * q - 3.223_964_580_411_365e-1) * q - 2.400_758_277_161_838)
            * q
            - 2.549_732_539_343_734)
            * q
            + 4.374_664_141_464_968)
            * q
            + 2.938_163_982_698_783;
        let denominator = (((7.784_695_709_041_462e-3 * q + 3.224_671_290_700_398e-1) * q + 2.445_134_137_142_996) * q
            + 3.754_408_661_907_416)
            * q
            + 1.0;
        numerator / denominator
    };
    if p < LOW {
        return tail(p);
    }
    if p > 1.0 - LOW {
        return -tail(1.0 - p);
    }
    let q = p - 0.5;
    let r = q * q;
    let numerator = (((((-3.969_683_028_665_376e1 * r + 2.209_460_984_245_205e2) * r - 2.759_285_104_469_687e2) * r
        + 1.383_577_518_672_69e2)
        * r
        - 3.066_479_806_614_716e1)
        * r
        + 2.506_628_277_459_239)
        * q;
    let denominator = ((((-5.447_609_879_822_406e1 * r + 1.615_858_368_580_409e2) * r - 1.556_989_798_598_866e2) * r
        + 6.680_131_188_771_972e1)
        * r
        - 1.328_068_155_288_572e1)
        * r
        + 1.0;
    numerator / denominator
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{RandomStream, Stream};

    /// The functions agree with the host's to fifteen digits.
    #[test]
    fn logarithm_and_exponential() {
        for x in [1e-12, 0.001, 0.3, 0.708, 0.99, 1.0, 1.415, 1.5, 2.0, 9.0, 12_345.678, 1e18] {
            let (own, host) = (natural_logarithm(x), x.ln());
            assert!((own - host).abs() <= host.abs() * 4e-16 + 1e-17, "ln {x}: {own} for {host}");
        }
        for x in [-690.0, -20.0, -1.0, -0.2, 0.0, 1e-9, 0.5, 1.0, 3.3, 42.0, 690.0] {
            let (own, host) = (exponential(x), x.exp());
            assert!((own - host).abs() <= host * 4e-16, "exp {x}: {own} for {host}");
        }
        for (p, z) in [(0.5, 0.0), (0.99, NORMAL_P99), (0.01, -NORMAL_P99), (0.975, 1.959_963_984_540_054)] {
            assert!((normal_quantile(p) - z).abs() < 1e-8, "{p}");
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures to compare")]
    fn check(distribution: &Distribution, mean: f64, median: f64, p99: f64) {
        let mut stream = RandomStream::new(1, Stream::Arrivals);
        let mut amounts: Vec<u64> = (0..200_000).map(|_| distribution.at(stream.draw())).collect();
        amounts.sort_unstable();
        let average = amounts.iter().sum::<u64>() as f64 / amounts.len() as f64;
        for (what, got, wanted) in [
            ("mean", average, mean),
            ("median", amounts[100_000] as f64, median),
            ("p99", amounts[198_000] as f64, p99),
        ] {
            assert!((got - wanted).abs() <= wanted * 0.02, "{what} of {distribution:?}: {got} for {wanted}");
        }
    }

    /// Each has the mean, the median and the tail of its name.
    #[test]
    fn distributions_are_what_they_are_called() {
        let million = 1_000_000.0;
        check(&Distribution::Constant(5), 5.0, 5.0, 5.0);
        check(
            &Distribution::Exponential { mean: 1_000_000 },
            million,
            million * std::f64::consts::LN_2,
            million * 4.605_17,
        );
        let log_normal = Distribution::log_normal_of_p99(1_000_000, 5_000_000);
        check(&log_normal, million * 1.270_37, million, million * 5.0);
        let log_normal = Distribution::log_normal_of_mean(1_000_000, 500_000_000);
        check(&log_normal, million, million * 0.882_497, million * 0.882_497 * 3.200_1);
        let empirical = Distribution::Empirical([10, 20, 30, 40, 50].into());
        check(&empirical, 30.0, 30.0, 50.0);
    }

    /// Two seeds' first amounts, as every version and host must draw them.
    #[test]
    fn amounts_are_stable() {
        let mut stream = RandomStream::new(7, Stream::Arrivals);
        let exponential = Distribution::Exponential { mean: 1_000_000_000 };
        let log_normal = Distribution::log_normal_of_p99(1_000_000_000, 4_000_000_000);
        let drawn: Vec<u64> =
            [&exponential, &log_normal, &exponential, &log_normal].map(|one| one.at(stream.draw())).to_vec();
        expect_test::expect!["[140185557, 813027454, 2134080267, 966769192]"].assert_eq(&format!("{drawn:?}"));
    }
}
