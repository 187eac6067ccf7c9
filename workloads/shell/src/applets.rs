//! The tools that come with the images that this program stands for, by their names; and how long those wait that only wait.

use std::time::Duration;

use crate::date;
use crate::expression;
use crate::file_tools;
use crate::grep;
use crate::printf;
use crate::servers;
use crate::shell::{Flow, Run, Shell};
use crate::text_tools;

const NAMES: [&str; 57] = [
    "[", "[[", "arch", "ash", "basename", "bash", "busybox", "cat", "clear", "cp", "cut", "dash", "date", "dirname",
    "echo", "egrep", "env", "expr", "false", "fgrep", "grep", "head", "hostname", "id", "kill", "ln", "logname", "ls",
    "mkdir", "mv", "nice", "nohup", "nproc", "printenv", "printf", "pwd", "rm", "rmdir", "seq", "sh", "sleep", "sort",
    "sync", "tail", "tee", "test", "touch", "tr", "true", "tty", "uname", "uniq", "wc", "which", "whoami", "yes",
    "chmod",
];

pub fn is_tool(name: &str) -> bool {
    NAMES.contains(&name) || servers::is_server(name)
}

/// Runs a tool; `None`: there is none of that name.
pub fn run(shell: &mut Shell, name: &str, arguments: &[String]) -> Option<Run> {
    Some(match name {
        "sh" | "ash" | "bash" | "dash" => start_shell(shell, name, arguments),
        "busybox" => match arguments {
            [] => shell.put("busybox: a stand-in for WASI: busybox TOOL [ARGUMENT]...\n").map(|()| 0),
            [tool, rest @ ..] => match run(shell, tool, rest) {
                Some(result) => result,
                None => shell.fail(tool, "applet not found").map(|_| 127),
            },
        },
        "true" | "sync" | "clear" | "chmod" => Ok(0),
        "false" => Ok(1),
        "echo" => echo(shell, arguments),
        "printf" => printf::run(shell, arguments),
        "sleep" => sleep(shell, arguments),
        "test" | "[" | "[[" => expression::test(shell, name, arguments),
        "expr" => expression::expr(shell, arguments),
        "date" => date::run(shell, arguments),
        "pwd" => shell.put(format!("{}\n", shell.folder)).map(|()| 0),
        "kill" => crate::builtins::run(shell, name, arguments)?,
        "env" => environment(shell, arguments),
        "printenv" => print_environment(shell, arguments),
        "nohup" => shell.run_program(arguments),
        "nice" => match arguments {
            [option, _, rest @ ..] if option == "-n" => shell.run_program(rest),
            rest => shell.run_program(rest),
        },
        "which" => which(shell, arguments),
        "hostname" => {
            let name = shell.value("HOSTNAME").unwrap_or("localhost").to_owned();
            shell.put(name + "\n").map(|()| 0)
        }
        "uname" => uname(shell, arguments),
        "arch" => shell.put("wasm32\n").map(|()| 0),
        "nproc" => shell.put("1\n").map(|()| 0),
        "id" => match arguments.first().map(String::as_str) {
            None => shell.put("uid=0(root) gid=0(root) groups=0(root)\n").map(|()| 0),
            Some(option) if option.contains('n') => shell.put("root\n").map(|()| 0),
            Some(_) => shell.put("0\n").map(|()| 0),
        },
        "whoami" | "logname" => shell.put("root\n").map(|()| 0),
        "tty" => shell.put("not a tty\n").map(|()| 1),
        "seq" => text_tools::seq(shell, arguments),
        "yes" => yes(shell, arguments),
        "basename" => text_tools::basename(shell, arguments),
        "dirname" => text_tools::dirname(shell, arguments),
        "cat" => text_tools::cat(shell, arguments),
        "wc" => text_tools::wc(shell, arguments),
        "head" => text_tools::head(shell, arguments),
        "tail" => text_tools::tail(shell, arguments),
        "sort" => text_tools::sort(shell, arguments),
        "uniq" => text_tools::uniq(shell, arguments),
        "tee" => text_tools::tee(shell, arguments),
        "tr" => text_tools::tr(shell, arguments),
        "cut" => text_tools::cut(shell, arguments),
        "grep" | "egrep" | "fgrep" => grep::run(shell, name, arguments),
        "ls" => file_tools::ls(shell, arguments),
        "mkdir" => file_tools::mkdir(shell, arguments),
        "rmdir" => file_tools::rmdir(shell, arguments),
        "rm" => file_tools::rm(shell, arguments),
        "touch" => file_tools::touch(shell, arguments),
        "cp" | "mv" | "ln" => file_tools::copy(shell, name, arguments),
        name => return servers::run(shell, name),
    })
}

/// How long a command waits that does nothing else: `Some(None)` is for ever.
pub fn waiting_time(arguments: &[String]) -> Option<Option<Duration>> {
    let name = arguments.first()?.rsplit('/').next()?;
    match name {
        "sleep" => sleeping_time(&arguments[1..]).ok(),
        "tail" => text_tools::follows_nothing(&arguments[1..]).then_some(None),
        name => servers::is_server(name).then_some(None),
    }
}

/// `sh [-cesux...] [SCRIPT] [ARGUMENT]...`. Without a script there is nothing to do, as in a container whose input is not kept open;
/// `-s` reads it from there.
fn start_shell(shell: &mut Shell, name: &str, arguments: &[String]) -> Run {
    let mut inner = shell.fresh(name, &[]);
    let (mut takes_text, mut reads_input) = (false, false);
    let mut rest = arguments;
    while let [option, others @ ..] = rest {
        if option == "--" {
            rest = others;
            break;
        }
        if option.starts_with("--") {
            // bash's long options: `--login`, `--noprofile`.
            rest = others;
            continue;
        }
        let is_set = option.starts_with('-');
        if option.len() < 2 || !(is_set || option.starts_with('+')) {
            break;
        }
        rest = others;
        for letter in option[1..].chars() {
            let is_known = match letter {
                'c' => {
                    takes_text = true;
                    true
                }
                's' => {
                    reads_input = true;
                    true
                }
                'o' => {
                    let named = rest.first().is_some_and(|name| inner.set_option(name, is_set));
                    rest = rest.get(1..).unwrap_or_default();
                    named
                }
                letter => inner.set_option(&letter.to_string(), is_set),
            };
            if !is_known {
                return shell.fail(name, &format!("illegal option -{letter}")).map(|_| 2);
            }
        }
    }
    if takes_text {
        let [text, names @ ..] = rest else {
            return shell.fail(name, "-c requires an argument").map(|_| 2);
        };
        if let [first, parameters @ ..] = names {
            inner.name = first.clone();
            inner.parameters = parameters.to_vec();
        }
        return shell.run_child(&mut inner, |inner| inner.run_text(text));
    }
    match rest {
        [script, parameters @ ..] if !reads_input => {
            let path = inner.path(script);
            let text = inner.files.read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            match text {
                Ok(text) => {
                    inner.name = script.clone();
                    inner.parameters = parameters.to_vec();
                    shell.run_child(&mut inner, |inner| inner.run_text(&text))
                }
                Err(error) => {
                    shell.fail(name, &format!("can't open '{script}': {}", crate::files::reason(&error)))?;
                    Ok(2)
                }
            }
        }
        parameters => {
            inner.parameters = parameters.to_vec();
            if !reads_input && matches!(inner.streams[0], crate::shell::Stream::Input) {
                return Ok(0);
            }
            let text = inner.read_all().unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            shell.run_child(&mut inner, |inner| inner.run_text(&text))
        }
    }
}

fn echo(shell: &Shell, arguments: &[String]) -> Run {
    let (mut ends_line, mut escapes) = (true, false);
    let mut rest = arguments;
    while let [option, others @ ..] = rest {
        let is_option = option.len() > 1 && option.starts_with('-') && option[1..].chars().all(|c| "neE".contains(c));
        if !is_option {
            break;
        }
        for letter in option[1..].chars() {
            match letter {
                'n' => ends_line = false,
                letter => escapes = letter == 'e',
            }
        }
        rest = others;
    }
    let mut line = rest.join(" ").into_bytes();
    if escapes {
        let (text, ended) = printf::unescape(&rest.join(" "), printf::Zero::Leads);
        line = text;
        ends_line &= !ended;
    }
    if ends_line {
        line.push(b'\n');
    }
    shell.put(line).map(|()| 0)
}

/// Adds up what `sleep` is given: numbers with fractions and `s`, `m`, `h`, `d`; `None` is `infinity`.
fn sleeping_time(arguments: &[String]) -> Result<Option<Duration>, String> {
    if arguments.is_empty() {
        return Err("missing operand".to_owned());
    }
    let mut total = Duration::ZERO;
    let mut is_endless = false;
    for argument in arguments {
        if matches!(argument.as_str(), "inf" | "infinity") {
            is_endless = true;
            continue;
        }
        let digits = argument.trim_end_matches(['s', 'm', 'h', 'd']);
        let factor = match &argument[digits.len()..] {
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(format!("invalid number '{argument}'")),
        };
        let is_number = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let seconds = digits.parse::<f64>().ok().filter(|_| is_number);
        let Some(seconds) = seconds else { return Err(format!("invalid number '{argument}'")) };
        // More than a clock can count is for ever.
        match Duration::try_from_secs_f64(seconds * factor) {
            Ok(duration) => total = total.saturating_add(duration),
            Err(_) => is_endless = true,
        }
    }
    Ok((!is_endless).then_some(total))
}

fn sleep(shell: &mut Shell, arguments: &[String]) -> Run {
    match sleeping_time(arguments) {
        Ok(duration) => shell.wait(duration),
        Err(message) => shell.fail("sleep", &message),
    }
}

/// `env [-i] [-u NAME] [NAME=VALUE]... [COMMAND [ARGUMENT]...]`.
fn environment(shell: &mut Shell, arguments: &[String]) -> Run {
    let mut inner = shell.subshell();
    let mut rest = arguments;
    loop {
        match rest {
            [option, others @ ..] if option == "-i" || option == "-" => {
                inner.variables.retain(|_, variable| !variable.is_exported);
                rest = others;
            }
            [option, name, others @ ..] if option == "-u" => {
                inner.variables.remove(name);
                rest = others;
            }
            [assignment, others @ ..] if assignment.contains('=') => {
                let (name, value) = assignment.split_once('=').unwrap_or_default();
                inner.assign(name, value.to_owned())?;
                if let Some(variable) = inner.variables.get_mut(name) {
                    variable.is_exported = true;
                }
                rest = others;
            }
            [] => return print_environment(&inner, &[]),
            command => return shell.run_child(&mut inner, |inner| inner.run_program(command)),
        }
    }
}

fn print_environment(shell: &Shell, names: &[String]) -> Run {
    let exported = shell.variables.iter().filter(|(_, variable)| variable.is_exported);
    if names.is_empty() {
        for (name, variable) in exported {
            shell.put(format!("{name}={}\n", variable.value))?;
        }
        return Ok(0);
    }
    let mut status = 0;
    for name in names {
        match exported.clone().find(|(exported, _)| *exported == name) {
            Some((_, variable)) => shell.put(format!("{}\n", variable.value))?,
            None => status = 1,
        }
    }
    Ok(status)
}

fn which(shell: &Shell, names: &[String]) -> Run {
    let mut status = 0;
    for name in names {
        if is_tool(name) { shell.put(format!("/bin/{name}\n"))? } else { status = 1 }
    }
    Ok(status)
}

fn uname(shell: &Shell, arguments: &[String]) -> Run {
    let host = shell.value("HOSTNAME").unwrap_or("localhost").to_owned();
    let parts = [
        ('s', "Linux".to_owned()),
        ('n', host),
        ('r', "0.0.0-longshore".to_owned()),
        ('v', "WASI preview 1".to_owned()),
        ('m', "wasm32".to_owned()),
        ('o', "WASI".to_owned()),
    ];
    let letters: String = arguments.iter().filter_map(|argument| argument.strip_prefix('-')).collect();
    let is_shown = |letter: char| match letters.as_str() {
        "" => letter == 's',
        letters => letters.contains(letter) || letters.contains('a'),
    };
    let shown: Vec<String> = parts.into_iter().filter(|(letter, _)| is_shown(*letter)).map(|(_, text)| text).collect();
    shell.put(shown.join(" ") + "\n").map(|()| 0)
}

/// Writes until nobody takes it any more.
fn yes(shell: &mut Shell, arguments: &[String]) -> Run {
    /// What goes into a pipe: its reader begins when this has ended, and what reads `yes` wants an answer or a few.
    const PIPED_BYTES_MAX: usize = 64 << 10;
    let word = if arguments.is_empty() { "y".to_owned() } else { arguments.join(" ") };
    let line = word + "\n";
    let mut written = 0;
    let is_piped = matches!(shell.streams[1], crate::shell::Stream::Pipe(_));
    loop {
        shell.put(&line)?;
        written += line.len();
        if is_piped && written > PIPED_BYTES_MAX {
            return Err(Flow::Exit(141));
        }
        shell.look_for_stop()?;
    }
}
