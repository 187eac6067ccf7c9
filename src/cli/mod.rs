//! The command line: one file a subcommand, and what they share for people's eyes.
//!
//! Exit codes: 0 when all went well, 1 for a run that failed, 2 for bad input, 130 after a second Ctrl-C;
//! `run-task` ends with its guest's own.

mod bill;
mod capacity_view;
mod compare;
mod containers_view;
mod data;
mod deploy;
mod deploy_socket;
pub mod diagnostics;
mod events_file;
mod explain;
mod file_watch;
mod format;
mod live_view;
mod plain_view;
mod replay;
mod report;
mod run;
mod run_task;
mod scaling_view;
#[cfg(feature = "server")]
mod serve;
mod signals;
mod simulate;
mod summary;
mod validate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use self::report::ReportArguments;
use crate::config::{ClusterFileErrors, parse_duration};
use crate::data_plane::DataPlaneOptions;
use crate::driver::compare::P99_TOLERANCE_PERCENT;
use crate::driver::journal::{ActionsForm, JournalOptions};
use crate::driver::ledger::bill::GroupBy;
use crate::model::calendar::UnixNanos;

/// Amazon ECS in one process: runs WASI programs as containers, scales them and the capacity under them, meters and prices it.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, about, max_term_width = 120, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the cluster of a file until its work is done, its time is over or you press Ctrl-C
    Run(RunArguments),
    /// Run the cluster of a file in simulated time: days in seconds, the same every time
    Simulate(SimulateArguments),
    /// Simulate the cluster of a file on Fargate, Fargate Spot and EC2, and say which is cheapest for its load
    Compare(CompareArguments),
    /// Run one module as a standalone task, with this terminal as its input and output
    RunTask(RunTaskArguments),
    /// Apply an edited cluster file to the `longshore run` of it that is up
    Deploy(DeployArguments),
    /// Say why tasks of the `longshore run` of a cluster file wait, or are where they are: by instance and rule
    Explain(ExplainArguments),
    /// Lead a cluster through its journal again and show it at any moment; fail where it does something else than was recorded
    Replay(ReplayArguments),
    /// Serve the ECS API, so that the AWS CLI, SDKs and tools of ECS work against this machine
    #[cfg(feature = "server")]
    Serve(serve::ServeArguments),
    /// Say what was used, what it costs and whom it is put down to, from the ledger of a data directory
    Bill(BillArguments),
    /// Check a cluster file and list every mistake in it
    Validate(ValidateArguments),
    /// Look into a data directory, which may be in use
    Data(DataArguments),
}

#[derive(Debug, clap::Args)]
struct DataArguments {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DataCommand {
    /// Hold every file against its checksums, and say what is in it
    Check {
        /// The data directory
        folder: PathBuf,
        /// What the output looks like
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write everything that is in it, one record a line as JSON
    Dump {
        /// The data directory
        folder: PathBuf,
    },
}

/// What output looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables and lines for people
    #[default]
    Text,
    /// One JSON document on standard output
    Json,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// The cluster file (TOML)
    file: PathBuf,
    /// End after this time, as in `90s` or `5m`; the file's own `run_for` otherwise
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    run_for: Option<Duration>,
    /// What the output looks like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write what containers print into files below this folder
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Keep the cluster in this folder, so that it goes on there after this program was ended or killed; it is in memory alone otherwise
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write every EventBridge event into this file, one a line as JSON; with --data-dir behind what is in it already
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    #[command(flatten)]
    report: ReportArguments,
    #[command(flatten)]
    journal: JournalArguments,
    /// Apply the cluster file again whenever it is saved
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    host: HostArguments,
}

#[derive(Debug, clap::Args)]
struct SimulateArguments {
    /// The cluster file (TOML)
    file: PathBuf,
    /// Drain and end after this simulated time, as in `90m`, `24h` or `7d`; the file's own `run_for` otherwise, or a day. A file
    /// without services ends before that with its last task
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    run_for: Option<Duration>,
    /// Decides everything that is left to chance; the file's own `seed` otherwise
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What the output looks like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write every EventBridge event into this file, one a line as JSON
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    #[command(flatten)]
    report: ReportArguments,
    /// Write what containers whose work is executed print into files below this folder
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    #[command(flatten)]
    images: ImageArguments,
    #[command(flatten)]
    journal: JournalArguments,
}

#[derive(Debug, clap::Args)]
struct CompareArguments {
    /// The cluster file (TOML)
    file: PathBuf,
    /// Simulate this time of each, as in `90m`, `24h` or `7d`; the file's own `run_for` otherwise, or a day
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    run_for: Option<Duration>,
    /// Decides everything that is left to chance; the file's own `seed` otherwise
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How much slower than the fastest the recommended capacity may be at the 99th percentile of its jobs
    #[arg(long, value_name = "PERCENT", default_value_t = P99_TOLERANCE_PERCENT, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    p99_tolerance: u32,
    /// What the output looks like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    images: ImageArguments,
}

#[derive(Debug, clap::Args)]
struct DeployArguments {
    /// The cluster file (TOML), as it was given to `longshore run`
    file: PathBuf,
    /// Wait until the deployments that this starts are over; exit code 1 when one fails or is rolled back
    #[arg(long)]
    wait: bool,
    /// What the output looks like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct ExplainArguments {
    /// The cluster file (TOML), as it was given to `longshore run`
    file: PathBuf,
    /// Explain what a simulation of the file comes to at this moment, and no run
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    at: Option<Duration>,
    /// A task, by its id or the beginning of it [default: everything that waits]
    #[arg(long, value_name = "ID", group = "subject")]
    task: Option<String>,
    /// A service
    #[arg(long, value_name = "NAME", group = "subject")]
    service: Option<String>,
    /// Where a standalone task of a task definition would go
    #[arg(long, value_name = "FAMILY[:REVISION]", group = "subject")]
    task_definition: Option<String>,
    /// The launch type of such a task [default: by the cluster's default strategy]
    #[arg(long, value_enum, requires = "task_definition")]
    launch_type: Option<LaunchTypeArgument>,
    /// The capacity provider of such a task
    #[arg(long, value_name = "NAME", requires = "task_definition", conflicts_with = "launch_type")]
    capacity_provider: Option<String>,
    /// What the output looks like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct RunTaskArguments {
    /// A .wasm or .wat file, or a Cargo package folder
    module: PathBuf,
    /// CPU units: 1024 are one vCPU
    #[arg(long, default_value_t = 256)]
    cpu: u32,
    /// Memory in MiB, a hard limit
    #[arg(long, default_value_t = 512)]
    memory: u32,
    /// Where the task runs
    #[arg(long, value_enum, default_value_t = LaunchTypeArgument::Fargate)]
    launch_type: LaunchTypeArgument,
    /// A variable of the guest's environment, as often as wanted; it gets no others
    #[arg(long = "env", value_name = "K=V")]
    environment: Vec<String>,
    /// A folder that the guest may use, as often as wanted; `:ro` at the end makes it read-only
    #[arg(long = "dir", value_name = "HOST::GUEST[:ro]")]
    folders: Vec<String>,
    /// Stop the task after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    run_for: Option<Duration>,
    /// How long the task may take to stop before it is interrupted
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    stop_timeout: Duration,
    /// Print what the task used and cost on standard error when it is over
    #[arg(long)]
    usage: bool,
    /// What that looks like: a line, or the task as the JSON document of `longshore run` has it; standard output is the guest's
    #[arg(long, value_enum, default_value_t, requires = "usage")]
    format: Format,
    #[command(flatten)]
    host: HostArguments,
    /// Arguments of the guest
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// The journal that a command writes.
#[derive(Debug, clap::Args)]
struct JournalArguments {
    /// Write everything that happens into this file, for `longshore replay`
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// How the journal holds the actions that follow from each event
    #[arg(long, value_enum, default_value_t, requires = "journal")]
    journal_actions: JournalActions,
}

impl JournalArguments {
    /// The journal that is asked for, if one is, of the cluster in `file`.
    fn options(&self, file: &Path) -> Result<Option<JournalOptions>, Failure> {
        let Some(path) = self.journal.clone() else { return Ok(None) };
        if path.as_os_str() == "-" {
            complain("--journal - would mix the journal with what is printed: name a file");
            return Err(Failure::BadInput);
        }
        if let (Ok(journal), Ok(file)) = (path.canonicalize(), file.canonicalize())
            && journal == file
        {
            complain(format!("--journal {}: that is the cluster file, and it would be overwritten", path.display()));
            return Err(Failure::BadInput);
        }
        Ok(Some(JournalOptions { path, actions: self.journal_actions.into() }))
    }
}

/// How a journal holds actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum JournalActions {
    /// All of them: a replay says which one differs
    #[default]
    Whole,
    /// Their number and a checksum, in about half the space: a replay says that they differ
    Digest,
}

impl From<JournalActions> for ActionsForm {
    fn from(actions: JournalActions) -> ActionsForm {
        match actions {
            JournalActions::Whole => ActionsForm::Whole,
            JournalActions::Digest => ActionsForm::Digest,
        }
    }
}

#[derive(Debug, clap::Args)]
struct ReplayArguments {
    /// The journal, as `longshore run --journal` and `simulate --journal` write it
    journal: PathBuf,
    /// Stop at this time: since the cluster's start, as in `90s` or `1h 30m`, or a date, as in `2026-01-31T08:30:00Z`
    #[arg(long, value_name = "TIME", value_parser = replay::parse_time, conflicts_with = "at_event")]
    until: Option<replay::Time>,
    /// Stop after this event, counted from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    at_event: Option<u64>,
    /// What the output looks like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct BillArguments {
    /// The data directory, as it was given to `longshore run` or `longshore serve`
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
    /// From this time on: a date, as in `2026-11-01` (it begins at 00:00 UTC), or a time, as in `2026-11-01T08:30:00Z` [default: the first use]
    #[arg(long, value_name = "DATE", value_parser = bill::parse_date)]
    from: Option<UnixNanos>,
    /// Up to this time, which is not in it any more: `--from 2026-11-01 --to 2026-12-01` is November [default: the last use]
    #[arg(long, value_name = "DATE", value_parser = bill::parse_date)]
    to: Option<UnixNanos>,
    /// What the cost is broken down by: service, task-definition, tag:KEY, launch-type, day, month, cluster or usage-type
    #[arg(long, value_name = "WHAT", value_parser = bill::parse_group, default_value = "service")]
    group_by: GroupBy,
    /// Bill this cluster alone [default: all that are in the ledger]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// What the output looks like
    #[arg(long, value_enum, default_value_t)]
    format: BillFormat,
}

/// What a bill looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum BillFormat {
    /// Tables for people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// The breakdown as CSV, with exact numbers
    Csv,
    /// CSV with the columns of FOCUS 1.2, as in AWS' cost and usage exports: a row for each usage type, day, resource and whom it is put down to
    Focus,
}

#[derive(Debug, clap::Args)]
struct ValidateArguments {
    /// The cluster file (TOML)
    file: PathBuf,
    /// What the output looks like
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Settings of this machine that change nothing of what a cluster decides.
#[derive(Debug, clap::Args)]
struct HostArguments {
    /// The most worker threads of one pool [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    worker_threads: Option<u16>,
    /// The most that the volumes of one task hold that have no folder of the host, for a small disk [default: the task's ephemeral storage]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    volume_limit: Option<u64>,
    #[command(flatten)]
    images: ImageArguments,
}

/// Where images are compiled to, and how fast.
#[derive(Debug, clap::Args)]
struct ImageArguments {
    /// Where compiled modules are kept between runs [default: the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Keep compiled modules in memory only
    #[arg(long)]
    no_cache: bool,
    /// How many modules are compiled at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    compile_threads: u16,
}

impl HostArguments {
    fn data_plane_options(&self) -> DataPlaneOptions {
        DataPlaneOptions {
            worker_threads: self.worker_threads.map(usize::from),
            volume_bytes_max: self.volume_limit.map(|mib| mib << 20),
            ..self.images.data_plane_options()
        }
    }
}

impl ImageArguments {
    fn data_plane_options(&self) -> DataPlaneOptions {
        DataPlaneOptions {
            cache_dir: self.cache_dir(),
            compile_parallelism: self.compile_threads.into(),
            ..DataPlaneOptions::default()
        }
    }

    /// The folder of compiled modules: as asked for, else below the user's cache folder, else none.
    fn cache_dir(&self) -> Option<PathBuf> {
        if self.no_cache {
            return None;
        }
        let from_environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.cache_dir.clone().or_else(|| {
            let caches = from_environment("XDG_CACHE_HOME")
                .or_else(|| from_environment("HOME").map(|home| home.join(".cache")))?;
            Some(caches.join("longshore"))
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LaunchTypeArgument {
    /// A sandbox of its own
    #[value(name = "FARGATE", alias = "fargate")]
    Fargate,
    /// A container instance
    #[value(name = "EC2", alias = "ec2")]
    Ec2,
}

/// Why a command ended without success. What there was to say has been said.
enum Failure {
    /// Bad input: exit code 2.
    BadInput,
    /// A run that failed: exit code 1.
    Failed,
    /// The guest's own exit code.
    Guest(u8),
}

type Outcome = Result<(), Failure>;

/// Runs the program with this process' arguments.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Simulate(arguments) => simulate::simulate(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::RunTask(arguments) => run_task::run_task(&arguments),
        Command::Deploy(arguments) => deploy::deploy(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        #[cfg(feature = "server")]
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Bill(arguments) => bill::bill(&arguments),
        Command::Validate(arguments) => validate::validate(&arguments),
        Command::Data(arguments) => data::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed) => ExitCode::FAILURE,
        Err(Failure::BadInput) => ExitCode::from(2),
        Err(Failure::Guest(code)) => ExitCode::from(code),
    }
}

/// Complains of what has made a command fail.
fn failed(error: impl std::fmt::Display) -> Failure {
    complain(error);
    Failure::Failed
}

/// Complains of what a command was given.
fn bad_input(error: impl std::fmt::Display) -> Failure {
    complain(error);
    Failure::BadInput
}

/// Shows what is wrong with a cluster file.
#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is mapped")]
fn bad_file(errors: ClusterFileErrors) -> Failure {
    diagnostics::print(&errors);
    Failure::BadInput
}

/// Says on standard error why something went wrong.
fn complain(message: impl std::fmt::Display) {
    let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
    anstream::eprintln!("{style}error{style:#}: {message}");
}

/// Says on standard error what is amiss and no reason to end.
fn warn(message: impl std::fmt::Display) {
    let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
    anstream::eprintln!("{style}warning{style:#}: {message}");
}
