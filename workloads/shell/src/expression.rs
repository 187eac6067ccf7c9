//! `test`, `[` and `expr`: conditions and small computations by arguments.

use crate::files::Kind;
use crate::grep::{Dialect, Regex};
use crate::pattern;
use crate::shell::{Run, Shell};

/// `test EXPRESSION`, `[ EXPRESSION ]`.
pub fn test(shell: &Shell, name: &str, arguments: &[String]) -> Run {
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let close = match name {
        "[" => Some("]"),
        "[[" => Some("]]"),
        _ => None,
    };
    if let Some(close) = close
        && words.pop() != Some(close)
    {
        return shell.fail(name, &format!("missing {close}")).map(|_| 2);
    }
    let mut test = Test { shell, words: &words, is_extended: name == "[[", depth: 0 };
    let result = if words.is_empty() { Ok(false) } else { test.by_count() };
    match result {
        Ok(is_true) => Ok(i32::from(!is_true)),
        Err(message) => shell.fail(name, &message).map(|_| 2),
    }
}

struct Test<'a> {
    shell: &'a Shell,
    words: &'a [&'a str],
    /// Whether `=` takes a pattern, as in `[[ ]]`.
    is_extended: bool,
    depth: u32,
}

impl<'a> Test<'a> {
    /// Up to four words mean what their number says. **Source:** POSIX, test.
    fn by_count(&mut self) -> Result<bool, String> {
        match *self.words {
            [word] => Ok(!word.is_empty()),
            ["!", word] => Ok(word.is_empty()),
            [operator, word] if is_unary(operator) => self.unary(operator, word),
            [left, operator, right] if is_binary(operator) => self.binary(left, operator, right),
            _ => {
                let value = self.either()?;
                match self.words {
                    [] => Ok(value),
                    [word, ..] => Err(format!("{word}: unexpected operator")),
                }
            }
        }
    }

    fn next(&mut self) -> Result<&'a str, String> {
        let (word, rest) = self.words.split_first().ok_or_else(|| "argument expected".to_owned())?;
        self.words = rest;
        Ok(word)
    }

    fn either(&mut self) -> Result<bool, String> {
        let mut value = self.both()?;
        while self.words.first() == Some(&"-o") {
            self.next()?;
            value |= self.both()?;
        }
        Ok(value)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut value = self.negation()?;
        while self.words.first() == Some(&"-a") {
            self.next()?;
            value &= self.negation()?;
        }
        Ok(value)
    }

    fn negation(&mut self) -> Result<bool, String> {
        let mut is_negated = false;
        while self.words.first() == Some(&"!") {
            self.next()?;
            is_negated = !is_negated;
        }
        Ok(self.primary()? != is_negated)
    }

    fn primary(&mut self) -> Result<bool, String> {
        let first = self.next()?;
        if let [operator, right, rest @ ..] = self.words
            && is_binary(operator)
        {
            let (operator, right) = (*operator, *right);
            self.words = rest;
            return self.binary(first, operator, right);
        }
        if first == "(" {
            self.depth += 1;
            if self.depth > 50 {
                return Err("nested too deep".to_owned());
            }
            let value = self.either()?;
            self.depth -= 1;
            return if self.next()? == ")" { Ok(value) } else { Err("closing paren expected".to_owned()) };
        }
        if is_unary(first) && !self.words.is_empty() {
            let word = self.next()?;
            return self.unary(first, word);
        }
        Ok(!first.is_empty())
    }

    fn unary(&self, operator: &str, word: &str) -> Result<bool, String> {
        let files = &self.shell.files;
        let path = || self.shell.path(word);
        Ok(match operator {
            "-n" => !word.is_empty(),
            "-z" => word.is_empty(),
            "-e" | "-r" | "-w" | "-x" | "-a" => files.kind(&path()).is_some(),
            "-f" => files.kind(&path()) == Some(Kind::File) && path() != "/dev/null",
            "-d" => files.kind(&path()) == Some(Kind::Folder),
            "-s" => files.len(&path()).is_some_and(|len| len > 0),
            "-c" => path() == "/dev/null",
            // No links, pipes, sockets or terminals here.
            _ => false,
        })
    }

    fn binary(&self, left: &str, operator: &str, right: &str) -> Result<bool, String> {
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text}: bad number"));
        Ok(match operator {
            "=" | "==" if self.is_extended => pattern::is_match(right, left),
            "!=" if self.is_extended => !pattern::is_match(right, left),
            "=" | "==" => left == right,
            "!=" => left != right,
            "<" => left < right,
            ">" => left > right,
            "=~" => Regex::new(right, Dialect::Extended).map_err(|error| error.to_owned())?.is_match(left),
            "-eq" => number(left)? == number(right)?,
            "-ne" => number(left)? != number(right)?,
            "-lt" => number(left)? < number(right)?,
            "-le" => number(left)? <= number(right)?,
            "-gt" => number(left)? > number(right)?,
            _ => number(left)? >= number(right)?,
        })
    }
}

fn is_unary(word: &str) -> bool {
    matches!(
        word,
        "-n" | "-z"
            | "-e"
            | "-f"
            | "-d"
            | "-r"
            | "-w"
            | "-x"
            | "-s"
            | "-c"
            | "-b"
            | "-h"
            | "-L"
            | "-p"
            | "-S"
            | "-t"
            | "-g"
            | "-u"
            | "-k"
            | "-O"
            | "-G"
    )
}

fn is_binary(word: &str) -> bool {
    matches!(word, "=" | "==" | "!=" | "<" | ">" | "=~" | "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge")
}

/// `expr EXPRESSION`: prints its value; exits with 1 when that is empty or 0.
pub fn expr(shell: &Shell, arguments: &[String]) -> Run {
    let mut words: &[String] = arguments;
    let value = expr_level(&mut words, 0)
        .and_then(|value| if words.is_empty() { Ok(value) } else { Err("syntax error".to_owned()) });
    match value {
        Ok(value) => {
            shell.put(format!("{value}\n"))?;
            Ok(i32::from(value.is_empty() || value == "0"))
        }
        Err(message) => shell.fail("expr", &message).map(|_| 2),
    }
}

const LEVELS: [&[&str]; 6] =
    [&["|"], &["&"], &["=", "==", "!=", "<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"], &[":"]];

fn expr_level(words: &mut &[String], level: usize) -> Result<String, String> {
    let Some(operators) = LEVELS.get(level) else { return expr_primary(words) };
    let mut left = expr_level(words, level + 1)?;
    while let Some(operator) = words.first().filter(|word| operators.contains(&word.as_str())).cloned() {
        *words = &words[1..];
        let right = expr_level(words, level + 1)?;
        left = apply(&left, &operator, &right)?;
    }
    Ok(left)
}

fn expr_primary(words: &mut &[String]) -> Result<String, String> {
    let Some((word, rest)) = words.split_first() else { return Err("syntax error".to_owned()) };
    *words = rest;
    if word != "(" {
        return Ok(word.clone());
    }
    let value = expr_level(words, 0)?;
    match words.split_first() {
        Some((close, rest)) if close == ")" => {
            *words = rest;
            Ok(value)
        }
        _ => Err("syntax error".to_owned()),
    }
}

fn apply(left: &str, operator: &str, right: &str) -> Result<String, String> {
    let is_true = |text: &str| !text.is_empty() && text != "0";
    let number = |text: &str| text.parse::<i64>().map_err(|_| "non-integer argument".to_owned());
    let numbers = || Ok::<_, String>((number(left)?, number(right)?));
    let order = match (left.parse::<i64>(), right.parse::<i64>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        _ => left.cmp(right),
    };
    Ok(match operator {
        "|" => if is_true(left) { left } else { right }.to_owned(),
        "&" => if is_true(left) && is_true(right) { left } else { "0" }.to_owned(),
        "=" | "==" => i64::from(order.is_eq()).to_string(),
        "!=" => i64::from(order.is_ne()).to_string(),
        "<" => i64::from(order.is_lt()).to_string(),
        "<=" => i64::from(order.is_le()).to_string(),
        ">" => i64::from(order.is_gt()).to_string(),
        ">=" => i64::from(order.is_ge()).to_string(),
        ":" => {
            let regex = Regex::new(&format!("^{right}"), Dialect::Basic)?;
            let found = regex.find(left);
            match (regex.has_group(), found) {
                (true, Some(found)) => found.group.map(|(begin, end)| taken(left, begin, end)).unwrap_or_default(),
                (true, None) => String::new(),
                (false, Some(found)) => (found.end - found.begin).to_string(),
                (false, None) => "0".to_owned(),
            }
        }
        operator => {
            let (left, right) = numbers()?;
            let value = match operator {
                "+" => left.checked_add(right),
                "-" => left.checked_sub(right),
                "*" => left.checked_mul(right),
                _ if right == 0 => return Err("division by zero".to_owned()),
                "/" => left.checked_div(right),
                _ => left.checked_rem(right),
            };
            value.ok_or_else(|| "integer overflow".to_owned())?.to_string()
        }
    })
}

fn taken(text: &str, begin: usize, end: usize) -> String {
    text.chars().skip(begin).take(end - begin).collect()
}
