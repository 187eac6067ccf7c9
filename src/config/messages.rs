//! `[simulation.messages]` and `[simulation.actions]`: what becomes of messages between data plane and control plane in simulated time.

use super::distributions::{Amounts, read_distribution};
use super::document::Context;
use super::keys::{ACTIONS, MESSAGES, SIMULATION, TableKeys};
use super::reader::Table;
use crate::model::fault::MessageFaults;

/// Reads the faults of what the data plane reports; without a table there are none.
pub(super) fn read_messages(root: &Table<'_>, context: &Context<'_>) -> MessageFaults {
    read_faults(root, "messages", &MESSAGES, context)
}

/// Reads the faults of what the control plane asks for.
pub(super) fn read_actions(root: &Table<'_>, context: &Context<'_>) -> MessageFaults {
    read_faults(root, "actions", &ACTIONS, context)
}

fn read_faults(root: &Table<'_>, key: &'static str, keys: &'static TableKeys, context: &Context<'_>) -> MessageFaults {
    let table = root.table("simulation", &SIMULATION).and_then(|table| table.table(key, keys));
    let Some(at) = table else { return MessageFaults::default() };
    let probability_ppm = |key: &'static str| {
        let thousandths = at.get(key).and_then(|value| value.thousandths()).unwrap_or_default();
        u32::try_from(thousandths.min(1000) * 1000).unwrap_or(0)
    };
    let faults = MessageFaults {
        lost_ppm: probability_ppm("lost"),
        late_ppm: probability_ppm("late"),
        repeated_ppm: probability_ppm("repeated"),
        delay: read_distribution(&at, "delay", Amounts::Durations, context).unwrap_or_default(),
        resent_after: at.duration("resent_after").unwrap_or(MessageFaults::default().resent_after),
    };
    if faults.lost_ppm + faults.late_ppm + faults.repeated_ppm > 1_000_000 {
        at.reject_whole(format!("lost, late and repeated are parts of all {key}: they add up to 1 at most"));
    }
    faults
}
