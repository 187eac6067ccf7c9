//! How a value stands in a CSV file, for whatever writes one.

use std::borrow::Cow;

/// A cell: in quotes where it has what would end it. **Source:** RFC 4180, section 2.
pub fn cell(text: &str) -> Cow<'_, str> {
    match text.contains(['"', ',', '\n', '\r']) {
        true => Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))),
        false => Cow::Borrowed(text),
    }
}
