//! The cluster query language: what `memberOf` asks of an instance.
//!
//! A query is text that people write, so that it is parsed once, with errors that point at their place (`parse`), kept as a
//! tree, and asked of one instance at a time (`evaluate`). Shown again it is the same query in its shortest form.
//! Nothing here knows a cluster: an instance comes as an [`InstanceView`].
//!
//! **Source:** ecs-semantics §4.4.

mod deciding;
mod evaluate;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use deciding::DecidingComparison;
pub use evaluate::InstanceView;
pub use parse::{LENGTH_MAX, QueryError};
pub use pattern::{Pattern, PatternError};
pub use values::{Moment, Version};

/// A parsed query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterQuery {
    /// Any of these. Two at least, none of them `Or`.
    Or(Vec<ClusterQuery>),
    /// All of these. Two at least, none of them `And`.
    And(Vec<ClusterQuery>),
    /// Not this.
    Not(Box<ClusterQuery>),
    /// One comparison.
    Comparison(Comparison),
}

/// What is asked of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `agentConnected`, which is `true` or `false`.
    AgentConnected(TextTest),
    /// `agentVersion`.
    AgentVersion(Relation, Version),
    /// `attribute:NAME`.
    Attribute {
        /// NAME.
        name: String,
        /// What is asked of its value.
        test: TextTest,
    },
    /// `ec2InstanceId`.
    Ec2InstanceId(TextTest),
    /// `registeredAt`.
    RegisteredAt(Relation, Moment),
    /// `runningTasksCount`.
    RunningTasksCount(Relation, u32),
    /// `task:group`: true when it is true of the group of any task there.
    TaskGroup(TextTest),
}

/// What is asked of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// `==`.
    Equals(String),
    /// `!=`.
    NotEquals(String),
    /// `in`. Never empty.
    In(Vec<String>),
    /// `!in`. Never empty.
    NotIn(Vec<String>),
    /// `=~`.
    Matches(Pattern),
    /// `!~`.
    NotMatches(Pattern),
    /// `exists`.
    Exists,
    /// `!exists`.
    NotExists,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
}

impl ClusterQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// The first mistake and its place.
    pub fn parse(text: &str) -> Result<ClusterQuery, QueryError> {
        parse::parse(text)
    }

    /// The parts that all have to be true, each by itself.
    pub fn terms(&self) -> &[ClusterQuery] {
        match self {
            ClusterQuery::And(terms) => terms,
            other => std::slice::from_ref(other),
        }
    }

    /// Whether the answer for an instance may change with the tasks on it.
    pub fn depends_on_tasks(&self) -> bool {
        self.any(&|comparison| matches!(comparison, Comparison::RunningTasksCount(..) | Comparison::TaskGroup(_)))
    }

    /// Whether it asks for an attribute.
    pub fn names_attribute(&self, wanted: &str) -> bool {
        self.any(&|comparison| matches!(comparison, Comparison::Attribute { name, .. } if name == wanted))
    }

    fn any(&self, is_wanted: &impl Fn(&Comparison) -> bool) -> bool {
        match self {
            ClusterQuery::Or(parts) | ClusterQuery::And(parts) => parts.iter().any(|part| part.any(is_wanted)),
            ClusterQuery::Not(part) => part.any(is_wanted),
            ClusterQuery::Comparison(comparison) => is_wanted(comparison),
        }
    }
}

impl Serialize for ClusterQuery {
    /// The query as it is shown.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClusterQuery {
    /// A query as it is shown, which can be longer than what people may write.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ClusterQuery, D::Error> {
        parse::parse_of_any_length(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl fmt::Display for ClusterQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterQuery::Or(parts) => list(f, parts, " or ", |_| false),
            ClusterQuery::And(parts) => list(f, parts, " and ", |part| matches!(part, ClusterQuery::Or(_))),
            ClusterQuery::Not(part) => match &**part {
                ClusterQuery::Or(_) | ClusterQuery::And(_) => write!(f, "not({part})"),
                ClusterQuery::Not(_) | ClusterQuery::Comparison(_) => write!(f, "not {part}"),
            },
            ClusterQuery::Comparison(comparison) => write!(f, "{comparison}"),
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    parts: &[ClusterQuery],
    between: &str,
    needs_parentheses: impl Fn(&ClusterQuery) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        if needs_parentheses(part) {
            write!(f, "({part})")?;
        } else {
            write!(f, "{part}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Comparison::AgentConnected(test) => write!(f, "agentConnected {test}"),
            Comparison::AgentVersion(relation, version) => write!(f, "agentVersion {relation} {version}"),
            Comparison::Attribute { name, test } => write!(f, "attribute:{name} {test}"),
            Comparison::Ec2InstanceId(test) => write!(f, "ec2InstanceId {test}"),
            Comparison::RegisteredAt(relation, moment) => write!(f, "registeredAt {relation} {moment}"),
            Comparison::RunningTasksCount(relation, count) => write!(f, "runningTasksCount {relation} {count}"),
            Comparison::TaskGroup(test) => write!(f, "task:group {test}"),
        }
    }
}

impl fmt::Display for TextTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, operator: &str, values: &[String]| {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            write!(f, "{operator} [{}]", values.join(", "))
        };
        match self {
            TextTest::Equals(value) => write!(f, "== {}", quoted(value)),
            TextTest::NotEquals(value) => write!(f, "!= {}", quoted(value)),
            TextTest::In(values) => list(f, "in", values),
            TextTest::NotIn(values) => list(f, "!in", values),
            TextTest::Matches(pattern) => write!(f, "=~ {}", quoted(pattern.as_str())),
            TextTest::NotMatches(pattern) => write!(f, "!~ {}", quoted(pattern.as_str())),
            TextTest::Exists => f.write_str("exists"),
            TextTest::NotExists => f.write_str("!exists"),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Equal => "==",
            Relation::NotEqual => "!=",
            Relation::Greater => ">",
            Relation::GreaterOrEqual => ">=",
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
        })
    }
}

/// A value as it can be written: as it is where nothing in it means something else, in quotes otherwise. A value that was
/// parsed never has both kinds of quotes in it.
fn quoted(value: &str) -> String {
    if !value.is_empty() && value.chars().all(parse::may_stand_bare) {
        value.to_owned()
    } else if value.contains('\'') {
        format!("\"{value}\"")
    } else {
        format!("'{value}'")
    }
}
