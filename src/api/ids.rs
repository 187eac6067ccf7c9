//! Ids of what only the API has: made of what they name, so that they are the same in every run.

use crate::model::fnv::{FNV_OFFSET, fnv1a};

/// Two numbers of 64 bits that names come to, by FNV-1a with different beginnings.
fn hashes(names: &[&str]) -> [u64; 2] {
    [FNV_OFFSET, 0x6c62_272e_07bb_0142].map(|offset| {
        let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
        fnv1a(offset, bytes)
    })
}

/// Names as a UUID.
pub(super) fn uuid_of(names: &[&str]) -> String {
    let [high, low] = hashes(names);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// Names as 17 hexadecimal digits, as EC2's ids have.
pub(super) fn hex17_of(names: &[&str]) -> String {
    let [high, low] = hashes(names);
    format!("0{:016x}", high ^ low.rotate_left(32))
}
