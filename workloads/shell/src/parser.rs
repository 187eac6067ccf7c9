//! From the text of a script to its commands: one pass over the characters, since what a character means in a shell depends on
//! where it stands.

use std::cell::RefCell;
use std::rc::Rc;

use crate::syntax::{
    AndOr, Change, Command, CommandKind, Empty, End, Join, List, Part, Pipeline, Quoting, Reach, Redirect, Target,
    Until, Word,
};

/// The deepest nesting of a script: each level takes some of the guest's stack.
const DEPTH_MAX: usize = 100;

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntaxError {
    pub line: usize,
    pub message: String,
}

/// Reads a script.
pub fn parse(text: &str) -> Result<List, SyntaxError> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, line: 1, depth: 0, pending: Vec::new() };
    let list = parser.list(&[])?;
    match parser.peek() {
        None => Ok(list),
        Some(_) => Err(parser.unexpected()),
    }
}

/// Whether a text is a name of a variable.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A `<<` whose lines have not been read.
struct Pending {
    end: String,
    strips_tabs: bool,
    is_literal: bool,
    text: Rc<RefCell<Word>>,
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    line: usize,
    depth: usize,
    pending: Vec<Pending>,
}

/// Words that mean something where a command begins.
const RESERVED: [&str; 16] =
    ["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "for", "in", "case", "esac", "{", "}", "!"];

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn peek_at(&self, offset: usize) -> Option<char> {
        self.chars.get(self.at + offset).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        if next == '\n' {
            self.line += 1;
        }
        Some(next)
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(offset, c)| self.peek_at(offset) == Some(c))
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.starts_with(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { line: self.line, message: message.into() })
    }

    fn unexpected(&self) -> SyntaxError {
        let rest = &self.chars[self.at.min(self.chars.len())..];
        let word: String = match rest.first() {
            None => "end of file".to_owned(),
            Some('\n') => "newline".to_owned(),
            Some(first) if is_delimiter(*first) => {
                let same = rest.iter().take(2).take_while(|c| **c == *first).count();
                format!("\"{}\"", rest[..same].iter().collect::<String>())
            }
            Some(_) => {
                let word: String = rest.iter().take_while(|c| !is_delimiter(**c)).collect();
                format!("\"{word}\"")
            }
        };
        SyntaxError { line: self.line, message: format!("unexpected {word}") }
    }

    /// Goes to the next token of the line.
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.peek_at(1) == Some('\n') => {
                    self.next();
                    self.next();
                }
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn skip_lines(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.skip_blanks();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            self.end_line()?;
        }
    }

    /// Takes the end of a line, and the texts of `<<` that follow it.
    fn end_line(&mut self) -> Result<(), SyntaxError> {
        self.next();
        for pending in std::mem::take(&mut self.pending) {
            let mut text = String::new();
            loop {
                if self.peek().is_none() {
                    break;
                }
                let mut line = String::new();
                while let Some(c) = self.next() {
                    if c == '\n' {
                        break;
                    }
                    line.push(c);
                }
                let kept = if pending.strips_tabs { line.trim_start_matches('\t') } else { &line };
                if kept == pending.end {
                    break;
                }
                text.push_str(kept);
                text.push('\n');
            }
            *pending.text.borrow_mut() = if pending.is_literal {
                vec![Part::Quoted(text)]
            } else {
                let mut inner = Parser {
                    chars: text.chars().collect(),
                    at: 0,
                    line: self.line,
                    depth: self.depth,
                    pending: vec![],
                };
                inner.double_quoted(None)?
            };
        }
        Ok(())
    }

    /// The reserved word that stands here, if one does.
    fn reserved(&self) -> Option<&'static str> {
        let word: String = self.chars[self.at..]
            .iter()
            .take(6)
            .take_while(|c| !is_delimiter(**c) && **c != '\'' && **c != '"')
            .collect();
        let next = self.peek_at(word.chars().count());
        if next.is_some_and(|c| !is_delimiter(c)) {
            return None;
        }
        RESERVED.into_iter().find(|reserved| *reserved == word)
    }

    fn eat_reserved(&mut self, word: &str) -> bool {
        self.reserved() == Some(word) && self.eat(word)
    }

    fn need_reserved(&mut self, word: &str) -> Result<(), SyntaxError> {
        self.skip_lines()?;
        if self.eat_reserved(word) { Ok(()) } else { Err(self.expecting(word)) }
    }

    fn expecting(&self, word: &str) -> SyntaxError {
        let mut error = self.unexpected();
        error.message.push_str(&format!(" (expecting \"{word}\")"));
        error
    }

    /// Commands up to one of the reserved words, a `)`, a `;;` or the end.
    fn list(&mut self, ends: &[&str]) -> Result<List, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.error("nested too deep");
        }
        let mut list = List::new();
        loop {
            self.skip_lines()?;
            let is_end = match self.peek() {
                None | Some(')') => true,
                Some(';') => self.peek_at(1) == Some(';'),
                Some(_) => self.reserved().is_some_and(|word| ends.contains(&word)),
            };
            if is_end {
                break;
            }
            let mut and_or = self.and_or()?;
            self.skip_blanks();
            match self.peek() {
                Some(';') if self.peek_at(1) != Some(';') => self.at += 1,
                Some('&') => {
                    self.at += 1;
                    and_or.is_background = true;
                }
                Some('\n') => self.end_line()?,
                _ => {
                    list.push(and_or);
                    break;
                }
            }
            list.push(and_or);
        }
        self.depth -= 1;
        Ok(list)
    }

    /// Commands that must be there.
    fn body(&mut self, ends: &[&str]) -> Result<List, SyntaxError> {
        let list = self.list(ends)?;
        if list.is_empty() { Err(self.unexpected()) } else { Ok(list) }
    }

    fn and_or(&mut self) -> Result<AndOr, SyntaxError> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.skip_blanks();
            let join = if self.eat("&&") {
                Join::And
            } else if self.eat("||") {
                Join::Or
            } else {
                return Ok(AndOr { first, rest, is_background: false });
            };
            self.skip_lines()?;
            rest.push((join, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, SyntaxError> {
        self.skip_blanks();
        let mut is_negated = false;
        while self.eat_reserved("!") {
            is_negated = !is_negated;
            self.skip_blanks();
        }
        let mut commands = vec![self.command()?];
        loop {
            self.skip_blanks();
            if self.peek() != Some('|') || self.peek_at(1) == Some('|') {
                return Ok(Pipeline { is_negated, commands });
            }
            self.at += 1;
            self.skip_lines()?;
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Result<Command, SyntaxError> {
        self.skip_blanks();
        let kind = if self.peek() == Some('(') {
            self.at += 1;
            let list = self.body(&[])?;
            if !self.eat(")") {
                return Err(self.expecting(")"));
            }
            CommandKind::Subshell(list)
        } else {
            match self.reserved() {
                None => return self.simple(),
                Some("{") => {
                    self.eat("{");
                    let list = self.body(&["}"])?;
                    self.need_reserved("}")?;
                    CommandKind::Group(list)
                }
                Some("if") => self.conditional()?,
                Some("while") => self.repetition("while", Until::Failure)?,
                Some("until") => self.repetition("until", Until::Success)?,
                Some("for") => self.for_each()?,
                Some("case") => self.case()?,
                Some(_) => return Err(self.unexpected()),
            }
        };
        let mut redirects = Vec::new();
        loop {
            self.skip_blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(Command { kind, redirects }),
            }
        }
    }

    fn conditional(&mut self) -> Result<CommandKind, SyntaxError> {
        self.eat("if");
        let mut branches = Vec::new();
        let mut otherwise = None;
        loop {
            let condition = self.body(&["then"])?;
            self.need_reserved("then")?;
            branches.push((condition, self.body(&["elif", "else", "fi"])?));
            if !self.eat_reserved("elif") {
                break;
            }
        }
        if self.eat_reserved("else") {
            otherwise = Some(self.body(&["fi"])?);
        }
        self.need_reserved("fi")?;
        Ok(CommandKind::If { branches, otherwise })
    }

    fn repetition(&mut self, word: &str, until: Until) -> Result<CommandKind, SyntaxError> {
        self.eat(word);
        let condition = self.body(&["do"])?;
        Ok(CommandKind::Loop { until, condition, body: self.do_group()? })
    }

    fn do_group(&mut self) -> Result<List, SyntaxError> {
        self.need_reserved("do")?;
        let body = self.body(&["done"])?;
        self.need_reserved("done")?;
        Ok(body)
    }

    fn for_each(&mut self) -> Result<CommandKind, SyntaxError> {
        self.eat("for");
        self.skip_blanks();
        let name = self.plain_word();
        if !is_name(&name) {
            return self.error("bad for loop variable");
        }
        self.skip_lines()?;
        let mut words = None;
        if self.eat_reserved("in") {
            let mut found = Vec::new();
            loop {
                self.skip_blanks();
                match self.peek() {
                    Some(c) if !is_delimiter(c) => found.push(self.word()?),
                    _ => break,
                }
            }
            words = Some(found);
        }
        self.skip_blanks();
        if self.peek() == Some(';') {
            self.at += 1;
        }
        Ok(CommandKind::For { name, words, body: self.do_group()? })
    }

    fn case(&mut self) -> Result<CommandKind, SyntaxError> {
        self.eat("case");
        self.skip_blanks();
        let word = self.word()?;
        self.need_reserved("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_lines()?;
            if self.eat_reserved("esac") {
                return Ok(CommandKind::Case { word, arms });
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.skip_blanks();
                patterns.push(self.word()?);
                self.skip_blanks();
                if !self.eat("|") {
                    break;
                }
            }
            if !self.eat(")") {
                return Err(self.expecting(")"));
            }
            let body = self.list(&["esac"])?;
            arms.push((patterns, body));
            self.skip_lines()?;
            if !self.eat(";;") && self.reserved() != Some("esac") {
                return Err(self.expecting(";;"));
            }
        }
    }

    /// Characters up to the next delimiter, as they stand.
    fn plain_word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| !is_delimiter(*c)) {
            word.push(c);
            self.at += 1;
        }
        word
    }

    fn simple(&mut self) -> Result<Command, SyntaxError> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.skip_blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            let Some(c) = self.peek() else { break };
            if c == '(' && words.len() == 1 && assignments.is_empty() && redirects.is_empty() {
                return self.function(&words[0]);
            }
            if is_delimiter(c) {
                break;
            }
            let assigned = if words.is_empty() { self.assigned_name() } else { None };
            match assigned {
                Some(name) => {
                    let is_empty = self.peek().is_none_or(is_delimiter);
                    let value = if is_empty { Word::new() } else { self.word()? };
                    assignments.push((name, value));
                }
                None => words.push(self.word()?),
            }
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Command { kind: CommandKind::Simple { assignments, words }, redirects })
    }

    /// Takes `name=` and gives the name.
    fn assigned_name(&mut self) -> Option<String> {
        let name: String =
            self.chars[self.at..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
        let len = name.chars().count();
        if !is_name(&name) || self.peek_at(len) != Some('=') {
            return None;
        }
        self.at += len + 1;
        Some(name)
    }

    fn function(&mut self, word: &Word) -> Result<Command, SyntaxError> {
        let name = match &word[..] {
            [Part::Literal(name)] if is_name(name) => name.clone(),
            _ => return Err(self.unexpected()),
        };
        self.eat("(");
        self.skip_blanks();
        if !self.eat(")") {
            return Err(self.expecting(")"));
        }
        self.skip_lines()?;
        let body = Rc::new(self.command()?);
        Ok(Command { kind: CommandKind::Function { name, body }, redirects: Vec::new() })
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, SyntaxError> {
        let digits = self.chars[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        let operator = match self.peek_at(digits) {
            Some(c @ ('<' | '>')) if digits <= 1 => c,
            _ => return Ok(None),
        };
        let descriptor = self.chars[self.at..self.at + digits].iter().collect::<String>().parse();
        let descriptor = descriptor.unwrap_or(usize::from(operator == '>'));
        self.at += digits + 1;
        let target = match (operator, self.peek()) {
            ('>', Some('>')) => {
                self.at += 1;
                Target::Append(self.redirected()?)
            }
            ('>' | '<', Some('&')) => {
                self.at += 1;
                Target::Duplicate(self.redirected()?)
            }
            ('>', Some('|')) => {
                self.at += 1;
                Target::Write(self.redirected()?)
            }
            ('>', _) => Target::Write(self.redirected()?),
            (_, Some('<')) => {
                self.at += 1;
                self.here_document()?
            }
            _ => Target::Read(self.redirected()?),
        };
        Ok(Some(Redirect { descriptor, target }))
    }

    fn redirected(&mut self) -> Result<Word, SyntaxError> {
        self.skip_blanks();
        if self.peek().is_none_or(is_delimiter) { Err(self.unexpected()) } else { self.word() }
    }

    fn here_document(&mut self) -> Result<Target, SyntaxError> {
        let strips_tabs = self.eat("-");
        let end = self.redirected()?;
        let is_literal = end.iter().any(|part| matches!(part, Part::Quoted(_)));
        let end = end.iter().map(|part| match part {
            Part::Literal(text) | Part::Quoted(text) => text.as_str(),
            _ => "",
        });
        let text = Rc::new(RefCell::new(Word::new()));
        self.pending.push(Pending { end: end.collect(), strips_tabs, is_literal, text: text.clone() });
        Ok(Target::Text(text))
    }

    fn word(&mut self) -> Result<Word, SyntaxError> {
        let mut word = Word::new();
        if self.peek() == Some('~') && self.peek_at(1).is_none_or(|c| c == '/' || is_delimiter(c)) {
            self.at += 1;
            word.push(Part::Home);
        }
        while let Some(c) = self.peek().filter(|c| !is_delimiter(*c)) {
            self.part(c, &mut word)?;
        }
        Ok(word)
    }

    /// One part of a word that is not within double quotes.
    fn part(&mut self, c: char, word: &mut Word) -> Result<(), SyntaxError> {
        match c {
            '\\' => {
                self.at += 1;
                match self.next() {
                    Some('\n') => {}
                    Some(c) => push_quoted(word, c),
                    None => push_literal(word, '\\'),
                }
            }
            '\'' => {
                self.at += 1;
                let mut text = String::new();
                loop {
                    match self.next() {
                        Some('\'') => break,
                        Some(c) => text.push(c),
                        None => return self.error("unterminated quoted string"),
                    }
                }
                word.push(Part::Quoted(text));
            }
            '"' => {
                self.at += 1;
                let inner = self.double_quoted(Some('"'))?;
                if inner.is_empty() {
                    word.push(Part::Quoted(String::new()));
                }
                word.extend(inner);
            }
            '$' => self.dollar(word, Quoting::None)?,
            '`' => self.backquoted(word, Quoting::None)?,
            c => {
                self.next();
                push_literal(word, c);
            }
        }
        Ok(())
    }

    /// What is within double quotes, up to `end`, which is taken; without an end, all there is.
    fn double_quoted(&mut self, end: Option<char>) -> Result<Word, SyntaxError> {
        let mut word = Word::new();
        loop {
            match self.peek() {
                None if end.is_none() => return Ok(word),
                None => return self.error("unterminated quoted string"),
                c if c == end => {
                    self.at += 1;
                    return Ok(word);
                }
                Some('\\') => {
                    self.at += 1;
                    match self.next() {
                        Some('\n') => {}
                        Some(c @ ('$' | '`' | '"' | '\\')) => push_quoted(&mut word, c),
                        Some(c) if Some(c) == end => push_quoted(&mut word, c),
                        Some(c) => {
                            push_quoted(&mut word, '\\');
                            push_quoted(&mut word, c);
                        }
                        None => push_quoted(&mut word, '\\'),
                    }
                }
                Some('$') => self.dollar(&mut word, Quoting::Double)?,
                Some('`') => self.backquoted(&mut word, Quoting::Double)?,
                // Quotes within the braces of a quoted parameter: what is between them is quoted anyway.
                Some('"') if end == Some('}') => self.at += 1,
                Some(c) => {
                    self.next();
                    push_quoted(&mut word, c);
                }
            }
        }
    }

    fn dollar(&mut self, word: &mut Word, quoting: Quoting) -> Result<(), SyntaxError> {
        self.at += 1;
        if self.starts_with("((") {
            let began = (self.at, self.line);
            self.at += 2;
            if let Some(expression) = self.arithmetic()? {
                word.push(Part::Arithmetic { expression, quoting });
                return Ok(());
            }
            // It is a subshell within a substitution.
            (self.at, self.line) = began;
        }
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let list = self.list(&[])?;
                if !self.eat(")") {
                    return Err(self.expecting(")"));
                }
                word.push(Part::Command { list, quoting });
            }
            Some('{') => {
                self.at += 1;
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return self.error("nested too deep");
                }
                let part = self.braced(quoting)?;
                self.depth -= 1;
                word.push(part);
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.at += 1;
                }
                word.push(Part::Parameter { name, change: Change::None, quoting });
            }
            Some(c) if c.is_ascii_digit() || "?#@*$!-".contains(c) => {
                self.at += 1;
                word.push(Part::Parameter { name: c.to_string(), change: Change::None, quoting });
            }
            _ => match quoting {
                Quoting::None => push_literal(word, '$'),
                Quoting::Double => push_quoted(word, '$'),
            },
        }
        Ok(())
    }

    /// What is between `$((` and `))`; `None`: it is no arithmetic.
    fn arithmetic(&mut self) -> Result<Option<Word>, SyntaxError> {
        let mut word = Word::new();
        let mut depth = 0;
        loop {
            match self.peek() {
                None => return Ok(None),
                Some('(') => {
                    depth += 1;
                    self.at += 1;
                    push_quoted(&mut word, '(');
                }
                Some(')') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                    push_quoted(&mut word, ')');
                }
                Some(')') => {
                    return Ok(self.eat("))").then_some(word));
                }
                Some('$') => self.dollar(&mut word, Quoting::Double)?,
                Some('`') => self.backquoted(&mut word, Quoting::Double)?,
                Some('"' | '\'') => self.at += 1,
                Some(c) => {
                    self.next();
                    push_quoted(&mut word, c);
                }
            }
        }
    }

    fn braced(&mut self, quoting: Quoting) -> Result<Part, SyntaxError> {
        let is_length = self.peek() == Some('#') && self.peek_at(1) != Some('}');
        if is_length {
            self.at += 1;
        }
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.at += 1;
        }
        if name.is_empty() {
            match self.peek() {
                Some(c) if "?#@*$!-".contains(c) => {
                    self.at += 1;
                    name.push(c);
                }
                _ => return self.error("bad substitution"),
            }
        }
        if !is_name(&name) && name.len() > 1 && !name.chars().all(|c| c.is_ascii_digit()) {
            return self.error("bad substitution");
        }
        if is_length {
            return if self.eat("}") {
                Ok(Part::Parameter { name, change: Change::Length, quoting })
            } else {
                self.error("bad substitution")
            };
        }
        let empty = if self.eat(":") { Empty::Unset } else { Empty::Set };
        let change = match (empty, self.next()) {
            (Empty::Set, Some('}')) => return Ok(Part::Parameter { name, change: Change::None, quoting }),
            (_, Some('-')) => Change::Default { word: self.braced_word(quoting)?, empty },
            (_, Some('=')) => Change::Assign { word: self.braced_word(quoting)?, empty },
            (_, Some('?')) => Change::Require { word: self.braced_word(quoting)?, empty },
            (_, Some('+')) => Change::Alternative { word: self.braced_word(quoting)?, empty },
            (Empty::Set, Some(sign @ ('#' | '%'))) => {
                let reach = if self.eat(&sign.to_string()) { Reach::Longest } else { Reach::Shortest };
                let end = if sign == '#' { End::Front } else { End::Back };
                Change::Strip { pattern: self.braced_word(Quoting::None)?, end, reach }
            }
            _ => return self.error("bad substitution"),
        };
        Ok(Part::Parameter { name, change, quoting })
    }

    /// The word in `${name:-word}`, with the brace.
    fn braced_word(&mut self, quoting: Quoting) -> Result<Word, SyntaxError> {
        if quoting == Quoting::Double {
            return self.double_quoted(Some('}'));
        }
        let mut word = Word::new();
        loop {
            match self.peek() {
                None => return self.error("missing '}'"),
                Some('}') => {
                    self.at += 1;
                    return Ok(word);
                }
                Some(c) => self.part(c, &mut word)?,
            }
        }
    }

    fn backquoted(&mut self, word: &mut Word, quoting: Quoting) -> Result<(), SyntaxError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.next() {
                None => return self.error("unterminated backquoted string"),
                Some('`') => break,
                Some('\\') => match self.next() {
                    Some(c @ ('`' | '\\' | '$')) => text.push(c),
                    Some(c) => text.extend(['\\', c]),
                    None => text.push('\\'),
                },
                Some(c) => text.push(c),
            }
        }
        let mut inner =
            Parser { chars: text.chars().collect(), at: 0, line: self.line, depth: self.depth, pending: vec![] };
        let list = inner.list(&[])?;
        if inner.peek().is_some() {
            return Err(inner.unexpected());
        }
        word.push(Part::Command { list, quoting });
        Ok(())
    }
}

fn is_delimiter(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

fn push_literal(word: &mut Word, c: char) {
    match word.last_mut() {
        Some(Part::Literal(text)) => text.push(c),
        _ => word.push(Part::Literal(c.to_string())),
    }
}

fn push_quoted(word: &mut Word, c: char) {
    match word.last_mut() {
        Some(Part::Quoted(text)) => text.push(c),
        _ => word.push(Part::Quoted(c.to_string())),
    }
}

#[cfg(test)]
mod tests;
