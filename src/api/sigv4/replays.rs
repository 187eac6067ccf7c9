//! Signatures that were used: each counts once while it is young.
//!
//! Times in signatures have seconds, and botocore signs no id of a request: two requests of a client that are alike and of one second have
//! the same signature, and may both be meant. They are told apart by the id that clients of AWS send unsigned, and only for as long as
//! such requests follow each other; who sends a request again word by word, or later, is refused.
//!
//! A signature is forgotten when its time is over, since it is refused as expired from then on.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// What is remembered at most, two things a signature: some 100 MiB. *Ours:* 1,700 requests a second, of clients that have a key.
const REMEMBERED_MAX: usize = 1 << 20;
/// How long after the first of several requests that are alike another may come. *Ours:* the second that they share, and the way here.
const ALIKE: SignedDuration = SignedDuration::from_secs(2);

/// The signatures of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Replays(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// By the second that they expire in: signatures, and signatures with the ids of requests, each with when it was first seen. Half a
    /// digest tells it from all others.
    by_end: BTreeMap<i64, BTreeMap<[u8; 16], Timestamp>>,
    count: usize,
}

/// What is known of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was not used, or just now for another request that is like this one.
    First,
    /// It was.
    Before,
    /// Nothing more can be remembered.
    TooMany,
}

impl Replays {
    /// Notes that a signature is used, which expires at `end`, by a request with an id of its own, if its client gives it one.
    pub(super) fn note(&self, signature: &[u8; 32], id: Option<&[u8]>, end: Timestamp, now: Timestamp) -> Seen {
        let mut remembered = self.0.lock();
        let remembered = &mut *remembered;
        while let Some(oldest) = remembered.by_end.first_entry().filter(|oldest| *oldest.key() < now.as_second()) {
            remembered.count -= oldest.remove().len();
        }
        if remembered.count >= REMEMBERED_MAX {
            return Seen::TooMany;
        }
        // The end is part of what was signed: the same signature always has the same.
        let known = remembered.by_end.entry(end.as_second()).or_default();
        let first = known.get(&half_of(signature, None)).copied();
        let is_alike = |first: Timestamp| {
            id.is_some_and(|id| !known.contains_key(&half_of(signature, Some(id))))
                && now.duration_since(first) <= ALIKE
        };
        if first.is_some_and(|first| !is_alike(first)) {
            return Seen::Before;
        }
        let before = known.len();
        known.entry(half_of(signature, None)).or_insert(now);
        if let Some(id) = id {
            known.insert(half_of(signature, Some(id)), now);
        }
        remembered.count += known.len() - before;
        Seen::First
    }
}

fn half_of(signature: &[u8; 32], id: Option<&[u8]>) -> [u8; 16] {
    let digest = Sha256::new().chain_update(signature).chain_update(id.unwrap_or_default()).finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once is enough, until the signature has expired anyway.
    #[test]
    fn a_signature_counts_once() {
        let at = |second| Timestamp::from_second(second).expect("a moment");
        let replays = Replays::default();
        let note = |signature, id: Option<&str>, end, now| {
            replays.note(&[signature; 32], id.map(str::as_bytes), at(end), at(now))
        };
        assert_eq!(note(1, None, 300, 0), Seen::First);
        assert_eq!(note(1, None, 300, 1), Seen::Before);
        assert_eq!(note(2, Some("a"), 300, 1), Seen::First);
        assert_eq!(note(2, Some("a"), 300, 1), Seen::Before, "word by word");
        assert_eq!(note(2, None, 300, 1), Seen::Before);
        assert_eq!(note(2, Some("b"), 300, 3), Seen::First, "another that is alike");
        assert_eq!(note(2, Some("c"), 300, 4), Seen::Before, "too late");
        assert_eq!(note(1, None, 300, 300), Seen::Before);
        assert_eq!(note(3, None, 900, 301), Seen::First);
        assert_eq!(replays.0.lock().count, 1, "those that have expired are forgotten");
    }
}
