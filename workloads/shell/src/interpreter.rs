//! Runs commands. What needs processes elsewhere is done one after the other: the commands of a pipe each run to their end and hand
//! over what they wrote; a subshell is a copy of the shell.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::applets;
use crate::builtins;
use crate::files::{self, Kind, OpenFile, WriteMode};
use crate::parser;
use crate::pattern;
use crate::shell::{Background, BackgroundState, DESCRIPTORS, EXIT_TERMINATED, Flow, Run, Shell, Stream};
use crate::syntax::{AndOr, Command, CommandKind, Join, List, Pipeline, Redirect, Target, Until, Word};

/// The exit code for a command that is not there. **Source:** POSIX, 2.8.2.
const EXIT_NOT_FOUND: i32 = 127;
/// The exit code for a text that is no script. **Source:** dash and busybox.
const EXIT_SYNTAX: i32 = 2;

impl Shell {
    /// Runs a text as a script.
    pub fn run_text(&mut self, text: &str) -> Run {
        match parser::parse(text) {
            Ok(list) => self.nested(|shell| shell.run_list(&list)),
            Err(error) => {
                self.complain(&format!("line {}: syntax error: {}", error.line, error.message));
                self.status = EXIT_SYNTAX;
                Err(Flow::Exit(EXIT_SYNTAX))
            }
        }
    }

    /// Runs to the end of what would be a process of its own: leaving it gives its exit code.
    pub fn run_as_process(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        let result = run(self);
        let status = match result {
            Ok(status) | Err(Flow::Exit(status) | Flow::Return(status)) => status,
            Err(Flow::Break(_) | Flow::Continue(_)) => self.status,
            Err(Flow::Killed(status)) => return Err(Flow::Killed(status)),
        };
        self.status = status;
        match self.traps.remove("EXIT") {
            Some(action) if !action.is_empty() => match self.run_text(&action) {
                Ok(_) => Ok(status),
                Err(Flow::Exit(status)) => Ok(status),
                Err(Flow::Killed(status)) => Err(Flow::Killed(status)),
                Err(_) => Ok(status),
            },
            _ => Ok(status),
        }
    }

    /// Runs a subshell. What has stopped it is for this shell to take by its trap: only the first process of a container is told.
    pub fn run_child(&mut self, child: &mut Shell, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        match child.run_as_process(run) {
            // A server that was stopped has ended with 0.
            Err(Flow::Killed(status @ (0 | EXIT_TERMINATED))) if self.traps.contains_key("TERM") => {
                self.signal("TERM", status)?;
                Ok(status)
            }
            result => result,
        }
    }

    pub fn run_list(&mut self, list: &List) -> Run {
        let mut status = 0;
        for and_or in list {
            status = if and_or.is_background { self.start(and_or)? } else { self.run_and_or(and_or)? };
        }
        Ok(status)
    }

    fn run_and_or(&mut self, and_or: &AndOr) -> Run {
        let count = and_or.rest.len();
        let mut status = self.run_pipeline(&and_or.first, count > 0)?;
        for (index, (join, pipeline)) in and_or.rest.iter().enumerate() {
            if (*join == Join::And) == (status == 0) {
                status = self.run_pipeline(pipeline, index + 1 < count)?;
            }
        }
        Ok(status)
    }

    /// Runs a pipeline. `-e` ends the shell when it fails, but where its outcome is a condition.
    fn run_pipeline(&mut self, pipeline: &Pipeline, decides: bool) -> Run {
        let is_condition = decides || pipeline.is_negated;
        self.conditions += usize::from(is_condition);
        let result = match &pipeline.commands[..] {
            [command] => self.run_command(command),
            commands => self.run_pipe(commands),
        };
        self.conditions -= usize::from(is_condition);
        let status = result?;
        let status = if pipeline.is_negated { i32::from(status == 0) } else { status };
        self.status = status;
        if status != 0 && self.options.exit_on_error && self.conditions == 0 && !is_condition {
            return Err(Flow::Exit(status));
        }
        Ok(status)
    }

    fn run_pipe(&mut self, commands: &[Command]) -> Run {
        let mut input = self.streams[0].clone();
        let mut status = 0;
        for (index, command) in commands.iter().enumerate() {
            let mut stage = self.subshell();
            stage.streams[0] = input;
            let held = Rc::new(RefCell::new(Vec::new()));
            if index + 1 < commands.len() {
                stage.streams[1] = Stream::Pipe(held.clone());
            }
            let ended = self.run_child(&mut stage, |stage| stage.run_command(command))?;
            drop(stage);
            if !self.options.pipe_fails || ended != 0 || index == 0 {
                status = ended;
            }
            input = Stream::File(Rc::new(RefCell::new(OpenFile::text(held.take()))));
        }
        Ok(status)
    }

    /// `&`. What only waits goes on by itself; everything else is done at once.
    fn start(&mut self, and_or: &AndOr) -> Run {
        let id = self.background.last().map_or(2, |job| job.id + 1);
        let waits = match (&and_or.first.commands[..], and_or.rest.is_empty()) {
            ([Command { kind: CommandKind::Simple { words, .. }, .. }], true) => {
                let arguments = self.subshell().expand_words(words)?;
                applets::waiting_time(&arguments)
            }
            _ => None,
        };
        let state = match waits {
            Some(duration) => {
                BackgroundState::Waiting(duration.and_then(|duration: Duration| Instant::now().checked_add(duration)))
            }
            None => {
                let mut shell = self.subshell();
                shell.conditions = 0;
                BackgroundState::Over(self.run_child(&mut shell, |shell| shell.run_and_or(and_or))?)
            }
        };
        self.background.push(Background { id, state });
        Ok(0)
    }

    fn run_command(&mut self, command: &Command) -> Run {
        self.look_for_stop()?;
        if let CommandKind::Simple { assignments, words } = &command.kind {
            return self.run_simple(assignments, words, &command.redirects);
        }
        let saved = self.streams.clone();
        if !self.redirect(&command.redirects)? {
            self.streams = saved;
            return Ok(1);
        }
        let result = self.nested(|shell| shell.run_compound(&command.kind));
        self.streams = saved;
        result
    }

    fn run_compound(&mut self, kind: &CommandKind) -> Run {
        match kind {
            CommandKind::Simple { .. } => Ok(0),
            CommandKind::Group(list) => self.run_list(list),
            CommandKind::Subshell(list) => {
                let mut inner = self.subshell();
                self.run_child(&mut inner, |inner| inner.run_list(list))
            }
            CommandKind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.decide(condition)? == 0 {
                        return self.run_list(body);
                    }
                }
                otherwise.as_ref().map_or(Ok(0), |body| self.run_list(body))
            }
            CommandKind::Loop { until, condition, body } => {
                let mut status = 0;
                self.in_loop(|shell| {
                    while (shell.decide(condition)? == 0) == (*until == Until::Failure) {
                        match shell.run_turn(body)? {
                            Turn::Ended(turn) => status = turn,
                            Turn::Left => break,
                        }
                    }
                    Ok(status)
                })
            }
            CommandKind::For { name, words, body } => {
                let values = match words {
                    Some(words) => self.expand_words(words)?,
                    None => self.parameters.clone(),
                };
                let mut status = 0;
                self.in_loop(|shell| {
                    for value in values {
                        shell.assign(name, value)?;
                        match shell.run_turn(body)? {
                            Turn::Ended(turn) => status = turn,
                            Turn::Left => break,
                        }
                    }
                    Ok(status)
                })
            }
            CommandKind::Case { word, arms } => {
                let text = self.expand_text(word)?;
                for (patterns, body) in arms {
                    for pattern in patterns {
                        if pattern::is_match(&self.expand_pattern(pattern)?, &text) {
                            return self.run_list(body);
                        }
                    }
                }
                Ok(0)
            }
            CommandKind::Function { name, body } => {
                self.functions.insert(name.clone(), body.clone());
                Ok(0)
            }
        }
    }

    fn decide(&mut self, condition: &List) -> Run {
        self.conditions += 1;
        let result = self.run_list(condition);
        self.conditions -= 1;
        result
    }

    fn in_loop(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        self.loops += 1;
        let result = run(self);
        self.loops -= 1;
        result
    }

    /// One turn of a loop. A `break` or `continue` of more than one loop goes on outwards.
    fn run_turn(&mut self, body: &List) -> Run<Turn> {
        match self.run_list(body) {
            Ok(status) => Ok(Turn::Ended(status)),
            Err(Flow::Break(1)) => Ok(Turn::Left),
            Err(Flow::Break(levels)) => Err(Flow::Break(levels - 1)),
            Err(Flow::Continue(1)) => Ok(Turn::Ended(0)),
            Err(Flow::Continue(levels)) => Err(Flow::Continue(levels - 1)),
            Err(flow) => Err(flow),
        }
    }

    fn run_simple(&mut self, assignments: &[(String, Word)], words: &[Word], redirects: &[Redirect]) -> Run {
        self.substitution_status = 0;
        let arguments = self.expand_words(words)?;
        let mut assigned = Vec::new();
        for (name, word) in assignments {
            let value = self.expand_text(word)?;
            if arguments.is_empty() {
                self.assign(name, value.clone())?;
            }
            assigned.push((name, value));
        }
        if self.options.traces {
            self.trace(&assigned, &arguments);
        }
        let saved = self.streams.clone();
        if !self.redirect(redirects)? {
            self.streams = saved;
            return Ok(1);
        }
        let Some(name) = arguments.first() else {
            self.streams = saved;
            return Ok(self.substitution_status);
        };
        // What is assigned before a command holds for this command, unless it is one of the shell's own that change variables.
        let keeps = builtins::keeps_assignments(name);
        let mut before = Vec::new();
        for (name, value) in assigned {
            before.push((name, self.variables.get(name).cloned()));
            self.assign(name, value)?;
            if let Some(variable) = self.variables.get_mut(name) {
                variable.is_exported |= !keeps;
            }
        }
        let result = self.run_arguments(&arguments);
        for (name, variable) in before.into_iter().filter(|_| !keeps) {
            match variable {
                Some(variable) => self.variables.insert(name.clone(), variable),
                None => self.variables.remove(name),
            };
        }
        // `exec` without a command keeps its redirections.
        if !(arguments.len() == 1 && arguments[0] == "exec") {
            self.streams = saved;
        }
        result
    }

    fn trace(&self, assigned: &[(&String, String)], arguments: &[String]) {
        let mut line = self.value("PS4").unwrap_or("+ ").to_owned();
        let pieces = assigned.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        line.push_str(&pieces.chain(arguments.iter().map(|argument| quoted(argument))).collect::<Vec<_>>().join(" "));
        line.push('\n');
        // Standard error takes what it can.
        let _ = self.write(2, line.as_bytes());
    }

    /// Runs a command by its name: a function, one of the shell's own, one of the tools, or a script in a file.
    pub fn run_arguments(&mut self, arguments: &[String]) -> Run {
        let Some(name) = arguments.first() else { return Ok(0) };
        if let Some(body) = self.functions.get(name).cloned() {
            return self.call(&body, &arguments[1..]);
        }
        if let Some(result) = builtins::run(self, name, &arguments[1..]) {
            return result;
        }
        self.run_program(arguments)
    }

    /// The same without functions and what belongs to the shell.
    pub fn run_program(&mut self, arguments: &[String]) -> Run {
        let Some(name) = arguments.first() else { return Ok(0) };
        if name.contains('/') {
            let path = self.path(name);
            match self.files.kind(&path) {
                Some(Kind::File) => return self.run_file(&path, arguments),
                Some(Kind::Folder) => {
                    self.complain(&format!("{name}: Permission denied"));
                    return Ok(126);
                }
                // The tools are where systems have them.
                None if !is_tool_folder(files::parent(&path)) => {
                    self.complain(&format!("{name}: not found"));
                    return Ok(EXIT_NOT_FOUND);
                }
                None => {}
            }
        }
        let tool = name.rsplit('/').next().unwrap_or(name);
        match applets::run(self, tool, &arguments[1..]) {
            Some(result) => result,
            None => {
                self.complain(&format!("{name}: not found"));
                Ok(EXIT_NOT_FOUND)
            }
        }
    }

    /// A script as a program: in a shell of its own.
    fn run_file(&mut self, path: &str, arguments: &[String]) -> Run {
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.complain(&format!("{}: {}", arguments[0], files::reason(&error)));
                return Ok(126);
            }
        };
        let Ok(text) = String::from_utf8(bytes) else {
            self.complain(&format!("{}: Exec format error", arguments[0]));
            return Ok(126);
        };
        let mut inner = self.fresh(&arguments[0], &arguments[1..]);
        self.run_child(&mut inner, |inner| inner.run_text(&text))
    }

    /// A shell that has been started from this one: it knows what was exported.
    pub fn fresh(&self, name: &str, parameters: &[String]) -> Shell {
        let mut inner = self.subshell();
        inner.variables.retain(|name, variable| variable.is_exported || matches!(&**name, "IFS" | "PS4" | "OPTIND"));
        inner.functions.clear();
        inner.options = Default::default();
        inner.name = name.to_owned();
        inner.parameters = parameters.to_vec();
        (inner.conditions, inner.loops) = (0, 0);
        inner.hidden.clear();
        inner.status = 0;
        inner
    }

    fn call(&mut self, body: &Command, arguments: &[String]) -> Run {
        let parameters = std::mem::replace(&mut self.parameters, arguments.to_vec());
        let loops = std::mem::replace(&mut self.loops, 0);
        self.hidden.push(Default::default());
        let result = self.nested(|shell| shell.run_command(body));
        for (name, variable) in self.hidden.pop().unwrap_or_default() {
            match variable {
                Some(variable) => self.variables.insert(name, variable),
                None => self.variables.remove(&name),
            };
        }
        self.parameters = parameters;
        self.loops = loops;
        match result {
            Err(Flow::Return(status)) => Ok(status),
            result => result,
        }
    }

    /// Opens what redirections name. `false`: one could not be, which was said.
    fn redirect(&mut self, redirects: &[Redirect]) -> Run<bool> {
        for redirect in redirects {
            let opened = match &redirect.target {
                Target::Text(text) => {
                    let text = text.borrow().clone();
                    Ok(file_stream(OpenFile::text(self.expand_text(&text)?.into_bytes())))
                }
                Target::Duplicate(word) => {
                    let text = self.expand_text(word)?;
                    if text == "-" {
                        Ok(Stream::Closed)
                    } else {
                        let descriptor = text.parse().ok().filter(|descriptor| *descriptor < DESCRIPTORS);
                        descriptor
                            .map(|descriptor: usize| self.streams[descriptor].clone())
                            .ok_or(format!("{text}: bad fd"))
                    }
                }
                Target::Read(word) => {
                    let name = self.expand_text(word)?;
                    self.open_input(&name)
                }
                Target::Write(word) => {
                    let name = self.expand_text(word)?;
                    self.open_output(&name, WriteMode::Truncate)
                }
                Target::Append(word) => {
                    let name = self.expand_text(word)?;
                    self.open_output(&name, WriteMode::Append)
                }
            };
            match opened {
                Ok(stream) => self.streams[redirect.descriptor] = stream,
                Err(message) => {
                    self.complain(&message);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn open_input(&self, name: &str) -> Result<Stream, String> {
        match self.path(name).as_str() {
            "/dev/stdin" => Ok(self.streams[0].clone()),
            path => match self.files.open(path) {
                Ok(file) => Ok(file_stream(file)),
                Err(error) => Err(format!("can't open {name}: {}", missing(&error, "no such file"))),
            },
        }
    }

    fn open_output(&self, name: &str, mode: WriteMode) -> Result<Stream, String> {
        match self.path(name).as_str() {
            // The containers of images that log this way write to the first process' streams.
            "/dev/stdout" | "/proc/self/fd/1" => Ok(self.streams[1].clone()),
            "/dev/stderr" | "/proc/self/fd/2" => Ok(self.streams[2].clone()),
            "/proc/1/fd/1" => Ok(Stream::Output),
            "/proc/1/fd/2" => Ok(Stream::Errors),
            path => match self.files.create(path, mode) {
                Ok(file) => Ok(file_stream(file)),
                Err(error) => Err(format!("can't create {name}: {}", missing(&error, "nonexistent directory"))),
            },
        }
    }
}

enum Turn {
    Ended(i32),
    Left,
}

fn file_stream(file: OpenFile) -> Stream {
    Stream::File(Rc::new(RefCell::new(file)))
}

/// Why a file could not be opened, as busybox' shell says it.
fn missing(error: &std::io::Error, what: &str) -> String {
    if error.kind() == std::io::ErrorKind::NotFound { what.to_owned() } else { files::reason(error) }
}

fn is_tool_folder(folder: &str) -> bool {
    ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"].contains(&folder)
}

/// A text as it can be read back by a shell.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%^".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
