//! How numbers and times look to people.

use std::time::Duration;

use crate::control_plane::state::Service;
use crate::metering::quantity::Quantity;
use crate::model::cpu_credits::{CPU_CREDIT, CpuCredits, CpuRate};
use crate::model::units::{NanoUsd, Timestamp, VcpuNanos};

/// Dollars with as many decimals as a small run's bill needs: `$0.004243`.
pub(super) fn dollars(amount: NanoUsd) -> String {
    let micros = (amount.0.unsigned_abs() + 500) / 1000;
    let sign = if amount.0 < 0 { "-" } else { "" };
    format!("{sign}${}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A rate with the decimals that it has: `0.04048`.
pub(super) fn rate(amount: NanoUsd) -> String {
    let text = amount.to_string();
    let trimmed = text.trim_end_matches('0');
    let shortest = text.find('.').map_or(text.len(), |point| point + 3);
    text[..trimmed.len().max(shortest)].to_string()
}

/// Seconds since the start: `  12.3s`.
pub(super) fn clock(at: Timestamp) -> String {
    format!("{:>6}.{}s", at.0 / 1_000_000_000, at.0 / 100_000_000 % 10)
}

/// A short time: `340 ms`, `12.3 s`, `4 m 05 s`, `2 h 10 m`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.as_millis() < 1 => format!("{} µs", time.as_micros()),
        0 => format!("{} ms", time.as_millis()),
        1..=59 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        60..=3599 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
    }
}

/// vCPU-seconds with two decimals.
pub(super) fn vcpu_seconds(work: VcpuNanos) -> String {
    format!("{:.2}", Quantity::new(work.0.into(), 1_000_000_000))
}

/// An instance's CPU credits: what it has, or owes, and whether it is held to its baseline; `-` where it has no account.
pub(super) fn cpu_credits(credits: Option<&CpuCredits>) -> String {
    let Some(credits) = credits else { return "-".into() };
    let shown = |work: VcpuNanos| format!("{:.1}", Quantity::new(work.0.into(), CPU_CREDIT.0.into()));
    let baseline = if credits.rate == CpuRate::Baseline { ", baseline" } else { "" };
    match credits.surplus {
        VcpuNanos(0) => format!("{}{baseline}", shown(credits.balance())),
        owed => format!("owes {}{baseline}", shown(owed)),
    }
}

/// What a service runs: its primary deployment or task set, `-` where there is none.
pub(super) fn task_definition(service: &Service) -> String {
    service.primary_if_any().map_or_else(|| "-".into(), |primary| primary.task_definition.to_string())
}

/// A part of a whole in percent, `-` where there is no whole.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".into(),
        _ => format!("{} %", u128::from(part) * 100 / u128::from(whole)),
    }
}

/// Permille as percent with one decimal, `-` where there is none.
pub(super) fn permille(permille: Option<u32>) -> String {
    permille.map_or_else(|| "-".into(), |permille| format!("{}.{} %", permille / 10, permille % 10))
}

/// The first digits of an id: enough to tell it from its neighbours.
pub(super) fn short_id(id: &str) -> &str {
    &id[..id.len().min(8)]
}

/// A line with every id of 32 hexadecimal digits cut to its first eight.
pub(super) fn with_short_ids(line: &str) -> String {
    let is_id = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut short = String::with_capacity(line.len());
    for piece in line.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric()) {
        let word = piece.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
        short.push_str(if is_id(word) { short_id(word) } else { word });
        short.push_str(&piece[word.len()..]);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Money is rounded for the eye only, and half up.
    #[test]
    fn dollars_have_six_decimals() {
        assert_eq!(dollars(NanoUsd(1_234_567_890)), "$1.234568");
        assert_eq!(dollars(NanoUsd(499)), "$0.000000");
        assert_eq!(dollars(NanoUsd(500)), "$0.000001");
        assert_eq!(dollars(NanoUsd(-1_500_000_000)), "-$1.500000");
    }

    /// A rate shows what it has, and at least cents.
    #[test]
    fn rates_lose_their_zeros() {
        assert_eq!(rate(NanoUsd(40_480_000)), "0.04048");
        assert_eq!(rate(NanoUsd(100_000_000)), "0.10");
        assert_eq!(rate(NanoUsd(0)), "0.00");
    }

    /// Only ids are cut.
    #[test]
    fn ids_are_cut() {
        assert_eq!(
            with_short_ids("(service web) has started 1 tasks: (task aeaf52febe706064c02d8a5e87afea62)."),
            "(service web) has started 1 tasks: (task aeaf52fe)."
        );
    }

    /// Durations take the unit that people would.
    #[test]
    fn durations_are_short() {
        assert_eq!(duration(Duration::from_micros(250)), "250 µs");
        assert_eq!(duration(Duration::from_millis(340)), "340 ms");
        assert_eq!(duration(Duration::from_millis(12_345)), "12.3 s");
        assert_eq!(duration(Duration::from_secs(245)), "4 m 05 s");
        assert_eq!(duration(Duration::from_secs(7800)), "2 h 10 m");
    }
}
