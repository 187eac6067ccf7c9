//! What a client says that has no meaning here: kept as it came and given back. The subnets of a network configuration alone are looked at
//! ([`super::subnet`]).

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A JSON object that is kept as it is: members of requests that change next to no decision, in an order of its own (that of their names).
/// Cheap to copy. Most of them are empty, and those take no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document(
    /// Never an empty map: there is one way to be empty.
    Option<Arc<Map<String, Value>>>,
);

impl Document {
    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is another's copy; of two that were written one by one nobody knows.
    pub fn is_copy_of(&self, other: &Document) -> bool {
        match (&self.0, &other.0) {
            (Some(this), Some(that)) => Arc::ptr_eq(this, that),
            (None, None) => true,
            _ => false,
        }
    }

    /// A member by its name.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }

    /// The same with a member more, or with another value of one.
    pub fn with(&self, name: &str, value: Value) -> Document {
        let mut members = self.0.as_deref().cloned().unwrap_or_default();
        members.insert(name.to_owned(), value);
        Document::from(members)
    }

    /// Its members, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().flat_map(|map| map.iter())
    }
}

impl From<Map<String, Value>> for Document {
    fn from(map: Map<String, Value>) -> Document {
        Document((!map.is_empty()).then(|| Arc::new(map)))
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.members())
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
        Map::deserialize(deserializer).map(Document::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> Document {
        serde_json::from_value(value).expect("it is an object")
    }

    /// What is written is what is read, whatever numbers it holds; and an empty object is no document.
    #[test]
    fn a_document_comes_back_as_it_was() {
        let given = json!({"b": [1, -2, 0.1, 1e300, 123456789.12345679], "a": {"": null, "deep": {"é": "\u{1f980}"}}, "c": false});
        let kept = document(given.clone());
        let text = serde_json::to_string(&kept).expect("it is plain data");
        let back: Document = serde_json::from_str(&text).expect("it is what was written");
        assert_eq!(back, kept);
        assert_eq!(serde_json::to_value(&back).expect("it is plain data"), given);
        assert_eq!(back.member("c"), Some(&json!(false)));
        assert!(!back.is_empty() && document(json!({})).is_empty());
        assert_eq!(document(json!({})), Document::default());
        assert!(serde_json::from_str::<Document>("[]").is_err());
    }
}
