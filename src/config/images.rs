//! `[images]`: which modules stand for images, in a cluster file or in a file of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::keys::{IMAGES, MAPPED_IMAGE, TableKeys};
use super::paths::{resolve_module, resolve_place};
use super::reader::{Reader, Syntax, Table, Value, quoted};
use super::{ClusterFileError, ClusterFileErrors, in_our_style};
use crate::model::image_map::{ImageMap, MappedImage};
use crate::model::image_reference::ImageReference;

/// The file of a folder of modules that is read with it.
const FILE_NAME: &str = "images.toml";
/// How many files may name each other in a row.
const DEPTH_MAX: usize = 8;

/// A file of its own has nothing else.
const FILE: TableKeys = TableKeys { table: "", keys: &["images"], planned: &[] };

/// Reads which modules stand for images: from a file with a table `[images]`, or from a folder of modules, with its `images.toml`
/// when it has one.
///
/// # Errors
/// Every mistake in the file, or that there is nothing to read.
pub fn load_images(path: impl AsRef<Path>) -> Result<ImageMap, ClusterFileErrors> {
    load(path.as_ref(), 0)
}

fn load(path: &Path, depth: usize) -> Result<ImageMap, ClusterFileErrors> {
    if !path.is_dir() {
        return load_file(path, depth);
    }
    let file = path.join(FILE_NAME);
    let named = if file.is_file() { load_file(&file, depth)? } else { ImageMap::default() };
    // Absolute, since the working folder may be another one when a task starts.
    let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok(named.before(ImageMap { folders: vec![folder], ..ImageMap::default() }))
}

fn load_file(path: &Path, depth: usize) -> Result<ImageMap, ClusterFileErrors> {
    let failed = |text: &str, errors: Vec<ClusterFileError>| ClusterFileErrors {
        file: path.to_owned(),
        source: Arc::from(text),
        errors,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed("", vec![ClusterFileError::unreadable(&error)]))?;
    let (document, syntax_errors) = DeTable::parse_recoverable(&text);
    let syntax = if syntax_errors.is_empty() { Syntax::Sound } else { Syntax::Broken };
    let reader = Reader::new(&text, syntax);
    for error in &syntax_errors {
        reader.reject(error.span().unwrap_or(0..0), "", in_our_style(error.message()), None);
    }
    let root = Table::root(&reader, document.get_ref(), &FILE);
    let images = read(&root, path.parent().unwrap_or(Path::new("")), depth);
    let errors = reader.into_errors();
    if errors.is_empty() { Ok(images) } else { Err(failed(&text, errors)) }
}

/// Reads the table of a cluster file.
pub(super) fn read_images(root: &Table<'_>, folder: &Path) -> ImageMap {
    read(root, folder, 0)
}

fn read(root: &Table<'_>, folder: &Path, depth: usize) -> ImageMap {
    let mut images = ImageMap::default();
    let Some(value) = root.get(IMAGES.table) else { return images };
    let mut others = Vec::new();
    for entry in value.entries() {
        match entry.key {
            "from" => others = read_from(&entry.value, folder, depth),
            "default" => images.default = read_mapped(&entry.value, folder),
            name => {
                if !is_name_or_pattern(name) {
                    entry.reject_key(format!(
                        "{} is no name of an image: as in \"nginx\", \"nginx:1.27\", \"public.ecr.aws/nginx/*\"",
                        quoted(name)
                    ));
                }
                if let Some(mapped) = read_mapped(&entry.value, folder) {
                    images.names.insert(name.to_owned(), mapped);
                }
            }
        }
    }
    others.into_iter().fold(images, ImageMap::before)
}

fn is_name_or_pattern(name: &str) -> bool {
    if name.contains('*') {
        return name.chars().all(|c| c.is_ascii_alphanumeric() || "*._-/:@".contains(c));
    }
    ImageReference::parse(name).is_some()
}

/// Folders of modules and files like this one.
fn read_from(value: &Value<'_>, folder: &Path, depth: usize) -> Vec<ImageMap> {
    let places =
        if value.is_list() { value.list("a list of strings").unwrap_or_default() } else { vec![value.clone()] };
    let read = |place: &Value<'_>| {
        let path = resolve_place(place, folder)?;
        if depth >= DEPTH_MAX {
            place.reject(format!("{DEPTH_MAX} files in a row name each other"));
            return None;
        }
        load(&path, depth + 1).map_err(|errors| place.reject(errors.to_string())).ok()
    };
    places.iter().filter_map(read).collect()
}

/// A module, or a table with the image's own entry point and command.
fn read_mapped(value: &Value<'_>, folder: &Path) -> Option<MappedImage> {
    if !value.is_table() {
        return resolve_module(value, folder).map(MappedImage::of);
    }
    let table = value.table(&MAPPED_IMAGE)?;
    let module: Option<PathBuf> = table.need("module").and_then(|value| resolve_module(&value, folder)).map(Into::into);
    let entry_point = table.strings("entry_point").filter(|arguments| !arguments.is_empty());
    let command = table.strings("command").unwrap_or_default();
    Some(MappedImage { module: module?, entry_point, command })
}
