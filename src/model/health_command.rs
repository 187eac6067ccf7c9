//! What a health check runs: the words of its `command`.
//!
//! | form | what is run |
//! |---|---|
//! | `["CMD", "probe", "--quick"]` | the container's module once more, with these arguments |
//! | `["CMD-SHELL", "probe --quick"]` | the same, after the line was split into words as a shell would |
//! | `["EXPORT", "is_healthy"]` | the function that the module exports under this name, in an instance of its own |
//!
//! A line that needs a shell is run as `sh -c LINE` in an image that has one, and is refused elsewhere. A final `|| exit 1` is dropped: it
//! changes nothing of what passes and what fails.

use std::fmt;

/// A health check's command, ready to be run. **Source:** ecs-semantics §1.5.1; `EXPORT` is *ours*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCommand {
    /// The module with these arguments, the program's name first. Never empty. Exit code 0 passes.
    Arguments(Vec<String>),
    /// An exported function without parameters. It passes when it returns nothing, or the integer 0.
    Export(String),
}

/// Whether a line of a health check can be given to a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// The image has one.
    InImage,
    /// It is not known. A line that needs one is given to the image's.
    Unknown,
    /// There is none.
    Nowhere,
}

/// What is wrong with a health check's command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCommandError {
    /// It does not begin with a word that says what it is.
    UnknownForm(String),
    /// Nothing follows the first word.
    Empty,
    /// More follows the first word than its form takes.
    TooMany {
        /// The first word.
        form: &'static str,
    },
    /// A quote is not closed.
    OpenQuote,
    /// Something that only a shell can do.
    NeedsShell(String),
}

impl fmt::Display for HealthCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HealthCommandError::UnknownForm(word) => {
                write!(
                    f,
                    "a health check's command begins with \"CMD\", \"CMD-SHELL\" or \"EXPORT\", not with {word:?}"
                )
            }
            HealthCommandError::Empty => f.write_str("a health check's command needs something to run"),
            HealthCommandError::TooMany { form } => write!(f, "\"{form}\" is followed by exactly one string"),
            HealthCommandError::OpenQuote => f.write_str("a quote in the command is not closed"),
            HealthCommandError::NeedsShell(what) => {
                write!(f, "the image has no shell that is known, and {what:?} needs one")
            }
        }
    }
}

impl std::error::Error for HealthCommandError {}

impl HealthCommand {
    /// The words of a `command`, with a line that needs a shell given to the image's.
    ///
    /// # Errors
    /// As [`HealthCommand::parse`]; where there is or may be a shell, no line is refused that only one can run.
    pub fn words(command: Vec<String>, shell: Shell) -> Result<Vec<String>, HealthCommandError> {
        let parsed = HealthCommand::parse(&command);
        let is_line = command.first().is_some_and(|form| form == "CMD-SHELL");
        let needs_shell = matches!(parsed, Err(HealthCommandError::NeedsShell(_) | HealthCommandError::OpenQuote));
        match (shell, parsed) {
            (Shell::InImage, Ok(_)) if is_line => Ok(in_shell(command)),
            (Shell::InImage | Shell::Unknown, Err(_)) if needs_shell => Ok(in_shell(command)),
            (_, Ok(_)) => Ok(command),
            (_, Err(error)) => Err(error),
        }
    }

    /// Reads the words of a `command`.
    ///
    /// # Errors
    /// When they have none of the three forms.
    pub fn parse(command: &[String]) -> Result<HealthCommand, HealthCommandError> {
        let Some((form, rest)) = command.split_first() else { return Err(HealthCommandError::Empty) };
        let one_word = |form| match rest {
            [] => Err(HealthCommandError::Empty),
            [word] if word.is_empty() => Err(HealthCommandError::Empty),
            [word] => Ok(word),
            _ => Err(HealthCommandError::TooMany { form }),
        };
        match form.as_str() {
            "CMD" if rest.is_empty() => Err(HealthCommandError::Empty),
            "CMD" => Ok(HealthCommand::Arguments(rest.to_vec())),
            "CMD-SHELL" => Ok(HealthCommand::Arguments(split_line(one_word("CMD-SHELL")?)?)),
            "EXPORT" => Ok(HealthCommand::Export(one_word("EXPORT")?.clone())),
            other => Err(HealthCommandError::UnknownForm(other.to_owned())),
        }
    }
}

fn in_shell(mut command: Vec<String>) -> Vec<String> {
    let line = command.pop().unwrap_or_default();
    ["CMD".into(), "sh".into(), "-c".into(), line].into()
}

/// Splits a line into words as a POSIX shell would that has nothing to expand.
fn split_line(line: &str) -> Result<Vec<String>, HealthCommandError> {
    let mut words: Vec<String> = Vec::new();
    // `None` between words, so that quotes around nothing make an empty word.
    let mut word: Option<String> = None;
    let mut letters = without_exit(line).chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(quoted) => word.push(quoted),
                        None => return Err(HealthCommandError::OpenQuote),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('\\') => match letters.next() {
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => return Err(HealthCommandError::OpenQuote),
                        },
                        Some(shell @ ('$' | '`')) => return Err(HealthCommandError::NeedsShell(shell.to_string())),
                        Some(quoted) => word.push(quoted),
                        None => return Err(HealthCommandError::OpenQuote),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '*' | '?' | '~' => {
                return Err(HealthCommandError::NeedsShell(letter.to_string()));
            }
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    if words.is_empty() { Err(HealthCommandError::Empty) } else { Ok(words) }
}

/// The line without a final `|| exit N`, N not being zero.
fn without_exit(line: &str) -> &str {
    let Some((before, after)) = line.rsplit_once("||") else { return line };
    let code = after.trim().strip_prefix("exit").and_then(|code| code.trim().parse::<u8>().ok());
    match code {
        Some(1..) => before,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &[&str], expected: &str) {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let shown = match HealthCommand::parse(&command) {
            Ok(parsed) => format!("{parsed:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    /// Claim: the three forms are told apart, and what none of them allows is said. Method: one of each.
    #[test]
    fn forms() {
        check(&["CMD", "probe", "--port", "80"], r#"Arguments(["probe", "--port", "80"])"#);
        check(&["CMD-SHELL", "probe --port 80"], r#"Arguments(["probe", "--port", "80"])"#);
        check(&["EXPORT", "is_healthy"], r#"Export("is_healthy")"#);
        check(&[], "a health check's command needs something to run");
        check(&["CMD"], "a health check's command needs something to run");
        check(&["CMD-SHELL", " "], "a health check's command needs something to run");
        check(&["CMD-SHELL", "a", "b"], r#""CMD-SHELL" is followed by exactly one string"#);
        check(
            &["curl", "x"],
            r#"a health check's command begins with "CMD", "CMD-SHELL" or "EXPORT", not with "curl""#,
        );
    }

    /// Claim: a line goes to the shell of an image that has one, and to one that may be there when it needs it. Method: each kind of
    /// line with each kind of image.
    #[test]
    fn shells() {
        let words = |shell, words: &[&str]| {
            let words = HealthCommand::words(words.iter().map(|word| (*word).to_owned()).collect(), shell);
            words.map_or_else(|error| error.to_string(), |words| words.join("|"))
        };
        let (plain, piped) = (["CMD-SHELL", "exit 0"], ["CMD-SHELL", "a && b"]);
        assert_eq!(words(Shell::InImage, &plain), "CMD|sh|-c|exit 0");
        assert_eq!(words(Shell::InImage, &piped), "CMD|sh|-c|a && b");
        assert_eq!(words(Shell::InImage, &["CMD", "probe"]), "CMD|probe");
        assert_eq!(words(Shell::InImage, &["CMD-SHELL", ""]), "a health check's command needs something to run");
        assert_eq!(words(Shell::Unknown, &plain), "CMD-SHELL|exit 0");
        assert_eq!(words(Shell::Unknown, &piped), "CMD|sh|-c|a && b");
        assert_eq!(words(Shell::Nowhere, &plain), "CMD-SHELL|exit 0");
        assert_eq!(words(Shell::Nowhere, &piped), r#"the image has no shell that is known, and "&" needs one"#);
    }

    /// Claim: lines are split as a shell does, and what needs a shell is refused. Method: quotes, escapes, operators.
    #[test]
    fn lines() {
        check(&["CMD-SHELL", r#"a 'b c' "d \"e" f\ g '' || exit 1"#], r#"Arguments(["a", "b c", "d \"e", "f g", ""])"#);
        check(&["CMD-SHELL", "a 'b"], "a quote in the command is not closed");
        check(&["CMD-SHELL", "a | b"], r#"the image has no shell that is known, and "|" needs one"#);
        check(&["CMD-SHELL", "a || exit 0"], r#"the image has no shell that is known, and "|" needs one"#);
        check(&["CMD-SHELL", r#"a "$HOME""#], r#"the image has no shell that is known, and "$" needs one"#);
    }
}
