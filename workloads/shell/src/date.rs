//! `date`, in UTC: a guest knows no time zones.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::shell::{Run, Shell};

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `date [-u] [-d @SECONDS] [-Iseconds] [+FORMAT]`.
pub fn run(shell: &Shell, arguments: &[String]) -> Run {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut seconds = since.as_secs();
    let mut nanos = since.subsec_nanos();
    let mut format = "%a %b %e %H:%M:%S UTC %Y".to_owned();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-u" | "--utc" => {}
            "-d" | "--date" => match rest.next().and_then(|text| text.strip_prefix('@')?.parse().ok()) {
                Some(given) => (seconds, nanos) = (given, 0),
                None => return shell.fail("date", "-d takes @SECONDS only"),
            },
            "-R" => format = "%a, %d %b %Y %H:%M:%S +0000".to_owned(),
            "-I" => format = "%Y-%m-%d".to_owned(),
            "-Iseconds" | "-Is" => format = "%Y-%m-%dT%H:%M:%S+00:00".to_owned(),
            text => match text.strip_prefix('+') {
                Some(text) => format = text.to_owned(),
                None => return shell.fail("date", &format!("invalid date '{text}'")),
            },
        }
    }
    shell.put(formatted(&format, seconds, nanos) + "\n").map(|()| 0)
}

/// A moment by a format of `strftime`.
pub fn formatted(format: &str, seconds: u64, nanos: u32) -> String {
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil(days);
    let weekday = (days + 4) % 7;
    let year_begins = days_before(year);
    let name = |names: &[&'static str], index: u64| names[usize::try_from(index).unwrap_or(0)];
    let hour_of_12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let piece = match chars.next() {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('H') => format!("{hour:02}"),
            Some('I') => format!("{hour_of_12:02}"),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('N') => format!("{nanos:09}"),
            Some('s') => seconds.to_string(),
            Some('j') => format!("{:03}", days - year_begins + 1),
            Some('u') => if weekday == 0 { 7 } else { weekday }.to_string(),
            Some('w') => weekday.to_string(),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('a') => name(&WEEKDAYS, weekday)[..3].to_owned(),
            Some('A') => name(&WEEKDAYS, weekday).to_owned(),
            Some('b' | 'h') => name(&MONTHS, month - 1)[..3].to_owned(),
            Some('B') => name(&MONTHS, month - 1).to_owned(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('R') => format!("{hour:02}:{minute:02}"),
            Some('D') => format!("{month:02}/{day:02}/{:02}", year % 100),
            Some('Z') => "UTC".to_owned(),
            Some('z') => "+0000".to_owned(),
            Some('n') => "\n".to_owned(),
            Some('t') => "\t".to_owned(),
            Some('%') => "%".to_owned(),
            Some(other) => format!("%{other}"),
            None => "%".to_owned(),
        };
        text.push_str(&piece);
    }
    text
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days from 1970 to the beginning of a year.
fn days_before(year: u64) -> u64 {
    let before = year - 1;
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leap_days(before) - leap_days(1969)
}

/// Year, month and day of a number of days since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let mut rest = days - days_before(year);
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for len in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < len {
            break;
        }
        rest -= len;
        month += 1;
    }
    (year, month, rest + 1)
}
