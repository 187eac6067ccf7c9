//! The form of a segment: a header, and batches behind one another. Byte by byte, knowing no disk.
//!
//! A batch is what one sync made durable: all of it is there or nothing, since one checksum is over all of it. Everything is little-endian.
//!
//! ```text
//! header  "LSHORLOG"  format u32  first position u64  crc u32
//! batch   "LSB1"  body length u32  crc u32 of all but itself  first position u64  durable u64  count u32  body
//! record  0, or 1 and: name length u16, name of the stream, position of the stream's record before u64
//!         length u32  bytes
//! ```
//! *Durable* says how far the log was on the disk when the batch was written. A batch that can't be read, with a later one that says
//! it was durable, was lost by the disk; without one it was never finished, and nobody was told of it.

use std::sync::Arc;

use super::{Position, StreamName};

/// The version of the format that is written and read.
pub(super) const FORMAT: u32 = 1;
pub(super) const HEADER_LENGTH: usize = 24;
const MAGIC: &[u8; 8] = b"LSHORLOG";
const BATCH_MAGIC: &[u8; 4] = b"LSB1";
const BATCH_HEAD: usize = 32;
/// Longer bodies than this are not written, but for a single group that is longer.
pub(super) const BATCH_BYTES: usize = 4 << 20;

/// A segment's header.
pub(super) fn header(first: Position) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LENGTH);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&first.0.to_le_bytes());
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// What a segment's beginning says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The position of its first record.
    First(Position),
    /// It is of another version.
    OtherFormat(u32),
    /// It is none.
    Damaged,
}

/// Reads a segment's header.
pub(super) fn read_header(bytes: &[u8]) -> Header {
    let Some(head) = bytes.get(..HEADER_LENGTH) else { return Header::Damaged };
    let checksum_holds = u32_at(head, 20) == Some(crc32fast::hash(&head[..20]));
    match (head.starts_with(MAGIC), u32_at(head, 8), u64_at(head, 12)) {
        (true, Some(format), _) if format != FORMAT && checksum_holds => Header::OtherFormat(format),
        (true, Some(FORMAT), Some(first)) if checksum_holds => Header::First(Position(first)),
        _ => Header::Damaged,
    }
}

/// One record of a batch that is put together.
#[derive(Debug)]
pub(super) struct NewRecord {
    pub(super) stream: StreamName,
    /// The position of the stream's record before it.
    pub(super) before: Position,
    pub(super) bytes: Vec<u8>,
}

/// Appends the record to a body; `last_stream` is that of the record before it there.
pub(super) fn write_record(body: &mut Vec<u8>, record: &NewRecord, last_stream: Option<&StreamName>) {
    if last_stream == Some(&record.stream) {
        body.push(0);
    } else {
        let name = record.stream.as_str().as_bytes();
        body.push(1);
        let length = u16::try_from(name.len()).expect("a name's length is checked when it is made");
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(name);
        body.extend_from_slice(&record.before.0.to_le_bytes());
    }
    let length = u32::try_from(record.bytes.len()).expect("a record's length is checked when it is taken in");
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&record.bytes);
}

/// Appends a whole batch.
pub(super) fn write_batch(out: &mut Vec<u8>, first: Position, durable: Position, count: u32, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("a batch is bounded");
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    let mut rest = Vec::with_capacity(20);
    rest.extend_from_slice(&first.0.to_le_bytes());
    rest.extend_from_slice(&durable.0.to_le_bytes());
    rest.extend_from_slice(&count.to_le_bytes());
    hasher.update(&rest);
    hasher.update(body);
    out.extend_from_slice(BATCH_MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&hasher.finalize().to_le_bytes());
    out.extend_from_slice(&rest);
    out.extend_from_slice(body);
}

/// A batch as it stands in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch<'a> {
    pub(super) first: Position,
    pub(super) durable: Position,
    pub(super) count: u32,
    body: &'a [u8],
    /// Where the next one begins.
    pub(super) end: usize,
}

/// The batch that begins at an offset, if a whole one does.
pub(super) fn batch_at(bytes: &[u8], offset: usize) -> Option<Batch<'_>> {
    let rest = bytes.get(offset..)?;
    let head = rest.get(..BATCH_HEAD)?;
    if !head.starts_with(BATCH_MAGIC) {
        return None;
    }
    let length = usize::try_from(u32_at(head, 4)?).ok()?;
    let body = rest.get(BATCH_HEAD..BATCH_HEAD.checked_add(length)?)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[4..8]);
    hasher.update(&head[12..]);
    hasher.update(body);
    if hasher.finalize() != u32_at(head, 8)? {
        return None;
    }
    let (first, durable, count) = (u64_at(head, 12)?, u64_at(head, 20)?, u32_at(head, 28)?);
    let end = offset + BATCH_HEAD + length;
    Some(Batch { first: Position(first), durable: Position(durable), count, body, end })
}

/// The first whole batch that begins behind an offset and says that the log was durable up to `position` or beyond.
pub(super) fn evidence_behind(bytes: &[u8], offset: usize, position: Position) -> Option<Batch<'_>> {
    let mut from = offset + 1;
    loop {
        let found = bytes.get(from..)?.windows(BATCH_MAGIC.len()).position(|window| window == BATCH_MAGIC)?;
        if let Some(batch) = batch_at(bytes, from + found).filter(|batch| batch.durable >= position) {
            return Some(batch);
        }
        from += found + 1;
    }
}

/// A record as it stands in a batch.
#[derive(Clone, Debug)]
pub(super) struct StoredRecord<'a> {
    pub(super) stream: Arc<str>,
    pub(super) position: Position,
    pub(super) before: Position,
    pub(super) bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Its records in their order; `None` in place of the first that can't be read, though its checksum is right: a bug of the writer.
    pub(super) fn records(&self) -> impl Iterator<Item = Option<StoredRecord<'a>>> + use<'a> {
        let mut rest = self.body;
        let mut stream: Option<Arc<str>> = None;
        let first = self.first;
        (0..u64::from(self.count)).map(move |index| {
            let position = Position(first.0 + index);
            let mut before = Position(position.0.saturating_sub(1));
            match take(&mut rest, 1)? {
                [0] => {}
                [1] => {
                    let length = u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?);
                    stream = Some(std::str::from_utf8(take(&mut rest, length.into())?).ok()?.into());
                    before = Position(u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?));
                }
                _ => return None,
            }
            let length = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
            let bytes = take(&mut rest, usize::try_from(length).ok()?)?;
            Some(StoredRecord { stream: stream.clone()?, position, before, bytes })
        })
    }
}

/// Takes so many bytes off the front.
pub(super) fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}
