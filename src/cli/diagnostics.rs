//! Shows the mistakes of a cluster file with the lines that they are on, as rustc does.
//!
//! [`render`] makes a string and knows no terminal; the subcommands say it on standard error.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::config::{ClusterFileError, ClusterFileErrors};

/// Whether text for people has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// None: files, pipes, `NO_COLOR`.
    #[default]
    Plain,
    /// By ANSI escape codes.
    Ansi,
}

/// Says the mistakes on standard error, in colour where that is a terminal that wants it.
pub(super) fn print(errors: &ClusterFileErrors) {
    anstream::eprint!("{}", render(errors, Colour::Ansi));
}

/// The mistakes in the order of their positions, each with its line, its path and what to write instead; then how many.
pub fn render(errors: &ClusterFileErrors, colour: Colour) -> String {
    let renderer = match colour {
        Colour::Plain => Renderer::plain(),
        Colour::Ansi => Renderer::styled(),
    };
    let file = errors.file.display().to_string();
    let mut text = String::new();
    for error in &errors.errors {
        text.push_str(&renderer.render(&[group(error, &errors.source, &file)]));
        text.push_str("\n\n");
    }
    if errors.source.is_empty() {
        text.pop();
        return text;
    }
    let count = errors.errors.len();
    let summary = format!("{count} {} in {file}", if count == 1 { "mistake" } else { "mistakes" });
    text.push_str(&renderer.render(&[Group::with_title(Level::ERROR.primary_title(summary))]));
    text.push('\n');
    text
}

fn group<'e>(error: &'e ClusterFileError, source: &'e str, file: &'e str) -> Group<'e> {
    let title = Level::ERROR.primary_title(error.message.as_str());
    // A file that could not be read has no line to show.
    if error.line == 0 {
        return Group::with_title(Level::ERROR.primary_title(format!("{file} {}", error.message)));
    }
    let mut annotation = AnnotationKind::Primary.span(first_line(error, source));
    if !error.path.is_empty() {
        annotation = annotation.label(error.path.as_str());
    }
    let group = title.element(Snippet::source(source).path(file).annotation(annotation));
    match &error.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// The part of an error's span that is on its first line: a mark over all of a long table would hide the rest.
fn first_line(error: &ClusterFileError, source: &str) -> std::ops::Range<usize> {
    let end = error.span.start + source[error.span.clone()].find('\n').unwrap_or(error.span.len());
    error.span.start..end
}
