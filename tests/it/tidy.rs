//! Tidiness that no compiler checks: layers name only what is below them, the pure part stays pure, every file says what it is for.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer of `src` with what it may name. A path allows all below it. The root files (`lib.rs`, `main.rs`) may name all.
///
/// **Source:** style, section 1.
const LAYERS: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("metering", &["model"]),
    ("control_plane", &["model"]),
    ("catalog", &["model", "metering"]),
    ("config", &["model", "catalog"]),
    ("agent", &["model", "control_plane::event"]),
    ("data_plane", &["model", "agent", "control_plane::event", "control_plane::action"]),
    ("store", &["model"]),
    ("driver", &["store", "model", "metering", "control_plane", "agent", "catalog", "config", "data_plane"]),
    ("single_task", &["model", "metering", "control_plane", "catalog", "config", "data_plane", "driver"]),
    ("api", &["store", "model", "metering", "control_plane", "catalog", "config", "data_plane", "driver"]),
    ("report", &["model", "metering", "control_plane", "driver"]),
    (
        "cli",
        &[
            "store",
            "model",
            "metering",
            "control_plane",
            "catalog",
            "config",
            "data_plane",
            "driver",
            "single_task",
            "api",
            "report",
        ],
    ),
];

/// Layers that see no clock, no thread, no I/O, no engine, no chance but their own, and no order that differs between runs.
const PURE: [&str; 4] = ["model", "control_plane", "metering", "agent"];

/// What would make them impure.
const IMPURE: [&str; 20] = [
    "Instant",
    "SystemTime",
    "std::thread",
    "std::fs",
    "std::env",
    "std::io",
    "std::net",
    "std::process",
    "HashMap",
    "HashSet",
    "tokio",
    "wasmtime",
    "tracing",
    "println!",
    "eprintln!",
    "print!",
    "dbg!",
    "crossbeam",
    "parking_lot",
    "static mut",
];

/// Reads of the operating system's clock.
const CLOCK: [&str; 4] = ["Instant::now", "SystemTime::now", "Zoned::now", "jiff::Timestamp::now"];

/// The one file that reads it.
const CLOCK_FILE: &str = "src/data_plane/clock.rs";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of an ending below a folder, as paths from the root, in order.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path: PathBuf = entry.expect("a folder's entries can be listed").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                let path = path.strip_prefix(root()).expect("it is below the root");
                found.push(path.to_str().expect("names are UTF-8").to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The code without comments and without what is in string literals, so that words of prose do not count.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    for line in source.lines() {
        let mut is_text = false;
        let mut before = ' ';
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            if !is_text && character == '/' && characters.peek() == Some(&'/') {
                break;
            }
            if character == '"' && before != '\\' && before != '\'' {
                is_text = !is_text;
            }
            if !is_text {
                code.push(character);
            }
            before = if before == '\\' && character == '\\' { ' ' } else { character };
        }
        code.push('\n');
    }
    code
}

/// The paths behind `crate::`, those in braces written out.
fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        write_out("", &code[start + "crate::".len()..], &mut paths);
    }
    paths
}

/// Reads one path or one tree of paths; returns what is behind it.
fn write_out<'a>(prefix: &str, rest: &'a str, paths: &mut Vec<String>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut rest) = rest.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            match rest.strip_prefix('}') {
                Some(behind) => return behind,
                None if rest.is_empty() => return rest,
                None => rest = write_out(prefix, rest, paths),
            }
        }
    }
    let end = rest.find(|character: char| !character.is_alphanumeric() && character != '_' && character != '*');
    let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    match behind.strip_prefix("::") {
        Some(deeper) => write_out(&path, deeper, paths),
        None => {
            paths.push(path);
            // An alias or anything else up to the end of this path; at least one character, so that reading goes on.
            let end = behind.find([',', '}', ';', '\n']).unwrap_or(behind.len());
            if end == 0 && !behind.starts_with([',', '}']) { "" } else { &behind[end..] }
        }
    }
}

/// The layer that a file belongs to; `None` for a file right in `src`.
fn layer_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix("src/")?;
    let (first, _) = below.split_once('/').unwrap_or((below.strip_suffix(".rs")?, ""));
    LAYERS.iter().map(|(layer, _)| *layer).find(|layer| *layer == first)
}

fn is_below(path: &str, allowed: &str) -> bool {
    path == allowed || path.strip_prefix(allowed).is_some_and(|rest| rest.starts_with("::"))
}

/// A layer names only what is below it: its paths behind `crate::` are held against the table.
#[test]
fn layers_name_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let Some(layer) = layer_of(&path) else {
            assert!(["src/lib.rs", "src/main.rs"].contains(&&*path), "{path} belongs to no layer of the table");
            continue;
        };
        let (_, allowed) = LAYERS.iter().find(|(found, _)| *found == layer).expect("it is in the table");
        for named in crate_paths(&code_of(&read(&path))) {
            let first = named.split("::").next().unwrap_or_default();
            let is_layer = LAYERS.iter().any(|(found, _)| *found == first);
            if is_layer && first != layer && !allowed.iter().any(|allowed| is_below(&named, allowed)) {
                wrong.push(format!("{path} names crate::{named}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where a list of words occurs in the code of some files.
fn occurrences(paths: &[String], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths {
        for (index, line) in code_of(&read(path)).lines().enumerate() {
            let names = |word: &&&str| {
                line.match_indices(**word).any(|(start, _)| {
                    let before = line[..start].chars().next_back();
                    let after = line[start + word.len()..].chars().next();
                    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
                    !is_part(before) && !is_part(after)
                })
            };
            found.extend(words.iter().filter(names).map(|word| format!("{path}:{} names {word}", index + 1)));
        }
    }
    found
}

/// The pure part is a function of its events: nothing in it can tell two runs apart.
#[test]
fn the_pure_part_is_pure() {
    let paths: Vec<String> = PURE.iter().flat_map(|layer| files(&format!("src/{layer}"), "rs")).collect();
    assert!(paths.len() > 20, "the pure part was not found");
    let wrong = occurrences(&paths, &IMPURE);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One file reads the operating system's clock.
#[test]
fn one_file_reads_the_clock() {
    let paths: Vec<String> = files("src", "rs").into_iter().filter(|path| path != CLOCK_FILE).collect();
    let wrong = occurrences(&paths, &CLOCK);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every file opens with what it is for.
#[test]
fn every_file_has_a_header() {
    let folders = ["src", "tests", "benches", "examples"];
    let paths = folders.iter().flat_map(|folder| files(folder, "rs"));
    let without: Vec<String> = paths.filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(without.is_empty(), "no `//!` header: {}", without.join(", "));
}

/// Nothing in the repository points at a folder of some machine.
#[test]
fn no_file_names_a_machine() {
    // Written in two pieces, so that this file does not name them itself.
    let folders = ["tmp", "home", "root", "Users", "work"].map(|folder| ["/", folder, "/"].concat());
    let mut wrong = Vec::new();
    let folders_read = ["src", "tests", "benches", "examples", "workloads", "clusters"];
    let all = folders_read.iter().flat_map(|folder| ["rs", "toml", "md"].map(|ending| files(folder, ending))).flatten();
    for path in all.chain(["Cargo.toml".to_owned()]) {
        for (index, line) in read(&path).lines().enumerate() {
            if folders.iter().any(|folder| line.contains(folder.as_str())) {
                wrong.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each workload is used by a test that names it.
#[test]
fn every_workload_is_tested() {
    let tests: String = files("tests", "rs").iter().map(|path| read(path)).collect();
    let untested: Vec<String> = files("workloads", "toml")
        .iter()
        .filter_map(|path| path.strip_prefix("workloads/")?.strip_suffix("/Cargo.toml"))
        .filter(|name| !tests.contains(&format!("\"{name}\"")))
        .map(str::to_owned)
        .collect();
    assert!(untested.is_empty(), "no test names: {}", untested.join(", "));
}

/// The reader of paths finds what is hidden in braces, behind aliases and in expressions, and nothing in prose.
#[test]
fn paths_are_read_out_of_code() {
    let source = "use crate::{model::{ids::TaskId, units::*}, driver};\n\
                  // crate::cli in prose\n\
                  let x = crate::config::load as fn(); let y = \"crate::api\";\n";
    let paths = crate_paths(&code_of(source));
    assert_eq!(paths, ["model::ids::TaskId", "model::units::*", "driver", "config::load"]);
}
