//! The state of a shell, its streams, and what can end a command beside its own end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::files::{self, Files, OpenFile};
use crate::host::{Host, Waited};
use crate::syntax::Command;

/// The exit code of what SIGTERM ends.
pub const EXIT_TERMINATED: i32 = 143;
/// The exit code of what writes to a pipe that nobody reads.
const EXIT_BROKEN_PIPE: i32 = 141;
/// The most that a pipe holds: its reader begins when its writer has ended.
const PIPE_BYTES_MAX: usize = 8 << 20;
/// How many descriptors there are: those that a digit names.
pub const DESCRIPTORS: usize = 10;
/// The deepest nesting of functions, scripts and evaluated texts.
const DEPTH_MAX: usize = 60;

/// What leaves more than one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The shell, or the subshell, ends.
    Exit(i32),
    /// Everything ends, as by a signal.
    Killed(i32),
    Break(usize),
    Continue(usize),
    Return(i32),
}

/// The exit code of a command, or what it leaves.
pub type Run<T = i32> = Result<T, Flow>;

#[derive(Clone, Debug, Default)]
pub struct Variable {
    pub value: String,
    pub is_exported: bool,
    pub is_readonly: bool,
}

#[derive(Clone, Debug)]
pub enum Stream {
    /// Standard input of the container.
    Input,
    Output,
    Errors,
    File(Rc<RefCell<OpenFile>>),
    Pipe(Rc<RefCell<Vec<u8>>>),
    Closed,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// `-e`.
    pub exit_on_error: bool,
    /// `-x`.
    pub traces: bool,
    /// `-u`.
    pub needs_values: bool,
    /// `-f`.
    pub keeps_patterns: bool,
    /// `pipefail`.
    pub pipe_fails: bool,
}

/// What `&` has left behind: it waits, or is over already.
#[derive(Clone, Debug)]
pub struct Background {
    pub id: u32,
    pub state: BackgroundState,
}

#[derive(Clone, Copy, Debug)]
pub enum BackgroundState {
    /// Ends then with 0, or never.
    Waiting(Option<Instant>),
    Over(i32),
}

/// A shell. A copy is a subshell: what it changes stays with it, but for files.
#[derive(Clone, Debug)]
pub struct Shell {
    pub name: String,
    pub variables: BTreeMap<String, Variable>,
    /// What `local` hides, by function call.
    pub hidden: Vec<BTreeMap<String, Option<Variable>>>,
    pub functions: BTreeMap<String, Rc<Command>>,
    pub parameters: Vec<String>,
    pub folder: String,
    pub options: Options,
    /// What is done on a signal; an empty text ignores it.
    pub traps: BTreeMap<String, String>,
    pub streams: [Stream; DESCRIPTORS],
    pub status: i32,
    /// That of the last command substitution, for a command without words.
    pub substitution_status: i32,
    pub background: Vec<Background>,
    /// How many conditions are being decided, in which `-e` ends nothing.
    pub conditions: usize,
    pub loops: usize,
    pub depth: usize,
    pub files: Files,
    pub host: Rc<Host>,
    /// Counts commands, to look for the stop every so often.
    pub commands: u32,
}

impl Shell {
    pub fn new(name: &str, environment: impl Iterator<Item = (String, String)>) -> Shell {
        let exported = |value| Variable { value, is_exported: true, is_readonly: false };
        let mut variables: BTreeMap<String, Variable> =
            environment.map(|(name, value)| (name, exported(value))).collect();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
        for (name, value) in [("PATH", path), ("HOME", "/root".to_owned())] {
            variables.entry(name.to_owned()).or_insert_with(|| exported(value));
        }
        for (name, value) in [("IFS", " \t\n"), ("PS4", "+ "), ("OPTIND", "1")] {
            let variable = Variable { value: value.to_owned(), ..Variable::default() };
            variables.insert(name.to_owned(), variable);
        }
        let mut streams = [const { Stream::Closed }; DESCRIPTORS];
        streams[0] = Stream::Input;
        streams[1] = Stream::Output;
        streams[2] = Stream::Errors;
        Shell {
            name: name.to_owned(),
            variables,
            hidden: Vec::new(),
            functions: BTreeMap::new(),
            parameters: Vec::new(),
            folder: "/".to_owned(),
            options: Options::default(),
            traps: BTreeMap::new(),
            streams,
            status: 0,
            substitution_status: 0,
            background: Vec::new(),
            conditions: 0,
            loops: 0,
            depth: 0,
            files: Files::new(),
            host: Rc::new(Host::new()),
            commands: 0,
        }
    }

    /// A copy that takes over no traps, as a process of its own would not.
    pub fn subshell(&self) -> Shell {
        let mut shell = self.clone();
        // What is ignored stays ignored.
        shell.traps.retain(|_, action| action.is_empty());
        shell.background.clear();
        shell
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|variable| variable.value.as_str())
    }

    /// Sets a variable.
    pub fn assign(&mut self, name: &str, value: String) -> Run<()> {
        let variable = self.variables.entry(name.to_owned()).or_default();
        if variable.is_readonly {
            self.complain(&format!("{name}: is read only"));
            return Err(Flow::Exit(2));
        }
        variable.value = value;
        Ok(())
    }

    /// A path as the files know it.
    pub fn path(&self, path: &str) -> String {
        files::absolute(&self.folder, path)
    }

    /// Writes to standard output. What can't be written ends the command.
    pub fn put(&self, text: impl AsRef<[u8]>) -> Run<()> {
        self.write(1, text.as_ref())
    }

    pub fn write(&self, descriptor: usize, bytes: &[u8]) -> Run<()> {
        let result = match &self.streams[descriptor] {
            Stream::Output => io::stdout().lock().write_all(bytes),
            Stream::Errors => io::stderr().lock().write_all(bytes),
            Stream::File(file) => file.borrow_mut().write_all(bytes),
            Stream::Pipe(held) => {
                let mut held = held.borrow_mut();
                if held.len() + bytes.len() > PIPE_BYTES_MAX {
                    return Err(Flow::Exit(EXIT_BROKEN_PIPE));
                }
                held.extend_from_slice(bytes);
                Ok(())
            }
            Stream::Input | Stream::Closed => Err(io::Error::other("Bad file descriptor")),
        };
        match result {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Flow::Exit(EXIT_BROKEN_PIPE)),
            Err(error) if descriptor == 1 => {
                self.complain(&format!("write error: {}", files::reason(&error)));
                Err(Flow::Exit(1))
            }
            // There is nowhere to say it.
            Err(_) => Ok(()),
        }
    }

    pub fn read(&self, descriptor: usize, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.streams[descriptor] {
            Stream::Input => {
                self.flush();
                self.host.read(buffer)
            }
            Stream::File(file) => file.borrow_mut().read(buffer),
            Stream::Output | Stream::Errors | Stream::Pipe(_) | Stream::Closed => {
                Err(io::Error::other("Bad file descriptor"))
            }
        }
    }

    /// All of standard input.
    pub fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.read(0, &mut buffer)? {
                0 => return Ok(bytes),
                len => bytes.extend_from_slice(&buffer[..len]),
            }
        }
    }

    /// Gives the host what was written and waits in this program.
    pub fn flush(&self) {
        // Whoever reads it may be gone.
        let _ = io::stdout().flush();
    }

    /// A message of the shell on standard error.
    pub fn complain(&self, message: &str) {
        // Standard error takes what it can.
        let _ = self.write(2, format!("{}: {message}\n", self.name).as_bytes());
    }

    /// A message of a command on standard error; its exit code.
    pub fn fail(&self, command: &str, message: &str) -> Run {
        let _ = self.write(2, format!("{command}: {message}\n").as_bytes());
        Ok(1)
    }

    /// Waits as `sleep` does; the stop ends it like a SIGTERM.
    pub fn wait(&mut self, duration: Option<Duration>) -> Run {
        self.flush();
        // A time that no clock reaches is no deadline.
        let deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
        loop {
            match self.host.wait_until(deadline) {
                Waited::Elapsed => return Ok(0),
                Waited::StopRequested => {
                    if self.signal("TERM", EXIT_TERMINATED)? {
                        return Ok(EXIT_TERMINATED);
                    }
                }
            }
        }
    }

    /// Looks for the stop between two commands.
    pub fn look_for_stop(&mut self) -> Run<()> {
        self.commands = self.commands.wrapping_add(1);
        if self.commands.is_multiple_of(64) && self.host.is_stop_requested() {
            self.signal("TERM", EXIT_TERMINATED)?;
        }
        Ok(())
    }

    /// Takes a signal by its trap; says whether it interrupts what waits, which one that is ignored does not.
    pub fn signal(&mut self, name: &str, exit_code: i32) -> Run<bool> {
        match self.traps.get(name).cloned() {
            None => Err(Flow::Killed(exit_code)),
            Some(action) if action.is_empty() => Ok(false),
            Some(action) => {
                let status = self.status;
                self.run_text(&action)?;
                self.status = status;
                Ok(true)
            }
        }
    }

    /// Goes one level deeper.
    pub fn nested(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        if self.depth >= DEPTH_MAX {
            self.complain("nested too deep");
            return Err(Flow::Exit(2));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }
}
