//! The jobs of a service: lines that its tasks read, one at a time, from standard input.
//!
//! A reader that asks for the next job has done the one before. A job whose task dies with it goes back to the front of
//! the queue once; the second time it is lost, so that a job that kills its tasks does not kill all of them.
//!
//! One waiting reader is woken for each job. A reader that was woken and goes away without taking it wakes the next. While a deployment
//! moves traffic, jobs wait in lanes, and whoever is woken is of the lane's deployment. Readers that are targets of a load balancer get jobs
//! by their health.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::{Mutex, MutexGuard};

use super::clock::Clock;
use crate::model::ids::DeploymentId;
use crate::model::job::{JobStats, JobsByDeployment, QUEUED_MAX};
use crate::model::lanes::Lanes;
use crate::model::recent::RecentDurations;
use crate::model::routing::{Routed, Routing};
use crate::model::traffic::{TrafficKind, TrafficWeights};
use crate::model::units::Timestamp;

/// The jobs of one service, shared by its tasks. Copies are the same queue.
#[derive(Clone, Debug)]
pub struct JobQueue {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

/// What became of a job that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPush {
    /// It waits for a task.
    Queued,
    /// The queue is full: the job is lost and counted.
    Rejected,
}

/// A job.
#[derive(Clone, Debug)]
struct Job {
    line: Arc<str>,
    kind: TrafficKind,
    /// The number of the push.
    number: u64,
    pushed_at: Timestamp,
    /// Whether a task died of it already.
    killed_one: bool,
}

#[derive(Debug, Default)]
struct State {
    jobs: Lanes<Job>,
    waiting: VecDeque<Waiting>,
    routing: Routing<u64>,
    next_reader: u64,
    pushed: u64,
    rejected: u64,
    outstanding: u64,
    completed: u64,
    requeued: u64,
    lost: u64,
    by_deployment: JobsByDeployment,
    latencies: RecentDurations,
}

/// A reader without a job.
#[derive(Debug)]
struct Waiting {
    reader: u64,
    deployment: Option<DeploymentId>,
    waker: Waker,
}

impl State {
    /// The reader to wake for a job in a lane.
    fn next_for(&mut self, lane: Option<DeploymentId>) -> Option<Waker> {
        let (jobs, routing) = (&self.jobs, &self.routing);
        let is_meant = |waiting: &Waiting| {
            jobs.lane_of(waiting.deployment) == lane && routing.may_take(&waiting.reader, |of| jobs.lane_of(of))
        };
        let found = self.waiting.iter().position(is_meant)?;
        self.waiting.remove(found).map(|waiting| waiting.waker)
    }

    /// Whether there is a job for a reader.
    fn has_for(&self, reader: u64, deployment: Option<DeploymentId>) -> bool {
        self.jobs.has(deployment) && self.routing.may_take(&reader, |of| self.jobs.lane_of(of))
    }

    /// The reader to wake when one of a deployment leaves jobs behind.
    fn next_beside(&mut self, deployment: Option<DeploymentId>) -> Option<Waker> {
        if !self.jobs.has(deployment) {
            return None;
        }
        self.next_for(self.jobs.lane_of(deployment))
    }
}

impl JobQueue {
    pub(super) fn new(clock: Clock) -> JobQueue {
        JobQueue { clock, state: Arc::default() }
    }

    /// Adds a job: one line, without its end.
    pub fn push(&self, line: Arc<str>, kind: TrafficKind) -> JobPush {
        let pushed_at = self.clock.now();
        let mut state = self.state.lock();
        state.pushed += 1;
        if state.jobs.len() >= QUEUED_MAX {
            state.rejected += 1;
            return JobPush::Rejected;
        }
        let number = state.pushed;
        let lane = state.jobs.push(Job { line, kind, number, pushed_at, killed_one: false }, kind);
        let waker = state.next_for(lane);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        JobPush::Queued
    }

    /// Gives each deployment its share of the jobs that wait and of those that come.
    pub(super) fn direct(&self, weights: TrafficWeights) {
        let mut state = self.state.lock();
        state.jobs.direct(weights, |job| (job.number, job.kind));
        self.wake_all(state);
    }

    /// How many jobs have been done in all.
    pub fn completed(&self) -> u64 {
        self.state.lock().completed
    }

    /// The queue at this moment.
    pub fn stats(&self) -> JobStats {
        let state = self.state.lock();
        let latencies = state.latencies.clone();
        let mut stats = JobStats {
            pushed: state.pushed,
            rejected: state.rejected,
            queued: count(state.jobs.len()),
            outstanding: state.outstanding,
            completed: state.completed,
            requeued: state.requeued,
            lost: state.lost,
            ..JobStats::default()
        };
        drop(state);
        // Sorted after the lock is given back: readers must not wait for it.
        let latencies = latencies.percentiles();
        stats.latency_p50 = latencies.p50;
        stats.latency_p99 = latencies.p99;
        stats
    }

    /// What each deployment's tasks have done of them.
    pub fn by_deployment(&self) -> JobsByDeployment {
        self.state.lock().by_deployment.clone()
    }

    /// A reader of this queue, of a task of a deployment.
    pub(super) fn reader(&self, deployment: Option<DeploymentId>) -> JobReader {
        let mut state = self.state.lock();
        state.next_reader += 1;
        JobReader { queue: self.clone(), id: state.next_reader, deployment, current: None, rest: 0, drained: None }
    }

    /// Others may take jobs than before: whoever finds none waits again.
    fn wake_all(&self, mut state: MutexGuard<'_, State>) {
        let all = std::mem::take(&mut state.waiting);
        drop(state);
        for waiting in all {
            waiting.waker.wake();
        }
    }
}

/// How a reader ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReaderEnd {
    /// Its guest ended in good order: what it held is done.
    Done,
    /// It died: what it held goes back.
    Died,
}

/// What is to be done when a reader that gets no more jobs holds none.
pub(super) struct Drained(pub(super) Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Drained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drained")
    }
}

/// One container's view of the queue.
#[derive(Debug)]
pub(super) struct JobReader {
    queue: JobQueue,
    id: u64,
    deployment: Option<DeploymentId>,
    current: Option<Job>,
    /// How much of the current line, with its end, was read.
    rest: usize,
    drained: Option<Drained>,
}

impl JobReader {
    /// It is a target of a load balancer, and stands so with it.
    pub(super) fn route(&mut self, routed: Routed) {
        let mut state = self.queue.state.lock();
        // Where nothing waits nobody can take it, and who is woken for what comes goes by the routing.
        if state.routing.put(self.id, self.deployment, routed) && state.jobs.len() > 0 {
            self.queue.wake_all(state);
        }
    }

    /// It gets no more jobs. What is to be done when it has done the one that it holds is given back when it holds none.
    pub(super) fn drain(&mut self, drained: Drained) -> Option<Drained> {
        self.route(Routed::Draining);
        if self.current.is_none() {
            return Some(drained);
        }
        self.drained = Some(drained);
        None
    }

    /// Whether it is between two jobs, so that whoever asks for input asks for the next one.
    pub(super) fn is_between(&self) -> bool {
        self.unread() == 0
    }

    /// A reader that drains asks for its next job: it has done the last one.
    pub(super) fn finish_if_draining(&mut self) {
        if self.drained.is_some() {
            self.finish(ReaderEnd::Done);
        }
    }

    /// Whether a read would give something. If not, `waker` is woken when it may.
    pub(super) fn is_ready(&mut self, waker: &Waker) -> bool {
        if self.unread() > 0 {
            return true;
        }
        let mut state = self.queue.state.lock();
        state.waiting.retain(|waiting| waiting.reader != self.id);
        if !state.has_for(self.id, self.deployment) {
            let waiting = Waiting { reader: self.id, deployment: self.deployment, waker: waker.clone() };
            state.waiting.push_back(waiting);
            return false;
        }
        true
    }

    /// Stops waiting. If a job was announced to this reader, the next one is told.
    pub(super) fn stop_waiting(&mut self) {
        let mut state = self.queue.state.lock();
        let waiting = state.waiting.len();
        state.waiting.retain(|waiting| waiting.reader != self.id);
        let was_woken = waiting == state.waiting.len();
        let next = if was_woken { state.next_beside(self.deployment) } else { None };
        drop(state);
        if let Some(waker) = next {
            waker.wake();
        }
    }

    /// At most `size` bytes of the current job's line, or of the next one's when that was read to its end. Empty when
    /// there is no job.
    pub(super) fn read(&mut self, size: usize) -> Vec<u8> {
        if size == 0 {
            return Vec::new();
        }
        if self.unread() == 0 {
            self.finish(ReaderEnd::Done);
            let mut state = self.queue.state.lock();
            if !state.has_for(self.id, self.deployment) {
                return Vec::new();
            }
            let Some(job) = state.jobs.pop(self.deployment) else { return Vec::new() };
            state.outstanding += 1;
            // Whoever was told of this job finds it gone; whoever waits must hear of those that are left.
            let next = state.next_beside(self.deployment);
            drop(state);
            if let Some(waker) = next {
                waker.wake();
            }
            self.current = Some(job);
            self.rest = 0;
        }
        let Some(job) = &self.current else { return Vec::new() };
        let line = job.line.as_bytes();
        let from = self.rest.min(line.len());
        let until = line.len().min(from.saturating_add(size));
        let mut bytes = line[from..until].to_vec();
        if bytes.len() < size && until == line.len() {
            bytes.push(b'\n');
        }
        self.rest += bytes.len();
        bytes
    }

    /// The guest asks for input and there is none for it any more, or it has ended.
    pub(super) fn finish(&mut self, end: ReaderEnd) {
        let Some(mut job) = self.current.take() else { return };
        let now = self.queue.clock.now();
        let mut state = self.queue.state.lock();
        state.outstanding = state.outstanding.saturating_sub(1);
        let mut told = None;
        match end {
            ReaderEnd::Done => {
                state.completed += 1;
                state.by_deployment.note_done(self.deployment, job.kind);
                state.latencies.push(now.since(job.pushed_at));
            }
            ReaderEnd::Died if job.killed_one => {
                state.lost += 1;
                state.by_deployment.note_died(self.deployment);
            }
            ReaderEnd::Died => {
                state.by_deployment.note_died(self.deployment);
                job.killed_one = true;
                state.requeued += 1;
                let kind = job.kind;
                let lane = state.jobs.put_back(job, kind, self.deployment);
                told = state.next_for(lane);
            }
        }
        drop(state);
        if let Some(waker) = told {
            waker.wake();
        }
        if let Some(Drained(then)) = self.drained.take() {
            then();
        }
    }

    /// Bytes of the current line, with its end, that were not read.
    fn unread(&self) -> usize {
        self.current.as_ref().map_or(0, |job| (job.line.len() + 1).saturating_sub(self.rest))
    }
}

impl Drop for JobReader {
    fn drop(&mut self) {
        self.finish(ReaderEnd::Died);
        self.stop_waiting();
        let mut state = self.queue.state.lock();
        if state.routing.remove(&self.id) && state.jobs.len() > 0 {
            self.queue.wake_all(state);
        }
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(lines: &[&str]) -> JobQueue {
        let queue = JobQueue::new(Clock::start_now());
        for line in lines {
            assert_eq!(queue.push((*line).into(), TrafficKind::Production), JobPush::Queued);
        }
        queue
    }

    /// A read gives one line at most, a short read the rest of it later, and the next line only then.
    #[test]
    fn one_line_a_read() {
        let queue = queue(&["first", "second"]);
        let mut reader = queue.reader(None);
        assert_eq!(reader.read(3), b"fir");
        assert_eq!(reader.read(2), b"st");
        assert_eq!(reader.read(100), b"\n");
        assert_eq!(queue.stats().outstanding, 1);
        assert_eq!(reader.read(100), b"second\n");
        assert_eq!(queue.stats().completed, 1);
        assert_eq!(reader.read(100), b"");
        let stats = queue.stats();
        assert_eq!((stats.completed, stats.outstanding, stats.queued), (2, 0, 0));
    }

    /// A job that kills its reader is given to one more and then lost.
    #[test]
    fn a_deadly_job_kills_two_at_most() {
        let queue = queue(&["deadly", "harmless"]);
        for _ in 0..2 {
            let mut reader = queue.reader(None);
            assert_eq!(reader.read(100), b"deadly\n");
        }
        let mut reader = queue.reader(None);
        assert_eq!(reader.read(100), b"harmless\n");
        let stats = queue.stats();
        assert_eq!((stats.requeued, stats.lost, stats.outstanding), (1, 1, 1));
    }

    /// A target that is not healthy gets jobs while no other is, and one that drains gets none; whoever may take some then is woken.
    #[test]
    fn jobs_go_to_healthy_targets() {
        let queue = queue(&["a", "b", "c", "d"]);
        let mut readers = [queue.reader(None), queue.reader(None)];
        readers.iter_mut().for_each(|reader| reader.route(Routed::NotHealthy));
        assert_eq!(readers[0].read(10), b"a\n", "none is healthy");
        readers[1].route(Routed::Healthy);
        assert_eq!(readers[0].read(10), b"");
        let woken = Arc::new(Count(0.into()));
        assert!(!readers[0].is_ready(&woken.clone().into()));
        assert_eq!(readers[1].read(10), b"b\n");
        readers[1].route(Routed::Draining);
        assert_eq!((woken.0.load(std::sync::atomic::Ordering::SeqCst), readers[1].read(10)), (1, b"".to_vec()));
        assert_eq!(readers[0].read(10), b"c\n");
        let [first, second] = readers;
        drop(first);
        drop(second);
        assert_eq!(queue.reader(None).read(10), b"c\n", "it was put back");
    }

    /// A reader that drains says so at once when it holds no job, and else when it asks for the next one, which it does not get.
    #[test]
    fn a_reader_drains_when_its_job_is_done() {
        let queue = queue(&["a", "b"]);
        let mut readers = [queue.reader(None), queue.reader(None)];
        assert_eq!(readers[0].read(10), b"a\n");
        let said = Arc::new(Count(0.into()));
        let drained = || {
            let said = said.clone();
            Drained(Box::new(move || {
                said.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }))
        };
        assert!(readers[1].drain(drained()).is_some());
        assert!(readers[0].drain(drained()).is_none());
        let count = || said.0.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(count(), 0);
        assert_eq!((readers[0].read(10), count(), queue.stats().completed), (Vec::new(), 1, 1));
    }

    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Count>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// A wake-up that its reader cannot use goes to the next.
    #[test]
    fn wake_ups_are_passed_on() {
        let queue = queue(&[]);
        let counts = [0, 1].map(|_| Arc::new(Count(0.into())));
        let mut readers = [queue.reader(None), queue.reader(None)];
        for (reader, count) in readers.iter_mut().zip(&counts) {
            assert!(!reader.is_ready(&count.clone().into()));
        }
        queue.push("job".into(), TrafficKind::Production);
        let woken = || counts.each_ref().map(|count| count.0.load(std::sync::atomic::Ordering::SeqCst));
        assert_eq!(woken(), [1, 0]);
        readers[0].stop_waiting();
        assert_eq!(woken(), [1, 1]);
        assert_eq!(readers[1].read(10), b"job\n");
    }
}
