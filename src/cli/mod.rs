//! The `longshore` program: one file a subcommand, and how things are shown to people.

pub mod diagnostics;
