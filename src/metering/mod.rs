//! Facts in, usage records and a bill out: what was used, what it costs, and whom it is put down to.

pub mod price;
