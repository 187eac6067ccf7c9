//! Determinism: a cluster file and its seed decide every byte of the journal.
//!
//! Two processes are held to it by `replay_command`.

use std::path::Path;
use std::time::Duration;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::journal::{ActionsForm, JournalOptions};
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::model::units::Timestamp;

use crate::chaos::draw::{CHAOS_SECONDS, draw};

/// The journal of a cluster from its start to the end of its faults, and a while after.
fn journal_of(file: &str, path: &Path) -> Vec<u8> {
    let spec = ClusterFile::parse(file, "cluster.toml", &Catalog::embedded());
    let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    let journal = JournalOptions { path: path.to_owned(), actions: ActionsForm::Whole };
    let options = SimulationOptions { journal: Some(journal), ..SimulationOptions::default() };
    let mut simulation = Simulation::new(&spec, options).expect("it can be simulated");
    simulation.run_until(Timestamp::ZERO + Duration::from_secs(CHAOS_SECONDS + 600), u64::MAX);
    simulation.snapshot();
    std::fs::read(path).expect("the journal is written")
}

/// Claim: the same file and seed give the same journal, byte for byte, whatever the cluster and whatever goes wrong with it. Method: the
/// clusters of a hundred seeds, twice each; no two of them are alike.
#[test]
fn the_same_seed_gives_the_same_journal() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let path = folder.path().join("journal");
    let mut journals: Vec<Vec<u8>> = Vec::new();
    for seed in 0..100 {
        let drawn = draw(seed);
        let once = journal_of(&drawn.file, &path);
        assert!(once.len() > 1_000, "seed {seed}: the journal has {} bytes", once.len());
        assert!(once == journal_of(&drawn.file, &path), "seed {seed}\n{}", drawn.file);
        journals.push(once);
    }
    journals.sort();
    journals.dedup();
    assert_eq!(journals.len(), 100, "other seeds go other ways");
}
