//! Regular expressions as `=~` takes them: Java's syntax, matched against the whole value.
//!
//! A pattern is compiled to a small program whose possible states are followed side by side, so that the time of a match is
//! the length of the value times the size of the program whatever the pattern. What Java has beyond regular languages
//! (look-around, back references) is refused with its place. Character classes are ASCII's, as Java's are by default.
//!
//! *Ours:* a program of our own and no library, because the pure part has no caches shared between threads.

use std::fmt;
use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::str::CharIndices;

/// The most instructions of a program: counted repetitions multiply.
const PROGRAM_MAX: usize = 20_000;
/// The most groups within groups.
const DEPTH_MAX: u32 = 100;

/// A compiled pattern. Two are equal when they are written alike.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    program: Vec<Instruction>,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// Where, in bytes of the pattern.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

#[derive(Clone, Debug)]
enum Instruction {
    One(Set),
    /// Goes on at both.
    Split(usize, usize),
    Jump(usize),
    Start,
    End,
    Accept,
}

#[derive(Clone, Debug)]
enum Node {
    Nothing,
    One(Set),
    Start,
    End,
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat { node: Box<Node>, least: u32, most: Option<u32> },
}

/// A set of letters.
#[derive(Clone, Debug, Default)]
struct Set {
    ranges: Vec<RangeInclusive<char>>,
    is_negated: bool,
    ignores_case: bool,
}

impl Set {
    fn one(letter: char) -> Set {
        Set { ranges: vec![letter..=letter], ..Set::default() }
    }

    /// All but line ends, as in Java.
    fn any() -> Set {
        let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
        Set { ranges: ends.map(|letter| letter..=letter).to_vec(), is_negated: true, ignores_case: false }
    }

    fn has(&self, letter: char) -> bool {
        let listed = |letter: char| self.ranges.iter().any(|range| range.contains(&letter));
        let is_listed = listed(letter)
            || self.ignores_case && (listed(letter.to_ascii_lowercase()) || listed(letter.to_ascii_uppercase()));
        is_listed != self.is_negated
    }
}

/// The ranges of `\d`, `\w`, `\s`.
fn class(letter: char) -> Option<Vec<RangeInclusive<char>>> {
    match letter {
        'd' => Some(vec!['0'..='9']),
        'w' => Some(vec!['0'..='9', 'A'..='Z', '_'..='_', 'a'..='z']),
        's' => Some(vec!['\t'..='\r', ' '..=' ']),
        _ => None,
    }
}

/// What is between ranges.
fn complement(mut ranges: Vec<RangeInclusive<char>>) -> Vec<RangeInclusive<char>> {
    ranges.sort_by_key(|range| *range.start());
    let mut gaps = Vec::new();
    let mut next = Some('\0');
    for range in ranges {
        let Some(from) = next else { break };
        if from < *range.start() {
            let before = char::from_u32(*range.start() as u32 - 1).unwrap_or('\u{d7ff}');
            gaps.push(from..=before);
        }
        next = char::from_u32(*range.end() as u32 + 1).map(|behind| behind.max(from));
    }
    gaps.extend(next.map(|from| from..=char::MAX));
    gaps
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When it is no pattern, asks for what only Java has, or is too large.
    pub fn parse(source: &str) -> Result<Pattern, PatternError> {
        let ignores_case = source.starts_with("(?i)");
        let start = if ignores_case { 4 } else { 0 };
        let letters = source.char_indices().peekable();
        let mut parser = Parser { letters, end: source.len(), ignores_case, depth: 0 };
        while parser.letters.next_if(|(at, _)| *at < start).is_some() {}
        let node = parser.either()?;
        if let Some((at, letter)) = parser.letters.next() {
            return Err(PatternError { at, message: format!("`{letter}` has no opening bracket") });
        }
        let mut program = Vec::new();
        emit(&node, &mut program)?;
        program.push(Instruction::Accept);
        Ok(Pattern { source: source.to_owned(), program })
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole of a value matches.
    pub fn matches(&self, value: &str) -> bool {
        let mut states = States::new(self.program.len());
        states.enter(&self.program, 0, Edge { is_start: true, is_end: value.is_empty() });
        let mut letters = value.chars().peekable();
        while let Some(letter) = letters.next() {
            let edge = Edge { is_start: false, is_end: letters.peek().is_none() };
            let mut next = States::new(self.program.len());
            for index in &states.list {
                if let Instruction::One(set) = &self.program[*index]
                    && set.has(letter)
                {
                    next.enter(&self.program, index + 1, edge);
                }
            }
            if next.list.is_empty() {
                return false;
            }
            states = next;
        }
        states.list.iter().any(|index| matches!(self.program[*index], Instruction::Accept))
    }
}

/// What is beside a place in the value.
#[derive(Clone, Copy)]
struct Edge {
    is_start: bool,
    is_end: bool,
}

/// Where a match may stand.
struct States {
    list: Vec<usize>,
    known: Vec<bool>,
}

impl States {
    fn new(length: usize) -> States {
        States { list: Vec::new(), known: vec![false; length] }
    }

    fn enter(&mut self, program: &[Instruction], index: usize, edge: Edge) {
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut self.known[index], true) {
                continue;
            }
            match program[index] {
                Instruction::Split(first, second) => open.extend([second, first]),
                Instruction::Jump(target) => open.push(target),
                Instruction::Start if edge.is_start => open.push(index + 1),
                Instruction::End if edge.is_end => open.push(index + 1),
                Instruction::Start | Instruction::End => {}
                Instruction::One(_) | Instruction::Accept => self.list.push(index),
            }
        }
    }
}

fn emit(node: &Node, program: &mut Vec<Instruction>) -> Result<(), PatternError> {
    if program.len() > PROGRAM_MAX {
        return Err(PatternError { at: 0, message: "the pattern is too large".to_owned() });
    }
    match node {
        Node::Nothing => {}
        Node::One(set) => program.push(Instruction::One(set.clone())),
        Node::Start => program.push(Instruction::Start),
        Node::End => program.push(Instruction::End),
        Node::Sequence(nodes) => nodes.iter().try_for_each(|node| emit(node, program))?,
        Node::Either(nodes) => {
            let mut jumps = Vec::new();
            for (index, node) in nodes.iter().enumerate() {
                let split = program.len();
                if index + 1 < nodes.len() {
                    program.push(Instruction::Split(split + 1, 0));
                }
                emit(node, program)?;
                if index + 1 < nodes.len() {
                    jumps.push(program.len());
                    program.push(Instruction::Jump(0));
                    program[split] = Instruction::Split(split + 1, program.len());
                }
            }
            let behind = program.len();
            for jump in jumps {
                program[jump] = Instruction::Jump(behind);
            }
        }
        Node::Repeat { node, least, most } => {
            for _ in 0..*least {
                emit(node, program)?;
            }
            match most {
                None => {
                    let split = program.len();
                    program.push(Instruction::Split(0, 0));
                    emit(node, program)?;
                    program.push(Instruction::Jump(split));
                    program[split] = Instruction::Split(split + 1, program.len());
                }
                Some(most) => {
                    let mut splits = Vec::new();
                    for _ in *least..*most {
                        splits.push(program.len());
                        program.push(Instruction::Split(0, 0));
                        emit(node, program)?;
                    }
                    let behind = program.len();
                    for split in splits {
                        program[split] = Instruction::Split(split + 1, behind);
                    }
                }
            }
        }
    }
    Ok(())
}

struct Parser<'a> {
    letters: Peekable<CharIndices<'a>>,
    end: usize,
    ignores_case: bool,
    depth: u32,
}

impl Parser<'_> {
    fn at(&mut self) -> usize {
        self.letters.peek().map_or(self.end, |(at, _)| *at)
    }

    fn peek(&mut self) -> Option<char> {
        self.letters.peek().map(|(_, letter)| *letter)
    }

    fn take(&mut self, wanted: char) -> bool {
        self.letters.next_if(|(_, letter)| *letter == wanted).is_some()
    }

    fn fail<T>(at: usize, message: impl Into<String>) -> Result<T, PatternError> {
        Err(PatternError { at, message: message.into() })
    }

    fn either(&mut self) -> Result<Node, PatternError> {
        let mut nodes = vec![self.sequence()?];
        while self.take('|') {
            nodes.push(self.sequence()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Either(nodes) })
    }

    fn sequence(&mut self) -> Result<Node, PatternError> {
        let mut nodes = Vec::new();
        while !matches!(self.peek(), None | Some('|' | ')')) {
            let atom = self.atom()?;
            nodes.push(self.repeated(atom)?);
        }
        Ok(match nodes.len() {
            0 => Node::Nothing,
            1 => nodes.remove(0),
            _ => Node::Sequence(nodes),
        })
    }

    fn repeated(&mut self, atom: Node) -> Result<Node, PatternError> {
        let at = self.at();
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.letters.next();
                let bounds = self.bounds(at)?;
                return self.greed(Node::Repeat { node: Box::new(atom), least: bounds.0, most: bounds.1 });
            }
            _ => return Ok(atom),
        };
        self.letters.next();
        self.greed(Node::Repeat { node: Box::new(atom), least, most })
    }

    /// What follows a repetition: `?` changes nothing where the whole value has to match.
    fn greed(&mut self, node: Node) -> Result<Node, PatternError> {
        let at = self.at();
        match self.peek() {
            Some('?') => {
                self.letters.next();
                Ok(node)
            }
            Some('+') => Self::fail(at, "possessive repetitions are not supported"),
            Some('*' | '{') => Self::fail(at, "there is nothing to repeat"),
            _ => Ok(node),
        }
    }

    fn bounds(&mut self, at: usize) -> Result<(u32, Option<u32>), PatternError> {
        let Some(least) = self.number() else { return Self::fail(at, "expected a number, as in {2} or {2,5}") };
        let most =
            if self.take(',') { if self.peek() == Some('}') { None } else { self.number() } } else { Some(least) };
        if !self.take('}') {
            return Self::fail(at, "expected a number, as in {2} or {2,5}");
        }
        if most.is_some_and(|most| most < least) {
            return Self::fail(at, "the second number is less than the first");
        }
        Ok((least, most))
    }

    fn number(&mut self) -> Option<u32> {
        let mut number: Option<u32> = None;
        while let Some((_, letter)) = self.letters.next_if(|(_, letter)| letter.is_ascii_digit()) {
            let digit = letter.to_digit(10)?;
            number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit));
        }
        number
    }

    fn atom(&mut self) -> Result<Node, PatternError> {
        let Some((at, letter)) = self.letters.next() else { return Ok(Node::Nothing) };
        match letter {
            '.' => Ok(Node::One(Set::any())),
            '^' => Ok(Node::Start),
            '$' => Ok(Node::End),
            '(' => self.group(at),
            '[' => self.set(at),
            '\\' => self.escape(at),
            '*' | '+' | '?' | '{' => Self::fail(at, format!("there is nothing before `{letter}` to repeat")),
            letter => Ok(self.one(letter)),
        }
    }

    fn one(&self, letter: char) -> Node {
        Node::One(Set { ignores_case: self.ignores_case, ..Set::one(letter) })
    }

    fn group(&mut self, at: usize) -> Result<Node, PatternError> {
        if self.take('?') && !self.take(':') {
            return Self::fail(at, "only (?:...), and (?i) at the beginning, are supported of the groups with (?");
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Self::fail(at, "groups are nested too deeply");
        }
        let node = self.either()?;
        self.depth -= 1;
        if !self.take(')') {
            return Self::fail(at, "`(` is not closed");
        }
        Ok(node)
    }

    fn escape(&mut self, at: usize) -> Result<Node, PatternError> {
        let Some((_, letter)) = self.letters.next() else { return Self::fail(at, "nothing follows the backslash") };
        if let Some(ranges) = class(letter.to_ascii_lowercase()) {
            return Ok(Node::One(Set { ranges, is_negated: letter.is_ascii_uppercase(), ignores_case: false }));
        }
        Ok(self.one(Self::escaped(at, letter)?))
    }

    fn escaped(at: usize, letter: char) -> Result<char, PatternError> {
        match letter {
            't' => Ok('\t'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            letter if letter.is_ascii_alphanumeric() => Self::fail(at, format!("`\\{letter}` is not supported")),
            letter => Ok(letter),
        }
    }

    fn set(&mut self, at: usize) -> Result<Node, PatternError> {
        let mut set = Set { is_negated: self.take('^'), ignores_case: self.ignores_case, ..Set::default() };
        let mut is_first = true;
        loop {
            let Some((place, letter)) = self.letters.next() else { return Self::fail(at, "`[` is not closed") };
            match letter {
                ']' if !is_first => return Ok(Node::One(set)),
                '[' | '&' => return Self::fail(place, format!("`{letter}` in brackets needs a backslash before it")),
                _ => {}
            }
            is_first = false;
            let Some(first) = self.member(place, letter, &mut set)? else { continue };
            let is_range = self.peek() == Some('-') && {
                let mut ahead = self.letters.clone();
                ahead.next();
                !matches!(ahead.peek(), None | Some((_, ']')))
            };
            if !is_range {
                set.ranges.push(first..=first);
                continue;
            }
            self.letters.next();
            let Some((place, letter)) = self.letters.next() else { return Self::fail(at, "`[` is not closed") };
            match self.member(place, letter, &mut Set::default())? {
                Some(last) if first <= last => set.ranges.push(first..=last),
                _ => return Self::fail(place, "a range of letters goes from the lower to the higher one"),
            }
        }
    }

    /// A letter within brackets; `None` for a class, which is added to the set.
    fn member(&mut self, at: usize, letter: char, set: &mut Set) -> Result<Option<char>, PatternError> {
        if letter != '\\' {
            return Ok(Some(letter));
        }
        let Some((_, letter)) = self.letters.next() else { return Self::fail(at, "nothing follows the backslash") };
        if let Some(ranges) = class(letter.to_ascii_lowercase()) {
            set.ranges.extend(if letter.is_ascii_uppercase() { complement(ranges) } else { ranges });
            return Ok(None);
        }
        Self::escaped(at, letter).map(Some)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}
