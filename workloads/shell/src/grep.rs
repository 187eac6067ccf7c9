//! `grep`, and the regular expressions that it shares with `expr` and `[[ =~ ]]`.
//!
//! A small matcher that tries one way after the other: enough for the expressions of health checks and scripts, with one group told.

use crate::shell::{Run, Shell};
use crate::text_tools::{Inputs, options};

/// The steps after which a search is given up: some expressions have ways without number.
const STEPS_MAX: u32 = 2_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Basic,
    Extended,
}

#[derive(Debug)]
enum Node {
    Any,
    Char(char),
    Set { is_negated: bool, items: Vec<(char, char)> },
    Begin,
    End,
    Group(Vec<Vec<Repeated>>),
}

#[derive(Debug)]
struct Repeated {
    node: Node,
    least: u32,
    most: u32,
}

#[derive(Debug)]
pub struct Regex {
    ways: Vec<Vec<Repeated>>,
    group_count: u32,
    ignores_case: bool,
}

/// Where an expression was found, in characters.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub begin: usize,
    pub end: usize,
    /// The last group that took part.
    pub group: Option<(usize, usize)>,
}

impl Regex {
    pub fn new(text: &str, dialect: Dialect) -> Result<Regex, &'static str> {
        let mut reader = Reader { chars: text.chars().collect(), at: 0, dialect, group_count: 0, depth: 0 };
        let ways = reader.ways()?;
        if reader.at < reader.chars.len() {
            return Err("unmatched )");
        }
        Ok(Regex { ways, group_count: reader.group_count, ignores_case: false })
    }

    pub fn has_group(&self) -> bool {
        self.group_count > 0
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// The first place that fits.
    pub fn find(&self, text: &str) -> Option<Found> {
        let text: Vec<char> = if self.ignores_case {
            text.chars().map(|c| c.to_ascii_lowercase()).collect()
        } else {
            text.chars().collect()
        };
        let mut search = Search { text: &text, steps: 0, group: None };
        (0..=text.len()).find_map(|begin| {
            let end = search.ways(&self.ways, begin, &mut |_, end| Some(end))?;
            Some(Found { begin, end, group: search.group })
        })
    }
}

struct Search<'t> {
    text: &'t [char],
    steps: u32,
    group: Option<(usize, usize)>,
}

type Then<'f, 't> = &'f mut dyn FnMut(&mut Search<'t>, usize) -> Option<usize>;

impl<'t> Search<'t> {
    fn ways(&mut self, ways: &[Vec<Repeated>], at: usize, then: Then<'_, 't>) -> Option<usize> {
        ways.iter().find_map(|way| self.sequence(way, at, then))
    }

    fn sequence(&mut self, items: &[Repeated], at: usize, then: Then<'_, 't>) -> Option<usize> {
        match items.split_first() {
            None => then(self, at),
            Some((item, rest)) => self.repeat(item, rest, 0, at, then),
        }
    }

    /// As many of an item as fit, then what follows.
    fn repeat(
        &mut self,
        item: &Repeated,
        rest: &[Repeated],
        count: u32,
        at: usize,
        then: Then<'_, 't>,
    ) -> Option<usize> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return None;
        }
        if count < item.most {
            // A loop for what takes one character: a long line must not take the guest's stack.
            if !matches!(item.node, Node::Group(_)) {
                let fits = |at: usize| one(&item.node, self.text, at);
                let mut ends = vec![at];
                while u32::try_from(ends.len()).unwrap_or(u32::MAX) <= item.most
                    && let Some(next) = fits(ends[ends.len() - 1])
                {
                    let is_still = next == ends[ends.len() - 1];
                    ends.push(next);
                    if is_still {
                        break;
                    }
                }
                let least = usize::try_from(item.least).unwrap_or(usize::MAX);
                return ends.iter().enumerate().rev().filter(|(count, _)| *count >= least).find_map(|(_, end)| {
                    self.steps += 1;
                    if self.steps > STEPS_MAX { None } else { self.sequence(rest, *end, then) }
                });
            }
            let Node::Group(ways) = &item.node else { return None };
            let found = self.ways(ways, at, &mut |search, end| {
                if end == at && count >= item.least {
                    return None;
                }
                let before = search.group.replace((at, end));
                let found = search.repeat(item, rest, count + 1, end, then);
                if found.is_none() {
                    search.group = before;
                }
                found
            });
            if found.is_some() {
                return found;
            }
        }
        if count >= item.least { self.sequence(rest, at, then) } else { None }
    }
}

/// Where a node that is no group ends, when it fits.
fn one(node: &Node, text: &[char], at: usize) -> Option<usize> {
    match node {
        Node::Begin => (at == 0).then_some(at),
        Node::End => (at == text.len()).then_some(at),
        Node::Any => text.get(at).map(|_| at + 1),
        Node::Char(c) => (text.get(at) == Some(c)).then_some(at + 1),
        Node::Set { is_negated, items } => {
            let c = *text.get(at)?;
            let is_in = items.iter().any(|(low, high)| (*low..=*high).contains(&c));
            (is_in != *is_negated).then_some(at + 1)
        }
        Node::Group(_) => None,
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    dialect: Dialect,
    group_count: u32,
    depth: u32,
}

impl Reader {
    /// Whether an operator stands here, by the dialect with or without a backslash; it is taken.
    fn operator(&mut self, c: char) -> bool {
        let is_found = match self.dialect {
            Dialect::Extended => self.chars.get(self.at) == Some(&c),
            Dialect::Basic => self.chars.get(self.at) == Some(&'\\') && self.chars.get(self.at + 1) == Some(&c),
        };
        if is_found {
            self.at += if self.dialect == Dialect::Extended { 1 } else { 2 };
        }
        is_found
    }

    fn ways(&mut self) -> Result<Vec<Vec<Repeated>>, &'static str> {
        self.depth += 1;
        if self.depth > 30 {
            return Err("nested too deep");
        }
        let mut ways = Vec::new();
        loop {
            let way = self.way()?;
            ways.push(way);
            if !self.operator('|') {
                self.depth -= 1;
                return Ok(ways);
            }
        }
    }

    fn way(&mut self) -> Result<Vec<Repeated>, &'static str> {
        let mut items: Vec<Repeated> = Vec::new();
        loop {
            let before = self.at;
            if self.at >= self.chars.len() || self.operator('|') || self.operator(')') {
                self.at = before;
                return Ok(items);
            }
            let node = if self.operator('(') {
                self.group_count += 1;
                let ways = self.ways()?;
                if !self.operator(')') {
                    return Err("unmatched (");
                }
                Node::Group(ways)
            } else {
                self.node(items.is_empty())?
            };
            let (least, most) = self.count()?;
            items.push(Repeated { node, least, most });
        }
    }

    fn node(&mut self, is_first: bool) -> Result<Node, &'static str> {
        let c = self.chars[self.at];
        self.at += 1;
        Ok(match c {
            '.' => Node::Any,
            '^' if is_first || self.dialect == Dialect::Extended => Node::Begin,
            '$' if self.is_end_of_way() => Node::End,
            '[' => self.set()?,
            '\\' => {
                let c = *self.chars.get(self.at).ok_or("trailing backslash")?;
                self.at += 1;
                match c {
                    'w' | 'W' => {
                        let items = vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')];
                        Node::Set { is_negated: c == 'W', items }
                    }
                    's' | 'S' => Node::Set { is_negated: c == 'S', items: vec![(' ', ' '), ('\t', '\r')] },
                    'd' => Node::Set { is_negated: false, items: vec![('0', '9')] },
                    c => Node::Char(c),
                }
            }
            c => Node::Char(c),
        })
    }

    fn is_end_of_way(&mut self) -> bool {
        let before = self.at;
        let is_end = self.at >= self.chars.len() || self.operator('|') || self.operator(')');
        self.at = before;
        is_end
    }

    fn set(&mut self) -> Result<Node, &'static str> {
        let is_negated = self.chars.get(self.at) == Some(&'^');
        self.at += usize::from(is_negated);
        let first = self.at;
        let mut items = Vec::new();
        loop {
            let c = *self.chars.get(self.at).ok_or("unmatched [")?;
            if c == ']' && self.at > first {
                self.at += 1;
                return Ok(Node::Set { is_negated, items });
            }
            if c == '[' && self.chars.get(self.at + 1) == Some(&':') {
                let rest = &self.chars[self.at + 2..];
                let end = rest.windows(2).position(|pair| pair == [':', ']']).ok_or("unmatched [")?;
                let name: String = rest[..end].iter().collect();
                items.extend_from_slice(class(&name).ok_or("invalid character class")?);
                self.at += end + 4;
                continue;
            }
            match (self.chars.get(self.at + 1), self.chars.get(self.at + 2)) {
                (Some('-'), Some(high)) if *high != ']' => {
                    items.push((c, *high));
                    self.at += 3;
                }
                _ => {
                    items.push((c, c));
                    self.at += 1;
                }
            }
        }
    }

    fn count(&mut self) -> Result<(u32, u32), &'static str> {
        if self.chars.get(self.at) == Some(&'*') {
            self.at += 1;
            return Ok((0, u32::MAX));
        }
        if self.operator('+') {
            return Ok((1, u32::MAX));
        }
        if self.operator('?') {
            return Ok((0, 1));
        }
        if !self.operator('{') {
            return Ok((1, 1));
        }
        let rest: String = self.chars[self.at..].iter().take_while(|c| **c != '}' && **c != '\\').collect();
        self.at += rest.chars().count();
        if !self.operator('}') {
            return Err("unmatched {");
        }
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| "invalid repetition");
        match rest.split_once(',') {
            None => number(&rest).map(|count| (count, count)),
            Some((least, "")) => Ok((number(least)?, u32::MAX)),
            Some((least, most)) => Ok((number(least)?, number(most)?)),
        }
    }
}

fn class(name: &str) -> Option<&'static [(char, char)]> {
    Some(match name {
        "alpha" => &[('a', 'z'), ('A', 'Z')],
        "digit" => &[('0', '9')],
        "alnum" => &[('a', 'z'), ('A', 'Z'), ('0', '9')],
        "space" => &[(' ', ' '), ('\t', '\r')],
        "blank" => &[(' ', ' '), ('\t', '\t')],
        "upper" => &[('A', 'Z')],
        "lower" => &[('a', 'z')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "xdigit" => &[('0', '9'), ('a', 'f'), ('A', 'F')],
        _ => return None,
    })
}

/// `grep [-EFciqsvnohwx] [-e] PATTERN [FILE]...`.
pub fn run(shell: &mut Shell, name: &str, arguments: &[String]) -> Run {
    let (letters, mut words) = options(arguments);
    if letters.contains('e') && words.is_empty() || words.is_empty() {
        return shell.fail(name, "usage: grep [-EFciqsvnohx] PATTERN [FILE]...").map(|_| 2);
    }
    let has = |letter: char| letters.contains(letter);
    let written = words.remove(0);
    let mut regexes = Vec::new();
    for line in written.split('\n') {
        let line = if has('i') { line.to_ascii_lowercase() } else { line.to_owned() };
        let is_fixed = has('F') || name == "fgrep";
        let dialect = if has('E') || name == "egrep" { Dialect::Extended } else { Dialect::Basic };
        let line = if is_fixed {
            line.chars()
                .map(|c| if c.is_alphanumeric() || c == ' ' { c.to_string() } else { format!("[{c}]") })
                .collect()
        } else {
            line
        };
        // In a set, these two have to be written otherwise.
        let line = if is_fixed { line.replace("[^]", "\\^").replace("[\\]", "\\\\") } else { line };
        let line = if has('x') { format!("^{line}$") } else { line };
        match Regex::new(&line, dialect) {
            Ok(mut regex) => {
                regex.ignores_case = has('i');
                regexes.push(regex);
            }
            Err(message) => return shell.fail(name, &format!("bad regex '{written}': {message}")).map(|_| 2),
        }
    }
    let mut inputs = Inputs::new(name, &words);
    let shows_names = words.len() > 1 && !has('h');
    let mut found_any = false;
    while let Some((file, text)) = inputs.next(shell)? {
        let mut count = 0;
        for (index, line) in text.lines().enumerate() {
            let found = regexes.iter().find_map(|regex| regex.find(line));
            if found.is_some() == has('v') {
                continue;
            }
            count += 1;
            found_any = true;
            if has('q') {
                return Ok(0);
            }
            if has('c') || has('l') {
                continue;
            }
            let mut shown = String::new();
            if shows_names {
                shown.push_str(&format!("{file}:"));
            }
            if has('n') {
                shown.push_str(&format!("{}:", index + 1));
            }
            match found {
                Some(found) if has('o') => shown.extend(line.chars().skip(found.begin).take(found.end - found.begin)),
                _ => shown.push_str(line),
            }
            shell.put(shown + "\n")?;
        }
        if has('l') && count > 0 {
            shell.put(format!("{file}\n"))?;
        } else if has('c') {
            let prefix = if shows_names { format!("{file}:") } else { String::new() };
            shell.put(format!("{prefix}{count}\n"))?;
        }
    }
    Ok(match (found_any, inputs.status) {
        (_, failed) if failed != 0 => 2,
        (true, _) => 0,
        (false, _) => 1,
    })
}
