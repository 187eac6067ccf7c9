//! Names of images as people write them for Docker, and what two of them have in common.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The registry of names that name none. **Source:** the reference grammar of distribution/reference.
const DEFAULT_HOST: &str = "docker.io";
/// The folder there of names without one.
const DEFAULT_FOLDER: &str = "library";
/// The tag of names without tag and digest.
const DEFAULT_TAG: &str = "latest";

/// An image by registry, repository, tag and digest: `busybox` is `docker.io/library/busybox:latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    /// The registry, as `public.ecr.aws` or `localhost:5000`.
    pub host: String,
    /// The path there, as `library/busybox`. Never empty.
    pub repository: String,
    /// The tag, if one was written.
    pub tag: Option<String>,
    /// The digest, if one was written, as `sha256:...`.
    pub digest: Option<String>,
}

impl ImageReference {
    /// Reads a name. `None`: it is not one, but perhaps a path.
    ///
    /// **Source:** the reference grammar of distribution/reference. *Ours:* capital letters are let through, which Docker refuses.
    pub fn parse(text: &str) -> Option<ImageReference> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return None;
        }
        let tag_begins = name.rfind(':').filter(|at| !name[*at..].contains('/'));
        let (name, tag) = match tag_begins {
            Some(at) => (&name[..at], Some(&name[at + 1..])),
            None => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return None;
        }
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest),
            _ => (DEFAULT_HOST, name),
        };
        if host.starts_with(['.', ':']) || !path.split('/').all(is_path_component) {
            return None;
        }
        let is_official = host == DEFAULT_HOST && !path.contains('/');
        Some(ImageReference {
            host: host.to_owned(),
            repository: if is_official { format!("{DEFAULT_FOLDER}/{path}") } else { path.to_owned() },
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The tag that is meant: `latest` when neither tag nor digest was written.
    pub fn tag_or_latest(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TAG),
        }
    }

    /// Registry and repository, each from the whole down to its last part: `docker.io/library/busybox`, `library/busybox`, `busybox`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let whole = format!("{}/{}", self.host, self.repository);
        let starts: Vec<usize> = [0].into_iter().chain(whole.match_indices('/').map(|(at, _)| at + 1)).collect();
        starts.into_iter().map(move |start| whole[start..].to_owned())
    }
}

/// The SHA-256 of an image's bytes. Shown as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageDigest([u8; 32]);

impl ImageDigest {
    /// The digest of these bytes.
    pub fn of(bytes: [u8; 32]) -> ImageDigest {
        ImageDigest(bytes)
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each container's start says it: two numbers are written in a fraction of the time of 32 bytes.
        let (high, low) = self.0.split_at(16);
        let half = |bytes: &[u8]| bytes.iter().fold(0u128, |half, byte| half << 8 | u128::from(*byte));
        write!(f, "sha256:{:032x}{:032x}", half(high), half(low))
    }
}

impl fmt::Debug for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ImageDigest> for String {
    fn from(digest: ImageDigest) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for ImageDigest {
    type Error = String;

    fn try_from(text: String) -> Result<ImageDigest, String> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.is_ascii());
        let mut bytes = [0; 32];
        let parse = |hex: &str| {
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
            }
            Some(ImageDigest(bytes))
        };
        hex.and_then(parse).ok_or_else(|| format!("{text} is no digest: sha256: and 64 hexadecimal digits"))
    }
}

impl fmt::Display for ImageReference {
    /// With everything that Docker adds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = self.tag_or_latest() {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

fn is_path_component(part: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(is_letter)
}

fn is_tag(tag: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.chars().all(is_letter)
}

fn is_digest(digest: &str) -> bool {
    match digest.split_once(':') {
        Some(("sha256", hex)) => hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()),
        Some((algorithm, hex)) => {
            !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Claim: names are completed as Docker does. Method: one of each form, and some that are none.
    #[test]
    fn names_are_completed() {
        let digest = format!("sha256:0f{}00{}", "ab".repeat(15), "0c".repeat(15));
        for (written, whole) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("amazon/amazon-ecs-sample", "docker.io/amazon/amazon-ecs-sample:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("localhost/busybox", "localhost/busybox:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("public.ecr.aws/nginx/nginx:1.27-alpine", "public.ecr.aws/nginx/nginx:1.27-alpine"),
        ] {
            assert_eq!(ImageReference::parse(written).map(|found| found.to_string()).as_deref(), Some(whole));
        }
        let pinned = ImageReference::parse(&format!("busybox@{digest}")).map(|found| found.to_string());
        assert_eq!(pinned, Some(format!("docker.io/library/busybox@{digest}")));
        let both = ImageReference::parse(&format!("busybox:1@{digest}")).map(|found| found.to_string());
        assert_eq!(both, Some(format!("docker.io/library/busybox:1@{digest}")));
        for written in ["", "/bin/sh", "./a", "../a", "a b", "a:", ":a", "a@b", "a//b", "a/", "a:b:c", "a@sha256:12"] {
            assert_eq!(ImageReference::parse(written), None, "{written}");
        }
    }
}
