//! Facts in, usage records and a bill out: what was used, what it costs, and whom it is put down to.
//!
//! Pure: no clock, no I/O, no float in an amount. [`meter::Meter`] takes the facts that the control plane states, in any order and any number of
//! times; [`bill::Bill`] is computed from its sums and a [`price::PriceBook`] whenever somebody asks. A live bill is the bill that would be
//! final if everything stopped at that moment. What outlives the meter are the [`stretch::LedgerRecord`]s that it makes of the same facts:
//! from them [`history::History`] computes the bill of any time. Nothing here decides what runs, and nothing here knows where the facts come from.

pub mod bill;
mod billing;
pub mod history;
mod ledger;
pub mod meter;
pub mod price;
pub mod quantity;
mod record_keeping;
pub mod stretch;
mod task_id_set;
pub mod written_meter;
