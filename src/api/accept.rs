//! Whether what a client sends is what its operation takes: types, required members, lengths, ranges, patterns, enumerations.
//!
//! What is accepted comes out without the members that the model does not know and without nulls, which mean the same as nothing
//! (ecs-semantics §11.1). Nothing is decided that a model does not say: rules between members are each operation's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use regex::Regex;
use serde_json::{Map, Value};

use super::shape::{Kind, Place, ServiceModel, Shape};

/// How many mistakes one answer names.
const VIOLATIONS_MAX: usize = 20;

/// The rule of required members.
pub(super) const MUST_BE_THERE: &str = "Member must not be null";

/// What is wrong with what a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A value is of another type than its member's: the place, and what is expected.
    Type {
        /// The path of the member.
        place: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// Constraints are not met: a sentence each.
    Constraints(Vec<String>),
}

impl Rejection {
    /// What the client is told, in the words of AWS' front end.
    pub fn message(&self) -> String {
        match self {
            Rejection::Type { place, expected } => format!("{place} has to be {expected}"),
            Rejection::Constraints(found) => {
                let plural = if found.len() == 1 { "" } else { "s" };
                format!("{} validation error{plural} detected: {}", found.len(), found.join("; "))
            }
        }
    }
}

/// Patterns that were compiled, which takes longer than to match them.
#[derive(Debug, Default)]
pub struct Patterns(Mutex<BTreeMap<String, Regex>>);

impl Patterns {
    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut compiled = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !compiled.contains_key(pattern) {
            // A pattern that is none would be our mistake in a model; it must not keep anybody out.
            let Ok(regex) = Regex::new(&format!("^(?:{})$", translated(pattern))) else { return true };
            compiled.insert(pattern.to_owned(), regex);
        }
        compiled[pattern].is_match(text)
    }
}

/// A pattern as Java writes it in the syntax that is compiled here.
fn translated(pattern: &str) -> String {
    pattern
        .replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\u{10000}-\u{10FFFF}")
        .replace(r"\p{Print}", r"[\x20-\x7E]")
        .replace(r"\p{ASCII}", r"[\x00-\x7F]")
}

/// Accepts a request's members.
///
/// # Errors
/// What is wrong with them: a wrong type, or else every constraint that is not met, up to twenty.
pub fn accept(
    model: &ServiceModel,
    patterns: &Patterns,
    place: &Place,
    input: Value,
) -> Result<Map<String, Value>, Rejection> {
    let mut acceptance = Acceptance { model, patterns, violations: Vec::new() };
    let accepted = acceptance.value("", model.at(place), input)?;
    if !acceptance.violations.is_empty() {
        return Err(Rejection::Constraints(acceptance.violations));
    }
    match accepted {
        Value::Object(members) => Ok(members),
        _ => Err(Rejection::Type { place: "the request".into(), expected: "an object" }),
    }
}

struct Acceptance<'a> {
    model: &'a ServiceModel,
    patterns: &'a Patterns,
    violations: Vec<String>,
}

impl Acceptance<'_> {
    fn violation(&mut self, value: &str, path: &str, rule: &str) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(format!("Value {value} at '{path}' failed to satisfy constraint: {rule}"));
        }
    }

    fn value(&mut self, path: &str, shape: &Shape, value: Value) -> Result<Value, Rejection> {
        if shape.document {
            return Ok(value);
        }
        let wrong = |expected| {
            let place = if path.is_empty() { "the request".to_owned() } else { format!("'{path}'") };
            Err(Rejection::Type { place, expected })
        };
        match (shape.kind, value) {
            (Kind::Structure, Value::Object(members)) => self.structure(path, shape, members),
            (Kind::Structure, _) => wrong("an object"),
            (Kind::List, Value::Array(items)) => self.list(path, shape, items),
            (Kind::List, _) => wrong("a list"),
            (Kind::Map, Value::Object(entries)) => self.map(path, shape, entries),
            (Kind::Map, _) => wrong("an object"),
            (Kind::String | Kind::Blob, Value::String(text)) => {
                self.text(path, shape, &text);
                Ok(Value::String(text))
            }
            (Kind::String | Kind::Blob, _) => wrong("a text"),
            (Kind::Integer | Kind::Long, value) => self.integer(path, shape, value),
            (Kind::Double | Kind::Float, Value::Number(number)) => {
                self.range(path, shape, number.as_f64().unwrap_or(f64::NAN));
                Ok(Value::Number(number))
            }
            (Kind::Double | Kind::Float, _) => wrong("a number"),
            (Kind::Timestamp, Value::Number(seconds)) => Ok(Value::Number(seconds)),
            // Forms have texts, and some clients send them in JSON.
            (Kind::Timestamp, Value::String(text)) => match text.parse::<jiff::Timestamp>() {
                Ok(moment) => Ok(super::epoch_seconds(moment)),
                Err(_) => wrong("a number of seconds since 1970"),
            },
            (Kind::Timestamp, _) => wrong("a number of seconds since 1970"),
            (Kind::Boolean, Value::Bool(value)) => Ok(Value::Bool(value)),
            (Kind::Boolean, _) => wrong("true or false"),
        }
    }

    fn structure(&mut self, path: &str, shape: &Shape, members: Map<String, Value>) -> Result<Value, Rejection> {
        let mut accepted = Map::new();
        for (name, value) in members {
            // Unknown members are ignored, and null is nothing. Source: ecs-semantics §11.1.
            let Some(place) = shape.members.get(&name).filter(|_| !value.is_null()) else { continue };
            let value = self.value(&join(path, &name), self.model.at(place), value)?;
            accepted.insert(name, value);
        }
        for name in shape.required.iter().filter(|name| !accepted.contains_key(*name)) {
            self.violation("null", &join(path, name), MUST_BE_THERE);
        }
        if shape.union && accepted.len() != 1 {
            let place = if path.is_empty() { "the request" } else { path };
            let names: Vec<&str> = shape.members.keys().map(String::as_str).collect();
            self.violation("object", place, &format!("Exactly one member must be set of [{}]", names.join(", ")));
        }
        Ok(Value::Object(accepted))
    }

    fn list(&mut self, path: &str, shape: &Shape, items: Vec<Value>) -> Result<Value, Rejection> {
        self.length(path, "list", shape, items.len());
        let Some(place) = &shape.member else { return Ok(Value::Array(items)) };
        let of = self.model.at(place);
        let items = items.into_iter().enumerate();
        let accepted: Result<Vec<Value>, Rejection> =
            items.map(|(index, item)| self.value(&format!("{path}.{}.member", index + 1), of, item)).collect();
        Ok(Value::Array(accepted?))
    }

    fn map(&mut self, path: &str, shape: &Shape, entries: Map<String, Value>) -> Result<Value, Rejection> {
        self.length(path, "map", shape, entries.len());
        let mut accepted = Map::new();
        for (key, value) in entries {
            let path = join(path, &key);
            if let Some(place) = &shape.key {
                self.text(&path, self.model.at(place), &key);
            }
            let value = match &shape.value {
                Some(place) => self.value(&path, self.model.at(place), value)?,
                None => value,
            };
            accepted.insert(key, value);
        }
        Ok(Value::Object(accepted))
    }

    fn text(&mut self, path: &str, shape: &Shape, text: &str) {
        let shown = format!("'{text}'");
        if !shape.values.is_empty() && !shape.values.iter().any(|value| value == text) {
            let values = shape.values.join(", ");
            self.violation(&shown, path, &format!("Member must satisfy enum value set: [{values}]"));
        }
        self.length(path, &shown, shape, text.chars().count());
        if let Some(pattern) = &shape.pattern
            && !self.patterns.matches(pattern, text)
        {
            self.violation(&shown, path, &format!("Member must satisfy regular expression pattern: {pattern}"));
        }
    }

    fn length(&mut self, path: &str, shown: &str, shape: &Shape, length: usize) {
        let length = u32::try_from(length).map_or(f64::MAX, f64::from);
        if let Some(min) = shape.min.filter(|min| length < *min) {
            self.violation(shown, path, &format!("Member must have length greater than or equal to {min}"));
        }
        if let Some(max) = shape.max.filter(|max| length > *max) {
            self.violation(shown, path, &format!("Member must have length less than or equal to {max}"));
        }
    }

    fn integer(&mut self, path: &str, shape: &Shape, value: Value) -> Result<Value, Rejection> {
        let bounds = match shape.kind {
            Kind::Integer => i64::from(i32::MIN)..=i64::from(i32::MAX),
            _ => i64::MIN..=i64::MAX,
        };
        let whole = value.as_i64().or_else(|| whole_of(value.as_f64()?));
        let Some(number) = whole.filter(|number| bounds.contains(number)) else {
            return Err(Rejection::Type { place: format!("'{path}'"), expected: "a whole number" });
        };
        #[expect(clippy::cast_precision_loss, reason = "no bound of a model is beyond 2^53")]
        self.range(path, shape, number as f64);
        Ok(Value::from(number))
    }

    fn range(&mut self, path: &str, shape: &Shape, number: f64) {
        let shown = format!("'{number}'");
        if let Some(min) = shape.min.filter(|min| number < *min) {
            self.violation(&shown, path, &format!("Member must have value greater than or equal to {min}"));
        }
        if let Some(max) = shape.max.filter(|max| number > *max) {
            self.violation(&shown, path, &format!("Member must have value less than or equal to {max}"));
        }
    }
}

/// Numbers such as `3.0` are whole.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and within bounds")]
fn whole_of(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

fn join(path: &str, name: &str) -> String {
    let mut joined = path.to_owned();
    if !path.is_empty() {
        joined.push('.');
    }
    let _ = write!(joined, "{name}");
    joined
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::shape::Service;

    #[track_caller]
    fn check(operation: &str, input: Value, expected: Result<Value, &str>) {
        let model = ServiceModel::of(Service::Ecs);
        let place = model.operations[operation].input.clone().expect("it takes something");
        let found = accept(&model, &Patterns::default(), &place, input);
        let found = found.map(Value::Object).map_err(|rejection| rejection.message());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    /// ecs-semantics §11.1: null is nothing, and unknown members are ignored.
    #[test]
    fn what_is_accepted() {
        let sent = json!({"taskDefinition": "web", "count": 2, "group": null, "fromTheFuture": {"a": 1}});
        check("RunTask", sent, Ok(json!({"taskDefinition": "web", "count": 2})));
    }

    #[test]
    fn what_is_not() {
        check(
            "RunTask",
            json!({"launchType": "LAMBDA"}),
            Err(
                "2 validation errors detected: Value 'LAMBDA' at 'launchType' failed to satisfy constraint: Member must satisfy \
                 enum value set: [EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES]; Value null at 'taskDefinition' failed to satisfy \
                 constraint: Member must not be null",
            ),
        );
        check("RunTask", json!({"taskDefinition": 7}), Err("'taskDefinition' has to be a text"));
        check("RunTask", json!({"taskDefinition": "a", "count": 1.5}), Err("'count' has to be a whole number"));
        check("RunTask", json!([]), Err("the request has to be an object"));
        let strategy =
            json!({"taskDefinition": "a", "capacityProviderStrategy": [{"capacityProvider": "x", "weight": 1001}]});
        check(
            "RunTask",
            strategy,
            Err(
                "1 validation error detected: Value '1001' at 'capacityProviderStrategy.1.member.weight' failed to satisfy \
                 constraint: Member must have value less than or equal to 1000",
            ),
        );
        check(
            "TagResource",
            json!({"resourceArn": "x", "tags": [{"key": "", "value": "b|b"}]}),
            Err(
                "2 validation errors detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have \
                 length greater than or equal to 1; Value 'b|b' at 'tags.1.member.value' failed to satisfy constraint: Member \
                 must satisfy regular expression pattern: ([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)",
            ),
        );
    }
}
