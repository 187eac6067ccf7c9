//! The form of a file that stands for all of a stream's records up to a position, or for a stretch of them. Byte by byte.
//!
//! ```text
//! "LSHORSNP"  format u32  kind u8  from u64  to u64  name length u16  name of the stream  length u64  bytes  crc u32 of all before
//! ```

use super::segment::take;
use super::{Position, StreamName};

/// The version of the format that is written and read.
pub(super) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"LSHORSNP";

/// What a file says that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Everything up to a position, in place of what was written before.
    Everything,
    /// What came behind a position, beside what was written before.
    Behind(Position),
}

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotFile {
    pub(super) stream: StreamName,
    pub(super) coverage: Coverage,
    pub(super) to: Position,
    pub(super) bytes: Vec<u8>,
}

/// Why a file is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    OtherFormat(u32),
    Damaged(&'static str),
}

/// The name of a file: unlike that of any other stream's or position's.
pub(super) fn name_of(stream: &StreamName, coverage: Coverage, to: Position) -> String {
    let kind = match coverage {
        Coverage::Everything => "snapshot",
        Coverage::Behind(_) => "part",
    };
    // A stream's own name may be too long for a file's.
    format!("{kind}-{:08x}-{:020}", crc32fast::hash(stream.as_str().as_bytes()), to.0)
}

/// Whether a file's name is one of these.
pub(super) fn is_name(name: &str) -> bool {
    let mut parts = name.split('-');
    let kind = parts.next();
    matches!(kind, Some("snapshot" | "part")) && parts.all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// All of a file.
pub(super) fn write(file: &SnapshotFile) -> Vec<u8> {
    let name = file.stream.as_str().as_bytes();
    let (kind, from) = match file.coverage {
        Coverage::Everything => (0, Position::START),
        Coverage::Behind(from) => (1, from),
    };
    let mut out = Vec::with_capacity(file.bytes.len() + name.len() + 64);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(&from.0.to_le_bytes());
    out.extend_from_slice(&file.to.0.to_le_bytes());
    let length = u16::try_from(name.len()).expect("a name's length is checked when it is made");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(name);
    out.extend_from_slice(&(file.bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(&file.bytes);
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// What stands before the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) stream: StreamName,
    pub(super) coverage: Coverage,
    pub(super) to: Position,
    /// How many bytes follow.
    pub(super) length: u64,
    /// Where they begin.
    pub(super) start: usize,
}

/// More bytes than any label has.
pub(super) const LABEL_BYTES_MAX: usize = 64 + StreamName::LENGTH_MAX;

/// Reads what stands before the bytes, which need not be there.
pub(super) fn read_label(beginning: &[u8]) -> Result<Label, Unreadable> {
    let too_short = Unreadable::Damaged("it is too short");
    let mut rest = beginning;
    if take(&mut rest, MAGIC.len()) != Some(MAGIC) {
        return Err(Unreadable::Damaged("it does not begin as a snapshot does"));
    }
    let number = |rest: &mut &[u8], length: usize| -> Result<u64, Unreadable> {
        let mut whole = [0; 8];
        whole[..length].copy_from_slice(take(rest, length).ok_or(too_short)?);
        Ok(u64::from_le_bytes(whole))
    };
    let format = number(&mut rest, 4)?;
    if format != u64::from(FORMAT) {
        return Err(Unreadable::OtherFormat(u32::try_from(format).unwrap_or(u32::MAX)));
    }
    let kind = number(&mut rest, 1)?;
    let (from, to) = (Position(number(&mut rest, 8)?), Position(number(&mut rest, 8)?));
    let name_length = usize::try_from(number(&mut rest, 2)?).map_err(|_| too_short)?;
    let name = take(&mut rest, name_length).ok_or(too_short)?;
    let stream =
        std::str::from_utf8(name).ok().and_then(StreamName::new).ok_or(Unreadable::Damaged("it names no stream"))?;
    let length = number(&mut rest, 8)?;
    let coverage = if kind == 0 { Coverage::Everything } else { Coverage::Behind(from) };
    Ok(Label { stream, coverage, to, length, start: beginning.len() - rest.len() })
}

/// Reads all of a file.
pub(super) fn read(bytes: &[u8]) -> Result<SnapshotFile, Unreadable> {
    let (body, checksum) = bytes.split_last_chunk::<4>().ok_or(Unreadable::Damaged("it is too short"))?;
    let label = read_label(body)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(Unreadable::Damaged("its checksum is wrong"));
    }
    let content = &body[label.start..];
    if content.len() as u64 != label.length {
        return Err(Unreadable::Damaged("its length is wrong"));
    }
    Ok(SnapshotFile { stream: label.stream, coverage: label.coverage, to: label.to, bytes: content.to_vec() })
}
