//! How a line of a journal is put together and taken apart, byte by byte.
//!
//! There is one way to write a line, and a line that is not written that way is none.

use std::ops::Range;

use serde::Serialize;

use crate::control_plane::action::Action;
use crate::control_plane::event::Event;
use crate::model::units::Timestamp;

const AT: &[u8] = b"{\"at\":";
const EVENT: &[u8] = b",\"event\":";
const ACTIONS: &[u8] = b",\"actions\":";
const CRC: &[u8] = b",\"crc\":\"";
const END: &[u8] = b"\"}";
/// Hexadecimal digits of a checksum.
const CRC_DIGITS: usize = 8;

/// Appends what is known of an event before it is taken in.
pub(super) fn begin(buffer: &mut Vec<u8>, at: Timestamp, event: &Event) {
    buffer.extend_from_slice(AT);
    append(buffer, &at);
    buffer.extend_from_slice(EVENT);
    append(buffer, event);
}

/// Appends the actions that followed from it.
pub(super) fn actions(buffer: &mut Vec<u8>, actions: &[Action]) {
    buffer.extend_from_slice(ACTIONS);
    append(buffer, actions);
}

/// Appends their number and checksum instead; `scratch` is written over.
pub(super) fn digest(buffer: &mut Vec<u8>, scratch: &mut Vec<u8>, actions: &[Action]) {
    scratch.clear();
    append(scratch, actions);
    buffer.extend_from_slice(ACTIONS);
    append(buffer, &ActionsDigest::of(actions.len(), scratch));
}

/// The number of actions and a checksum of them as they would be written whole.
#[derive(Debug, Serialize)]
pub(super) struct ActionsDigest {
    count: usize,
    crc: String,
}

impl ActionsDigest {
    pub(super) fn of(count: usize, text: &[u8]) -> ActionsDigest {
        ActionsDigest { count, crc: format!("{:08x}", crc32fast::hash(text)) }
    }
}

/// Appends a value as JSON.
pub(super) fn append(buffer: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(buffer, value).expect("it is plain data and memory takes it");
}

/// Ends the line that begins at `start`; `before` is the checksum of the line before. Returns its own.
pub(super) fn end(buffer: &mut Vec<u8>, start: usize, before: u32) -> u32 {
    let checksum = checksum(before, &buffer[start..]);
    buffer.extend_from_slice(CRC);
    buffer.extend_from_slice(&digits_of(checksum));
    buffer.extend_from_slice(END);
    buffer.push(b'\n');
    checksum
}

/// A checksum in hexadecimal digits.
fn digits_of(checksum: u32) -> [u8; CRC_DIGITS] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut nibbles = checksum;
    std::array::from_fn(|_| {
        nibbles = nibbles.rotate_left(4);
        DIGITS[(nibbles & 0xf) as usize]
    })
}

fn checksum(before: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(bytes);
    hasher.finalize()
}

/// Holds a line without its line feed against its checksum. Returns what stands before it, and the checksum; or what is wrong.
pub(super) fn checked(line: &[u8], before: u32) -> Result<(&[u8], u32), String> {
    let body_length = line.len().checked_sub(CRC.len() + CRC_DIGITS + END.len());
    let (body, tail) = body_length.and_then(|length| line.split_at_checked(length)).ok_or("it is too short")?;
    let digits = tail.strip_prefix(CRC).and_then(|rest| rest.strip_suffix(END)).ok_or("it ends without a checksum")?;
    let checksum = checksum(before, body);
    if digits != digits_of(checksum) {
        let written = String::from_utf8_lossy(digits);
        return Err(format!("it says that its checksum is {written}, and it is {checksum:08x}"));
    }
    Ok((body, checksum))
}

/// What a line holds.
pub(super) struct Parts {
    pub(super) at: Timestamp,
    pub(super) event: Event,
    /// Where the event is written.
    pub(super) event_text: Range<usize>,
    /// Where its actions are, if they are known.
    pub(super) actions_text: Option<Range<usize>>,
}

/// Takes apart what stands before a checksum; or says what is wrong.
pub(super) fn parts(body: &[u8]) -> Result<Parts, String> {
    let mut rest = body.strip_prefix(AT).ok_or("it does not begin with a time")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let at = serde_json::from_slice(&rest[..digits]).map_err(|error| format!("its time: {error}"))?;
    rest = rest[digits..].strip_prefix(EVENT).ok_or("it has no event")?;
    let event_start = body.len() - rest.len();
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Event>();
    let event = match values.next() {
        Some(Ok(event)) => event,
        Some(Err(error)) => return Err(format!("its event: {error}")),
        None => return Err("it has no event".into()),
    };
    let event_text = event_start..event_start + values.byte_offset();
    let actions_text = match &body[event_text.end..] {
        [] => None,
        rest => {
            let actions = rest.strip_prefix(ACTIONS).ok_or("something else than actions follows its event")?;
            Some(body.len() - actions.len()..body.len())
        }
    };
    Ok(Parts { at, event, event_text, actions_text })
}
