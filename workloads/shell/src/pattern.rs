//! Patterns of names and values: `*`, `?`, `[...]`, and `\` before what stands for itself.

/// Whether all of `text` fits.
pub fn is_match(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: the star takes one more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, read));
                at += 1;
                continue;
            }
            Some(_) => text.get(read).and_then(|c| one(&pattern[at..], *c)),
            None if read == text.len() => return true,
            None => None,
        };
        match (step, retry) {
            (Some(len), _) => {
                at += len;
                read += 1;
            }
            (None, Some((star, taken))) if taken < text.len() => {
                retry = Some((star, taken + 1));
                at = star;
                read = taken + 1;
            }
            (None, _) => return false,
        }
    }
}

/// How long the piece of pattern is that fits one character.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        '[' => match set(pattern, c) {
            Some((len, is_in)) => is_in.then_some(len),
            None => (c == '[').then_some(1),
        },
        other => (other == c).then_some(1),
    }
}

/// How long a set in brackets is, and whether a character is in it; `None`: its bracket is not closed.
fn set(pattern: &[char], c: char) -> Option<(usize, bool)> {
    let is_negated = matches!(pattern.get(1), Some('!' | '^'));
    let mut at = 1 + usize::from(is_negated);
    let first = at;
    let mut is_in = false;
    loop {
        match *pattern.get(at)? {
            ']' if at > first => return Some((at + 1, is_in != is_negated)),
            '[' if pattern.get(at + 1) == Some(&':') => {
                let end = pattern[at..].windows(2).position(|pair| pair == [':', ']'])?;
                let name: String = pattern[at + 2..at + end].iter().collect();
                is_in |= is_of_class(&name, c);
                at += end + 2;
            }
            '\\' => {
                is_in |= *pattern.get(at + 1)? == c;
                at += 2;
            }
            low => match (pattern.get(at + 1), pattern.get(at + 2)) {
                (Some('-'), Some(high)) if *high != ']' => {
                    is_in |= (low..=*high).contains(&c);
                    at += 3;
                }
                _ => {
                    is_in |= low == c;
                    at += 1;
                }
            },
        }
    }
}

fn is_of_class(name: &str, c: char) -> bool {
    match name {
        "alpha" => c.is_alphabetic(),
        "digit" => c.is_ascii_digit(),
        "alnum" => c.is_alphanumeric(),
        "space" => c.is_whitespace(),
        "upper" => c.is_uppercase(),
        "lower" => c.is_lowercase(),
        "punct" => c.is_ascii_punctuation(),
        "xdigit" => c.is_ascii_hexdigit(),
        _ => false,
    }
}

/// A text as a pattern that fits it alone.
pub fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A pattern as the text that it stands for when it fits nothing.
pub fn unescape(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    text
}
