//! Names of requests: UUIDs that no two requests share, also not those of two servers.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

/// Hands out names.
#[derive(Debug)]
pub(super) struct RequestIds {
    /// The operating system's chance: nothing is decided by it.
    server: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> RequestIds {
        RequestIds { server: RandomState::new().hash_one("longshore"), next: AtomicU64::new(0) }
    }

    /// The next name, in the form of a random UUID.
    pub(super) fn next(&self) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let digest = Sha256::new().chain_update(self.server.to_le_bytes()).chain_update(count.to_le_bytes()).finalize();
        let mut name = String::with_capacity(36);
        for (index, byte) in digest[..16].iter().enumerate() {
            if [4, 6, 8, 10].contains(&index) {
                name.push('-');
            }
            let byte = match index {
                6 => byte & 0x0f | 0x40,
                8 => byte & 0x3f | 0x80,
                _ => *byte,
            };
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// RFC 9562: version 4, variant 10, and no two alike.
    #[test]
    fn they_are_random_uuids() {
        let ids = RequestIds::new();
        let names: BTreeSet<String> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(names.len(), 1000);
        for name in names {
            let lengths: Vec<usize> = name.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12]);
            assert!(name[14..].starts_with('4') && name[19..].starts_with(['8', '9', 'a', 'b']), "{name}");
        }
    }
}
