//! Members of an accepted request.
//!
//! The model has been enforced by then ([`super::accept`]): a member that is there has its type, and one that is required is there. Asking
//! for a member as what it is not finds nothing.

use serde_json::{Map, Value};

/// The members of a structure in an accepted request.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a>(pub &'a Map<String, Value>);

impl<'a> Members<'a> {
    /// A member as it was sent.
    pub fn value(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// Whether a member was sent.
    pub fn has(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text.
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    /// A text that the model requires; empty where it does not.
    pub fn required_text(self, name: &str) -> &'a str {
        self.text(name).unwrap_or_default()
    }

    /// A number.
    pub fn integer(self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    /// A number that is not negative. Others are as if they had not been sent: check them before, where that matters.
    pub fn count(self, name: &str) -> Option<u32> {
        u32::try_from(self.integer(name)?).ok()
    }

    /// True or false.
    pub fn flag(self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// A structure.
    pub fn structure(self, name: &str) -> Option<Members<'a>> {
        self.0.get(name)?.as_object().map(Members)
    }

    /// The items of a list; none where it was not sent.
    pub fn list(self, name: &str) -> &'a [Value] {
        self.0.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The texts of a list.
    pub fn texts(self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.list(name).iter().filter_map(Value::as_str)
    }

    /// The structures of a list.
    pub fn structures(self, name: &str) -> impl Iterator<Item = Members<'a>> + use<'a> {
        self.list(name).iter().filter_map(Value::as_object).map(Members)
    }

    /// Whether `include` asks for something.
    pub fn includes(self, what: &str) -> bool {
        self.texts("include").any(|asked| asked == what)
    }

    /// The members with these names, as they were sent: what is stored and given back.
    pub fn only(self, names: &[&str]) -> Map<String, Value> {
        let found = names.iter().filter_map(|name| Some(((*name).to_owned(), self.0.get(*name)?.clone())));
        found.collect()
    }

    /// The members but those with these names.
    pub fn without(self, names: &[&str]) -> Map<String, Value> {
        let kept = self.0.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}
