//! What a cluster writes to its stream, and how: MessagePack with the names of fields, so that one that is added later does no harm.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control_plane::ControlPlane;
use crate::control_plane::cluster_diff::Revisions;
use crate::control_plane::event::Event;
use crate::control_plane::faults::FaultPlan;
use crate::driver::plans::Plans;
use crate::metering::written_meter::WrittenMeter;
use crate::model::cluster::ClusterSpec;
use crate::model::settings::Settings;
use crate::model::units::Timestamp;

/// The version of records and snapshots that is written and read.
pub(super) const FORMAT: u32 = 1;

/// One record of a cluster's stream.
#[derive(Debug, Deserialize, Serialize)]
#[expect(clippy::large_enum_variant, reason = "nearly all records are events")]
pub(super) enum Record {
    /// A cluster begins; what came before is of one that is over.
    Begun(Box<Beginning>),
    /// An event was taken in: when, and what [`ControlPlane::fingerprint`] was after it.
    Event(Timestamp, Event, u32),
    /// What the cluster is to be from here on.
    InForce(Box<InForceForm>),
    /// Calls of the file were made, or faults took place: what is ahead from here on.
    Ahead(Box<Ahead>),
}

/// [`Record::Event`] while its event is taken in, which takes it apart: all of it but the fingerprint, which is not known before.
#[derive(Debug)]
pub(in crate::driver) struct BegunEvent(Vec<u8>);

impl BegunEvent {
    /// A map of one, the variant's name, and a list of three, of which the last one is to come.
    const HEAD: &[u8] = b"\x81\xa5Event\x93";

    pub(super) fn of(at: Timestamp, event: &Event) -> BegunEvent {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(BegunEvent::HEAD);
        put(&mut bytes, &at);
        put(&mut bytes, event);
        BegunEvent(bytes)
    }

    /// The whole record.
    pub(super) fn end(self, fingerprint: u32) -> Vec<u8> {
        let BegunEvent(mut bytes) = self;
        put(&mut bytes, &fingerprint);
        bytes
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Beginning {
    pub(super) format: u32,
    pub(super) written_by: Arc<str>,
    pub(super) cluster: Arc<str>,
    pub(super) region: Arc<str>,
    /// When it was by the operating system's calendar; before it was written, that was the cluster's own.
    #[serde(default, with = "crate::model::written_form::calendar_time")]
    pub(super) began_at: Option<jiff::Timestamp>,
    pub(super) settings: Settings,
}

/// The specification in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::driver) struct InForceForm {
    pub(in crate::driver) spec: ClusterSpec,
    pub(in crate::driver) revisions: Revisions,
}

/// What is yet to come by plan.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(in crate::driver) struct Ahead {
    pub(in crate::driver) plans: Plans,
    pub(in crate::driver) faults: FaultPlan,
}

/// A whole cluster at one moment, as it is written.
#[derive(Debug, Deserialize, Serialize)]
pub(in crate::driver) struct Saved {
    pub(super) format: u32,
    pub(super) written_by: Arc<str>,
    pub(super) region: Arc<str>,
    /// As in [`Beginning`].
    #[serde(default, with = "crate::model::written_form::calendar_time")]
    pub(super) began_at: Option<jiff::Timestamp>,
    pub(super) control_plane: ControlPlane,
    pub(super) meter: WrittenMeter,
    pub(super) in_force: InForceForm,
    pub(super) ahead: Ahead,
    /// The number of the last request.
    pub(super) last_request: u64,
}

/// The bytes of a record or a snapshot.
pub(super) fn bytes_of(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, value);
    bytes
}

fn put(bytes: &mut Vec<u8>, value: &impl Serialize) {
    let mut serializer = rmp_serde::Serializer::new(bytes).with_struct_map();
    value.serialize(&mut serializer).expect("it is plain data and memory takes it");
}

/// Reads them.
pub(super) fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record that is written in two parts is the one that is read.
    #[test]
    fn an_event_is_written_as_it_is_read() {
        let event = Event::HostRestarted { reason: "a test".into() };
        let (at, fingerprint) = (Timestamp(u64::MAX), 7);
        let written = BegunEvent::of(at, &event).end(fingerprint);
        assert_eq!(written, bytes_of(&Record::Event(at, event, fingerprint)));
    }
}
