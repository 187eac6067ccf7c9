//! Reads typed values out of a TOML document that knows where each of them stands, and collects what is wrong.
//!
//! No function here stops at a mistake: it notes it and returns `None`, and the caller goes on with a default. A value that is
//! refused is refused once: its reader gets `None` and asks nothing more of it.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

use toml::de::{DeTable, DeValue};

use super::keys::TableKeys;
use super::suggest::nearest;
use super::{ClusterFileError, duration};
use crate::model::units::Duration;

/// Whether the whole document could be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Yes.
    Sound,
    /// Parts are lost, so that nothing is known of what is missing.
    Broken,
}

/// Whether an item was read without a mistake. What is derived from a flawed one may be a mistake that the user never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Soundness {
    Sound,
    Flawed,
}

/// The document's text and the mistakes found in it so far.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    source: &'a str,
    syntax: Syntax,
    found: RefCell<Vec<ClusterFileError>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a str, syntax: Syntax) -> Reader<'a> {
        Reader { source, syntax, found: RefCell::new(Vec::new()) }
    }

    /// Notes a mistake.
    pub(super) fn reject(&self, span: Range<usize>, path: &str, message: String, help: Option<String>) {
        let Range { start, end } = on_boundaries(self.source, &span);
        let before = &self.source[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.found.borrow_mut().push(ClusterFileError {
            span: start..end,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            path: path.to_owned(),
            text: self.source[start..end].lines().next().unwrap_or_default().to_owned(),
            message,
            help,
        });
    }

    fn slice(&self, span: &Range<usize>) -> &'a str {
        &self.source[on_boundaries(self.source, span)]
    }

    /// The mistakes by position.
    pub(super) fn into_errors(self) -> Vec<ClusterFileError> {
        let mut errors = self.found.into_inner();
        errors.sort_by_key(|error| (error.span.start, error.span.end));
        // A table that is opened a second time, to resolve its references, notes its unknown keys a second time.
        let mut once: Vec<ClusterFileError> = Vec::new();
        for error in errors {
            let is_known = once.iter().rev().take_while(|other| other.span == error.span).any(|other| *other == error);
            if !is_known {
                once.push(error);
            }
        }
        once
    }
}

/// A span with both ends on characters and within the text: where the syntax is broken, the parser's spans may not be.
fn on_boundaries(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
    start..end.max(start)
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    reader: &'a Reader<'a>,
    value: &'a DeValue<'a>,
    span: Range<usize>,
    path: String,
}

/// An entry of a table whose keys are the file's own.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    /// The key.
    pub(super) key: &'a str,
    key_span: Range<usize>,
    /// Its value.
    pub(super) value: Value<'a>,
}

impl Entry<'_> {
    /// Notes that the key breaks a rule.
    pub(super) fn reject_key(&self, message: impl Into<String>) {
        self.value.reader.reject(self.key_span.clone(), &self.value.path, message.into(), None);
    }
}

/// The words that a key accepts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<T: 'static> {
    /// Each word and what it means.
    pub(super) available: &'static [(&'static str, T)],
    /// Words of ECS that are refused as not available yet.
    pub(super) planned: &'static [&'static str],
}

impl<'a> Value<'a> {
    /// Notes that this value breaks a rule.
    pub(super) fn reject(&self, message: impl Into<String>) {
        self.reader.reject(self.span.clone(), &self.path, message.into(), None);
    }

    /// Notes that this value breaks a rule, and what to write.
    pub(super) fn reject_with_help(&self, message: impl Into<String>, help: Option<String>) {
        self.reader.reject(self.span.clone(), &self.path, message.into(), help);
    }

    /// Notes that a part of this string, in bytes of its value, breaks a rule.
    pub(super) fn reject_within(&self, part: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let start = self.span.start + written_offset(self.text(), part.start);
        let end = self.span.start + written_offset(self.text(), part.end);
        self.reader.reject(start..end.max(start), &self.path, message.into(), help);
    }

    fn reject_type(&self, expected: &str) {
        let help = match self.value {
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) if expected == "a string" => {
                Some(format!("write \"{}\"", self.text()))
            }
            DeValue::String(text) if expected == "an integer" && text.parse::<i64>().is_ok() => {
                Some(format!("write {text} without quotes"))
            }
            DeValue::String(text) if expected == "true or false" && ["true", "false"].contains(&text.as_ref()) => {
                Some(format!("write {text} without quotes"))
            }
            DeValue::String(text) if expected == "a list of strings" => Some(format!("write [\"{text}\"]")),
            _ => None,
        };
        self.reject_with_help(format!("expected {expected}, found {}", self.description()), help);
    }

    fn description(&self) -> String {
        match self.value {
            DeValue::String(text) if text.chars().count() <= 40 => format!("the string \"{text}\""),
            DeValue::String(_) => "a string".to_owned(),
            DeValue::Integer(_) => format!("the integer {}", self.text()),
            DeValue::Float(_) => format!("the number {}", self.text()),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// The value as it is written.
    pub(super) fn text(&self) -> &'a str {
        self.reader.slice(&self.span)
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn is_empty_list(&self) -> bool {
        self.value.as_array().is_some_and(|items| items.is_empty())
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.reject_type("a string");
        }
        text
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.reject_type("true or false");
        }
        value
    }

    /// An integer within limits.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(integer) = self.value.as_integer() else {
            self.reject_type("an integer");
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) if range.contains(&value) => Some(value),
            _ if *range.end() == u64::from(u32::MAX) || *range.end() == u64::MAX => {
                self.reject(format!("{} is not within the limits: {} or more", self.text(), range.start()));
                None
            }
            _ => {
                self.reject(format!("{} is not within the limits: {} to {}", self.text(), range.start(), range.end()));
                None
            }
        }
    }

    pub(super) fn u32(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.integer(u64::from(*range.start())..=u64::from(*range.end()))?;
        u32::try_from(value).ok()
    }

    /// A string or an integer as text: ECS writes task sizes as strings, and people write numbers.
    pub(super) fn string_or_integer(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str()),
            _ => {
                self.reject_type("a string or an integer");
                None
            }
        }
    }

    /// A decimal number that is not negative, in thousandths.
    pub(super) fn thousandths(&self) -> Option<u64> {
        let text = match self.value {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            _ => {
                self.reject_type("a number");
                return None;
            }
        };
        let digits_below_one = text.split_once('.').map_or("", |(_, fraction)| fraction).trim_end_matches('0').len();
        let value = duration::parse_scaled(text, 1000).and_then(|value| u64::try_from(value).ok());
        match value {
            Some(value) if digits_below_one <= 3 => Some(value),
            Some(_) => {
                self.reject(format!("{} has more than three digits after the point", self.text()));
                None
            }
            None => {
                self.reject(format!("{} is not a number from 0 up, written as in 2 or 0.5", self.text()));
                None
            }
        }
    }

    /// A decimal number in thousandths, which may be negative.
    pub(super) fn signed_thousandths(&self) -> Option<i64> {
        let is_number = matches!(self.value, DeValue::Integer(_) | DeValue::Float(_));
        let Some(magnitude) = self.text().strip_prefix('-').filter(|_| is_number) else {
            let value = self.thousandths()?;
            return i64::try_from(value).map_err(|_| self.reject(format!("{} is too large", self.text()))).ok();
        };
        let digits = magnitude.split_once('.').map_or("", |(_, fraction)| fraction).trim_end_matches('0').len();
        let value = duration::parse_scaled(magnitude, 1000).and_then(|value| i64::try_from(value).ok());
        match value.filter(|_| digits <= 3) {
            Some(value) => Some(-value),
            None => {
                self.reject(format!("{} is not a number with up to three digits after the point", self.text()));
                None
            }
        }
    }

    /// An integer that may be negative.
    pub(super) fn i32(&self) -> Option<i32> {
        let Some(integer) = self.value.as_integer() else {
            self.reject_type("an integer");
            return None;
        };
        let value = i32::from_str_radix(integer.as_str(), integer.radix()).ok();
        if value.is_none() {
            self.reject(format!("{} is not within the limits of 32 bits", self.text()));
        }
        value
    }

    /// A time of the calendar in UTC: a string, or a date of TOML's own.
    pub(super) fn utc(&self) -> Option<jiff::Timestamp> {
        let text = match self.value {
            DeValue::String(text) => text.as_ref(),
            DeValue::Datetime(_) => self.text(),
            _ => {
                self.reject_type("a time as in \"2026-01-31T08:30:00Z\"");
                return None;
            }
        };
        let time = text.parse().ok();
        if time.is_none() && !self.is_string() {
            self.reject_type("a time as in \"2026-01-31T08:30:00Z\"");
        } else if time.is_none() {
            self.reject(format!("{} is not a time in UTC, written as in \"2026-01-31T08:30:00Z\"", quoted(text)));
        }
        time
    }

    /// A duration: a string with units.
    pub(super) fn duration(&self) -> Option<Duration> {
        if let DeValue::Integer(_) | DeValue::Float(_) = self.value {
            let number = self.text();
            self.reject_with_help(
                format!("{number} has no unit: durations are strings with their unit"),
                Some(format!("write \"{number}s\" for seconds, or another of ns, us, ms, m, h, d")),
            );
            return None;
        }
        let text = self.value.as_str();
        if text.is_none() {
            self.reject_type("a duration as in \"20s\"");
        }
        duration::parse_duration(text?).map_err(|error| self.reject(error.to_string())).ok()
    }

    /// One of a few words. ECS compares them exactly, and so does this.
    pub(super) fn word<T: Copy>(&self, words: &Words<T>) -> Option<T> {
        let text = self.string()?;
        let meaning = words.available.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if meaning.is_none() {
            let allowed = words.available.iter().map(|(word, _)| *word);
            if words.planned.contains(&text) {
                let list = and_list(allowed.map(|word| format!("\"{word}\"")));
                self.reject(format!("\"{text}\" is not available yet, only {list}"));
            } else {
                let list = or_list(allowed.clone().map(|word| format!("\"{word}\"")));
                let help = nearest(text, allowed).map(did_you_mean);
                self.reject_with_help(format!("{} is not valid here: {list}", quoted(text)), help);
            }
        }
        meaning
    }

    /// The items of a list.
    pub(super) fn list(&self, expected: &str) -> Option<Vec<Value<'a>>> {
        let Some(items) = self.value.as_array() else {
            self.reject_type(expected);
            return None;
        };
        let item = |(index, item): (usize, &'a toml::Spanned<DeValue<'a>>)| Value {
            reader: self.reader,
            value: item.get_ref(),
            span: item.span(),
            path: format!("{}[{index}]", self.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn strings(&self) -> Option<Vec<String>> {
        let items = self.list("a list of strings")?;
        let strings: Vec<Option<&str>> = items.iter().map(Value::string).collect();
        strings.into_iter().map(|text| text.map(str::to_owned)).collect()
    }

    /// The entries of a table whose keys are the file's own, as in tags.
    pub(super) fn entries(&self) -> Vec<Entry<'a>> {
        let Some(table) = self.value.as_table() else {
            self.reject_type("a table");
            return Vec::new();
        };
        let entry = |(key, value): (&'a toml::Spanned<toml::de::DeString<'a>>, &'a toml::Spanned<DeValue<'a>>)| Entry {
            key: key.get_ref(),
            key_span: key.span(),
            value: Value {
                reader: self.reader,
                value: value.get_ref(),
                span: value.span(),
                path: join(&self.path, key.get_ref()),
            },
        };
        table.iter().map(entry).collect()
    }

    /// This value as a table with fixed keys. Unknown ones are noted.
    pub(super) fn table(&self, keys: &'static TableKeys) -> Option<Table<'a>> {
        let Some(entries) = self.value.as_table() else {
            self.reject_type("a table");
            return None;
        };
        let table = Table { reader: self.reader, entries, span: self.span.clone(), path: self.path.clone(), keys };
        table.check_keys();
        Some(table)
    }

    /// This value as a list of tables with fixed keys.
    pub(super) fn tables(&self, keys: &'static TableKeys) -> Vec<Table<'a>> {
        if self.is_table() {
            let help = if self.text().starts_with('[') {
                format!("write [[{}]], with two brackets", indexless(&self.path))
            } else {
                "write [{ .. }], with brackets around the table".to_owned()
            };
            self.reject_with_help("expected a list of tables, found a table", Some(help));
            return self.table(keys).into_iter().collect();
        }
        let items = self.list("a list of tables").unwrap_or_default();
        items.iter().filter_map(|item| item.table(keys)).collect()
    }
}

/// A table with fixed keys.
#[derive(Clone, Debug)]
pub(super) struct Table<'a> {
    reader: &'a Reader<'a>,
    entries: &'a DeTable<'a>,
    span: Range<usize>,
    path: String,
    keys: &'static TableKeys,
}

impl<'a> Table<'a> {
    /// The top of the document.
    pub(super) fn root(reader: &'a Reader<'a>, entries: &'a DeTable<'a>, keys: &'static TableKeys) -> Table<'a> {
        let table = Table { reader, entries, span: 0..0, path: String::new(), keys };
        table.check_keys();
        table
    }

    fn check_keys(&self) {
        for (key, _) in self.entries {
            let name: &str = key.get_ref();
            if self.keys.keys.contains(&name) {
                continue;
            }
            let (message, help) = if self.keys.planned.contains(&name) {
                (format!("`{name}` is not available yet"), None)
            } else {
                let known = self.keys.keys.iter().copied();
                let help = nearest(name, known.clone()).map_or_else(
                    || format!("the keys here are {}", and_list(known.map(str::to_owned))),
                    did_you_mean_key,
                );
                (format!("unknown key `{name}`"), Some(help))
            };
            self.reader.reject(key.span(), &join(&self.path, name), message, help);
        }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        debug_assert!(self.keys.keys.contains(&key), "{key} is listed for {}", self.keys.table);
        let value = self.entries.get(key)?;
        Some(Value { reader: self.reader, value: value.get_ref(), span: value.span(), path: join(&self.path, key) })
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, key: &'static str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.reject_missing(key, format!("`{key}` is missing"));
        }
        value
    }

    /// Notes that something is not there, unless it may be: behind broken syntax, or under a mistyped key that has been told
    /// so.
    pub(super) fn reject_missing(&self, key: &'static str, message: impl Into<String>) {
        let is_mistyped = self.entries.keys().any(|written| {
            let written: &str = written.get_ref();
            !self.keys.keys.contains(&written) && nearest(written, self.keys.keys.iter().copied()) == Some(key)
        });
        if self.reader.syntax == Syntax::Sound && !is_mistyped {
            self.reject(key, message);
        }
    }

    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Notes that a key's value breaks a rule, or its absence does.
    pub(super) fn reject(&self, key: &'static str, message: impl Into<String>) {
        self.reject_with_help(key, message, None);
    }

    /// Notes that a key's value breaks a rule, or its absence does, and what to write.
    pub(super) fn reject_with_help(&self, key: &'static str, message: impl Into<String>, help: Option<String>) {
        let span = self.get(key).map_or_else(|| self.span.clone(), |value| value.span);
        self.reader.reject(span, &join(&self.path, key), message.into(), help);
    }

    /// Notes that the table as a whole breaks a rule.
    pub(super) fn reject_whole(&self, message: impl Into<String>) {
        self.reader.reject(self.span.clone(), &self.path, message.into(), None);
    }

    /// Runs `read` and says whether it noted a mistake.
    pub(super) fn watched<T>(&self, read: impl FnOnce() -> T) -> (T, Soundness) {
        let before = self.reader.found.borrow().len();
        let item = read();
        let is_sound = self.reader.found.borrow().len() == before;
        (item, if is_sound { Soundness::Sound } else { Soundness::Flawed })
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.get(key)?.boolean()
    }

    pub(super) fn u32(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        self.get(key)?.u32(range)
    }

    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &Words<T>) -> Option<T> {
        self.get(key)?.word(words)
    }

    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        self.get(key)?.strings()
    }

    /// A table below this one.
    pub(super) fn table(&self, key: &'static str, keys: &'static TableKeys) -> Option<Table<'a>> {
        self.get(key)?.table(keys)
    }

    /// The tables below this one; none when the key is not there.
    pub(super) fn tables(&self, key: &'static str, keys: &'static TableKeys) -> Vec<Table<'a>> {
        self.get(key).map(|value| value.tables(keys)).unwrap_or_default()
    }

    /// A name that must be there: 1 to 255 letters, digits, `-` and `_`. **Source:** ecs-semantics §1.3.
    pub(super) fn name(&self, key: &'static str) -> Option<&'a str> {
        let value = self.need(key)?;
        let name = value.string()?;
        let is_valid = (1..=255).contains(&name.len())
            && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-' || letter == b'_');
        if !is_valid {
            value.reject(format!("{} is not a valid name: 1 to 255 letters, digits, - and _", quoted(name)));
        }
        is_valid.then_some(name)
    }
}

/// Where the byte of a string's value stands in the string as it is written, quotes and escapes included.
fn written_offset(written: &str, offset: usize) -> usize {
    let quote = written.chars().next().filter(|letter| ['"', '\''].contains(letter)).unwrap_or('"');
    let is_long = written.starts_with(&quote.to_string().repeat(3));
    let mut at = if is_long { 3 } else { 1 };
    if is_long {
        // A line end right behind the opening quotes is no part of the value.
        at += written[at..].len() - written[at..].trim_start_matches('\r').len();
        at += usize::from(written[at..].starts_with('\n'));
    }
    let mut value_length = 0;
    while value_length < offset {
        let Some(letter) = written[at..].chars().next() else { break };
        if letter != '\\' || quote == '\'' {
            at += letter.len_utf8();
            value_length += letter.len_utf8();
            continue;
        }
        let escape = written[at + 1..].chars().next().unwrap_or(' ');
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ if escape.is_whitespace() => {
                // The line end and all white space behind it are left out.
                let rest = &written[at + 1..];
                at += 1 + rest.len() - rest.trim_start().len();
                continue;
            }
            _ => 0,
        };
        let code = written.get(at + 2..at + 2 + digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        value_length += code.and_then(char::from_u32).map_or(1, char::len_utf8);
        at += 2 + digits;
    }
    at.min(written.len())
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn or_list(items: impl IntoIterator<Item = String>) -> String {
    join_list(items, "or")
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn and_list(items: impl IntoIterator<Item = String>) -> String {
    join_list(items, "and")
}

fn join_list(items: impl IntoIterator<Item = String>, conjunction: &str) -> String {
    let items: Vec<String> = items.into_iter().collect();
    match items.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}

/// A question about a value.
pub(super) fn did_you_mean(name: &str) -> String {
    format!("did you mean \"{name}\"?")
}

fn did_you_mean_key(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// A text in quotes, shortened when it is long.
pub(super) fn quoted(text: &str) -> String {
    if text.chars().count() <= 60 {
        return format!("{text:?}");
    }
    let beginning: String = text.chars().take(57).collect();
    format!("{:?}", format!("{beginning}..."))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A path without the positions in lists: the name that TOML's table headers have.
fn indexless(path: &str) -> String {
    let mut name = String::new();
    let mut depth = 0;
    for letter in path.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ if depth == 0 => name.push(letter),
            _ => {}
        }
    }
    name
}
