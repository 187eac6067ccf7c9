//! Mistakes in a cluster file as a compiler shows them. Placeholder until the renderer lands.

use crate::config::ClusterFileErrors;

pub(super) fn print(errors: &ClusterFileErrors) {
    anstream::eprintln!("{errors}");
}
