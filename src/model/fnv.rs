//! Numbers that names come to, the same in every run and on every host.

/// Where FNV-1a begins.
pub(crate) const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a of 64 bits, from a beginning on.
pub(crate) fn fnv1a(offset: u64, bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(offset, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
