//! What a script is made of once it has been read.

use std::cell::RefCell;
use std::rc::Rc;

/// Commands, one after the other.
pub type List = Vec<AndOr>;

/// Pipelines joined by `&&` and `||`.
#[derive(Clone, Debug, PartialEq)]
pub struct AndOr {
    pub first: Pipeline,
    pub rest: Vec<(Join, Pipeline)>,
    /// Whether `&` follows.
    pub is_background: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Join {
    And,
    Or,
}

/// Commands joined by `|`, perhaps behind a `!`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    pub is_negated: bool,
    pub commands: Vec<Command>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub kind: CommandKind,
    pub redirects: Vec<Redirect>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CommandKind {
    Simple { assignments: Vec<(String, Word)>, words: Vec<Word> },
    Group(List),
    Subshell(List),
    If { branches: Vec<(List, List)>, otherwise: Option<List> },
    Loop { until: Until, condition: List, body: List },
    For { name: String, words: Option<Vec<Word>>, body: List },
    Case { word: Word, arms: Vec<(Vec<Word>, List)> },
    Function { name: String, body: Rc<Command> },
}

/// Which outcome of its condition ends a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    Failure,
    Success,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    pub descriptor: usize,
    pub target: Target,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `>&`: a descriptor, or `-` to close it.
    Duplicate(Word),
    /// `<<`: filled in when its lines have been read.
    Text(Rc<RefCell<Word>>),
}

/// A word before it is expanded.
pub type Word = Vec<Part>;

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Literal(String),
    Quoted(String),
    /// A `~` at the beginning.
    Home,
    Parameter {
        name: String,
        change: Change,
        quoting: Quoting,
    },
    Command {
        list: List,
        quoting: Quoting,
    },
    Arithmetic {
        expression: Word,
        quoting: Quoting,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quoting {
    None,
    Double,
}

/// What `${...}` does beside giving a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    None,
    /// `${#name}`.
    Length,
    /// `:-`, `-`.
    Default {
        word: Word,
        empty: Empty,
    },
    /// `:=`, `=`.
    Assign {
        word: Word,
        empty: Empty,
    },
    /// `:?`, `?`.
    Require {
        word: Word,
        empty: Empty,
    },
    /// `:+`, `+`.
    Alternative {
        word: Word,
        empty: Empty,
    },
    /// `#`, `##`, `%`, `%%`.
    Strip {
        pattern: Word,
        end: End,
        reach: Reach,
    },
}

/// What an empty value counts as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Empty {
    Set,
    Unset,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Front,
    Back,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reach {
    Shortest,
    Longest,
}
