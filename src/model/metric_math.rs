//! Metric math: a number from the datapoints of other metrics, as CloudWatch's expressions make it.
//!
//! Numbers, the names of other metrics and expressions, `+ - * /`, parentheses, `MIN MAX SUM AVG` over a list, and `FILL` for what is
//! missing. What needs a missing datapoint is missing itself, and so is a division by zero. Arithmetic is in integers, billionths of
//! the unit, so that the same data decides the same on every host.
//!
//! **Source:** ecs-semantics §7.2; CloudWatch, "Using metric math". *Ours:* of its functions these.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alarm::{MetricId, Statistic};

/// Billionths in a whole.
const ONE: i128 = 1_000_000_000;
/// Billionths in a thousandth, in which metrics are kept.
const THOUSANDTH: i128 = ONE / 1000;
/// How deep parentheses may be nested. *Ours.*
const DEPTH_MAX: u32 = 32;
/// Queries of one policy at most. *Ours.*
pub const QUERIES_MAX: usize = 20;

/// The queries of a policy, each after those that it needs; one of them is the result.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetricMath {
    queries: Vec<(Arc<str>, Query)>,
    result: Arc<str>,
}

/// What a query yields. **Source:** the shape TargetTrackingMetricDataQuery.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Query {
    /// A metric's statistic.
    Metric {
        /// The metric.
        metric: MetricId,
        /// What is made of a period's samples.
        statistic: Statistic,
    },
    /// The value of an expression.
    Expression(Expression),
}

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expression {
    /// A number in billionths.
    Number(i128),
    /// Another query by its id.
    Id(Arc<str>),
    /// Two values together.
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// What a function makes of values.
    Call(Function, Vec<Expression>),
}

/// What is done with two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// What is done with a list of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `MIN([a, b])`.
    Min,
    /// `MAX([a, b])`.
    Max,
    /// `SUM([a, b])`.
    Sum,
    /// `AVG([a, b])`.
    Avg,
    /// `FILL(a, b)`: `b` where `a` is missing.
    Fill,
}

/// What is wrong with queries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MathProblem {
    /// An expression that can't be read.
    #[error("expression \"{0}\" is not valid: {1}")]
    Syntax(String, &'static str),
    /// An id that is not one.
    #[error("id \"{0}\" is not valid: a lower-case letter, then letters, digits and _")]
    Id(String),
    /// Two queries of one id.
    #[error("id \"{0}\" is given twice")]
    Twice(String),
    /// An expression that needs what is not there.
    #[error("\"{0}\" needs \"{1}\", which no query has as its id")]
    Unknown(String, String),
    /// Expressions that need each other.
    #[error("\"{0}\" needs itself")]
    Cycle(String),
    /// No or more than one result.
    #[error("exactly one query must have return_data = true, and {0} have")]
    Results(usize),
    /// Too many queries, or none.
    #[error("there must be 1 to {QUERIES_MAX} queries")]
    Count,
}

impl MetricMath {
    /// Queries by their ids, with whether each is the result, in any order.
    ///
    /// # Errors
    /// The first rule that they break.
    pub fn new(queries: Vec<(Arc<str>, Query, ReturnData)>) -> Result<MetricMath, MathProblem> {
        if queries.is_empty() || queries.len() > QUERIES_MAX {
            return Err(MathProblem::Count);
        }
        let results: Vec<&Arc<str>> =
            queries.iter().filter(|(.., data)| *data == ReturnData::Yes).map(|(id, ..)| id).collect();
        let [result] = results[..] else { return Err(MathProblem::Results(results.len())) };
        let result = result.clone();
        let mut waiting: BTreeMap<Arc<str>, Query> = BTreeMap::new();
        for (id, query, _) in queries {
            let mut letters = id.chars();
            let is_id = letters.next().is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if !is_id {
                return Err(MathProblem::Id(id.to_string()));
            }
            if waiting.insert(id.clone(), query).is_some() {
                return Err(MathProblem::Twice(id.to_string()));
            }
        }
        let needs: BTreeMap<Arc<str>, Vec<Arc<str>>> =
            waiting.iter().map(|(id, query)| (id.clone(), query.needs())).collect();
        for (id, needed) in &needs {
            if let Some(unknown) = needed.iter().find(|needed| !needs.contains_key(*needed)) {
                return Err(MathProblem::Unknown(id.to_string(), unknown.to_string()));
            }
        }
        let mut queries: Vec<(Arc<str>, Query)> = Vec::new();
        while !waiting.is_empty() {
            let is_ready = |id: &Arc<str>| needs[id].iter().all(|needed| queries.iter().any(|(id, _)| id == needed));
            let Some(id) = waiting.keys().find(|id| is_ready(id)).cloned() else {
                let (id, _) = waiting.first_key_value().expect("some are left");
                return Err(MathProblem::Cycle(id.to_string()));
            };
            let query = waiting.remove(&id).expect("it was found there");
            queries.push((id, query));
        }
        Ok(MetricMath { queries, result })
    }

    /// The id of the result.
    pub fn result(&self) -> &Arc<str> {
        &self.result
    }

    /// The result for a period, in thousandths rounded down; `read` yields a metric's statistic of that period in thousandths.
    pub fn value(&self, read: impl Fn(&MetricId, Statistic) -> Option<i64>) -> Option<i64> {
        let mut values: BTreeMap<&str, Option<i128>> = BTreeMap::new();
        for (id, query) in &self.queries {
            let value = match query {
                Query::Metric { metric, statistic } => {
                    read(metric, *statistic).map(|value| i128::from(value) * THOUSANDTH)
                }
                Query::Expression(expression) => expression.value(&values),
            };
            values.insert(id, value);
        }
        let result = (*values.get(&*self.result)?)?;
        i64::try_from(result.div_euclid(THOUSANDTH)).ok()
    }
}

/// Whether a query is the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnData {
    /// It is.
    Yes,
    /// It is there for others.
    No,
}

impl Query {
    fn needs(&self) -> Vec<Arc<str>> {
        let mut found = Vec::new();
        if let Query::Expression(expression) = self {
            expression.collect_ids(&mut found);
        }
        found
    }
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Expression, MathProblem> {
        let mut parser = Parser { rest: text, depth: 0 };
        let parsed = parser
            .sum()
            .and_then(|found| if parser.next().is_some() { Err("something follows its end") } else { Ok(found) });
        parsed.map_err(|problem| MathProblem::Syntax(text.to_owned(), problem))
    }

    fn collect_ids(&self, found: &mut Vec<Arc<str>>) {
        match self {
            Expression::Number(_) => {}
            Expression::Id(id) => found.push(id.clone()),
            Expression::Binary(_, left, right) => {
                left.collect_ids(found);
                right.collect_ids(found);
            }
            Expression::Call(_, values) => values.iter().for_each(|value| value.collect_ids(found)),
        }
    }

    fn value(&self, known: &BTreeMap<&str, Option<i128>>) -> Option<i128> {
        match self {
            Expression::Number(number) => Some(*number),
            Expression::Id(id) => *known.get(&**id)?,
            Expression::Binary(operator, left, right) => {
                let (left, right) = (left.value(known)?, right.value(known)?);
                match operator {
                    Operator::Add => left.checked_add(right),
                    Operator::Subtract => left.checked_sub(right),
                    Operator::Multiply => Some(left.checked_mul(right)?.div_euclid(ONE)),
                    Operator::Divide => left.checked_mul(ONE)?.checked_div_euclid(right),
                }
            }
            Expression::Call(Function::Fill, values) => values[0].value(known).or_else(|| values[1].value(known)),
            Expression::Call(function, values) => {
                let values: Vec<i128> = values.iter().filter_map(|value| value.value(known)).collect();
                let sum = || values.iter().try_fold(0_i128, |sum, value| sum.checked_add(*value));
                match function {
                    _ if values.is_empty() => None,
                    Function::Min => values.iter().min().copied(),
                    Function::Max => values.iter().max().copied(),
                    Function::Sum => sum(),
                    Function::Avg | Function::Fill => {
                        Some(sum()?.div_euclid(i128::try_from(values.len()).unwrap_or(i128::MAX)))
                    }
                }
            }
        }
    }
}

/// What is left of a text.
struct Parser<'a> {
    rest: &'a str,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, sign: char) -> bool {
        let found = self.next() == Some(sign);
        if found {
            self.rest = &self.rest[sign.len_utf8()..];
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|letter| !wanted(letter)).unwrap_or(self.rest.len());
        let (found, rest) = self.rest.split_at(end);
        self.rest = rest;
        found
    }

    fn sum(&mut self) -> Result<Expression, &'static str> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("it is nested too deep");
        }
        let mut left = self.product()?;
        loop {
            let operator = if self.take('+') {
                Operator::Add
            } else if self.take('-') {
                Operator::Subtract
            } else {
                self.depth -= 1;
                return Ok(left);
            };
            left = Expression::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expression, &'static str> {
        let mut left = self.factor()?;
        loop {
            let operator = if self.take('*') {
                Operator::Multiply
            } else if self.take('/') {
                Operator::Divide
            } else {
                return Ok(left);
            };
            left = Expression::Binary(operator, Box::new(left), Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Expression, &'static str> {
        match self.next() {
            None => Err("a value is missing"),
            Some('(') => {
                self.take('(');
                let inner = self.sum()?;
                if self.take(')') { Ok(inner) } else { Err("a ) is missing") }
            }
            Some('-') => {
                self.take('-');
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err("it is nested too deep");
                }
                let value = self.factor()?;
                self.depth -= 1;
                Ok(Expression::Binary(Operator::Subtract, Box::new(Expression::Number(0)), Box::new(value)))
            }
            Some(first) if first.is_ascii_digit() || first == '.' => self.number(),
            Some(first) if first.is_ascii_alphabetic() => self.word(),
            Some(_) => Err("a sign in it has no meaning here"),
        }
    }

    fn number(&mut self) -> Result<Expression, &'static str> {
        let text = self.take_while(|letter| letter.is_ascii_digit() || letter == '.');
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.contains('.') || fraction.len() > 9 || whole.len() > 18 || (whole.len() + fraction.len()) == 0 {
            return Err("a number in it is none: up to 18 digits, and 9 after the point");
        }
        let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| "a number in it is none")?;
        let missing = u32::try_from(9 - fraction.len()).expect("there are no more than nine");
        Ok(Expression::Number(digits * 10_i128.pow(missing)))
    }

    fn word(&mut self) -> Result<Expression, &'static str> {
        let word = self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        let function = match word {
            "MIN" => Function::Min,
            "MAX" => Function::Max,
            "SUM" => Function::Sum,
            "AVG" => Function::Avg,
            "FILL" => Function::Fill,
            _ if word.starts_with(|first: char| first.is_ascii_lowercase()) => return Ok(Expression::Id(word.into())),
            _ => return Err("of functions there are MIN, MAX, SUM, AVG and FILL"),
        };
        if !self.take('(') {
            return Err("a ( is missing behind a function");
        }
        let in_brackets = self.take('[');
        let mut values = vec![self.sum()?];
        while self.take(',') {
            values.push(self.sum()?);
        }
        if in_brackets != (function != Function::Fill) || (in_brackets && !self.take(']')) {
            return Err("MIN, MAX, SUM and AVG take a list in brackets, and FILL does not");
        }
        if !self.take(')') {
            return Err("a ) is missing");
        }
        if function == Function::Fill && values.len() != 2 {
            return Err("FILL takes what may be missing and what stands in for it");
        }
        Ok(Expression::Call(function, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(id: &str) -> (Arc<str>, Query, ReturnData) {
        let query = Query::Metric { metric: MetricId::new("Shop", id, &[]), statistic: Statistic::Average };
        (id.into(), query, ReturnData::No)
    }

    fn result(text: &str) -> Result<(Arc<str>, Query, ReturnData), MathProblem> {
        Ok(("e1".into(), Query::Expression(Expression::parse(text)?), ReturnData::Yes))
    }

    /// An expression over m1 = 10, m2 = 4, m3 = 0 and m4, which is missing.
    fn value(text: &str) -> Option<i64> {
        let queries = vec![result(text).unwrap(), metric("m1"), metric("m2"), metric("m3"), metric("m4")];
        MetricMath::new(queries).unwrap().value(|metric, _| match &*metric.name {
            "m1" => Some(10_000),
            "m2" => Some(4_000),
            "m3" => Some(0),
            _ => None,
        })
    }

    /// Signs bind as they do in arithmetic, nothing is lost between steps, and what is missing or has no value is missing.
    #[test]
    fn expressions_have_values() {
        let cases = [
            ("m1 + m2 * 2", Some(18_000)),
            ("(m1 + m2) * 2", Some(28_000)),
            ("m1 - m2 - 1", Some(5_000)),
            ("m1 / m2", Some(2_500)),
            ("1 / 3 * 100", Some(33_333)),
            ("-m2 + .5", Some(-3_500)),
            ("m1 / m3", None),
            ("m1 + m4", None),
            ("FILL(m4, 7) + 1", Some(8_000)),
            ("FILL(m1, 7)", Some(10_000)),
            ("SUM([m1, m2, m4])", Some(14_000)),
            ("AVG([m1, m2])", Some(7_000)),
            ("MAX([m1, m2]) / MIN([m1, m2])", Some(2_500)),
            ("MIN([m4])", None),
            ("999999999999999999 * 999999999999999999 * 999999999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    /// What is no expression is told why.
    #[test]
    fn mistakes_are_told() {
        let cases =
            ["", "m1 +", "(m1", "m1 m2", "m1 % 2", "RATE(m1)", "MIN(m1, m2)", "FILL([m1, 1])", "FILL(m1)", "1.2.3"];
        for text in cases {
            assert!(matches!(Expression::parse(text), Err(MathProblem::Syntax(..))), "{text}");
        }
        let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(Expression::parse(&deep).is_err());
        assert!(Expression::parse(&"-".repeat(10_000)).is_err());
    }

    /// The rules of queries together.
    #[test]
    fn queries_need_each_other_in_order() {
        let problem = |queries| MetricMath::new(queries).unwrap_err().to_string();
        let expression = |id: &str, text: &str| {
            let query = Query::Expression(Expression::parse(text).unwrap());
            (Arc::<str>::from(id), query, ReturnData::No)
        };
        let e1 = || result("m1 + e2").unwrap();
        assert_eq!(problem(vec![e1(), metric("m1")]), "\"e1\" needs \"e2\", which no query has as its id");
        assert_eq!(problem(vec![e1(), metric("m1"), expression("e2", "e1")]), "\"e1\" needs itself");
        assert_eq!(problem(vec![metric("m1")]), "exactly one query must have return_data = true, and 0 have");
        assert_eq!(problem(vec![e1(), metric("m1"), metric("m1"), metric("e2")]), "id \"m1\" is given twice");
        assert_eq!(
            problem(vec![e1(), metric("M1"), metric("e2")]),
            "id \"M1\" is not valid: a lower-case letter, then letters, digits and _"
        );
        assert_eq!(problem(Vec::new()), "there must be 1 to 20 queries");
    }
}
