//! Forms of the query protocol and of EC2's kind of it: `Action=RunInstances&MaxCount=2&...` becomes members as JSON, by the input shape.
//!
//! Names are paths of what stands in what: `Tags.member.1.Key`, in EC2 `TagSpecification.1.Tag.1.Key`. A value that is not what its shape
//! says stays the text that it was, or an object where names go on below what is a text, and is refused where every member is held
//! against the model ([`super::accept`]). Parameters that the shape does not have are ignored, as unknown members of JSON are.
//!
//! **Source:** Smithy, "AWS query protocol" and "AWS EC2 query protocol"; botocore, `serialize.py`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::error::ApiError;
use super::shape::{Kind, Place, Protocol, ServiceModel, Shape};

/// How deep names may go. *Ours:* EC2's deepest has ten parts.
const DEPTH_MAX: usize = 32;
/// Parameters of one request at most. *Ours.*
const PARAMETERS_MAX: usize = 10_000;

/// A form: parameters in the order of their names' parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    root: Node,
}

/// What stands at a name, and below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    value: Option<String>,
    below: BTreeMap<String, Node>,
}

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is no form, or has too many or too deep names.
    pub fn parse(body: &[u8]) -> Result<Form, ApiError> {
        let malformed = |why: &str| ApiError::new("MalformedQueryString", why);
        let body = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
        let mut form = Form::default();
        for (count, pair) in body.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if count >= PARAMETERS_MAX {
                return Err(malformed("the body has too many parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value));
            let (name, value) = decoded.ok_or_else(|| malformed("a percent sign is not followed by two digits"))?;
            if name.split('.').count() > DEPTH_MAX {
                return Err(malformed("the name of a parameter has too many parts"));
            }
            let mut node = &mut form.root;
            for part in name.split('.') {
                node = node.below.entry(part.to_owned()).or_default();
            }
            node.value = Some(value.into_owned());
        }
        Ok(form)
    }

    /// A parameter whose name has one part.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.root.below.get(name)?.value.as_deref()
    }

    /// The members of an operation's input.
    pub fn members(&self, model: &ServiceModel, place: &Place) -> Value {
        Reader { model }.structure(model.at(place), &self.root)
    }
}

/// Undoes percent-encoding; `None` where it is none.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.bytes();
    while let Some(byte) = left.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [left.next()?, left.next()?];
                let digit = |digit: u8| char::from(digit).to_digit(16);
                u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

struct Reader<'a> {
    model: &'a ServiceModel,
}

impl Reader<'_> {
    fn value(&self, place: &Place, node: &Node) -> Value {
        let shape = self.model.at(place);
        match (shape.kind, node.value.as_deref()) {
            // An empty list is written as an empty text.
            (Kind::Structure | Kind::List | Kind::Map, Some(text)) if !text.is_empty() => {
                Value::String(text.to_owned())
            }
            (Kind::Structure, _) => self.structure(shape, node),
            (Kind::List, _) => self.list(place, shape, node),
            (Kind::Map, _) => self.map(place, shape, node),
            (kind, Some(text)) => scalar(kind, text),
            (_, None) => Value::Object(Map::new()),
        }
    }

    fn structure(&self, shape: &Shape, node: &Node) -> Value {
        let mut members = Map::new();
        for (name, place) in &shape.members {
            let wire_name = self.wire_name(name, place);
            if let Some(below) = node.below.get(&*wire_name) {
                members.insert(name.clone(), self.value(place, below));
            }
        }
        Value::Object(members)
    }

    /// What a member is called in a form.
    fn wire_name<'a>(&'a self, name: &'a str, place: &'a Place) -> Cow<'a, str> {
        let location = place.location_name.as_deref();
        match (self.model.protocol, &place.query_name) {
            (Protocol::Ec2, Some(query_name)) => Cow::Borrowed(query_name.as_str()),
            (Protocol::Ec2, None) => location.map_or(Cow::Borrowed(name), capitalised),
            // A flattened list of the query protocol is named as its items are.
            _ => match self.item_name(place) {
                Some(item) if self.is_flattened(place) => Cow::Borrowed(item),
                _ => Cow::Borrowed(location.unwrap_or(name)),
            },
        }
    }

    fn is_flattened(&self, place: &Place) -> bool {
        place.flattened || self.model.at(place).flattened
    }

    fn item_name<'a>(&'a self, place: &'a Place) -> Option<&'a str> {
        self.model.at(place).member.as_ref()?.location_name.as_deref()
    }

    fn list(&self, place: &Place, shape: &Shape, node: &Node) -> Value {
        let Some(of) = &shape.member else { return Value::Array(Vec::new()) };
        let items = if self.model.protocol == Protocol::Ec2 || self.is_flattened(place) {
            Some(node)
        } else {
            node.below.get(of.location_name.as_deref().unwrap_or("member"))
        };
        items.into_iter().flat_map(numbered).map(|item| self.value(of, item)).collect()
    }

    fn map(&self, place: &Place, shape: &Shape, node: &Node) -> Value {
        let (Some(key), Some(value)) = (&shape.key, &shape.value) else { return Value::Object(Map::new()) };
        let entries = if self.is_flattened(place) { Some(node) } else { node.below.get("entry") };
        let key_name = key.location_name.as_deref().unwrap_or("key");
        let value_name = value.location_name.as_deref().unwrap_or("value");
        let entries = entries.into_iter().flat_map(numbered).filter_map(|entry| {
            let key = entry.below.get(key_name)?.value.clone()?;
            Some((key, self.value(value, entry.below.get(value_name)?)))
        });
        Value::Object(entries.collect())
    }
}

/// What stands at 1, 2, 3, ...: in the order of numbers, whatever is left out.
fn numbered(node: &Node) -> impl Iterator<Item = &Node> {
    let mut items: Vec<(u32, &Node)> =
        node.below.iter().filter_map(|(index, node)| Some((index.parse().ok()?, node))).collect();
    items.sort_by_key(|(index, _)| *index);
    items.into_iter().map(|(_, node)| node)
}

fn capitalised(name: &str) -> Cow<'_, str> {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) if first.is_lowercase() => Cow::Owned(first.to_uppercase().chain(letters).collect()),
        _ => Cow::Borrowed(name),
    }
}

/// A value by its kind; the text itself where it is none of it.
fn scalar(kind: Kind, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    match kind {
        Kind::Integer | Kind::Long => text.parse::<i64>().map_or_else(|_| as_text(), Value::from),
        Kind::Double | Kind::Float => {
            let number = text.parse::<f64>().ok().and_then(Number::from_f64);
            number.map_or_else(as_text, Value::Number)
        }
        Kind::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => as_text(),
        },
        Kind::Timestamp => match text.parse::<jiff::Timestamp>() {
            Ok(moment) => super::epoch_seconds(moment),
            Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64).map_or_else(as_text, Value::Number),
        },
        _ => as_text(),
    }
}

#[cfg(test)]
mod tests;
