//! `longshore run FILE`: a cluster from its first instance to its bill.

use std::io::{IsTerminal, Write as _};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::containers_view::ContainerNews;
use super::data;
use super::deploy::{self, FileOfRun};
use super::deploy_socket::{Asked, DeploySocket};
use super::events_file::{Begin, EventsFile};
use super::explain;
use super::file_watch::FileWatch;
use super::live_view::LiveView;
use super::signals::StopRequests;
use super::{
    Failure, Format, Outcome, RunArguments, bad_file, bad_input, complain, failed, plain_view, report, summary,
};
use crate::config::ClusterFile;
use crate::data_plane::DataPlaneOptions;
use crate::data_plane::image::ImageProgress;
use crate::driver::report::Report;
use crate::driver::running_cluster::{DataDirectory, End, HostOptions, ImagePull, Notice, RunningCluster, StartError};
use crate::driver::snapshot::Snapshot;
use crate::model::ids::IdForm;
use crate::report::ReportTime;
use crate::store::Store;

/// How often a stop request is looked for, and the live view drawn again.
const REFRESH: Duration = Duration::from_millis(125);

pub(super) fn run(arguments: &RunArguments) -> Outcome {
    let (mut spec, file_text) = ClusterFile::load_with_text(&arguments.file).map_err(bad_file)?;
    if arguments.run_for.is_some() {
        spec.settings.run_for = arguments.run_for;
    }
    let stop_requests = StopRequests::listen().map_err(failed)?;
    // That of a cluster that goes on goes on as well.
    let begin = if arguments.data_dir.is_some() { Begin::AtTheEnd } else { Begin::Empty };
    let events = arguments.events.as_deref();
    let (events_file, event_watcher) = EventsFile::open_if_named(events, begin).map_err(bad_input)?;
    let (report_folder, recording) = arguments.report.open()?;
    let store = arguments.data_dir.as_deref().map(data::open).transpose()?;
    if store.is_none() && arguments.format == Format::Text {
        anstream::eprintln!("{IN_MEMORY}");
    }
    let (image_observer, images) = crossbeam_channel::bounded(1024);
    let (watcher, notices) = crossbeam_channel::unbounded();
    let ids = IdForm { seed: spec.settings.seed };
    let options = HostOptions {
        data_plane: DataPlaneOptions {
            log_dir: arguments.log_dir.clone(),
            image_observer: Some(image_observer),
            ..arguments.host.data_plane_options()
        },
        end: End::WhenDone,
        images: ImagePull::BeforeStart,
        watcher: Some(watcher),
        event_watcher,
        recording,
        data: store.clone().map(DataDirectory::Shared),
        journal: arguments.journal.options(&arguments.file)?,
        ..HostOptions::default()
    };
    let started = while_images_are_made(&images, || RunningCluster::start(spec, options));
    let cluster = started.map_err(|error| {
        complain(&error);
        // Nothing has run yet, and another path will do.
        let is_path = matches!(error, StartError::Journal(_) | StartError::JournalOfKept(_));
        if is_path { Failure::BadInput } else { Failure::Failed }
    })?;
    let view = match arguments.format {
        Format::Json => View::Quiet,
        Format::Text if std::io::stdout().is_terminal() => View::Live(Box::new(LiveView::open().map_err(failed)?)),
        Format::Text => View::Plain,
    };
    let followed = Followed { cluster, notices, images, disk: DiskWatch { store, is_refusing: false } };
    let edits = Edits::of(arguments);
    let snapshot = follow(followed, view, &stop_requests, edits, ids).map_err(failed)?;
    if let Some(trouble) = events_file.and_then(EventsFile::finish) {
        complain(trouble);
    }
    for trouble in snapshot.journal_trouble.iter().chain(&snapshot.durable_trouble) {
        complain(trouble);
    }
    match arguments.format {
        Format::Json => {
            let report = Report::of(&snapshot);
            let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
            write_out(&text);
        }
        Format::Text => write_out(&summary::text(&snapshot)),
    }
    report::write(report_folder, &snapshot, ReportTime::Real, &arguments.file, &file_text)?;
    match summary::never_started(&snapshot) {
        None => Ok(()),
        Some(complaint) => {
            complain(complaint);
            Err(Failure::Failed)
        }
    }
}

/// Starts a cluster, saying on standard error what happens to its images meanwhile: a first build takes its time.
pub(super) fn while_images_are_made<T>(
    images: &crossbeam_channel::Receiver<ImageProgress>,
    start: impl FnOnce() -> T,
) -> T {
    let (started, ready) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                crossbeam_channel::select! {
                    recv(images) -> progress => match progress {
                        Ok(progress) => anstream::eprintln!("{}", plain_view::image_line(&progress)),
                        Err(_) => return,
                    },
                    recv(ready) -> _ => break,
                }
            }
            for progress in images.try_iter() {
                anstream::eprintln!("{}", plain_view::image_line(&progress));
            }
        });
        let cluster = start();
        drop(started);
        cluster
    })
}

/// Where a run is shown while it lasts.
enum View {
    Live(Box<LiveView>),
    Plain,
    Quiet,
}

impl View {
    /// Shows a line that no notice brings.
    fn line(&mut self, cluster: &RunningCluster, line: &str) {
        let line = format!("{}  {line}", super::format::clock(cluster.clock().now()));
        match self {
            View::Live(live) => live.event(&line),
            View::Plain => anstream::println!("{line}"),
            View::Quiet => anstream::eprintln!("{line}"),
        }
    }
}

/// What a run is followed by.
struct Followed {
    cluster: RunningCluster,
    notices: crossbeam_channel::Receiver<Notice>,
    images: crossbeam_channel::Receiver<ImageProgress>,
    disk: DiskWatch,
}

/// Looks whether the data directory takes what the cluster writes.
struct DiskWatch {
    store: Option<Arc<Store>>,
    is_refusing: bool,
}

impl DiskWatch {
    /// Says it when the disk begins to refuse, and when that is over.
    fn news(&mut self) -> Option<String> {
        let trouble = self.store.as_ref()?.trouble();
        if trouble.is_some() == self.is_refusing {
            return None;
        }
        self.is_refusing = trouble.is_some();
        Some(match trouble {
            Some(trouble) => {
                format!("(data) {trouble}; nothing new starts until it can be, and it is tried again and again")
            }
            None => "(data) the data directory can be written again".to_owned(),
        })
    }
}

/// How the cluster file comes to be applied again while it runs.
struct Edits {
    of_run: FileOfRun,
    socket: Option<DeploySocket>,
    watch: Option<FileWatch>,
    /// Why nobody can ask for it, if that is so.
    trouble: Option<String>,
}

impl Edits {
    fn of(arguments: &RunArguments) -> Edits {
        let of_run = FileOfRun { file: arguments.file.clone(), run_for: arguments.run_for };
        let watch = arguments.watch.then(|| FileWatch::new(&of_run.file));
        match DeploySocket::listen(&of_run.file) {
            Ok(socket) => Edits { of_run, socket: Some(socket), watch, trouble: None },
            Err(trouble) => Edits { of_run, socket: None, watch, trouble: Some(format!("(deploy) {trouble}")) },
        }
    }

    /// Answers whoever asks, and applies the file if somebody has asked for it or it was saved; says what came of it.
    fn apply_due(&mut self, cluster: &RunningCluster, ids: IdForm) -> Vec<String> {
        let mut lines = Vec::new();
        for asked in self.socket.iter().flat_map(DeploySocket::requests) {
            match asked {
                Asked::Deploy(request) => {
                    let applied = deploy::answer(cluster, &self.of_run, &request, ids);
                    lines.extend(applied.lines(ids).into_iter().map(|line| format!("(deploy) {line}")));
                }
                Asked::Explain(request) => explain::answer(cluster, &request, ids),
            }
        }
        if self.watch.as_mut().is_some_and(|watch| watch.was_saved(cluster.clock().now())) {
            let applied = deploy::apply_file(cluster, &self.of_run);
            lines.extend(applied.lines(ids).into_iter().map(|line| format!("(watch) {line}")));
        }
        lines
    }
}

/// Shows the cluster until it is over.
fn follow(
    followed: Followed,
    mut view: View,
    stop_requests: &StopRequests,
    mut edits: Edits,
    ids: IdForm,
) -> std::io::Result<Snapshot> {
    let Followed { cluster, notices, images, mut disk } = followed;
    let mut draining = false;
    let mut news = ContainerNews::default();
    if let Some(trouble) = edits.trouble.take() {
        view.line(&cluster, &trouble);
    }
    loop {
        let notice = notices.recv_timeout(REFRESH);
        while let Ok(progress) = images.try_recv() {
            match &mut view {
                View::Live(live) => live.image(&progress),
                View::Plain => {
                    let at = super::format::clock(cluster.clock().now());
                    anstream::println!("{at}  {}", plain_view::image_line(&progress));
                }
                View::Quiet => {}
            }
        }
        for line in disk.news().into_iter().chain(edits.apply_due(&cluster, ids)) {
            view.line(&cluster, &line);
        }
        match notice {
            Ok(notice) => {
                let line = match &view {
                    View::Quiet => None,
                    _ => plain_view::line(&notice, ids),
                };
                for line in news.lines(&notice, ids).into_iter().chain(line) {
                    match &mut view {
                        View::Plain => anstream::println!("{line}"),
                        View::Live(live) => live.event(&line),
                        View::Quiet => {}
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if stop_requests.any() && !draining {
            draining = true;
            match &mut view {
                View::Live(live) => live.event(DRAINING),
                View::Plain | View::Quiet => anstream::eprintln!("{DRAINING}"),
            }
            cluster.drain();
        }
        if let View::Live(live) = &mut view
            && live.is_due(cluster.clock().now(), REFRESH)
        {
            let Ok(snapshot) = cluster.snapshot() else { break };
            live.draw(&snapshot)?;
            if live.stop_requested()? && !draining {
                draining = true;
                live.event(DRAINING);
                cluster.drain();
            }
        }
    }
    // Leaves the live view's screen before anything else is printed.
    drop(view);
    Ok(cluster.wait())
}

const IN_MEMORY: &str = "the cluster is in memory alone and gone with this program: --data-dir DIR keeps it";

const DRAINING: &str = "draining: services go to zero, tasks have their stop timeout; Ctrl-C again ends at once";

pub(super) fn write_out(text: &str) {
    // A reader that has gone (`| head`) is no failure of the run.
    let _ = writeln!(anstream::stdout(), "{text}");
}
