//! Determinism: a cluster file and its seed decide every byte of the journal.
//!
//! Two processes are held to it here, and by `replay_command`.

use std::path::Path;
use std::time::Duration;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::data_plane::DataPlaneOptions;
use longshore::driver::journal::{ActionsForm, JournalOptions};
use longshore::driver::simulated::{Simulation, SimulationOptions};
use longshore::model::units::Timestamp;

use crate::chaos::draw::{CHAOS_SECONDS, Chance, draw, draw_messages};
use crate::{command_line, guests};

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

/// A cluster whose tasks are real guests: services that work off jobs or in bursts, on both launch types, and batches that compute or fail;
/// tasks and instances that are lost, and messages that go astray.
fn drawn_with_guests(seed: u64) -> String {
    let mut chance = Chance::new(seed);
    let guest = |name: &str| guests::wasip1(name).display().to_string();
    let mut file = format!(
        "[cluster]\nname = \"guests\"\n[settings]\nseed = {seed}\nrun_for = \"2m\"\nfuel_per_vcpu_second = 20000000\n\
         metric_period = \"10s\"\nusage_period = \"5s\"\nhealthy_after = \"5s\"\nboot_time = \"{}s\"\nstop_timeout = \"3s\"\n\
         [[capacity_provider]]\nname = \"asg\"\n\
         auto_scaling_group = {{ instance_type = \"m7i.large\", min_size = 1, max_size = 3 }}\nmanaged_scaling = {{}}\n",
        chance.between(2, 20)
    );
    let mut define = |family: &str, image: &str, command: &str| {
        file += &format!(
            "[[task_definition]]\nfamily = \"{family}\"\ncpu = \"256\"\nmemory = \"512\"\nnetwork_mode = \"awsvpc\"\n\
             [[task_definition.container]]\nname = \"main\"\nimage = \"{}\"\ncommand = {command}\n",
            guest(image)
        );
    };
    let (bursts, idle) = (chance.between(1, 4), chance.between(500, 5_000));
    define("worker", "worker", "[\"1\"]");
    define("pulse", "pulse", &format!("[\"{bursts}\", \"{idle}\"]"));
    define("sieve", "sieve", &format!("[\"{}\"]", chance.between(1_000, 200_000)));
    define("fail", "fail", &format!("[\"sleep-then\", \"{}\", \"exit\", \"3\"]", chance.between(1, 60)));
    let on_ec2 = "capacity_provider_strategy = [{ capacity_provider = \"asg\", weight = 1 }]";
    for family in ["worker", "pulse", "fail"] {
        let target = chance.pick(&["launch_type = \"FARGATE\"", on_ec2]);
        let desired = chance.between(1, 3);
        file += &format!(
            "[[service]]\nname = \"{family}\"\ntask_definition = \"{family}\"\ndesired_count = {desired}\n{target}\n"
        );
        if family == "worker" {
            file += &format!(
                "[service.auto_scaling]\nmin_capacity = 1\nmax_capacity = 4\n\
                 target_tracking = [{{ metric = \"ECSServiceAverageCPUUtilization\", target_value = 50 }}]\n\
                 [[load]]\nservice = \"worker\"\njob = \"1\"\narrivals = \"poisson\"\njobs_per_second = 0.{}\n",
                chance.between(2, 9)
            );
        }
    }
    file += &format!(
        "[[run_task]]\ntask_definition = \"sieve\"\nlaunch_type = \"FARGATE\"\ncount = {}\n",
        chance.between(1, 4)
    );
    for kind in ["TASK_CRASH", "INSTANCE_FAILURE"] {
        file += &format!("[[fault]]\nkind = \"{kind}\"\nmean_time_between = \"{}s\"\n", chance.between(20, 120));
    }
    draw_messages(&mut chance, &mut file, "messages");
    draw_messages(&mut chance, &mut file, "actions");
    file
}

/// Claim: real guests add nothing to what decides the journal. Method: the clusters of a handful of seeds, twice in this process and once
/// in another.
#[test]
fn the_same_seed_gives_the_same_journal_with_guests() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let (file, journal, others, cache) =
        ["cluster.toml", "journal", "others", "cache"].map(|name| folder.path().join(name)).into();
    for seed in 0..5 {
        let text = drawn_with_guests(seed);
        std::fs::write(&file, &text).expect("the folder is writable");
        let here = || {
            let spec = ClusterFile::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
            let journal = JournalOptions { path: journal.clone(), actions: ActionsForm::Whole };
            let data_plane = DataPlaneOptions { cache_dir: Some(cache.clone()), ..DataPlaneOptions::default() };
            let options = SimulationOptions { journal: Some(journal), data_plane, ..SimulationOptions::default() };
            Simulation::new(&spec, options).expect("it can be simulated").run_to_end();
        };
        let bytes = |path: &Path| std::fs::read(path).expect("the journal is written");
        here();
        let once = bytes(&journal);
        here();
        assert!(once == bytes(&journal), "seed {seed}, twice in one process\n{text}");
        let arguments =
            [file.as_path(), others.as_path(), cache.as_path()].map(|path| path.to_str().expect("it is text"));
        let output =
            command_line::output(&["simulate", arguments[0], "--journal", arguments[1], "--cache-dir", arguments[2]]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(once == bytes(&others), "seed {seed}, in two processes\n{text}");
        let shown = String::from_utf8_lossy(&once);
        let done = shown.lines().rfind(|line| line.contains("\"jobs_done\"")).unwrap_or_default();
        assert!(!done.is_empty() && !done.contains("\"done\":0}"), "no job was done: {done}");
    }
}
