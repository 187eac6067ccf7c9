//! A shell and the small tools around it, in one program: what stands for `busybox`, `alpine`, `debian` and the like.
//!
//! It is told what to be by its own name or by its first argument, as busybox is: `sh -c TEXT`, `shell sh -c TEXT`, `sleep 300`.
//! There are no processes: the commands of a pipe run one after the other, and what `&` leaves behind only waits, or is done at once.
//! There is no network. Files are those of the mounted folders, and around them some in memory.
//!
//! Arguments: the name of a tool and its own. Without any: nothing to do.
//! Exit: what the script or tool says; 127 for a command that is not there; 2 for a syntax error; 143 when it is asked to stop, which
//! a `trap` on TERM can change. Fuel: under 1 M to start, some 5 k a command. Memory: 2 MiB.

mod applets;
mod arithmetic;
mod builtins;
mod date;
mod expand;
mod expression;
mod file_tools;
mod files;
mod grep;
mod host;
mod interpreter;
mod parser;
mod pattern;
mod printf;
mod servers;
mod shell;
mod syntax;
mod text_tools;

use shell::{Flow, Shell};

/// The program's own name, under which it does nothing by itself.
const OWN_NAME: &str = "shell";

fn main() {
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    let mut arguments: Vec<String> = std::env::args_os().map(text).collect();
    let name = arguments.first().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
    let is_tool = name.as_ref().is_some_and(|name| name != OWN_NAME && name != "busybox" && applets::is_tool(name));
    if !is_tool && !arguments.is_empty() {
        arguments.remove(0);
    }
    let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut shell = Shell::new("sh", environment);
    let result = shell.run_as_process(|shell| shell.run_program(&arguments));
    let code = match result {
        Ok(code) | Err(Flow::Killed(code)) => code,
        Err(_) => shell.status,
    };
    shell.flush();
    std::process::exit(code);
}
