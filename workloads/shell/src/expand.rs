//! From words to the arguments of a command: parameters, substitutions, splitting into fields, names of files.

use std::cell::RefCell;
use std::rc::Rc;

use crate::arithmetic;
use crate::parser::is_name;
use crate::pattern;
use crate::shell::{Flow, Run, Shell, Stream};
use crate::syntax::{Change, Empty, End, List, Part, Quoting, Reach, Word};

/// Fields as they grow. They are held as patterns, so that what was quoted stays what it is.
#[derive(Default)]
struct Fields {
    done: Vec<String>,
    /// `None`: the next piece begins a field.
    current: Option<String>,
}

impl Fields {
    fn quoted(&mut self, text: &str) {
        self.current.get_or_insert_default().push_str(&pattern::escape(text));
    }

    fn literal(&mut self, text: &str) {
        self.current.get_or_insert_default().push_str(text);
    }

    fn end_field(&mut self) {
        self.done.extend(self.current.take());
    }

    /// What an expansion that is not quoted gives: split at the characters of IFS. Of those, white space separates fields however
    /// much there is of it, and each other one ends a field.
    fn split(&mut self, text: &str, ifs: &str) {
        let mut is_after_space = false;
        for c in text.chars() {
            if !ifs.contains(c) {
                // A backslash out of a variable is itself.
                let piece = if c == '\\' { "\\\\".to_owned() } else { c.to_string() };
                self.current.get_or_insert_default().push_str(&piece);
                is_after_space = false;
            } else if matches!(c, ' ' | '\t' | '\n') {
                is_after_space |= self.current.is_some();
                self.end_field();
            } else {
                if !is_after_space {
                    self.current.get_or_insert_default();
                }
                self.end_field();
                is_after_space = false;
            }
        }
    }
}

impl Shell {
    /// The arguments that words stand for.
    pub fn expand_words(&mut self, words: &[Word]) -> Run<Vec<String>> {
        let mut arguments = Vec::new();
        for word in words {
            let mut fields = Fields::default();
            self.expand_into(word, &mut fields, Quoting::None)?;
            fields.end_field();
            for field in fields.done {
                self.expand_names(field, &mut arguments);
            }
        }
        Ok(arguments)
    }

    /// The one text that a word stands for.
    pub fn expand_text(&mut self, word: &[Part]) -> Run<String> {
        Ok(pattern::unescape(&self.expand_pattern(word)?))
    }

    /// The same as a pattern, in which what was quoted stands for itself.
    pub fn expand_pattern(&mut self, word: &[Part]) -> Run<String> {
        let mut fields = Fields::default();
        self.expand_into(word, &mut fields, Quoting::Double)?;
        fields.end_field();
        Ok(fields.done.join(" "))
    }

    /// Expands parts. `outer` is `Double` where nothing is split; patterns stay patterns all the same.
    fn expand_into(&mut self, word: &[Part], fields: &mut Fields, outer: Quoting) -> Run<()> {
        for part in word {
            match part {
                Part::Literal(text) => fields.literal(text),
                Part::Quoted(text) => fields.quoted(text),
                Part::Home => {
                    let home = self.value("HOME").unwrap_or("~").to_owned();
                    fields.quoted(&home);
                }
                Part::Parameter { name, change, quoting } => self.parameter(name, change, *quoting, outer, fields)?,
                Part::Command { list, quoting } => {
                    let output = self.substitute(list)?;
                    self.give(&output, *quoting, outer, fields);
                }
                Part::Arithmetic { expression, quoting } => {
                    let text = self.expand_text(expression)?;
                    let value = self.evaluate(&text)?.to_string();
                    self.give(&value, *quoting, outer, fields);
                }
            }
        }
        Ok(())
    }

    /// Adds a value, split or not.
    fn give(&self, value: &str, quoting: Quoting, outer: Quoting, fields: &mut Fields) {
        match (quoting, outer) {
            (Quoting::Double, _) => fields.quoted(value),
            (Quoting::None, Quoting::None) => {
                let ifs = self.value("IFS").unwrap_or(" \t\n").to_owned();
                fields.split(value, &ifs);
            }
            // Not split, but a pattern.
            (Quoting::None, Quoting::Double) => fields.literal(&value.replace('\\', "\\\\")),
        }
    }

    /// The value of a parameter, if it has one.
    pub fn parameter_value(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "#" => Some(self.parameters.len().to_string()),
            "$" => Some("1".to_owned()),
            "!" => self.background.last().map(|job| job.id.to_string()),
            "-" => Some(self.option_letters()),
            "0" => Some(self.name.clone()),
            "@" | "*" => {
                let separator = match self.value("IFS") {
                    Some(ifs) => ifs.chars().next().map_or(String::new(), String::from),
                    None => " ".to_owned(),
                };
                (!self.parameters.is_empty()).then(|| self.parameters.join(&separator))
            }
            name if is_name(name) => self.value(name).map(str::to_owned),
            name => self.parameters.get(name.parse::<usize>().ok()?.checked_sub(1)?).cloned(),
        }
    }

    fn parameter(
        &mut self,
        name: &str,
        change: &Change,
        quoting: Quoting,
        outer: Quoting,
        fields: &mut Fields,
    ) -> Run<()> {
        let value = self.parameter_value(name);
        let has_value = |empty: &Empty| match empty {
            Empty::Set => value.is_some(),
            Empty::Unset => value.as_ref().is_some_and(|value| !value.is_empty()),
        };
        match change {
            Change::Default { word, empty } if !has_value(empty) => {
                return self.alternative(word, quoting, outer, fields);
            }
            Change::Assign { word, empty } if !has_value(empty) => {
                let text = self.expand_text(word)?;
                self.assign(name, text.clone())?;
                self.give(&text, quoting, outer, fields);
                return Ok(());
            }
            Change::Require { word, empty } if !has_value(empty) => {
                let text = self.expand_text(word)?;
                let text = if text.is_empty() { "parameter not set".to_owned() } else { text };
                self.complain(&format!("{name}: {text}"));
                return Err(Flow::Exit(2));
            }
            Change::Alternative { word, empty } => {
                return if has_value(empty) { self.alternative(word, quoting, outer, fields) } else { Ok(()) };
            }
            _ => {}
        }
        if value.is_none() && self.options.needs_values && !matches!(name, "@" | "*" | "!") && is_plain(change) {
            self.complain(&format!("{name}: parameter not set"));
            return Err(Flow::Exit(2));
        }
        let is_list = matches!(name, "@" | "*") && !matches!(change, Change::Length | Change::Strip { .. });
        if is_list && (outer == Quoting::None && (name == "@" || quoting == Quoting::None)) {
            for (index, parameter) in self.parameters.clone().iter().enumerate() {
                if index > 0 {
                    fields.end_field();
                }
                self.give(parameter, quoting, outer, fields);
            }
            return Ok(());
        }
        let value = value.unwrap_or_default();
        let value = match change {
            Change::Length if matches!(name, "@" | "*") => self.parameters.len().to_string(),
            Change::Length => value.chars().count().to_string(),
            Change::Strip { pattern, end, reach } => {
                let pattern = self.expand_pattern(pattern)?;
                strip(&value, &pattern, *end, *reach).to_owned()
            }
            _ => value,
        };
        self.give(&value, quoting, outer, fields);
        Ok(())
    }

    /// The word behind `:-` or `:+`.
    fn alternative(&mut self, word: &Word, quoting: Quoting, outer: Quoting, fields: &mut Fields) -> Run<()> {
        if quoting == Quoting::Double {
            let text = self.expand_text(word)?;
            fields.quoted(&text);
            return Ok(());
        }
        if outer == Quoting::Double {
            return self.expand_into(word, fields, outer);
        }
        // Plain text of the word is split like a value.
        for part in word {
            match part {
                Part::Literal(text) => self.give(text, Quoting::None, outer, fields),
                part => self.expand_into(std::slice::from_ref(part), fields, outer)?,
            }
        }
        Ok(())
    }

    /// What commands write to standard output, without the newlines at its end.
    pub fn substitute(&mut self, list: &List) -> Run<String> {
        let held = Rc::new(RefCell::new(Vec::new()));
        let mut inner = self.subshell();
        inner.streams[1] = Stream::Pipe(held.clone());
        let status = self.run_child(&mut inner, |inner| inner.nested(|inner| inner.run_list(list)))?;
        self.status = status;
        self.substitution_status = status;
        let text = String::from_utf8_lossy(&held.borrow()).replace('\0', "");
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// The value of an arithmetic expression.
    pub fn evaluate(&mut self, text: &str) -> Run<i64> {
        let needs_values = self.options.needs_values;
        let mut variable = |name: &str, value: Option<i64>| {
            if let Some(value) = value {
                self.assign(name, value.to_string()).map_err(|_| format!("{name}: is read only"))?;
                return Ok(value);
            }
            match self.value(name) {
                None if needs_values => Err(format!("{name}: parameter not set")),
                None => Ok(0),
                Some(text) => {
                    let text = text.trim();
                    let (digits, sign) = text.strip_prefix('-').map_or((text, 1), |digits| (digits, -1));
                    if text.is_empty() { Some(0) } else { arithmetic::number(digits).map(|number| number * sign) }
                        .ok_or_else(|| format!("bad number '{text}'"))
                }
            }
        };
        let value = arithmetic::evaluate(text, &mut variable);
        value.map_err(|error| {
            self.complain(&error);
            Flow::Exit(2)
        })
    }

    /// The names that a pattern fits, or the text that it is.
    fn expand_names(&self, field: String, arguments: &mut Vec<String>) {
        let is_pattern = has_wildcard(&field) && !self.options.keeps_patterns;
        let found = if is_pattern { self.matching_names(&field) } else { Vec::new() };
        if found.is_empty() {
            arguments.push(pattern::unescape(&field));
        }
        arguments.extend(found);
    }

    fn matching_names(&self, field: &str) -> Vec<String> {
        let (mut found, rest) = match field.strip_prefix('/') {
            Some(rest) => (vec!["/".to_owned()], rest),
            None => (vec![String::new()], field),
        };
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            let mut next = Vec::new();
            for before in &found {
                let folder = self.path(if before.is_empty() { "." } else { before });
                let names = if has_wildcard(part) {
                    let names = self.files.list(&folder).unwrap_or_default();
                    let is_found = |name: &String| {
                        (part.starts_with('.') || !name.starts_with('.')) && pattern::is_match(part, name)
                    };
                    names.into_iter().filter(is_found).collect()
                } else {
                    vec![pattern::unescape(part)]
                };
                let more = index + 1 < parts.len();
                let paths = names.into_iter().map(|name| format!("{before}{name}"));
                let paths = paths.filter(|path| self.files.kind(&self.path(path)).is_some());
                next.extend(paths.map(|path| if more { path + "/" } else { path }));
            }
            found = next;
        }
        found
    }
}

fn is_plain(change: &Change) -> bool {
    matches!(change, Change::None | Change::Length | Change::Strip { .. })
}

fn has_wildcard(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// A value without what fits a pattern at one of its ends.
fn strip<'v>(value: &'v str, pattern: &str, end: End, reach: Reach) -> &'v str {
    let mut cuts: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
    // From the cut that takes the least, or the most.
    if (end == End::Front) == (reach == Reach::Longest) {
        cuts.reverse();
    }
    for cut in cuts {
        let (front, back) = value.split_at(cut);
        match end {
            End::Front if pattern::is_match(pattern, front) => return back,
            End::Back if pattern::is_match(pattern, back) => return front,
            _ => {}
        }
    }
    value
}
