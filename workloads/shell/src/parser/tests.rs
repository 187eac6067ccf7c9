use super::*;

/// A script in a form that shows how it was read.
fn shown(text: &str) -> String {
    match parse(text) {
        Ok(list) => list.iter().map(and_or).collect::<Vec<_>>().join("; "),
        Err(error) => format!("line {}: {}", error.line, error.message),
    }
}

fn list(list: &List) -> String {
    list.iter().map(and_or).collect::<Vec<_>>().join("; ")
}

fn and_or(and_or: &AndOr) -> String {
    let mut text = pipeline(&and_or.first);
    for (join, next) in &and_or.rest {
        text += if *join == Join::And { " && " } else { " || " };
        text += &pipeline(next);
    }
    if and_or.is_background { text + " &" } else { text }
}

fn pipeline(pipeline: &Pipeline) -> String {
    let commands: Vec<String> = pipeline.commands.iter().map(command).collect();
    format!("{}{}", if pipeline.is_negated { "! " } else { "" }, commands.join(" | "))
}

fn command(command: &Command) -> String {
    let mut text = match &command.kind {
        CommandKind::Simple { assignments, words } => {
            let assigned = assignments.iter().map(|(name, value)| format!("{name}={}", word(value)));
            assigned.chain(words.iter().map(word)).collect::<Vec<_>>().join(" ")
        }
        CommandKind::Group(inner) => format!("{{{}}}", list(inner)),
        CommandKind::Subshell(inner) => format!("({})", list(inner)),
        CommandKind::If { branches, otherwise } => {
            let mut text = String::new();
            for (condition, body) in branches {
                text += &format!("if[{}][{}]", list(condition), list(body));
            }
            text + &otherwise.as_ref().map(|body| format!("else[{}]", list(body))).unwrap_or_default()
        }
        CommandKind::Loop { until, condition, body } => {
            let name = if *until == Until::Failure { "while" } else { "until" };
            format!("{name}[{}][{}]", list(condition), list(body))
        }
        CommandKind::For { name, words, body } => {
            let words = words.as_ref().map(|words| words.iter().map(word).collect::<Vec<_>>().join(" "));
            format!("for {name} in {words:?}[{}]", list(body))
        }
        CommandKind::Case { word: text, arms } => {
            let arms = arms.iter().map(|(patterns, body)| {
                format!("{}[{}]", patterns.iter().map(word).collect::<Vec<_>>().join("|"), list(body))
            });
            format!("case {} {}", word(text), arms.collect::<Vec<_>>().join(" "))
        }
        CommandKind::Function { name, body } => format!("{name}() {}", self::command(body)),
    };
    for redirect in &command.redirects {
        let (sign, target) = match &redirect.target {
            Target::Read(target) => ("<", word(target)),
            Target::Write(target) => (">", word(target)),
            Target::Append(target) => (">>", word(target)),
            Target::Duplicate(target) => (">&", word(target)),
            Target::Text(text) => ("<<", word(&text.borrow())),
        };
        text += &format!(" {}{sign}{target}", redirect.descriptor);
    }
    text
}

fn word(parts: &Word) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Quoted(text) => format!("'{text}'"),
            Part::Home => "~".to_owned(),
            Part::Parameter { name, change, quoting } => {
                let sign = if *quoting == Quoting::Double { "\"" } else { "" };
                let change = match change {
                    Change::None => String::new(),
                    change => format!("{change:?}").split([' ', '(']).next().unwrap_or_default().to_owned(),
                };
                format!("{sign}${name}{change}{sign}")
            }
            Part::Command { list: inner, .. } => format!("$({})", list(inner)),
            Part::Arithmetic { expression, .. } => format!("$(({}))", word(expression)),
        })
        .collect()
}

/// Claim: what scripts are made of is told apart. Method: one line for each, and how it is read.
#[test]
fn scripts_are_read() {
    for (text, read) in [
        ("", ""),
        ("# nothing\n\n", ""),
        ("echo hello && exit 0", "echo hello && exit 0"),
        ("a||b;c&d", "a || b; c &; d"),
        ("! a | b", "! a | b"),
        ("A=1 B= c D=2", "A=1 B= c D=2"),
        ("echo a#b # c", "echo a#b"),
        ("echo 'a b'\"c $d\"\\ e", "echo 'a b''c '\"$d\"' 'e"),
        ("echo \"\" ''", "echo '' ''"),
        ("echo \"a\\\"b\\$c\\d\"", "echo 'a\"b$c\\d'"),
        ("echo a\\\nb", "echo ab"),
        ("echo $", "echo $"),
        ("echo ${a}b $1x $10", "echo $ab $1x $10"),
        ("echo ${a:-b c} \"${a:+${b}}\" ${#a} ${a%%.*}", "echo $aDefault \"$aAlternative\" $aLength $aStrip"),
        ("echo $(a; b) `c \\`d\\``", "echo $(a; b) $(c $(d))"),
        ("echo $((1 + (2*3)))", "echo $(('1 + (2*3)'))"),
        ("echo $( (a) )", "echo $((a))"),
        ("echo $((a) )", "echo $((a))"),
        ("a > b 2>&1 >> c < d 2>/dev/null", "a 1>b 2>&1 1>>c 0<d 2>/dev/null"),
        ("a 2 > b", "a 2 1>b"),
        ("cat <<E; echo b\nx $y\nE\necho c", "cat 0<<'x '\"$y\"'\n'; echo b; echo c"),
        ("cat <<-'E'\n\tx $y\n\tE\n", "cat 0<<'x $y\n'"),
        ("if a; then b; elif c; then d; else e; fi", "if[a][b]if[c][d]else[e]"),
        ("if a\nthen\nb\nfi >c", "if[a][b] 1>c"),
        ("while a; do b; done", "while[a][b]"),
        ("until a; do b; done", "until[a][b]"),
        ("for x in 1 '2' $y; do z; done", "for x in Some(\"1 '2' $y\")[z]"),
        ("for x\ndo z; done", "for x in None[z]"),
        ("case $a in b|c) d;; (*) e; esac", "case $a b|c[d] *[e]"),
        ("{ a; b; } && (c)", "{a; b} && (c)"),
        ("f() { a; }; f", "f() {a}; f"),
        ("echo if then", "echo if then"),
        ("echo ~ ~/x a~", "echo ~ ~/x a~"),
    ] {
        assert_eq!(shown(text), read, "{text}");
    }
}

/// Claim: what is no script is refused with its place. Method: one of each mistake.
#[test]
fn mistakes_are_told() {
    for (text, told) in [
        ("fi", "line 1: unexpected \"fi\""),
        ("a\nif b; then c", "line 2: unexpected end of file (expecting \"fi\")"),
        ("a && ", "line 1: unexpected end of file"),
        ("a;;", "line 1: unexpected \";;\""),
        ("(a", "line 1: unexpected end of file (expecting \")\")"),
        ("a)", "line 1: unexpected \")\""),
        ("echo 'a", "line 1: unterminated quoted string"),
        ("echo \"a", "line 1: unterminated quoted string"),
        ("echo ${a", "line 1: bad substitution"),
        ("echo ${a!b}", "line 1: bad substitution"),
        ("while a; do done", "line 1: unexpected \"done\""),
        ("a >", "line 1: unexpected end of file"),
        ("for 1 in a; do b; done", "line 1: bad for loop variable"),
    ] {
        assert_eq!(shown(text), told, "{text}");
    }
    let deep = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(shown(&deep), "line 1: nested too deep");
}
