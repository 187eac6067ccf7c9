//! Maps of text: tags, environments, attributes. Each is a TOML table, or ECS' own list of pairs where ECS has one.

use std::collections::BTreeMap;

use super::keys::{KEY_VALUE, NAME_VALUE, TableKeys};
use super::reader::{Table, Value, quoted};

/// A pair on its way into a map, with the places to complain at.
enum Pair<'a> {
    Entry(super::reader::Entry<'a>),
    Item { key: Value<'a>, name: &'a str, value: Value<'a> },
}

impl<'a> Pair<'a> {
    fn key(&self) -> &'a str {
        match self {
            Pair::Entry(entry) => entry.key,
            Pair::Item { name, .. } => name,
        }
    }

    fn reject_key(&self, message: String) {
        match self {
            Pair::Entry(entry) => entry.reject_key(message),
            Pair::Item { key, .. } => key.reject(message),
        }
    }

    fn value(&self) -> &Value<'a> {
        match self {
            Pair::Entry(entry) => &entry.value,
            Pair::Item { value, .. } => value,
        }
    }
}

/// What the entries of a map must be like.
#[derive(Clone, Copy)]
struct MapRules {
    /// How many there may be.
    most: usize,
    /// What is wrong with a key; `None`: nothing.
    key: fn(&str) -> Option<String>,
    /// What is wrong with a value; `None`: nothing.
    value: fn(&str) -> Option<String>,
}

/// Tags: `{ team = "web" }` or `[{ key = "team", value = "web" }]`.
///
/// Up to 50; keys of 1 to 128 and values of up to 256 letters, digits, spaces and `_.:/=+-@`; keys that begin with `aws:` are
/// AWS' own. **Source:** ecs-semantics §1.3.
pub(super) fn read_tags(table: &Table<'_>) -> BTreeMap<String, String> {
    const RULES: MapRules = MapRules {
        most: 50,
        key: |key| {
            if key.to_ascii_lowercase().starts_with("aws:") {
                return Some(format!("tag key {} begins with aws:, which is reserved", quoted(key)));
            }
            let is_valid = (1..=128).contains(&key.chars().count()) && key.chars().all(is_tag_letter);
            (!is_valid).then(|| {
                format!("tag key {} is not valid: 1 to 128 letters, digits, spaces and _ . : / = + - @", quoted(key))
            })
        },
        value: |value| {
            let is_valid = value.chars().count() <= 256 && value.chars().all(is_tag_letter);
            (!is_valid).then(|| {
                format!(
                    "tag value {} is not valid: up to 256 letters, digits, spaces and _ . : / = + - @",
                    quoted(value)
                )
            })
        },
    };
    read_map(table, "tags", Some((&KEY_VALUE, "key")), RULES)
}

/// An environment: `{ LEVEL = "debug" }` or `[{ name = "LEVEL", value = "debug" }]`. **Source:** ecs-semantics §1.5.
pub(super) fn read_environment(table: &Table<'_>) -> BTreeMap<String, String> {
    const RULES: MapRules = MapRules {
        most: usize::MAX,
        key: |key| {
            // WASI passes `KEY=VALUE` with a zero byte at the end.
            let is_valid = !key.is_empty() && !key.contains(['=', '\0']);
            (!is_valid).then(|| format!("{} cannot name a variable: not empty, and no = in it", quoted(key)))
        },
        value: |value| value.contains('\0').then(|| "a variable cannot hold a zero byte".to_owned()),
    };
    read_map(table, "environment", Some((&NAME_VALUE, "name")), RULES)
}

/// Custom attributes of a container instance. **Source:** ecs-semantics §1.3, §1.7, §3.5.
pub(super) fn read_attributes(table: &Table<'_>) -> BTreeMap<String, String> {
    const RULES: MapRules = MapRules {
        most: 10,
        key: |key| {
            if key.starts_with("ecs.") || key.starts_with("com.amazonaws.") {
                return Some(format!("attribute {} is one that ECS sets itself", quoted(key)));
            }
            let is_valid = (1..=128).contains(&key.len())
                && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_/\\.".contains(letter));
            (!is_valid)
                .then(|| format!("attribute {} is not valid: 1 to 128 letters, digits and - _ / \\ .", quoted(key)))
        },
        value: |value| {
            let is_valid = (1..=128).contains(&value.len())
                && value.trim() == value
                && value.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_/\\.@: ".contains(letter));
            (!is_valid).then(|| {
                format!(
                    "attribute value {} is not valid: 1 to 128 letters, digits, spaces inside and - _ / \\ . @ :",
                    quoted(value)
                )
            })
        },
    };
    read_map(table, "attributes", None, RULES)
}

fn is_tag_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter.is_whitespace() || "_.:/=+-@".contains(letter)
}

/// Reads a map in either form; `list_form` has the keys of ECS' form and which of them is the map's key.
fn read_map(
    table: &Table<'_>,
    key: &'static str,
    list_form: Option<(&'static TableKeys, &'static str)>,
    rules: MapRules,
) -> BTreeMap<String, String> {
    let Some(value) = table.get(key) else { return BTreeMap::new() };
    let pairs: Vec<Pair<'_>> = match list_form {
        Some((keys, name)) if value.is_list() => {
            value.tables(keys).iter().filter_map(|item| pair(item, name)).collect()
        }
        _ => value.entries().into_iter().map(Pair::Entry).collect(),
    };
    if pairs.len() > rules.most {
        value.reject(format!("{} are too many: at most {}", pairs.len(), rules.most));
    }
    let mut map = BTreeMap::new();
    for pair in pairs {
        if let Some(message) = (rules.key)(pair.key()) {
            pair.reject_key(message);
        }
        let Some(text) = pair.value().string() else { continue };
        if let Some(message) = (rules.value)(text) {
            pair.value().reject(message);
        }
        if map.insert(pair.key().to_owned(), text.to_owned()).is_some() {
            pair.reject_key(format!("{} is given twice", quoted(pair.key())));
        }
    }
    map
}

fn pair<'a>(item: &Table<'a>, name: &'static str) -> Option<Pair<'a>> {
    let key = item.need(name);
    let value = item.need("value");
    let Some(name) = key.as_ref().and_then(Value::string) else {
        // Without a key the pair is lost, but its value is looked at all the same.
        value.as_ref().and_then(Value::string);
        return None;
    };
    Some(Pair::Item { key: key?, name, value: value? })
}
