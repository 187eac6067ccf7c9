//! Paths in a cluster file: they start from its folder, and what they name must be there.

use std::path::{Component, Path, PathBuf};

use super::reader::{Value, did_you_mean, quoted};
use super::suggest::nearest;
use crate::model::image_map::{AtPath, ImageMap};
use crate::model::image_reference::ImageReference;

/// A container's image: a name that is known, as it is written, or the absolute path of a module.
pub(super) fn resolve_image(value: &Value<'_>, folder: &Path, images: &ImageMap) -> Option<String> {
    let written = value.string()?;
    if images.by_name(written, &at_path).is_some() {
        return Some(written.to_owned());
    }
    let could_be_a_name = ImageReference::parse(written).is_some() && !has_ending_of_module(Path::new(written));
    if could_be_a_name && images.default.is_some() && !resolve(folder, written).exists() {
        return Some(written.to_owned());
    }
    let help = could_be_a_name.then(|| {
        format!(
            "to run the image of this name, name the module that stands for it: [images] {} = \"...\"",
            quoted(written)
        )
    });
    resolve_as(value, folder, "image", help)
}

/// The absolute path of a module: a `.wasm` or `.wat` file, or the folder of a Cargo package.
pub(super) fn resolve_module(value: &Value<'_>, folder: &Path) -> Option<String> {
    resolve_as(value, folder, "module", None)
}

fn resolve_as(value: &Value<'_>, folder: &Path, what: &str, help: Option<String>) -> Option<String> {
    let written = value.string()?;
    let path = resolve(folder, written);
    if path.is_dir() {
        if path.join("Cargo.toml").is_file() {
            return text_of(value, &path);
        }
        value.reject(format!("{what} {} is a folder without a Cargo.toml", quoted(written)));
    } else if path.is_file() {
        if has_ending_of_module(&path) {
            return text_of(value, &path);
        }
        value.reject(format!(
            "{what} {} is neither a .wasm file, a .wat file nor the folder of a Cargo package",
            quoted(written)
        ));
    } else {
        reject_missing(value, what, written, &path, help);
    }
    None
}

/// What is at a path, as far as images go.
pub(super) fn at_path(path: &Path) -> AtPath {
    let is_module =
        if path.is_dir() { path.join("Cargo.toml").is_file() } else { path.is_file() && has_ending_of_module(path) };
    match (is_module, path.exists()) {
        (true, _) => AtPath::Module,
        (false, true) => AtPath::Other,
        (false, false) => AtPath::Nothing,
    }
}

fn has_ending_of_module(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "wasm" || ending == "wat")
}

/// The absolute path of a file or folder that must be there.
pub(super) fn resolve_place(value: &Value<'_>, folder: &Path) -> Option<PathBuf> {
    let written = value.string()?;
    let path = resolve(folder, written);
    if !path.exists() {
        reject_missing(value, "file or folder", written, &path, None);
        return None;
    }
    Some(path)
}

/// The absolute path of a volume's folder on the host.
pub(super) fn resolve_folder(value: &Value<'_>, folder: &Path) -> Option<String> {
    let written = value.string()?;
    let path = resolve(folder, written);
    if path.is_dir() {
        return text_of(value, &path);
    }
    if path.exists() {
        value.reject(format!("{} is not a folder", quoted(written)));
    } else {
        reject_missing(value, "folder", written, &path, None);
    }
    None
}

/// The absolute path of a file that a task reads when it starts; it may come to be there until then.
pub(super) fn resolve_file(value: &Value<'_>, folder: &Path) -> Option<String> {
    let written = value.string()?;
    if written.is_empty() {
        value.reject("an empty string names no file");
        return None;
    }
    text_of(value, &resolve(folder, written))
}

/// `otherwise` is the help where nothing beside the path has nearly its name.
fn reject_missing(value: &Value<'_>, what: &str, written: &str, path: &Path, otherwise: Option<String>) {
    let help = sibling(path).map(|name| {
        let beginning = written.trim_end_matches('/').rsplit_once('/').map_or("", |(beginning, _)| beginning);
        let separator = if beginning.is_empty() { "" } else { "/" };
        did_you_mean(&format!("{beginning}{separator}{name}"))
    });
    value.reject_with_help(
        format!("{what} {} not found: looked for {}", quoted(written), path.display()),
        help.or(otherwise),
    );
}

/// What lies beside a path that is not there and has nearly its name.
fn sibling(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    // The order of a folder is the file system's.
    names.sort();
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

/// `written` from `folder`, absolute. Links are not followed, so that an image keeps the name that it was given.
fn resolve(folder: &Path, written: &str) -> PathBuf {
    let joined = folder.join(written);
    let absolute = std::path::absolute(&joined).unwrap_or(joined);
    let mut path = PathBuf::new();
    for component in absolute.components() {
        // `a/..` is left as it is where `a` is a link: its parent is elsewhere.
        if component == Component::ParentDir && path.file_name().is_some() && !path.is_symlink() {
            path.pop();
        } else {
            path.push(component);
        }
    }
    path
}

fn text_of(value: &Value<'_>, path: &Path) -> Option<String> {
    let text = path.to_str().map(str::to_owned);
    if text.is_none() {
        value.reject(format!("{} is not valid UTF-8", path.display()));
    }
    text
}
