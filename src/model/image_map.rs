//! Which module stands for an image: names and patterns, folders of modules, paths, and what stands for all the rest.
//!
//! The first of these that knows an image decides, in this order. What is on the disk is asked of the caller.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::image_reference::ImageReference;

/// Which module stands for an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ImageMap {
    /// By name or pattern.
    pub names: BTreeMap<String, MappedImage>,
    /// Folders of modules that are called like images, the first one that has it first.
    pub folders: Vec<PathBuf>,
    /// Whether an image may be a path of this host.
    pub paths: ImagePaths,
    /// What stands for images that nothing else does.
    pub default: Option<MappedImage>,
}

/// Whether an image may be a path of this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum ImagePaths {
    /// As for a cluster file and the library, whose author has this host's files anyway.
    #[default]
    Allowed,
    /// As for requests from elsewhere.
    Refused,
}

/// A module, and what an image has beside its files. **Source:** the image configuration of OCI (`Entrypoint`, `Cmd`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct MappedImage {
    /// A `.wasm` or `.wat` file, or the folder of a Cargo package.
    pub module: PathBuf,
    /// The first arguments of containers that name none; `None` is the module's file name without its extension.
    pub entry_point: Option<Vec<String>>,
    /// The arguments of containers that name neither entry point nor command.
    pub command: Vec<String>,
}

/// What shells are called.
const SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "busybox", "shell"];

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtPath {
    /// Nothing.
    Nothing,
    /// A file with the ending of a module, or a folder with a `Cargo.toml`.
    Module,
    /// Something else.
    Other,
}

impl MappedImage {
    /// A module by itself.
    pub fn of(module: impl Into<PathBuf>) -> MappedImage {
        MappedImage { module: module.into(), ..MappedImage::default() }
    }

    /// Whether `sh -c LINE` can be run in it. *Ours:* its module is called like a shell, or it is one by its entry point or its command.
    pub fn has_shell(&self) -> bool {
        let first = |words: &[String]| words.first().map(PathBuf::from);
        let names = [Some(self.module.clone()), self.entry_point.as_deref().and_then(first), first(&self.command)];
        let is_shell =
            |path: &PathBuf| path.file_stem().and_then(OsStr::to_str).is_some_and(|stem| SHELLS.contains(&stem));
        names.iter().flatten().any(is_shell)
    }
}

impl ImageMap {
    /// The module for an image by this map's names and folders.
    pub fn by_name(&self, image: &str, at_path: &dyn Fn(&Path) -> AtPath) -> Option<MappedImage> {
        let reference = ImageReference::parse(image);
        let named = self.named(image, reference.as_ref()).cloned();
        named.or_else(|| reference.and_then(|reference| self.in_folders(&reference, at_path)))
    }

    /// The module for an image.
    ///
    /// # Errors
    /// Why there is none, and what to set.
    pub fn resolve(&self, image: &str, at_path: &dyn Fn(&Path) -> AtPath) -> Result<MappedImage, String> {
        if let Some(mapped) = self.by_name(image, at_path) {
            return Ok(mapped);
        }
        let path = Path::new(image);
        let reference = ImageReference::parse(image);
        let is_module_name = path.extension().is_some_and(|ending| ending == "wasm" || ending == "wat");
        if self.paths == ImagePaths::Allowed
            && (reference.is_none() || is_module_name || at_path(path) != AtPath::Nothing)
        {
            return Ok(MappedImage::of(path));
        }
        if let Some(default) = &self.default {
            return Ok(default.clone());
        }
        Err(match reference {
            Some(reference) => format!(
                "failed to resolve ref {reference}: {reference}: not found (no module stands for it: name one in [images], \
                 a folder of modules with --images, or a default)"
            ),
            None => format!(
                "invalid reference format: {image} (images by path are not allowed here: name the module in [images], \
                 or let the server --allow-paths)"
            ),
        })
    }

    /// What this map says before another.
    #[must_use]
    pub fn before(mut self, other: ImageMap) -> ImageMap {
        for (name, image) in other.names {
            self.names.entry(name).or_insert(image);
        }
        self.folders.extend(other.folders);
        if other.paths == ImagePaths::Refused {
            self.paths = ImagePaths::Refused;
        }
        self.default = self.default.or(other.default);
        self
    }

    /// The most specific name that fits: one with a digest before one with a tag, before one without, before patterns, of which the one
    /// with the most characters beside its stars wins, then the first in the order of the alphabet.
    fn named(&self, image: &str, reference: Option<&ImageReference>) -> Option<&MappedImage> {
        let ranked = self.names.iter().filter_map(|(name, mapped)| {
            let rank =
                if name == image && !name.contains('*') { Some(Rank::AsWritten) } else { rank(name, reference?) };
            Some((Reverse(rank?), name, mapped))
        });
        ranked.min_by_key(|(rank, name, _)| (*rank, *name)).map(|(_, _, mapped)| mapped)
    }

    /// The module that is called like the image: with the registry and all, then without its parts from the left; each time with
    /// the tag, then without.
    fn in_folders(&self, reference: &ImageReference, at_path: &dyn Fn(&Path) -> AtPath) -> Option<MappedImage> {
        self.folders.iter().find_map(|folder| {
            let names = reference.names().flat_map(|name| {
                let with_tag = reference.tag_or_latest().map(|tag| format!("{name}:{tag}"));
                with_tag.into_iter().chain([name])
            });
            let paths = names.flat_map(|name| ["wasm", "wat", ""].map(|ending| file_of(folder, &name, ending)));
            let mut modules = paths.filter(|path| at_path(path) == AtPath::Module);
            modules.next().map(MappedImage::of)
        })
    }
}

/// `name.ending` in a folder; without an ending the folder of a package.
fn file_of(folder: &Path, name: &str, ending: &str) -> PathBuf {
    if ending.is_empty() { folder.join(name) } else { folder.join(format!("{name}.{ending}")) }
}

/// How well a name fits, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A pattern with so many characters beside its stars.
    Pattern(usize),
    WithoutTag,
    WithTag,
    WithDigest,
    AsWritten,
}

/// How well a name of the map fits an image; `None`: it does not.
fn rank(name: &str, image: &ImageReference) -> Option<Rank> {
    if name.contains('*') {
        let literal_count = name.chars().filter(|c| *c != '*').count();
        let tag = image.tag_or_latest().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = image.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        let fits = |form: &str| is_match(name.as_bytes(), form.as_bytes());
        let is_found = image.familiar_names().any(|repository| {
            fits(&repository) || fits(&format!("{repository}{tag}")) || fits(&format!("{repository}{tag}{digest}"))
        });
        return is_found.then_some(Rank::Pattern(literal_count));
    }
    let name = ImageReference::parse(name)?;
    if (&name.host, &name.repository) != (&image.host, &image.repository) {
        return None;
    }
    match (&name.digest, &name.tag) {
        (Some(_), _) => (name.digest == image.digest).then_some(Rank::WithDigest),
        (None, Some(tag)) => (image.tag_or_latest() == Some(tag)).then_some(Rank::WithTag),
        (None, None) => Some(Rank::WithoutTag),
    }
}

impl ImageReference {
    /// The repository with its registry, and without what Docker adds by itself.
    fn familiar_names(&self) -> impl Iterator<Item = String> {
        let whole = format!("{}/{}", self.host, self.repository);
        let on_hub = whole.strip_prefix("docker.io/").map(str::to_owned);
        let official = whole.strip_prefix("docker.io/library/").map(str::to_owned);
        [whole].into_iter().chain(on_hub).chain(official)
    }
}

/// Whether all of `text` fits a pattern in which `*` stands for any run of characters.
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    let mut pieces = pattern.split(|byte| *byte == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&[u8]> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        // The leftmost place leaves the most for what follows.
        let Some(at) = rest.windows(piece.len()).position(|window| window == piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}
