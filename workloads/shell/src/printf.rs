//! `printf`, and the escapes that it and `echo -e` know.

use std::iter::Peekable;
use std::str::Chars;

use crate::arithmetic;
use crate::shell::{Run, Shell};

/// Where octal escapes begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// `\0101`.
    Leads,
    /// `\101`.
    IsADigit,
}

/// A text with its escapes replaced, and whether `\c` ended it.
pub fn unescape(text: &str, zero: Zero) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' {
            if chars.peek() == Some(&'c') {
                return (bytes, true);
            }
            escape(&mut chars, zero, &mut bytes);
        } else {
            push(&mut bytes, c);
        }
    }
    (bytes, false)
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What follows a backslash.
fn escape(chars: &mut Peekable<Chars<'_>>, zero: Zero, bytes: &mut Vec<u8>) {
    let Some(c) = chars.next() else {
        bytes.push(b'\\');
        return;
    };
    let plain = match c {
        'a' => 7,
        'b' => 8,
        'e' => 27,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        'x' => match digits(chars, 16, 2, None) {
            Some(value) => value,
            None => {
                bytes.extend_from_slice(b"\\x");
                return;
            }
        },
        '0' if zero == Zero::Leads => digits(chars, 8, 3, None).unwrap_or(0),
        c if c.is_digit(8) && zero == Zero::IsADigit => digits(chars, 8, 3, Some(c)).unwrap_or(0),
        c => {
            bytes.push(b'\\');
            push(bytes, c);
            return;
        }
    };
    bytes.push(plain);
}

fn digits(chars: &mut Peekable<Chars<'_>>, radix: u32, most: usize, first: Option<char>) -> Option<u8> {
    let mut found: String = first.into_iter().collect();
    while found.len() < most
        && let Some(c) = chars.next_if(|c| c.is_digit(radix))
    {
        found.push(c);
    }
    u32::from_str_radix(&found, radix).ok().and_then(|value| u8::try_from(value & 0xff).ok())
}

/// `printf FORMAT [ARGUMENT]...`: the format is used again while arguments are left.
pub fn run(shell: &Shell, arguments: &[String]) -> Run {
    let arguments = if arguments.first().is_some_and(|first| first == "--") { &arguments[1..] } else { arguments };
    let Some((format, values)) = arguments.split_first() else {
        return shell.fail("printf", "usage: printf FORMAT [ARGUMENT]...").map(|_| 2);
    };
    let mut printer = Printer { shell, values: values.iter(), taken: 0, status: 0, output: Vec::new() };
    loop {
        let before = printer.taken;
        let ended = printer.print(format);
        if ended || printer.values.len() == 0 || printer.taken == before {
            break;
        }
    }
    shell.put(&printer.output)?;
    Ok(printer.status)
}

struct Printer<'a> {
    shell: &'a Shell,
    values: std::slice::Iter<'a, String>,
    taken: usize,
    status: i32,
    output: Vec<u8>,
}

impl Printer<'_> {
    fn value(&mut self) -> Option<&str> {
        let value = self.values.next()?;
        self.taken += 1;
        Some(value)
    }

    /// Prints by the format once; says whether `\c` ended all.
    fn print(&mut self, format: &str) -> bool {
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek() == Some(&'c') => return true,
                '\\' => escape(&mut chars, Zero::IsADigit, &mut self.output),
                '%' if chars.next_if_eq(&'%').is_some() => self.output.push(b'%'),
                '%' => {
                    if self.directive(&mut chars) {
                        return true;
                    }
                }
                c => push(&mut self.output, c),
            }
        }
        false
    }

    fn directive(&mut self, chars: &mut Peekable<Chars<'_>>) -> bool {
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| "-+ 0#".contains(*c)) {
            flags.push(flag);
        }
        let mut width = self.size(chars).unwrap_or(0);
        if width < 0 {
            flags.push('-');
            width = -width;
        }
        let precision = if chars.next_if_eq(&'.').is_some() { Some(self.size(chars).unwrap_or(0)) } else { None };
        let precision = precision.and_then(|precision| usize::try_from(precision).ok());
        while chars.next_if(|c| "lhqjzt".contains(*c)).is_some() {}
        let Some(kind) = chars.next() else {
            self.status = 1;
            return true;
        };
        let mut ended = false;
        let mut is_number = true;
        let text: Vec<u8> = match kind {
            'd' | 'i' => {
                let value = self.integer();
                let digits = at_least(value.unsigned_abs().to_string(), precision);
                let sign = if value < 0 {
                    "-"
                } else if flags.contains('+') {
                    "+"
                } else if flags.contains(' ') {
                    " "
                } else {
                    ""
                };
                format!("{sign}{digits}").into_bytes()
            }
            'u' | 'x' | 'X' | 'o' => {
                let value = self.integer().cast_unsigned();
                let alternative = flags.contains('#') && value != 0;
                let (prefix, digits) = match kind {
                    'u' => ("", value.to_string()),
                    'x' => (if alternative { "0x" } else { "" }, format!("{value:x}")),
                    'X' => (if alternative { "0X" } else { "" }, format!("{value:X}")),
                    _ => (if alternative { "0" } else { "" }, format!("{value:o}")),
                };
                format!("{prefix}{}", at_least(digits, precision)).into_bytes()
            }
            'f' | 'F' | 'e' | 'g' => {
                let value: f64 = self.value().and_then(|value| value.trim().parse().ok()).unwrap_or(0.0);
                let sign = if flags.contains('+') && value >= 0.0 { "+" } else { "" };
                format!("{sign}{value:.*}", precision.unwrap_or(6)).into_bytes()
            }
            kind => {
                is_number = false;
                let text = match kind {
                    's' => self.value().unwrap_or_default().as_bytes().to_vec(),
                    'c' => self
                        .value()
                        .and_then(|value| value.chars().next())
                        .map(String::from)
                        .unwrap_or_default()
                        .into_bytes(),
                    'b' => {
                        let value = self.value().unwrap_or_default().to_owned();
                        let (text, is_end) = unescape(&value, Zero::Leads);
                        ended = is_end;
                        text
                    }
                    'q' => crate::interpreter::quoted(self.value().unwrap_or_default()).into_bytes(),
                    kind => {
                        // There is nowhere else to say it.
                        let _ = self.shell.fail("printf", &format!("%{kind}: invalid format"));
                        self.status = 1;
                        return true;
                    }
                };
                match precision {
                    Some(precision) if precision < text.len() => text[..precision].to_vec(),
                    _ => text,
                }
            }
        };
        self.pad(text, &flags, width, is_number && precision.is_none());
        ended
    }

    fn pad(&mut self, text: Vec<u8>, flags: &str, width: i64, takes_zeros: bool) {
        /// More than anybody asks for in good faith.
        const WIDTH_MAX: usize = 1 << 16;
        let width = usize::try_from(width).unwrap_or(0).min(WIDTH_MAX);
        let missing = width.saturating_sub(String::from_utf8_lossy(&text).chars().count());
        if flags.contains('-') {
            self.output.extend(text);
            self.output.resize(self.output.len() + missing, b' ');
        } else if flags.contains('0') && takes_zeros {
            let sign = text.iter().take_while(|byte| matches!(byte, b'-' | b'+' | b' ')).count();
            self.output.extend_from_slice(&text[..sign]);
            self.output.resize(self.output.len() + missing, b'0');
            self.output.extend_from_slice(&text[sign..]);
        } else {
            self.output.resize(self.output.len() + missing, b' ');
            self.output.extend(text);
        }
    }

    fn size(&mut self, chars: &mut Peekable<Chars<'_>>) -> Option<i64> {
        if chars.next_if_eq(&'*').is_some() {
            return Some(self.integer());
        }
        let mut found = String::new();
        while let Some(c) = chars.next_if(char::is_ascii_digit) {
            found.push(c);
        }
        found.parse().ok()
    }

    fn integer(&mut self) -> i64 {
        let Some(value) = self.value().map(str::to_owned) else { return 0 };
        let text = value.trim();
        if let Some(quoted) = text.strip_prefix(['\'', '"']) {
            return quoted.chars().next().map_or(0, |c| i64::from(u32::from(c)));
        }
        let (digits, sign) =
            text.strip_prefix('-').map_or((text.strip_prefix('+').unwrap_or(text), 1), |digits| (digits, -1));
        match arithmetic::number(digits) {
            Some(number) => number * sign,
            None if text.is_empty() => 0,
            None => {
                // There is nowhere else to say it.
                let _ = self.shell.fail("printf", &format!("invalid number '{value}'"));
                self.status = 1;
                let len = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
                digits[..len].parse::<i64>().unwrap_or(0) * sign
            }
        }
    }
}

fn at_least(digits: String, precision: Option<usize>) -> String {
    let missing = precision.unwrap_or(0).saturating_sub(digits.len());
    "0".repeat(missing.min(1 << 16)) + &digits
}
