//! Pages of long answers.
//!
//! **Source:** ecs-semantics §11.3.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::members::Members;

/// What stands before the key in a token: tokens of other lists, and made-up ones, are told apart by it.
const MARK: &str = "after:";

/// How long the pages of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSizes {
    /// Where the request does not say.
    pub default: usize,
    /// What a request may ask for at most.
    pub most: usize,
}

/// What most lists have.
pub const LONG_PAGES: PageSizes = PageSizes { default: 100, most: 100 };
/// Those that begin with ten.
pub const SHORT_PAGES: PageSizes = PageSizes { default: 10, most: 100 };

/// What the members of a service's pages are called, and what it says of wrong ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageForm {
    /// The member that says how long a page is to be.
    pub limit: &'static str,
    /// The member of a request that says where a page begins.
    pub token: &'static str,
    /// The member of an answer that says where the next one does.
    pub next_token: &'static str,
    /// The exception of a limit that is out of range.
    pub wrong_limit: &'static str,
    /// The exception of a token that was never given out.
    pub wrong_token: &'static str,
}

/// ECS'.
const ECS_PAGES: PageForm = PageForm {
    limit: "maxResults",
    token: "nextToken",
    next_token: "nextToken",
    wrong_limit: "InvalidParameterException",
    wrong_token: "InvalidParameterException",
};

/// One page of a list of ECS, see [`page_of`].
///
/// # Errors
/// When `maxResults` is out of range or `nextToken` was never given out.
pub fn page<T>(
    input: Members<'_>,
    sizes: PageSizes,
    name: &str,
    items: impl IntoIterator<Item = (String, T)>,
    show: impl Fn(T) -> Value,
) -> Result<Map<String, Value>, ApiError> {
    page_of(ECS_PAGES, input, sizes, name, items, show)
}

/// One page of a list, which is put under `name`, with `nextToken` if there is more. Items come with their keys in ascending order of
/// these, by which a token finds its place also when items came and went meanwhile.
///
/// # Errors
/// When the limit is out of range or the token was never given out.
pub fn page_of<T>(
    form: PageForm,
    input: Members<'_>,
    sizes: PageSizes,
    name: &str,
    items: impl IntoIterator<Item = (String, T)>,
    show: impl Fn(T) -> Value,
) -> Result<Map<String, Value>, ApiError> {
    let size = match input.integer(form.limit) {
        None => sizes.default,
        Some(wanted) => {
            usize::try_from(wanted).ok().filter(|wanted| (1..=sizes.most).contains(wanted)).ok_or_else(|| {
                let message = format!("{} must be between 1 and {}", form.limit, sizes.most);
                ApiError::new(form.wrong_limit, message)
            })?
        }
    };
    let wrong_token = || ApiError::new(form.wrong_token, "Invalid token");
    let after = input.text(form.token).map(|token| read_token(token).ok_or_else(wrong_token)).transpose()?;
    let mut left = items.into_iter().skip_while(|(key, _)| after.as_ref().is_some_and(|after| key <= after));
    let mut shown = Vec::new();
    let mut last = String::new();
    for (key, item) in left.by_ref().take(size) {
        shown.push(show(item));
        last = key;
    }
    let mut answer = Map::new();
    answer.insert(name.to_owned(), Value::Array(shown));
    if left.next().is_some() {
        answer.insert(form.next_token.to_owned(), json!(token(&last)));
    }
    Ok(answer)
}

fn token(key: &str) -> String {
    format!("{MARK}{key}").bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn read_token(token: &str) -> Option<String> {
    let digits = token.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let text = digits.collect::<Option<Vec<u8>>>().and_then(|bytes| String::from_utf8(bytes).ok());
    text?.strip_prefix(MARK).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(answer: &Map<String, Value>) -> Vec<&str> {
        answer["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Pages follow each other without gaps, the last has no token, and what was never given out is refused.
    #[test]
    fn pages_follow_each_other() {
        let items = || (0..25).map(|n| (format!("{n:02}"), format!("item {n}")));
        let mut input = Map::new();
        let mut seen = Vec::new();
        loop {
            let answer = page(Members(&input), SHORT_PAGES, "names", items(), Value::String).expect("it is in order");
            seen.extend(names(&answer).into_iter().map(str::to_owned));
            match answer.get("nextToken") {
                Some(token) => input.insert("nextToken".into(), token.clone()),
                None => break,
            };
        }
        assert_eq!(seen.len(), 25);
        for (member, value) in [("nextToken", json!("made up")), ("maxResults", json!(0)), ("maxResults", json!(101))] {
            let input = Map::from_iter([(member.to_owned(), value)]);
            assert!(page(Members(&input), SHORT_PAGES, "names", items(), Value::String).is_err());
        }
    }
}
