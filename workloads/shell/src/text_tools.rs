//! Tools that read text and write text.

use crate::files::{self, WriteMode};
use crate::shell::{Run, Shell};

/// Letters of options, and the other arguments. After `--` there are no options.
pub fn options(arguments: &[String]) -> (String, Vec<String>) {
    let mut letters = String::new();
    let mut words = Vec::new();
    let mut is_over = false;
    for argument in arguments {
        match argument.strip_prefix('-') {
            Some("-") if !is_over => is_over = true,
            Some(option) if !is_over && !option.is_empty() && !option.starts_with('-') => letters.push_str(option),
            _ => words.push(argument.clone()),
        }
    }
    (letters, words)
}

/// The texts that a tool reads: its files, or standard input.
pub struct Inputs {
    tool: String,
    names: Vec<String>,
    /// 1 when one could not be read.
    pub status: i32,
}

impl Inputs {
    pub fn new(tool: &str, names: &[String]) -> Inputs {
        let mut names = names.to_vec();
        if names.is_empty() {
            names.push("-".to_owned());
        }
        names.reverse();
        Inputs { tool: tool.to_owned(), names, status: 0 }
    }

    /// The next name and text; what can't be read is said and passed over.
    pub fn next(&mut self, shell: &mut Shell) -> Run<Option<(String, String)>> {
        while let Some(name) = self.names.pop() {
            let read = match name.as_str() {
                "-" | "/dev/stdin" => shell.read_all(),
                name => shell.files.read(&shell.path(name)),
            };
            match read {
                Ok(bytes) => return Ok(Some((name, String::from_utf8_lossy(&bytes).into_owned()))),
                Err(error) => {
                    self.status = 1;
                    let message = match self.tool.as_str() {
                        "cat" | "tail" | "head" => format!("can't open '{name}': {}", files::reason(&error)),
                        _ => format!("{name}: {}", files::reason(&error)),
                    };
                    shell.fail(&self.tool, &message)?;
                }
            }
        }
        Ok(None)
    }
}

/// Copies as it comes, so that what is read bit by bit is seen at once.
pub fn cat(shell: &mut Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let names = if names.is_empty() { vec!["-".to_owned()] } else { names };
    let mut status = 0;
    let mut line_number = 1;
    for name in names {
        if name == "-" && !letters.contains('n') {
            let mut buffer = [0; 4096];
            loop {
                match shell.read(0, &mut buffer) {
                    Ok(0) => break,
                    Ok(len) => shell.put(&buffer[..len])?,
                    Err(error) => {
                        status = shell.fail("cat", &format!("read error: {}", files::reason(&error)))?;
                        break;
                    }
                }
            }
            continue;
        }
        let read = if name == "-" { shell.read_all() } else { shell.files.read(&shell.path(&name)) };
        match read {
            Ok(bytes) if letters.contains('n') => {
                for line in String::from_utf8_lossy(&bytes).lines() {
                    shell.put(format!("{line_number:6}\t{line}\n"))?;
                    line_number += 1;
                }
            }
            Ok(bytes) => shell.put(bytes)?,
            Err(error) => status = shell.fail("cat", &format!("can't open '{name}': {}", files::reason(&error)))?,
        }
    }
    Ok(status)
}

pub fn wc(shell: &mut Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let mut inputs = Inputs::new("wc", &names);
    while let Some((name, text)) = inputs.next(shell)? {
        let counts = [
            ('l', text.matches('\n').count()),
            ('w', text.split_whitespace().count()),
            ('c', text.len()),
            ('m', text.chars().count()),
        ];
        let is_shown = |letter: char| if letters.is_empty() { letter != 'm' } else { letters.contains(letter) };
        let shown: Vec<_> =
            counts.into_iter().filter(|(letter, _)| is_shown(*letter)).map(|(_, count)| count).collect();
        let mut line = match &shown[..] {
            [only] => only.to_string(),
            several => several.iter().map(|count| format!("{count:9}")).collect(),
        };
        if !names.is_empty() {
            line.push_str(&format!(" {name}"));
        }
        shell.put(line + "\n")?;
    }
    Ok(inputs.status)
}

/// How much of a text `head` and `tail` show.
struct Part {
    count: usize,
    /// Bytes in the place of lines.
    is_bytes: bool,
    /// `+N` of `tail`: from there on; `-N` of `head`: all but the last.
    is_rest: bool,
    follows: bool,
    names: Vec<String>,
}

fn part(arguments: &[String]) -> Option<Part> {
    let mut part = Part { count: 10, is_bytes: false, is_rest: false, follows: false, names: Vec::new() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let value = match argument.strip_prefix('-') {
            Some("n" | "c") => {
                part.is_bytes = argument == "-c";
                rest.next()?.clone()
            }
            Some(option) if option.starts_with(['n', 'c']) => {
                part.is_bytes = option.starts_with('c');
                option[1..].to_owned()
            }
            Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => digits.to_owned(),
            Some("f" | "F" | "-follow" | "-follow=name" | "-retry") => {
                part.follows = true;
                continue;
            }
            Some("q" | "v" | "-") => continue,
            Some(option) if !option.is_empty() && option.chars().all(|c| "fF0123456789n".contains(c)) => {
                part.follows = true;
                option.trim_matches(['f', 'F', 'n']).to_owned()
            }
            _ => {
                part.names.push(argument.clone());
                continue;
            }
        };
        if value.is_empty() {
            part.count = rest.next()?.trim_start_matches('+').parse().ok()?;
            continue;
        }
        part.is_rest = value.starts_with(['+', '-']);
        part.count = value.trim_start_matches(['+', '-']).parse().ok()?;
    }
    Some(part)
}

/// Whether arguments of `tail` make it wait for what never comes.
pub fn follows_nothing(arguments: &[String]) -> bool {
    part(arguments).is_some_and(|part| part.follows)
}

pub fn head(shell: &mut Shell, arguments: &[String]) -> Run {
    let Some(part) = part(arguments) else { return shell.fail("head", "invalid number") };
    let mut inputs = Inputs::new("head", &part.names);
    while let Some((_, text)) = inputs.next(shell)? {
        if part.is_bytes {
            let len = if part.is_rest { text.len().saturating_sub(part.count) } else { part.count.min(text.len()) };
            shell.put(&text.as_bytes()[..len])?;
            continue;
        }
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let count = if part.is_rest { lines.len().saturating_sub(part.count) } else { part.count.min(lines.len()) };
        shell.put(lines[..count].concat())?;
    }
    Ok(inputs.status)
}

/// Nothing changes a file while this program waits, so that following one is waiting.
pub fn tail(shell: &mut Shell, arguments: &[String]) -> Run {
    let Some(part) = part(arguments) else { return shell.fail("tail", "invalid number") };
    let mut inputs = Inputs::new("tail", &part.names);
    while let Some((_, text)) = inputs.next(shell)? {
        let from = |len: usize| {
            if part.is_rest { part.count.saturating_sub(1).min(len) } else { len.saturating_sub(part.count) }
        };
        if part.is_bytes {
            shell.put(&text.as_bytes()[from(text.len())..])?;
            continue;
        }
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        shell.put(lines[from(lines.len())..].concat())?;
    }
    if part.follows { shell.wait(None) } else { Ok(inputs.status) }
}

pub fn sort(shell: &mut Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let mut inputs = Inputs::new("sort", &names);
    let mut lines = Vec::new();
    while let Some((_, text)) = inputs.next(shell)? {
        lines.extend(text.lines().map(str::to_owned));
    }
    let number = |line: &String| {
        let line = line.trim_start();
        let len = line.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '.').unwrap_or(line.len());
        line[..len].parse::<f64>().unwrap_or(0.0)
    };
    if letters.contains('n') {
        lines.sort_by(|left, right| number(left).total_cmp(&number(right)).then_with(|| left.cmp(right)));
    } else {
        lines.sort();
    }
    if letters.contains('r') {
        lines.reverse();
    }
    if letters.contains('u') {
        lines.dedup();
    }
    for line in lines {
        shell.put(line + "\n")?;
    }
    Ok(inputs.status)
}

pub fn uniq(shell: &mut Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let mut inputs = Inputs::new("uniq", &names);
    let mut groups: Vec<(String, usize)> = Vec::new();
    while let Some((_, text)) = inputs.next(shell)? {
        for line in text.lines() {
            match groups.last_mut() {
                Some((last, count)) if last == line => *count += 1,
                _ => groups.push((line.to_owned(), 1)),
            }
        }
    }
    for (line, count) in groups {
        let is_shown = match (letters.contains('d'), letters.contains('u')) {
            (true, _) => count > 1,
            (_, true) => count == 1,
            _ => true,
        };
        if is_shown {
            let prefix = if letters.contains('c') { format!("{count:7} ") } else { String::new() };
            shell.put(format!("{prefix}{line}\n"))?;
        }
    }
    Ok(inputs.status)
}

pub fn tee(shell: &mut Shell, arguments: &[String]) -> Run {
    let (letters, names) = options(arguments);
    let mode = if letters.contains('a') { WriteMode::Append } else { WriteMode::Truncate };
    let mut outputs = Vec::new();
    let mut status = 0;
    for name in names {
        match shell.files.create(&shell.path(&name), mode) {
            Ok(file) => outputs.push(file),
            Err(error) => status = shell.fail("tee", &format!("{name}: {}", files::reason(&error)))?,
        }
    }
    let bytes = shell.read_all().unwrap_or_default();
    for output in &mut outputs {
        if let Err(error) = output.write_all(&bytes) {
            status = shell.fail("tee", &files::reason(&error))?;
        }
    }
    shell.put(bytes)?;
    Ok(status)
}

/// The characters that a set of `tr` names.
fn characters(set: &str) -> Vec<char> {
    let set = set
        .replace("[:upper:]", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        .replace("[:lower:]", "abcdefghijklmnopqrstuvwxyz")
        .replace("[:digit:]", "0123456789")
        .replace("[:space:]", " \t\n\r\u{b}\u{c}");
    let (bytes, _) = crate::printf::unescape(&set, crate::printf::Zero::IsADigit);
    let set: Vec<char> = String::from_utf8_lossy(&bytes).chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < set.len() {
        match (set.get(at + 1), set.get(at + 2)) {
            (Some('-'), Some(high)) => {
                found.extend(set[at]..=*high);
                at += 3;
            }
            _ => {
                found.push(set[at]);
                at += 1;
            }
        }
    }
    found
}

pub fn tr(shell: &mut Shell, arguments: &[String]) -> Run {
    let (letters, sets) = options(arguments);
    let (deletes, squeezes, inverts) = (letters.contains('d'), letters.contains('s'), letters.contains('c'));
    let Some(from) = sets.first().map(|set| characters(set)) else { return shell.fail("tr", "missing operand") };
    let to = sets.get(1).map(|set| characters(set)).unwrap_or_default();
    let text = shell.read_all().unwrap_or_default();
    let mut output = String::new();
    for c in String::from_utf8_lossy(&text).chars() {
        let place = if inverts {
            (!from.contains(&c)).then_some(usize::MAX)
        } else {
            from.iter().position(|other| *other == c)
        };
        let written = match place {
            None => c,
            Some(_) if deletes => continue,
            Some(place) => to.get(place).or(to.last()).copied().unwrap_or(c),
        };
        if squeezes && place.is_some() && output.ends_with(written) {
            continue;
        }
        output.push(written);
    }
    shell.put(output).map(|()| 0)
}

pub fn cut(shell: &mut Shell, arguments: &[String]) -> Run {
    let (mut delimiter, mut list, mut is_fields, mut names) = ('\t', String::new(), true, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let value = |rest: &mut std::slice::Iter<'_, String>| {
            if argument.len() > 2 { argument[2..].to_owned() } else { rest.next().cloned().unwrap_or_default() }
        };
        if argument.starts_with("-d") {
            delimiter = value(&mut rest).chars().next().unwrap_or('\t');
        } else if argument.starts_with("-f") || argument.starts_with("-c") || argument.starts_with("-b") {
            is_fields = argument.starts_with("-f");
            list = value(&mut rest);
        } else if argument != "-s" {
            names.push(argument.clone());
        }
    }
    let ranges: Option<Vec<(usize, usize)>> = list
        .split(',')
        .map(|range| match range.split_once('-') {
            None => range.parse().ok().map(|number| (number, number)),
            Some(("", last)) => last.parse().ok().map(|last| (1, last)),
            Some((first, "")) => first.parse().ok().map(|first| (first, usize::MAX)),
            Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        })
        .collect();
    let Some(ranges) = ranges else { return shell.fail("cut", &format!("invalid range '{list}'")) };
    let is_in = |number: usize| ranges.iter().any(|(first, last)| (*first..=*last).contains(&number));
    let mut inputs = Inputs::new("cut", &names);
    while let Some((_, text)) = inputs.next(shell)? {
        for line in text.lines() {
            let kept: String = if !is_fields {
                line.chars().enumerate().filter(|(index, _)| is_in(index + 1)).map(|(_, c)| c).collect()
            } else if line.contains(delimiter) {
                let fields = line.split(delimiter).enumerate().filter(|(index, _)| is_in(index + 1));
                fields.map(|(_, field)| field).collect::<Vec<_>>().join(&delimiter.to_string())
            } else {
                line.to_owned()
            };
            shell.put(kept + "\n")?;
        }
    }
    Ok(inputs.status)
}

/// `seq [-s SEPARATOR] [-w] [FIRST [STEP]] LAST`, in integers.
pub fn seq(shell: &mut Shell, arguments: &[String]) -> Run {
    let mut separator = "\n".to_owned();
    let mut is_padded = false;
    let mut numbers = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-s" => separator = rest.next().cloned().unwrap_or_default(),
            "-w" => is_padded = true,
            number => match number.parse::<i64>() {
                Ok(number) => numbers.push(number),
                Err(_) => return shell.fail("seq", &format!("invalid number '{number}'")),
            },
        }
    }
    let (first, step, last) = match numbers[..] {
        [last] => (1, 1, last),
        [first, last] => (first, 1, last),
        [first, step, last] => (first, step, last),
        _ => return shell.fail("seq", "missing operand"),
    };
    if step == 0 {
        return shell.fail("seq", "step can't be 0");
    }
    let width = if is_padded { first.to_string().len().max(last.to_string().len()) } else { 0 };
    let mut next = Some(first);
    let mut is_first = true;
    while let Some(number) = next.filter(|number| if step > 0 { *number <= last } else { *number >= last }) {
        let before = if is_first { "" } else { separator.as_str() };
        shell.put(format!("{before}{number:0width$}"))?;
        is_first = false;
        shell.look_for_stop()?;
        next = number.checked_add(step);
    }
    if is_first { Ok(0) } else { shell.put("\n").map(|()| 0) }
}

pub fn basename(shell: &Shell, arguments: &[String]) -> Run {
    let Some(path) = arguments.first() else { return shell.fail("basename", "missing operand") };
    let trimmed = path.trim_end_matches('/');
    let name = trimmed.rsplit('/').next().unwrap_or_default();
    let name = if trimmed.is_empty() && !path.is_empty() { "/" } else { name };
    let suffix = arguments.get(1).map_or("", String::as_str);
    let kept = name.strip_suffix(suffix).filter(|kept| !kept.is_empty()).unwrap_or(name);
    shell.put(format!("{kept}\n")).map(|()| 0)
}

pub fn dirname(shell: &Shell, arguments: &[String]) -> Run {
    let Some(path) = arguments.first() else { return shell.fail("dirname", "missing operand") };
    let trimmed = path.trim_end_matches('/');
    let folder = match trimmed.rfind('/') {
        Some(0) => "/",
        Some(end) => trimmed[..end].trim_end_matches('/'),
        None if trimmed.is_empty() && !path.is_empty() => "/",
        None => ".",
    };
    shell.put(format!("{folder}\n")).map(|()| 0)
}
