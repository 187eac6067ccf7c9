//! From text to a query, or to the first mistake in it and what was expected there.
//!
//! Precedence: `not`, then `and`, then `or`. A value in quotes is taken as it stands; one without ends at a space, a bracket, a
//! comma, a quote or anything that could be an operator.
//!
//! **Source:** ecs-semantics §4.4.

use std::ops::Range;

use super::{ClusterQuery, Comparison, Moment, Pattern, Relation, TextTest, Version};
use crate::model::suggest::nearest;

/// The most characters of a query. **Source:** ecs-semantics §1.3.
pub const LENGTH_MAX: usize = 2000;
/// The most parentheses and negations within one another. *Ours:* ECS states none.
const DEPTH_MAX: u32 = 100;

/// A mistake in a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// Where, in bytes of the query; empty at its end.
    pub span: Range<usize>,
    /// What was expected and what is there.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub help: Option<String>,
}

/// Whether a letter may be in a value without quotes.
pub(super) fn may_stand_bare(letter: char) -> bool {
    !letter.is_whitespace() && !"()[],'\"=!<>~&|".contains(letter)
}

const SUBJECTS: [&str; 7] = [
    "agentConnected",
    "agentVersion",
    "attribute:NAME",
    "ec2InstanceId",
    "registeredAt",
    "runningTasksCount",
    "task:group",
];

#[derive(Clone, Debug)]
enum Subject {
    AgentConnected,
    AgentVersion,
    Attribute(String),
    Ec2InstanceId,
    RegisteredAt,
    RunningTasksCount,
    TaskGroup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Related(Relation),
    In,
    NotIn,
    Matches,
    NotMatches,
    Exists,
    NotExists,
}

/// Operators by symbol, a longer one before its beginning, with the word that means the same.
const OPERATORS: [(&str, &str, Operator); 12] = [
    ("==", "equals", Operator::Related(Relation::Equal)),
    ("!=", "not_equals", Operator::Related(Relation::NotEqual)),
    (">=", "greater_than_equal", Operator::Related(Relation::GreaterOrEqual)),
    ("<=", "less_than_equal", Operator::Related(Relation::LessOrEqual)),
    ("=~", "matches", Operator::Matches),
    ("!~", "not_matches", Operator::NotMatches),
    (">", "greater_than", Operator::Related(Relation::Greater)),
    ("<", "less_than", Operator::Related(Relation::Less)),
    ("!in", "not_in", Operator::NotIn),
    ("!exists", "not_exists", Operator::NotExists),
    ("in", "in", Operator::In),
    ("exists", "exists", Operator::Exists),
];

impl Operator {
    fn symbol(self) -> &'static str {
        let found = OPERATORS.iter().find(|(_, _, operator)| *operator == self);
        found.map_or("", |(symbol, _, _)| symbol)
    }
}

impl Subject {
    fn shown(&self) -> String {
        match self {
            Subject::AgentConnected => "agentConnected".to_owned(),
            Subject::AgentVersion => "agentVersion".to_owned(),
            Subject::Attribute(name) => format!("attribute:{name}"),
            Subject::Ec2InstanceId => "ec2InstanceId".to_owned(),
            Subject::RegisteredAt => "registeredAt".to_owned(),
            Subject::RunningTasksCount => "runningTasksCount".to_owned(),
            Subject::TaskGroup => "task:group".to_owned(),
        }
    }

    /// The operators that it can be compared with. **Source:** ecs-semantics §4.4.
    fn operators(&self) -> &'static [Operator] {
        const TEXT: [Operator; 8] = [
            Operator::Related(Relation::Equal),
            Operator::Related(Relation::NotEqual),
            Operator::In,
            Operator::NotIn,
            Operator::Matches,
            Operator::NotMatches,
            Operator::Exists,
            Operator::NotExists,
        ];
        const ORDER: [Operator; 6] = [
            Operator::Related(Relation::Equal),
            Operator::Related(Relation::NotEqual),
            Operator::Related(Relation::Greater),
            Operator::Related(Relation::GreaterOrEqual),
            Operator::Related(Relation::Less),
            Operator::Related(Relation::LessOrEqual),
        ];
        match self {
            Subject::Attribute(_) => &TEXT,
            Subject::AgentConnected | Subject::Ec2InstanceId | Subject::TaskGroup => &TEXT[..6],
            Subject::AgentVersion | Subject::RegisteredAt | Subject::RunningTasksCount => &ORDER,
        }
    }
}

pub(super) fn parse(text: &str) -> Result<ClusterQuery, QueryError> {
    let length = text.chars().count();
    if length > LENGTH_MAX {
        let message = format!("an expression of {length} characters is too long: at most {LENGTH_MAX}");
        return Err(QueryError { span: 0..text.len(), message, help: None });
    }
    parse_of_any_length(text)
}

pub(super) fn parse_of_any_length(text: &str) -> Result<ClusterQuery, QueryError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let query = parser.or()?;
    parser.skip_spaces();
    if parser.at < text.len() {
        let help = match parser.rest().as_bytes() {
            [b'&', ..] => Some("write `&&` or `and`".to_owned()),
            [b'|', ..] => Some("write `||` or `or`".to_owned()),
            _ => {
                let word = &text[parser.word_span()];
                nearest(word, ["and", "or"]).filter(|_| !word.is_empty()).map(did_you_mean)
            }
        };
        return Err(parser.unexpected("`and`, `or` or the end", help));
    }
    Ok(query)
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// `a`, `a or b`, `a, b or c`.
fn or_list(items: &[&str]) -> String {
    match items {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// The letters from here on that may be in a name or a value.
    fn word_span(&self) -> Range<usize> {
        let length = self.rest().find(|letter| !may_stand_bare(letter)).unwrap_or(self.rest().len());
        self.at..self.at + length
    }

    /// Takes `symbol`, or the word with nothing of a word behind it.
    fn take(&mut self, symbol: &str, word: &str) -> bool {
        self.skip_spaces();
        if self.rest().starts_with(symbol) {
            self.at += symbol.len();
            return true;
        }
        let span = self.word_span();
        let is_word = self.text[span.clone()] == *word;
        if is_word {
            self.at = span.end;
        }
        is_word
    }

    /// An error at what stands here: a word, a symbol or the end.
    fn unexpected(&self, expected: &str, help: Option<String>) -> QueryError {
        let mut span = self.word_span();
        if span.is_empty() {
            let is_symbol = |letter: &char| "=!<>~&|".contains(*letter);
            let symbols: usize = self.rest().chars().take_while(is_symbol).map(char::len_utf8).sum();
            let first = self.rest().chars().next().map_or(0, char::len_utf8);
            span.end = span.start + symbols.max(first);
        }
        let found = match &self.text[span.clone()] {
            "" => "the end".to_owned(),
            found => format!("`{found}`"),
        };
        QueryError { span, message: format!("expected {expected}, found {found}"), help }
    }

    fn or(&mut self) -> Result<ClusterQuery, QueryError> {
        let mut parts = Vec::new();
        loop {
            match self.and()? {
                ClusterQuery::Or(inner) => parts.extend(inner),
                part => parts.push(part),
            }
            if !self.take("||", "or") {
                break;
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { ClusterQuery::Or(parts) })
    }

    fn and(&mut self) -> Result<ClusterQuery, QueryError> {
        let mut parts = Vec::new();
        loop {
            match self.unary()? {
                ClusterQuery::And(inner) => parts.extend(inner),
                part => parts.push(part),
            }
            if !self.take("&&", "and") {
                break;
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { ClusterQuery::And(parts) })
    }

    fn unary(&mut self) -> Result<ClusterQuery, QueryError> {
        self.skip_spaces();
        let start = self.at;
        let is_negation = self.take("!", "not");
        if !is_negation && !self.rest().starts_with('(') {
            return self.comparison().map(ClusterQuery::Comparison);
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("parentheses and negations are nested too deeply: at most {DEPTH_MAX}");
            return Err(QueryError { span: start..self.at.max(start + 1), message, help: None });
        }
        let query = if is_negation {
            ClusterQuery::Not(Box::new(self.unary()?))
        } else {
            self.at += 1;
            let query = self.or()?;
            self.skip_spaces();
            if !self.rest().starts_with(')') {
                return Err(self.unexpected("`and`, `or` or `)`", None));
            }
            self.at += 1;
            query
        };
        self.depth -= 1;
        Ok(query)
    }

    fn comparison(&mut self) -> Result<Comparison, QueryError> {
        let subject = self.subject()?;
        let (operator, span) = self.operator(&subject)?;
        if !subject.operators().contains(&operator) {
            let valid: Vec<&str> = subject.operators().iter().map(|operator| operator.symbol()).collect();
            let message = format!(
                "`{}` cannot be used with {}: only {}",
                &self.text[span.clone()],
                subject.shown(),
                or_list(&valid)
            );
            return Err(QueryError { span, message, help: None });
        }
        Ok(match subject {
            Subject::AgentConnected => Comparison::AgentConnected(self.text_test(operator, &["true", "false"])?),
            Subject::Attribute(name) => Comparison::Attribute { name, test: self.text_test(operator, &[])? },
            Subject::Ec2InstanceId => Comparison::Ec2InstanceId(self.text_test(operator, &[])?),
            Subject::TaskGroup => Comparison::TaskGroup(self.text_test(operator, &[])?),
            Subject::AgentVersion => {
                let (relation, version) = self.related(operator, "a version, as in 1.14.5", Version::parse)?;
                Comparison::AgentVersion(relation, version)
            }
            Subject::RegisteredAt => {
                let expected = "a date, as in 2018-06-18 or 2018-06-18T22:28:28+00:00";
                let (relation, moment) = self.related(operator, expected, Moment::parse)?;
                Comparison::RegisteredAt(relation, moment)
            }
            Subject::RunningTasksCount => {
                let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
                let (relation, count) = self.related(operator, "a number of tasks", |text| number(text).flatten())?;
                Comparison::RunningTasksCount(relation, count)
            }
        })
    }

    fn subject(&mut self) -> Result<Subject, QueryError> {
        self.skip_spaces();
        let span = self.word_span();
        let word = &self.text[span.clone()];
        let subject = match word {
            "agentConnected" => Subject::AgentConnected,
            "agentVersion" => Subject::AgentVersion,
            "ec2InstanceId" => Subject::Ec2InstanceId,
            "registeredAt" => Subject::RegisteredAt,
            "runningTasksCount" => Subject::RunningTasksCount,
            "task:group" => Subject::TaskGroup,
            _ => match word.strip_prefix("attribute:") {
                Some(name) => {
                    let is_valid = (1..=128).contains(&name.len())
                        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_/\\.".contains(&byte));
                    if !is_valid {
                        let message = format!(
                            "`{word}` does not name an attribute: 1 to 128 letters, digits and - _ / \\ . after `attribute:`"
                        );
                        return Err(QueryError { span, message, help: None });
                    }
                    Subject::Attribute(name.to_owned())
                }
                None => return Err(self.no_subject(word)),
            },
        };
        self.at = span.end;
        Ok(subject)
    }

    fn no_subject(&self, word: &str) -> QueryError {
        let mistyped = word.split_once(':').filter(|(kind, _)| nearest(kind, ["attribute"]).is_some());
        if let Some((_, name)) = mistyped {
            return self.unexpected("a subject", Some(did_you_mean(&format!("attribute:{name}"))));
        }
        let near = nearest(word, SUBJECTS).filter(|_| !word.is_empty());
        let known = word.starts_with("ecs.").then(|| format!("did you mean `attribute:{word}`?"));
        let help = known.or_else(|| near.map(did_you_mean)).or_else(|| {
            let subjects: Vec<String> = SUBJECTS.iter().map(|subject| format!("`{subject}`")).collect();
            let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
            Some(format!("write {}", or_list(&subjects)))
        });
        self.unexpected("a subject", help)
    }

    fn operator(&mut self, subject: &Subject) -> Result<(Operator, Range<usize>), QueryError> {
        self.skip_spaces();
        let start = self.at;
        let word = self.word_span();
        for (symbol, name, operator) in OPERATORS {
            let is_symbol = self.rest().starts_with(symbol) && {
                // `!inside` is no operator.
                let behind = self.rest()[symbol.len()..].chars().next();
                !symbol.ends_with(char::is_alphabetic) || !behind.is_some_and(may_stand_bare)
            };
            if is_symbol {
                self.at += symbol.len();
                return Ok((operator, start..self.at));
            }
            if self.text[word.clone()] == *name {
                self.at = word.end;
                return Ok((operator, word));
            }
        }
        let written = &self.text[word];
        let help = if self.rest().starts_with('=') {
            Some(did_you_mean("=="))
        } else {
            let words = OPERATORS.iter().map(|(_, name, _)| *name);
            nearest(written, words).filter(|_| !written.is_empty()).map(did_you_mean)
        };
        Err(self.unexpected(&format!("an operator after {}", subject.shown()), help))
    }

    fn text_test(&mut self, operator: Operator, allowed: &[&str]) -> Result<TextTest, QueryError> {
        Ok(match operator {
            Operator::Exists => TextTest::Exists,
            Operator::NotExists => TextTest::NotExists,
            Operator::In => TextTest::In(self.values(allowed)?),
            Operator::NotIn => TextTest::NotIn(self.values(allowed)?),
            Operator::Matches => TextTest::Matches(self.pattern()?),
            Operator::NotMatches => TextTest::NotMatches(self.pattern()?),
            Operator::Related(Relation::NotEqual) => TextTest::NotEquals(self.one_of(allowed)?),
            Operator::Related(_) => TextTest::Equals(self.one_of(allowed)?),
        })
    }

    fn related<T>(
        &mut self,
        operator: Operator,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<(Relation, T), QueryError> {
        let (value, span) = self.value(expected)?;
        let Some(read) = read(&value) else {
            return Err(QueryError { span, message: format!("expected {expected}, found `{value}`"), help: None });
        };
        let relation = match operator {
            Operator::Related(relation) => relation,
            _ => Relation::Equal,
        };
        Ok((relation, read))
    }

    fn one_of(&mut self, allowed: &[&str]) -> Result<String, QueryError> {
        let expected = if allowed.is_empty() { "a value".to_owned() } else { or_list(allowed) };
        let (value, span) = self.value(&expected)?;
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            let help = nearest(&value, allowed.iter().copied()).map(did_you_mean);
            return Err(QueryError { span, message: format!("expected {expected}, found `{value}`"), help });
        }
        Ok(value)
    }

    fn values(&mut self, allowed: &[&str]) -> Result<Vec<String>, QueryError> {
        self.skip_spaces();
        if !self.rest().starts_with('[') {
            return Err(self.unexpected("a list, as in [a, b]", None));
        }
        self.at += 1;
        let mut values = Vec::new();
        loop {
            values.push(self.one_of(allowed)?);
            self.skip_spaces();
            match self.rest().as_bytes().first() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(values);
                }
                _ => return Err(self.unexpected("`,` or `]`", None)),
            }
        }
    }

    fn pattern(&mut self) -> Result<Pattern, QueryError> {
        let (value, span) = self.value("a regular expression")?;
        Pattern::parse(&value).map_err(|error| {
            let quote = usize::from(self.text[span.clone()].starts_with(['\'', '"']));
            let at = span.start + quote + error.at;
            let length = self.text[at..].chars().next().map_or(0, char::len_utf8);
            let message = format!("`{value}` is not a regular expression: {}", error.message);
            QueryError { span: at..at + length, message, help: None }
        })
    }

    /// A value and where it stands, its quotes included.
    fn value(&mut self, expected: &str) -> Result<(String, Range<usize>), QueryError> {
        self.skip_spaces();
        let start = self.at;
        if let Some(quote) = self.rest().chars().next().filter(|letter| ['\'', '"'].contains(letter)) {
            let Some(length) = self.rest()[1..].find(quote) else {
                let message = format!("the quote `{quote}` is not closed");
                return Err(QueryError { span: start..start + 1, message, help: None });
            };
            self.at += length + 2;
            return Ok((self.text[start + 1..self.at - 1].to_owned(), start..self.at));
        }
        let span = self.word_span();
        if span.is_empty() {
            let is_bracket = self.rest().starts_with(['(', '[']);
            let help = is_bracket.then(|| "write a value with brackets in it in quotes".to_owned());
            return Err(self.unexpected(expected, help));
        }
        self.at = span.end;
        Ok((self.text[span.clone()].to_owned(), span))
    }
}
