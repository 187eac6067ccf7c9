//! The query language: what is true of an instance, what is said of mistakes, and that no text at all makes it stumble.

use std::sync::Arc;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::model::capacity::{InstanceLaunch, InstanceType};

fn launch() -> InstanceLaunch {
    InstanceLaunch {
        instance_type: Arc::new(InstanceType { name: "t2.small".to_owned(), ..InstanceType::default() }),
        availability_zone: "us-east-1a".into(),
        attributes: [("stack", "prod"), ("rack", "r 1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..InstanceLaunch::default()
    }
}

fn answer(text: &str) -> bool {
    let launch = launch();
    let view = InstanceView {
        launch: &launch,
        ec2_instance_id: "i-abcd1234",
        agent_connected: true,
        registered_at: Moment::parse("2018-06-18T22:28:28Z"),
        running_tasks_count: 3,
        task_groups: &["service:production", "family:sieve"],
    };
    ClusterQuery::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).is_true_of(&view)
}

#[track_caller]
fn check_true(texts: &[&str]) {
    for text in texts {
        assert!(answer(text), "{text}");
    }
}

#[track_caller]
fn check_false(texts: &[&str]) {
    for text in texts {
        assert!(!answer(text), "{text}");
    }
}

/// ecs-semantics §4.4: each operator in both of its forms, true and false.
#[test]
fn operators() {
    check_true(&[
        "attribute:stack == prod",
        "attribute:stack equals prod",
        "attribute:stack != test",
        "attribute:stack not_equals test",
        "attribute:stack in [test, prod]",
        "attribute:stack !in [test]",
        "attribute:stack not_in ['test', \"stage\"]",
        "attribute:ecs.instance-type =~ t2.*",
        "attribute:ecs.instance-type matches t2.*",
        "attribute:ecs.instance-type !~ m5.*",
        "attribute:ecs.instance-type not_matches m5.*",
        "attribute:stack exists",
        "attribute:gpu !exists",
        "attribute:gpu not_exists",
        "runningTasksCount > 2",
        "runningTasksCount greater_than 2",
        "runningTasksCount >= 3",
        "runningTasksCount greater_than_equal 3",
        "runningTasksCount < 4",
        "runningTasksCount less_than 4",
        "runningTasksCount <= 3",
        "runningTasksCount less_than_equal 3",
        "runningTasksCount==3",
        "attribute:stack==prod",
    ]);
    check_false(&[
        "attribute:stack == test",
        "attribute:stack != prod",
        "attribute:stack in [test]",
        "attribute:stack !in [prod]",
        "attribute:stack =~ pro",
        "attribute:stack !~ p.*",
        "attribute:gpu exists",
        "attribute:stack !exists",
        "runningTasksCount > 3",
        "runningTasksCount < 3",
        "runningTasksCount >= 4",
        "runningTasksCount <= 2",
        "runningTasksCount != 3",
    ]);
}

/// ecs-semantics §4.4: each subject.
#[test]
fn subjects() {
    check_true(&[
        "agentConnected == true",
        "agentConnected in [true, false]",
        "agentVersion >= 1.14.5",
        "agentVersion > 1.9",
        "ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']",
        "ec2InstanceId =~ i-.*",
        "registeredAt > 2018-06-18",
        "registeredAt == 2018-06-18T22:28:28+00:00",
        "registeredAt == 2018-06-19T00:28:28+02:00",
        "registeredAt <= 2018-06-18T22:28:28",
        "registeredAt < '2018-06-19'",
        "task:group == service:production",
        "task:group =~ family:.*",
        "task:group in [family:sieve]",
        "not(task:group == database)",
        "attribute:rack == 'r 1'",
    ]);
    check_false(&[
        "agentConnected != true",
        "agentVersion < 1.14.5",
        "ec2InstanceId == i-1",
        "registeredAt < 2018-06-18T22:28:28Z",
        "task:group == production",
        // Any task of the group is enough.
        "task:group != service:production",
        "task:group !~ .*:.*",
    ]);
}

/// ecs-semantics §4.4: an attribute that is not there is unlike everything.
#[test]
fn absent_attributes() {
    check_true(&["attribute:gpu != a", "attribute:gpu !in [a]", "attribute:gpu !~ .*"]);
    check_false(&["attribute:gpu == a", "attribute:gpu in [a]", "attribute:gpu =~ .*"]);
}

/// ecs-semantics §4.4: not before and before or, parentheses before all.
#[test]
fn precedence() {
    let (yes, no) = ("agentConnected == true", "agentConnected == false");
    let queries = [
        (format!("{yes} or {yes} and {no}"), true),
        (format!("({yes} || {yes}) && {no}"), false),
        (format!("not {no} and {no}"), false),
        (format!("!({no} and {no})"), true),
        (format!("! ! {yes}"), true),
        (format!("{no} and {no} or {yes}"), true),
    ];
    for (query, expected) in queries {
        assert_eq!(answer(&query), expected, "{query}");
    }
}

/// The shortest form of a query, and what of the language it shows.
#[test]
fn shown_again() {
    let shown = |text: &str| ClusterQuery::parse(text).unwrap().to_string();
    assert_eq!(shown("((attribute:a equals b))"), "attribute:a == b");
    assert_eq!(
        shown(
            "(attribute:a in ['b','c d'] or attribute:b =~ '(x|y)') && !(agentConnected!=true && runningTasksCount>01)"
        ),
        "(attribute:a in [b, 'c d'] or attribute:b =~ '(x|y)') and not(agentConnected != true and runningTasksCount > 1)"
    );
    assert_eq!(shown("registeredAt > 2018-06-18"), "registeredAt > 2018-06-18T00:00:00Z");
}

/// Each mistake with the place that it is shown at.
fn mistake(text: &str) -> String {
    match ClusterQuery::parse(text) {
        Ok(query) => format!("{query}\n"),
        Err(QueryError { span, message, help }) => {
            let marks = "^".repeat(text[span.clone()].chars().count().max(1));
            let help = help.map(|help| format!("\n  help: {help}")).unwrap_or_default();
            format!("{text}\n{}{marks} {message}{help}\n", " ".repeat(text[..span.start].chars().count()))
        }
    }
}

#[track_caller]
fn check(texts: &[&str], expected: &Expect) {
    expected.assert_eq(&texts.iter().map(|text| mistake(text)).collect::<String>());
}

/// Mistakes in subjects and operators.
#[test]
fn mistakes_in_comparisons() {
    check(
        &[
            "",
            "atribute:stack == prod",
            "agentconnected == true",
            "ecs.instance-type == t2.small",
            "zone == a",
            "attribute: == a",
            "attribute:stack = prod",
            "attribute:stack equal prod",
            "attribute:stack",
            "attribute:stack prod",
            "attribute:stack > 3",
            "runningTasksCount =~ 3",
            "task:group exists",
            "attribute:stack !inside [a]",
        ],
        &expect![[r#"

            ^ expected a subject, found the end
              help: write `agentConnected`, `agentVersion`, `attribute:NAME`, `ec2InstanceId`, `registeredAt`, `runningTasksCount` or `task:group`
            atribute:stack == prod
            ^^^^^^^^^^^^^^ expected a subject, found `atribute:stack`
              help: did you mean `attribute:stack`?
            agentconnected == true
            ^^^^^^^^^^^^^^ expected a subject, found `agentconnected`
              help: did you mean `agentConnected`?
            ecs.instance-type == t2.small
            ^^^^^^^^^^^^^^^^^ expected a subject, found `ecs.instance-type`
              help: did you mean `attribute:ecs.instance-type`?
            zone == a
            ^^^^ expected a subject, found `zone`
              help: write `agentConnected`, `agentVersion`, `attribute:NAME`, `ec2InstanceId`, `registeredAt`, `runningTasksCount` or `task:group`
            attribute: == a
            ^^^^^^^^^^ `attribute:` does not name an attribute: 1 to 128 letters, digits and - _ / \ . after `attribute:`
            attribute:stack = prod
                            ^ expected an operator after attribute:stack, found `=`
              help: did you mean `==`?
            attribute:stack equal prod
                            ^^^^^ expected an operator after attribute:stack, found `equal`
              help: did you mean `equals`?
            attribute:stack
                           ^ expected an operator after attribute:stack, found the end
            attribute:stack prod
                            ^^^^ expected an operator after attribute:stack, found `prod`
            attribute:stack > 3
                            ^ `>` cannot be used with attribute:stack: only ==, !=, in, !in, =~, !~, exists or !exists
            runningTasksCount =~ 3
                              ^^ `=~` cannot be used with runningTasksCount: only ==, !=, >, >=, < or <=
            task:group exists
                       ^^^^^^ `exists` cannot be used with task:group: only ==, !=, in, !in, =~ or !~
            attribute:stack !inside [a]
                            ^ expected an operator after attribute:stack, found `!`
        "#]],
    );
}

/// Mistakes in values.
#[test]
fn mistakes_in_values() {
    check(
        &[
            "agentConnected == yes",
            "agentVersion < 1.x",
            "registeredAt > yesterday",
            "runningTasksCount > -1",
            "attribute:stack in prod",
            "attribute:stack in []",
            "attribute:stack in [a b]",
            "attribute:stack in [a, b",
            "attribute:stack == 'prod",
            "attribute:stack ==",
            "attribute:stack == (a)",
            "attribute:zone =~ '(a|b'",
            "attribute:zone =~ '*a'",
            "attribute:zone =~ '(?=a)'",
            "attribute:zone =~ 'a{3,1}'",
            "attribute:zone =~ '[b-a]'",
            "attribute:zone =~ \\bé",
        ],
        &expect![[r#"
            agentConnected == yes
                              ^^^ expected true or false, found `yes`
            agentVersion < 1.x
                           ^^^ expected a version, as in 1.14.5, found `1.x`
            registeredAt > yesterday
                           ^^^^^^^^^ expected a date, as in 2018-06-18 or 2018-06-18T22:28:28+00:00, found `yesterday`
            runningTasksCount > -1
                                ^^ expected a number of tasks, found `-1`
            attribute:stack in prod
                               ^^^^ expected a list, as in [a, b], found `prod`
            attribute:stack in []
                                ^ expected a value, found `]`
            attribute:stack in [a b]
                                  ^ expected `,` or `]`, found `b`
            attribute:stack in [a, b
                                    ^ expected `,` or `]`, found the end
            attribute:stack == 'prod
                               ^ the quote `'` is not closed
            attribute:stack ==
                              ^ expected a value, found the end
            attribute:stack == (a)
                               ^ expected a value, found `(`
              help: write a value with brackets in it in quotes
            attribute:zone =~ '(a|b'
                               ^ `(a|b` is not a regular expression: `(` is not closed
            attribute:zone =~ '*a'
                               ^ `*a` is not a regular expression: there is nothing before `*` to repeat
            attribute:zone =~ '(?=a)'
                               ^ `(?=a)` is not a regular expression: only (?:...), and (?i) at the beginning, are supported of the groups with (?
            attribute:zone =~ 'a{3,1}'
                                ^ `a{3,1}` is not a regular expression: the second number is less than the first
            attribute:zone =~ '[b-a]'
                                  ^ `[b-a]` is not a regular expression: a range of letters goes from the lower to the higher one
            attribute:zone =~ \bé
                              ^ `\bé` is not a regular expression: `\b` is not supported
        "#]],
    );
}

/// Mistakes between comparisons.
#[test]
fn mistakes_between_comparisons() {
    check(
        &[
            "attribute:a == b & attribute:c == d",
            "attribute:a == b | attribute:c == d",
            "attribute:a == b adn attribute:c == d",
            "attribute:a == b and",
            "(attribute:a == b",
            "attribute:a == b)",
            "not",
            "attribute:a == b attribute:c == d",
        ],
        &expect![[r#"
            attribute:a == b & attribute:c == d
                             ^ expected `and`, `or` or the end, found `&`
              help: write `&&` or `and`
            attribute:a == b | attribute:c == d
                             ^ expected `and`, `or` or the end, found `|`
              help: write `||` or `or`
            attribute:a == b adn attribute:c == d
                             ^^^ expected `and`, `or` or the end, found `adn`
              help: did you mean `and`?
            attribute:a == b and
                                ^ expected a subject, found the end
              help: write `agentConnected`, `agentVersion`, `attribute:NAME`, `ec2InstanceId`, `registeredAt`, `runningTasksCount` or `task:group`
            (attribute:a == b
                             ^ expected `and`, `or` or `)`, found the end
            attribute:a == b)
                            ^ expected `and`, `or` or the end, found `)`
            not
               ^ expected a subject, found the end
              help: write `agentConnected`, `agentVersion`, `attribute:NAME`, `ec2InstanceId`, `registeredAt`, `runningTasksCount` or `task:group`
            attribute:a == b attribute:c == d
                             ^^^^^^^^^^^ expected `and`, `or` or the end, found `attribute:c`
        "#]],
    );
    let deep = format!("{}attribute:a exists{}", "(".repeat(101), ")".repeat(101));
    assert_eq!(ClusterQuery::parse(&deep).unwrap_err().span, 100..101);
    let long = format!("attribute:a == '{}'", "x".repeat(1985));
    assert_eq!(
        ClusterQuery::parse(&long).unwrap_err().message,
        "an expression of 2002 characters is too long: at most 2000"
    );
    assert!(ClusterQuery::parse(&long[..long.len() - 3].replace("'x", "x")).is_ok());
}

/// Java's `matches()`: the whole value. Method: patterns with values that do and do not match.
#[test]
fn patterns() {
    let cases: [(&str, &[&str], &[&str]); 16] = [
        ("t2.*", &["t2", "t2.small"], &["t1", "at2"]),
        ("t2\\.(small|large)", &["t2.small", "t2.large"], &["t2.medium", "t2xsmall", "t2.small2"]),
        ("[mt][0-9]g?\\..+", &["m7g.large", "t3.micro"], &["c7g.large", "m7g."]),
        ("[^a-c]+", &["xyz"], &["a", "xa", ""]),
        ("a{2,3}", &["aa", "aaa"], &["a", "aaaa"]),
        ("a{2}b{1,}", &["aab", "aabbb"], &["ab", "aa"]),
        ("(ab)*", &["", "ab", "abab"], &["aba"]),
        ("\\d+\\w\\s", &["12x ", "12 "], &["x ", "1 "]),
        ("[\\w-]+", &["a-b_c"], &["a b"]),
        ("[\\D]+", &["ab", "é"], &["a1"]),
        ("(?i)PROD", &["prod", "Prod"], &["test"]),
        ("^a$", &["a"], &["b"]),
        ("a|", &["a", ""], &["b"]),
        ("(a*)*b", &["b", "aab"], &["a"]),
        ("(?:x+x+)+y", &["xxy"], &["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]),
        ("a.c", &["abc"], &["a\nc"]),
    ];
    for (pattern, yes, no) in cases {
        let pattern = Pattern::parse(pattern).unwrap();
        for value in yes {
            assert!(pattern.matches(value), "{pattern:?} and {value:?}");
        }
        for value in no {
            assert!(!pattern.matches(value), "{pattern:?} and {value:?}");
        }
    }
    assert_eq!(Pattern::parse("((a{100}){100}){100}").unwrap_err().message, "the pattern is too large");
}

fn query() -> impl Strategy<Value = ClusterQuery> {
    let value = prop_oneof!["[a-z0-9.:/-]{1,8}", "[a-z (),=!&|\\[\\]]{0,8}", "it's [a-z]{0,3}", "say \"[a-z]\""];
    let pattern = prop::sample::select(vec!["t2.*", "(a|b)+", "[x-z]", "\\d{2,}"]);
    let pattern = pattern.prop_map(|source| Pattern::parse(source).unwrap());
    let test = prop_oneof![
        value.clone().prop_map(TextTest::Equals),
        value.clone().prop_map(TextTest::NotEquals),
        prop::collection::vec(value.clone(), 1..4).prop_map(TextTest::In),
        prop::collection::vec(value, 1..4).prop_map(TextTest::NotIn),
        pattern.clone().prop_map(TextTest::Matches),
        pattern.prop_map(TextTest::NotMatches),
    ];
    let relation = prop::sample::select(vec![
        Relation::Equal,
        Relation::NotEqual,
        Relation::Greater,
        Relation::GreaterOrEqual,
        Relation::Less,
        Relation::LessOrEqual,
    ]);
    let name = "[a-zA-Z0-9_./-]{1,12}";
    let comparison = prop_oneof![
        (name, test.clone()).prop_map(|(name, test)| Comparison::Attribute { name, test }),
        name.prop_map(|name| Comparison::Attribute { name, test: TextTest::Exists }),
        name.prop_map(|name| Comparison::Attribute { name, test: TextTest::NotExists }),
        test.clone().prop_map(Comparison::TaskGroup),
        test.prop_map(Comparison::Ec2InstanceId),
        Just(Comparison::AgentConnected(TextTest::Equals("true".to_owned()))),
        (relation.clone(), any::<u32>()).prop_map(|(relation, count)| Comparison::RunningTasksCount(relation, count)),
        (relation.clone(), "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}")
            .prop_map(|(relation, version)| Comparison::AgentVersion(relation, Version::parse(&version).unwrap())),
        (relation, 0i64..4_000_000_000).prop_map(|(relation, second)| {
            Comparison::RegisteredAt(relation, Moment::of(jiff::Timestamp::from_second(second).unwrap()))
        }),
    ];
    comparison.prop_map(ClusterQuery::Comparison).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| flat(parts, ClusterQuery::Or)),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| flat(parts, ClusterQuery::And)),
            inner.prop_map(|part| ClusterQuery::Not(Box::new(part))),
        ]
    })
}

/// Parts joined as the parser joins them: those of the same kind are taken apart.
fn flat(parts: Vec<ClusterQuery>, join: fn(Vec<ClusterQuery>) -> ClusterQuery) -> ClusterQuery {
    let kind = std::mem::discriminant(&join(Vec::new()));
    let apart = |part: ClusterQuery| match part {
        same if std::mem::discriminant(&same) == kind => same.terms_of_any(),
        other => vec![other],
    };
    join(parts.into_iter().flat_map(apart).collect())
}

impl ClusterQuery {
    fn terms_of_any(self) -> Vec<ClusterQuery> {
        match self {
            ClusterQuery::Or(parts) | ClusterQuery::And(parts) => parts,
            other => vec![other],
        }
    }
}

proptest! {
    /// A query that is shown and read again is the same.
    #[test]
    fn shown_and_read_again(query in query()) {
        let shown = query.to_string();
        if shown.chars().count() <= LENGTH_MAX {
            prop_assert_eq!(ClusterQuery::parse(&shown), Ok(query), "{}", shown);
        }
    }

    /// Any text is a query or has a mistake within it.
    #[test]
    fn any_text_is_read(text in "\\PC{0,60}") {
        if let Err(error) = ClusterQuery::parse(&text) {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error);
        }
    }

    /// So is any text of the language's own pieces.
    #[test]
    fn any_pieces_are_read(pieces in prop::collection::vec(prop::sample::select(vec![
        "attribute:a", "task:group", "agentVersion", "==", "!=", "in", "!in", "!", "not", "(", ")", "[", "]", ",", "and", "||",
        "&", "'", "\"", "1.2", "é", " ", "=~", "(a", "exists", "!exists", "[a, b]", "\\",
    ]), 0..14)) {
        for text in [pieces.concat(), pieces.join(" ")] {
            match ClusterQuery::parse(&text) {
                Ok(query) => prop_assert_eq!(ClusterQuery::parse(&query.to_string()), Ok(query)),
                Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error),
            }
        }
    }

    /// Any text is a pattern or has a mistake within it, and matching ends.
    #[test]
    fn any_pattern_is_read(pattern in "[ab().*+?{}0-9,|\\\\\\[\\]^$-]{0,16}", value in "[ab0-9]{0,12}") {
        match Pattern::parse(&pattern) {
            Ok(pattern) => { let _ = pattern.matches(&value); }
            Err(error) => prop_assert!(pattern.is_char_boundary(error.at), "{:?}", error),
        }
    }
}
