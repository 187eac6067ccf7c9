//! How the vocabulary is written down where a derive would not do: calendar time, things that have a name, what goes without saying.
//!
//! A journal is what it is written for. A field that is not there when it is read has its default; one that is not known is an error,
//! so that nothing that was written is passed over.

use std::fmt::Display;

use serde::Serializer;

/// Whether a value goes without saying.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Writes the name of something that is known by it, and not what it is.
pub(crate) fn by_name<S: Serializer>(named: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(named)
}

/// A moment of calendar time, as [`calendar_time`] writes one that may be absent.
pub(crate) mod calendar_moment {
    use serde::de::Error as _;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &jiff::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        super::calendar_time::serialize(&Some(*time), serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<jiff::Timestamp, D::Error> {
        super::calendar_time::deserialize(deserializer)?.ok_or_else(|| D::Error::custom("there is no time"))
    }
}

/// Calendar time as ISO 8601 in UTC, to the nanosecond.
pub(crate) mod calendar_time {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    type Time = Option<jiff::Timestamp>;

    pub(crate) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
