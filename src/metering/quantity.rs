//! Exact quantities and their shares: how an amount of money comes from them without a float and without losing any.

use std::fmt;

use crate::model::units::NanoUsd;

/// A quantity of something that is paid for or used, as an exact fraction of its unit (an hour, a second).
///
/// Always in lowest terms, so that equal quantities are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quantity {
    numerator: u128,
    denominator: u128,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { numerator: 0, denominator: 1 };

    /// The fraction `numerator / denominator`.
    ///
    /// # Panics
    /// When `denominator` is zero.
    pub fn new(numerator: u128, denominator: u128) -> Quantity {
        assert_ne!(denominator, 0, "a quantity has a denominator");
        let divisor = greatest_common_divisor(numerator, denominator);
        Quantity { numerator: numerator / divisor, denominator: denominator / divisor }
    }

    /// The numerator in lowest terms.
    pub fn numerator(self) -> u128 {
        self.numerator
    }

    /// The denominator in lowest terms. Never zero.
    pub fn denominator(self) -> u128 {
        self.denominator
    }

    /// What this quantity costs at a rate per unit, rounded once, half up, to the nano-dollar.
    ///
    /// # Panics
    /// When the rate is negative or the amount is beyond nine thousand million dollars.
    pub fn times(self, rate: NanoUsd) -> NanoUsd {
        let rate = u128::try_from(rate.0).expect("a rate is not negative");
        nano_usd(multiply_divide_half_up(self.numerator, rate, self.denominator))
    }

    /// This quantity as thousandths of another of the same unit, rounded down; `None` when the other is nothing.
    pub fn permille_of(self, whole: Quantity) -> Option<u32> {
        if whole.numerator == 0 {
            return None;
        }
        // Dropping the same number of low bits of both numerators keeps their ratio far below a permille, and the products in range.
        let (mut part, mut all) = (self.numerator, whole.numerator);
        while part.max(all) >> 64 != 0 {
            part >>= 1;
            all >>= 1;
        }
        let ratio = (part.saturating_mul(whole.denominator).saturating_mul(1000))
            .checked_div(all.saturating_mul(self.denominator))
            .unwrap_or(u128::MAX);
        Some(u32::try_from(ratio).unwrap_or(u32::MAX))
    }

    /// An approximation for charts and JSON numbers, never for money.
    #[expect(clippy::cast_precision_loss, reason = "an approximation is what is asked for")]
    pub fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

impl std::ops::Add for Quantity {
    type Output = Quantity;
    fn add(self, other: Quantity) -> Quantity {
        // Over the least common denominator, so that sums of like quantities do not grow their denominators.
        let divisor = greatest_common_divisor(self.denominator, other.denominator);
        let (own, others) = (other.denominator / divisor, self.denominator / divisor);
        Quantity::new(self.numerator * own + other.numerator * others, self.denominator * own)
    }
}

impl fmt::Display for Quantity {
    /// A decimal number, rounded half up to the formatter's precision, nine decimals when it names none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(9).min(18);
        let scale = 10u128.pow(u32::try_from(decimals).unwrap_or(18));
        let scaled = multiply_divide_half_up(self.numerator, scale, self.denominator);
        let text = match decimals {
            0 => scaled.to_string(),
            _ => format!("{}.{:0decimals$}", scaled / scale, scaled % scale),
        };
        // The precision is used up: `pad` would cut the text by it.
        match f.width() {
            Some(width) if f.align() == Some(fmt::Alignment::Left) => write!(f, "{text:<width$}"),
            Some(width) => write!(f, "{text:>width$}"),
            None => f.write_str(&text),
        }
    }
}

/// Divides `total` into parts in proportion to the weights that sum to it exactly.
///
/// Each part is rounded down, and what is left goes one by one to the largest remainders, among equal ones to the
/// earliest. With no weight at all every part is zero.
pub(super) fn apportion(total: u128, weights: &[u128]) -> Vec<u128> {
    let whole: u128 = weights.iter().sum();
    if whole == 0 {
        return vec![0; weights.len()];
    }
    let (mut parts, remainders): (Vec<u128>, Vec<u128>) =
        weights.iter().map(|weight| multiply_divide(total, *weight, whole)).unzip();
    let left = total - parts.iter().sum::<u128>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|index| (std::cmp::Reverse(remainders[*index]), *index));
    for index in by_remainder.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        parts[index] += 1;
    }
    parts
}

/// `a * b / divisor`, rounded half up.
pub(super) fn multiply_divide_half_up(a: u128, b: u128, divisor: u128) -> u128 {
    let (quotient, remainder) = multiply_divide(a, b, divisor);
    quotient + u128::from(remainder >= divisor - remainder)
}

/// Quotient and remainder of `a * b / divisor`, also where the product is beyond 128 bits.
///
/// Reservations over time are counted in (CPU units × MiB × nanoseconds): a large cluster's share of a large bill needs the
/// wide product.
fn multiply_divide(a: u128, b: u128, divisor: u128) -> (u128, u128) {
    if let Some(product) = a.checked_mul(b) {
        return (product / divisor, product % divisor);
    }
    assert!(divisor < 1 << 127, "a divisor leaves room to double a remainder");
    let mut quotient = (a / divisor).checked_mul(b).expect("a quotient fits in 128 bits");
    let a = a % divisor;
    // Long multiplication, bit by bit from the top of `b`, dividing as it goes.
    let (mut part, mut remainder) = (0u128, 0u128);
    for bit in (0..128 - b.leading_zeros()).rev() {
        part <<= 1;
        remainder <<= 1;
        if b >> bit & 1 == 1 {
            remainder += a;
        }
        while remainder >= divisor {
            remainder -= divisor;
            part += 1;
        }
    }
    quotient += part;
    (quotient, remainder)
}

/// An amount that was computed in the meter's wide integers.
pub(super) fn nano_usd(nanos: u128) -> NanoUsd {
    NanoUsd(i64::try_from(nanos).expect("a bill stays below nine thousand million dollars"))
}

/// The largest number that divides both; the other number when one is zero.
pub(super) fn greatest_common_divisor(a: u128, b: u128) -> u128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_beyond_128_bits_divides_exactly() {
        // (2^100 + 1) * 2^60 / 2^90 = 2^70 with remainder 2^60.
        assert_eq!(multiply_divide((1 << 100) + 1, 1 << 60, 1 << 90), (1 << 70, 1 << 60));
        // A product that fits, put through both ways.
        assert_eq!(multiply_divide(u128::MAX / 3, 9, 9), (u128::MAX / 3, 0));
        assert_eq!(multiply_divide(10, 10, 7), (14, 2));
    }

    #[test]
    fn parts_sum_to_the_total_and_the_largest_remainders_gain() {
        assert_eq!(apportion(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(apportion(10, &[5, 1, 5]), [5, 1, 4], "remainders 6/11, 10/11, 6/11 after 4, 0, 4");
        assert_eq!(apportion(7, &[0, 0]), [0, 0]);
        assert_eq!(apportion(0, &[3, 4]), [0, 0]);
    }

    #[test]
    fn quantities_are_shown_rounded_half_up() {
        assert_eq!(Quantity::new(1, 3).to_string(), "0.333333333");
        assert_eq!(Quantity::new(2, 3).to_string(), "0.666666667");
        assert_eq!(format!("{:.0}", Quantity::new(3, 2)), "2");
        assert_eq!(format!("{:>8.2}", Quantity::new(1999, 1000)), "    2.00");
        assert_eq!(Quantity::new(2, 4), Quantity::new(1, 2));
    }

    #[test]
    fn permille_holds_for_quantities_of_different_denominators_and_any_size() {
        assert_eq!(Quantity::new(1, 2).permille_of(Quantity::new(3, 4)), Some(666));
        assert_eq!(Quantity::new(1 << 120, 1024).permille_of(Quantity::new(1 << 121, 1000)), Some(488));
        assert_eq!(Quantity::new(1, 2).permille_of(Quantity::ZERO), None);
    }
}
