//! A digest of all events: two simulations with the same one went the same way.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::control_plane::event::Event;
use crate::model::units::Timestamp;

/// What has been taken in so far.
#[derive(Clone, Debug, Default)]
pub(super) struct EventDigest {
    hash: Sha256,
    line: String,
}

impl EventDigest {
    pub(super) fn add(&mut self, now: Timestamp, event: &Event) {
        self.line.clear();
        // Writing to a string never fails.
        let _ = writeln!(self.line, "{} {event:?}", now.0);
        self.hash.update(&self.line);
    }

    /// 64 hexadecimal digits.
    pub(super) fn text(&self) -> String {
        let bytes = self.hash.clone().finalize();
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
