//! The keys that a server knows, as they are configured: a TOML file, or the variables that AWS' clients read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use thiserror::Error;

/// Keys by their ids.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, Credential>);

/// A key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// What requests name it by.
    pub access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not of the form that it should be.
    #[error(
        "{file}: {message}\nwrite each key as\n\n[[credentials]]\naccess_key_id = \"...\"\nsecret_access_key = \"...\"\n\nand with it, \
         if it has one, session_token = \"...\""
    )]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// Two keys have one id.
    #[error("{file}: the access key {access_key_id} is given twice")]
    Twice {
        /// The file.
        file: PathBuf,
        /// The id.
        access_key_id: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    credentials: Vec<Credential>,
}

impl Credentials {
    /// One key without a session token.
    pub fn of_one(access_key_id: &str, secret_access_key: &str) -> Credentials {
        Credentials::from_iter([Credential {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            session_token: None,
        }])
    }

    /// Those of a TOML file: a `[[credentials]]` for each.
    ///
    /// # Errors
    /// When the file can't be read or is of another form.
    pub fn load(file: &Path) -> Result<Credentials, CredentialsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| CredentialsError::Unreadable { file: file.to_owned(), source })?;
        let malformed = |message: String| CredentialsError::Malformed { file: file.to_owned(), message };
        // The message of the whole error would show a line of the file, and so a secret.
        let written: Written = toml::from_str(&text).map_err(|error| {
            let before = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let line = before.map(|line| format!("line {line}: ")).unwrap_or_default();
            malformed(format!("{line}{}", error.message()))
        })?;
        let is_empty = |one: &Credential| one.access_key_id.is_empty() || one.secret_access_key.is_empty();
        if written.credentials.is_empty() || written.credentials.iter().any(is_empty) {
            return Err(malformed("no key, or one that is empty".to_owned()));
        }
        let mut credentials = Credentials::default();
        for one in written.credentials {
            let access_key_id = one.access_key_id.clone();
            if credentials.0.insert(access_key_id.clone(), one).is_some() {
                return Err(CredentialsError::Twice { file: file.to_owned(), access_key_id });
            }
        }
        Ok(credentials)
    }

    /// The one in `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, if it is there.
    pub fn from_environment() -> Option<Credentials> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Credentials::from_iter([Credential {
            access_key_id: variable("AWS_ACCESS_KEY_ID")?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?,
            session_token: variable("AWS_SESSION_TOKEN"),
        }]))
    }

    /// What requests name the keys by.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A key by its id.
    pub(super) fn of(&self, access_key_id: &str) -> Option<&Credential> {
        self.0.get(access_key_id)
    }
}

impl FromIterator<Credential> for Credentials {
    fn from_iter<T: IntoIterator<Item = Credential>>(all: T) -> Credentials {
        Credentials(all.into_iter().map(|one| (one.access_key_id.clone(), one)).collect())
    }
}

impl Credential {
    pub(super) fn secret(&self) -> &str {
        &self.secret_access_key
    }

    /// Whether a request's session token is the key's. Takes as long for a wrong one as for the right one.
    pub(super) fn has_token(&self, token: Option<&[u8]>) -> bool {
        match (&self.session_token, token) {
            (None, None) => true,
            (Some(own), Some(token)) => {
                let digest = |text: &[u8]| {
                    let mac = Hmac::<Sha256>::new_from_slice(self.secret_access_key.as_bytes());
                    mac.expect("a key of any length will do").chain_update(text)
                };
                digest(token).verify(&digest(own.as_bytes()).finalize().into_bytes()).is_ok()
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, secret)", self.access_key_id)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values()).finish()
    }
}
