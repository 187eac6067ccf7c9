//! Tells what it was given, as one JSON object on stdout: the witness that a task has what was named and nothing else.
//!
//! The object has `args` (with the program's own name first), `env`, and `attempts`: one entry for `/`, for `.`, and for
//! each thing that the arguments ask for, in order. An attempt has `action`, `target`, and either `error` or what was
//! found: `entries` of a folder, `text` of a file, `written` bytes, `modified` seconds after 1970, or `connected`.
//!
//! Arguments: any number of `--open PATH` (list a folder, read a file), `--write PATH` (append one line to the file, made
//! when missing), `--age PATH` (when the file was modified) and `--connect HOST:PORT`; whatever else is given is only told.
//! Exit: 0. Fuel: 100 k. Memory: 1.1 MiB.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::Path;

fn main() {
    let args: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let env = std::env::vars_os()
        .map(|(key, value)| format!("{}: {}", quoted(&key.to_string_lossy()), quoted(&value.to_string_lossy())));
    let mut attempts = vec![attempt("open", "/", open), attempt("open", ".", open)];
    let mut words = args.iter().skip(1);
    while let Some(word) = words.next() {
        let action: fn(&str) -> io::Result<String> = match word.as_str() {
            "--open" => open,
            "--write" => write,
            "--age" => age,
            "--connect" => connect,
            _ => continue,
        };
        if let Some(target) = words.next() {
            attempts.push(attempt(word.trim_start_matches('-'), target, action));
        }
    }
    println!(
        "{{\"args\": {}, \"env\": {{{}}}, \"attempts\": [{}]}}",
        array(&args),
        env.collect::<Vec<_>>().join(", "),
        attempts.join(", "),
    );
}

/// Tries one thing, and tells how it went as a JSON object.
fn attempt(action: &str, target: &str, run: fn(&str) -> io::Result<String>) -> String {
    let outcome = run(target).unwrap_or_else(|error| format!("\"error\": {}", quoted(&error.to_string())));
    format!("{{\"action\": {}, \"target\": {}, {outcome}}}", quoted(action), quoted(target))
}

fn open(path: &str) -> io::Result<String> {
    if !Path::new(path).is_dir() {
        return Ok(format!("\"text\": {}", quoted(&String::from_utf8_lossy(&fs::read(path)?))));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(format!("\"entries\": {}", array(&names)))
}

fn write(path: &str) -> io::Result<String> {
    let line = b"written by probe\n";
    OpenOptions::new().append(true).create(true).open(path)?.write_all(line)?;
    Ok(format!("\"written\": {}", line.len()))
}

fn age(path: &str) -> io::Result<String> {
    let by_path = fs::metadata(path)?.modified()?;
    let by_file = fs::File::open(path)?.metadata()?.modified()?;
    let seconds = by_path.duration_since(std::time::UNIX_EPOCH).map_err(io::Error::other)?.as_secs();
    Ok(format!("\"modified\": {seconds}, \"twice\": {}", by_path == by_file))
}

fn connect(address: &str) -> io::Result<String> {
    TcpStream::connect(address)?;
    Ok("\"connected\": true".to_owned())
}

fn array(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

/// Writes a JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\u{1f}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}
