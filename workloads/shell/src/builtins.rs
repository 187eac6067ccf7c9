//! The commands that are the shell's own: they change it, or leave it.

use crate::applets;
use crate::files::Kind;
use crate::interpreter::quoted;
use crate::parser::is_name;
use crate::shell::{BackgroundState, Flow, Options, Run, Shell};

/// Whether what is assigned before a command stays. **Source:** POSIX, special built-in utilities.
pub fn keeps_assignments(name: &str) -> bool {
    matches!(
        name,
        ":" | "." | "eval" | "exec" | "exit" | "export" | "readonly" | "return" | "set" | "shift" | "trap" | "unset"
    )
}

const NAMES: [&str; 31] = [
    ":", ".", "break", "cd", "command", "continue", "eval", "exec", "exit", "export", "false", "getopts", "jobs",
    "kill", "local", "pwd", "read", "readonly", "return", "set", "shift", "source", "trap", "true", "type", "ulimit",
    "umask", "unset", "wait", "declare", "alias",
];

/// Runs a command of the shell's own; `None`: there is none of that name.
pub fn run(shell: &mut Shell, name: &str, arguments: &[String]) -> Option<Run> {
    Some(match name {
        ":" | "true" | "alias" | "jobs" | "ulimit" => Ok(0),
        "false" => Ok(1),
        "." | "source" => source(shell, arguments),
        "break" | "continue" => leave_loops(shell, name, arguments),
        "cd" => change_folder(shell, arguments),
        "command" => command(shell, arguments),
        "eval" => {
            let text = arguments.join(" ");
            shell.run_text(&text)
        }
        "exec" if arguments.is_empty() => Ok(0),
        "exec" => match shell.run_program(arguments) {
            Ok(status) => Err(Flow::Exit(status)),
            Err(flow) => Err(flow),
        },
        "exit" => number(shell, name, arguments).and_then(|status| Err(Flow::Exit(status))),
        "return" => number(shell, name, arguments).and_then(|status| Err(Flow::Return(status))),
        "export" | "readonly" | "declare" => declare(shell, name, arguments),
        "getopts" => getopts(shell, arguments),
        "kill" => kill(shell, arguments),
        "local" => local(shell, arguments),
        "pwd" => shell.put(format!("{}\n", shell.folder)).map(|()| 0),
        "read" => read(shell, arguments),
        "set" => set(shell, arguments),
        "shift" => shift(shell, arguments),
        "trap" => trap(shell, arguments),
        "type" => describe(shell, arguments),
        "umask" => {
            if arguments.is_empty() {
                shell.put("0022\n").map(|()| 0)
            } else {
                Ok(0)
            }
        }
        "unset" => unset(shell, arguments),
        "wait" => wait(shell, arguments),
        _ => return None,
    })
}

/// Whether a name is a command, and what to call it.
fn found(shell: &Shell, name: &str) -> Option<String> {
    if shell.functions.contains_key(name) || NAMES.contains(&name) {
        return Some(name.to_owned());
    }
    if name.contains('/') {
        return (shell.files.kind(&shell.path(name)) == Some(Kind::File)).then(|| name.to_owned());
    }
    applets::is_tool(name).then(|| format!("/bin/{name}"))
}

fn number(shell: &Shell, name: &str, arguments: &[String]) -> Run {
    match arguments.first().map(|text| text.parse::<i64>()) {
        None => Ok(shell.status),
        Some(Ok(number)) if number >= 0 => Ok(i32::try_from(number & 0xff).unwrap_or(0)),
        Some(_) => {
            shell.complain(&format!("{name}: Illegal number: {}", arguments[0]));
            Err(Flow::Exit(2))
        }
    }
}

fn source(shell: &mut Shell, arguments: &[String]) -> Run {
    let Some(name) = arguments.first() else {
        shell.complain(".: filename argument required");
        return Ok(2);
    };
    let text = shell.files.read(&shell.path(name)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(text) = text else {
        shell.complain(&format!(".: can't open '{name}': No such file or directory"));
        return Err(Flow::Exit(2));
    };
    match shell.run_text(&text) {
        Err(Flow::Return(status)) => Ok(status),
        result => result,
    }
}

fn leave_loops(shell: &Shell, name: &str, arguments: &[String]) -> Run {
    let levels = arguments.first().map_or(Some(1), |text| text.parse::<usize>().ok().filter(|levels| *levels > 0));
    let Some(levels) = levels else {
        shell.complain(&format!("{name}: Illegal number: {}", arguments[0]));
        return Err(Flow::Exit(2));
    };
    match levels.min(shell.loops) {
        0 => Ok(0),
        levels if name == "break" => Err(Flow::Break(levels)),
        levels => Err(Flow::Continue(levels)),
    }
}

fn change_folder(shell: &mut Shell, arguments: &[String]) -> Run {
    let target = match arguments.iter().find(|argument| !matches!(argument.as_str(), "-P" | "-L" | "--")) {
        Some(target) if target == "-" => shell.value("OLDPWD").unwrap_or("/").to_owned(),
        Some(target) => target.clone(),
        None => shell.value("HOME").unwrap_or("/").to_owned(),
    };
    let folder = shell.path(&target);
    if shell.files.kind(&folder) != Some(Kind::Folder) {
        shell.complain(&format!("cd: can't cd to {target}: No such file or directory"));
        return Ok(2);
    }
    let before = std::mem::replace(&mut shell.folder, folder.clone());
    shell.assign("OLDPWD", before)?;
    shell.assign("PWD", folder)?;
    Ok(0)
}

fn command(shell: &mut Shell, arguments: &[String]) -> Run {
    match arguments {
        [] => Ok(0),
        [option, names @ ..] if option == "-v" || option == "-V" => {
            let mut status = 0;
            for name in names {
                match found(shell, name) {
                    Some(place) => shell.put(format!("{place}\n"))?,
                    None => status = 127,
                }
            }
            Ok(status)
        }
        arguments => match run(shell, &arguments[0], &arguments[1..]) {
            Some(result) => result,
            None => shell.run_program(arguments),
        },
    }
}

fn describe(shell: &Shell, names: &[String]) -> Run {
    let mut status = 0;
    for name in names {
        match found(shell, name) {
            _ if shell.functions.contains_key(name) => shell.put(format!("{name} is a function\n"))?,
            Some(place) if place == *name => shell.put(format!("{name} is a shell builtin\n"))?,
            Some(place) => shell.put(format!("{name} is {place}\n"))?,
            None => {
                shell.put(format!("{name}: not found\n"))?;
                status = 127;
            }
        }
    }
    Ok(status)
}

fn declare(shell: &mut Shell, command: &str, arguments: &[String]) -> Run {
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    if names.is_empty() {
        for (name, variable) in &shell.variables {
            let is_shown = if command == "export" { variable.is_exported } else { variable.is_readonly };
            if is_shown {
                shell.put(format!("{command} {name}={}\n", quoted(&variable.value)))?;
            }
        }
        return Ok(0);
    }
    for argument in names {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        if !is_name(name) {
            shell.complain(&format!("{command}: {name}: bad variable name"));
            return Err(Flow::Exit(2));
        }
        if let Some(value) = value {
            shell.assign(name, value.to_owned())?;
        }
        if command == "declare" {
            continue;
        }
        // A name without a value is exported once it has one.
        let variable = shell.variables.entry(name.to_owned()).or_default();
        match command {
            "export" => variable.is_exported = !arguments.iter().any(|argument| argument == "-n"),
            _ => variable.is_readonly = true,
        }
    }
    Ok(0)
}

fn local(shell: &mut Shell, arguments: &[String]) -> Run {
    for argument in arguments {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let before = shell.variables.get(name).cloned();
        let Some(hidden) = shell.hidden.last_mut() else {
            shell.complain("local: not in a function");
            return Err(Flow::Exit(2));
        };
        hidden.entry(name.to_owned()).or_insert(before);
        if let Some(value) = value {
            shell.assign(name, value)?;
        }
    }
    Ok(0)
}

fn unset(shell: &mut Shell, arguments: &[String]) -> Run {
    let unsets_functions = arguments.first().is_some_and(|option| option == "-f");
    for name in arguments.iter().filter(|argument| !argument.starts_with('-')) {
        if unsets_functions {
            shell.functions.remove(name);
        } else if shell.variables.get(name).is_some_and(|variable| variable.is_readonly) {
            shell.complain(&format!("unset: {name}: is read only"));
            return Ok(2);
        } else {
            shell.variables.remove(name);
        }
    }
    Ok(0)
}

impl Shell {
    /// The options that are set, as `$-` shows them.
    pub fn option_letters(&self) -> String {
        let Options { exit_on_error, traces, needs_values, keeps_patterns, .. } = self.options;
        let letters = [(exit_on_error, 'e'), (traces, 'x'), (needs_values, 'u'), (keeps_patterns, 'f')];
        letters.into_iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter).collect()
    }

    /// Sets an option by its letter or its name; `false`: there is none.
    pub fn set_option(&mut self, option: &str, is_set: bool) -> bool {
        match option {
            "e" | "errexit" => self.options.exit_on_error = is_set,
            "x" | "xtrace" => self.options.traces = is_set,
            "u" | "nounset" => self.options.needs_values = is_set,
            "f" | "noglob" => self.options.keeps_patterns = is_set,
            "pipefail" => self.options.pipe_fails = is_set,
            // They change nothing here: no terminal, no jobs, no line editor.
            "a" | "b" | "C" | "h" | "i" | "l" | "m" | "n" | "v" | "monitor" | "notify" | "verbose" | "posix" => {}
            _ => return false,
        }
        true
    }
}

fn set(shell: &mut Shell, arguments: &[String]) -> Run {
    if arguments.is_empty() {
        for (name, variable) in &shell.variables {
            shell.put(format!("{name}={}\n", quoted(&variable.value)))?;
        }
        return Ok(0);
    }
    let mut rest = arguments;
    while let [option, others @ ..] = rest {
        let is_set = option.starts_with('-');
        match option.as_str() {
            "--" => {
                shell.parameters = others.to_vec();
                return Ok(0);
            }
            "-o" | "+o" => {
                let Some(name) = others.first() else { return Ok(0) };
                if !shell.set_option(name, is_set) {
                    shell.complain(&format!("set: illegal option {option} {name}"));
                    return Err(Flow::Exit(2));
                }
                rest = &others[1..];
                continue;
            }
            _ if option.len() > 1 && (is_set || option.starts_with('+')) => {
                let letters: Vec<String> = option[1..].chars().map(String::from).collect();
                rest = others;
                for letter in letters {
                    if letter == "o" {
                        let Some(name) = rest.first() else { break };
                        if shell.set_option(name, is_set) {
                            rest = &rest[1..];
                            continue;
                        }
                    } else if shell.set_option(&letter, is_set) {
                        continue;
                    }
                    shell.complain(&format!("set: illegal option {option}"));
                    return Err(Flow::Exit(2));
                }
                continue;
            }
            _ => {
                shell.parameters = rest.to_vec();
                return Ok(0);
            }
        }
    }
    Ok(0)
}

fn shift(shell: &mut Shell, arguments: &[String]) -> Run {
    let count = arguments.first().map_or(Some(1), |text| text.parse::<usize>().ok());
    match count {
        Some(count) if count <= shell.parameters.len() => {
            shell.parameters.drain(..count);
            Ok(0)
        }
        _ => {
            shell.complain("shift: can't shift that many");
            Ok(1)
        }
    }
}

/// Signals by name and number; those that end a container first.
const SIGNALS: [(&str, i32); 12] = [
    ("EXIT", 0),
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
];

fn signal(name: &str) -> Option<(&'static str, i32)> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS.into_iter().find(|(signal, number)| *signal == bare || name.parse() == Ok(*number))
}

fn trap(shell: &mut Shell, arguments: &[String]) -> Run {
    let arguments = if arguments.first().is_some_and(|first| first == "--") { &arguments[1..] } else { arguments };
    if arguments.is_empty() {
        for (name, action) in &shell.traps {
            shell.put(format!("trap -- {} {name}\n", quoted(action)))?;
        }
        return Ok(0);
    }
    let (action, names) = match arguments {
        [only] => (None, std::slice::from_ref(only)),
        [action, names @ ..] if action == "-" => (None, names),
        [action, names @ ..] => (Some(action), names),
        [] => return Ok(0),
    };
    for name in names {
        let Some((name, _)) = signal(name) else {
            shell.complain(&format!("trap: {name}: invalid signal specification"));
            return Ok(1);
        };
        match action {
            Some(action) => shell.traps.insert(name.to_owned(), action.clone()),
            None => shell.traps.remove(name),
        };
    }
    Ok(0)
}

fn kill(shell: &mut Shell, arguments: &[String]) -> Run {
    let mut sent = ("TERM", 15);
    let mut targets = arguments;
    match arguments {
        [option, name, rest @ ..] if option == "-s" => {
            let Some(found) = signal(name) else { return shell.fail("kill", &format!("bad signal name '{name}'")) };
            (sent, targets) = (found, rest);
        }
        [option, ..] if option == "-l" => {
            let names: Vec<&str> = SIGNALS[1..].iter().map(|(name, _)| *name).collect();
            return shell.put(names.join(" ") + "\n").map(|()| 0);
        }
        [option, rest @ ..] if option.len() > 1 && option.starts_with('-') => {
            let Some(found) = signal(&option[1..]) else {
                return shell.fail("kill", &format!("bad signal name '{}'", &option[1..]));
            };
            (sent, targets) = (found, rest);
        }
        _ => {}
    }
    let (name, number) = sent;
    let mut status = 0;
    for target in targets {
        let is_this = target == "1" || target == "0" || target == "-1";
        let job = shell.background.iter().position(|job| {
            job.id.to_string() == *target
                || target.strip_prefix('%').is_some_and(|rest| rest == (job.id - 1).to_string())
        });
        match job {
            _ if is_this && number == 0 => {}
            _ if is_this => {
                shell.signal(name, 128 + number)?;
            }
            Some(_) if number == 0 => {}
            Some(index) => shell.background[index].state = BackgroundState::Over(128 + number),
            None => {
                shell.complain(&format!("can't kill pid {target}: No such process"));
                status = 1;
            }
        }
    }
    Ok(status)
}

/// Waits for what `&` has left behind.
fn wait(shell: &mut Shell, arguments: &[String]) -> Run {
    let ids: Vec<String> = arguments.iter().filter(|argument| !argument.starts_with('-')).cloned().collect();
    let jobs: Vec<_> = shell.background.clone();
    let mut status = 0;
    for id in &ids {
        if !jobs.iter().any(|job| job.id.to_string() == *id || id.starts_with('%')) {
            shell.complain(&format!("wait: pid {id} is not a child of this shell"));
            status = 127;
        }
    }
    for job in jobs {
        let is_named = ids.is_empty() || ids.iter().any(|id| *id == job.id.to_string() || id.starts_with('%'));
        if !is_named {
            continue;
        }
        let ended = match job.state {
            BackgroundState::Over(code) => code,
            BackgroundState::Waiting(deadline) => {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
                let ended = shell.wait(left)?;
                if ended != 0 {
                    // A signal that is trapped ends the wait, and not what was waited for.
                    return Ok(ended);
                }
                0
            }
        };
        shell.background.retain(|other| other.id != job.id);
        if !ids.is_empty() {
            status = ended;
        }
    }
    Ok(status)
}

/// Reads a line into variables.
fn read(shell: &mut Shell, arguments: &[String]) -> Run {
    let mut is_raw = false;
    let mut names = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-r" => is_raw = true,
            "-s" => {}
            "-p" | "-t" | "-n" | "-d" | "-u" => {
                rest.next();
            }
            "--" => {}
            name if is_name(name) => names.push(name.to_owned()),
            name => {
                shell.complain(&format!("read: '{name}': bad variable name"));
                return Ok(2);
            }
        }
    }
    if names.is_empty() {
        names.push("REPLY".to_owned());
    }
    let mut line = Vec::new();
    let mut status = 0;
    loop {
        let mut byte = [0];
        match shell.read(0, &mut byte) {
            Ok(0) | Err(_) => {
                status = 1;
                break;
            }
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if byte[0] == b'\\' && !is_raw => match shell.read(0, &mut byte) {
                Ok(1) if byte[0] != b'\n' => line.push(byte[0]),
                _ => {}
            },
            Ok(_) => line.push(byte[0]),
        }
    }
    let line = String::from_utf8_lossy(&line).into_owned();
    let ifs = shell.value("IFS").unwrap_or(" \t\n").to_owned();
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n') && ifs.contains(c);
    let mut left = line.trim_start_matches(is_space);
    let last = names.len() - 1;
    for (index, name) in names.iter().enumerate() {
        let value = if index == last {
            std::mem::take(&mut left).trim_end_matches(is_space)
        } else {
            let end = left.find(|c| ifs.contains(c)).unwrap_or(left.len());
            let value = &left[..end];
            left = left[end..].trim_start_matches(is_space);
            // One separator that is no space, with the spaces around it, separates.
            if let Some(rest) = left.strip_prefix(|c: char| ifs.contains(c) && !is_space(c)) {
                left = rest.trim_start_matches(is_space);
            }
            value
        };
        shell.assign(name, value.to_owned())?;
    }
    Ok(status)
}

fn getopts(shell: &mut Shell, arguments: &[String]) -> Run {
    let [known, name, given @ ..] = arguments else {
        shell.complain("getopts: usage: getopts optstring var [arg]");
        return Ok(2);
    };
    let given = if given.is_empty() { shell.parameters.clone() } else { given.to_vec() };
    let index: usize = shell.value("OPTIND").and_then(|text| text.parse().ok()).unwrap_or(1).max(1);
    // Where in a group of letters it is, beside the index that scripts see.
    let letter: usize = shell.value("_OPTLETTER").and_then(|text| text.parse().ok()).unwrap_or(1);
    let option = given.get(index - 1).filter(|option| option.len() > 1 && option.starts_with('-') && *option != "--");
    let Some(option) = option else {
        if given.get(index - 1).is_some_and(|option| option == "--") {
            shell.assign("OPTIND", (index + 1).to_string())?;
        }
        shell.assign(name, "?".to_owned())?;
        return Ok(1);
    };
    let c = option.chars().nth(letter).unwrap_or('?');
    let is_last = letter + 1 >= option.chars().count();
    let place = known.find(c).filter(|_| c != ':');
    let takes_value = place.is_some_and(|place| known[place + c.len_utf8()..].starts_with(':'));
    let (mut next, mut next_letter) = if is_last { (index + 1, 1) } else { (index, letter + 1) };
    shell.variables.remove("OPTARG");
    let mut answer = c.to_string();
    if place.is_none() {
        if known.starts_with(':') {
            shell.assign("OPTARG", c.to_string())?;
        } else {
            shell.complain(&format!("illegal option -{c}"));
        }
        answer = "?".to_owned();
    } else if takes_value {
        let value = if is_last {
            next = index + 2;
            given.get(index).cloned()
        } else {
            (next, next_letter) = (index + 1, 1);
            Some(option.chars().skip(letter + 1).collect())
        };
        match value {
            Some(value) => shell.assign("OPTARG", value)?,
            None => {
                shell.complain(&format!("option requires an argument -{c}"));
                answer = if known.starts_with(':') { ":" } else { "?" }.to_owned();
            }
        }
    }
    shell.assign("OPTIND", next.to_string())?;
    shell.assign("_OPTLETTER", next_letter.to_string())?;
    shell.assign(name, answer)?;
    Ok(0)
}
