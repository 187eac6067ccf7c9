//! The API behind a socket: HTTP/1.1 on one port, for clients that only have to be told the endpoint.
//!
//! Requests are read and answers written by a few threads that never wait for a cluster; what an operation does runs on a bounded pool
//! of others, since it waits for the control thread of its cluster. Whatever comes in is bounded, see [`Limits`]: nothing that a client
//! sends, or holds back, keeps others from being answered or fills the host. A handler that panics has answered 500.
//!
//! What an operation means is not decided here.
//!
//! **Source:** ecs-semantics §11.1, §11.2.

mod limits;
mod request_ids;
mod request_log;
mod requests;
mod stalled_writes;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use crossbeam_channel::Sender;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub use self::limits::Limits;
pub use self::request_log::RequestRecord;

use self::requests::Desk;
use self::stalled_writes::StalledWrites;
use super::Api;
use super::sigv4::credentials::Credentials;
use crate::model::units::Duration;

/// Threads that read requests and write answers. *Ours:* each carries tens of thousands of requests a second.
const NETWORK_THREADS: usize = 2;
/// How long accepting pauses after it failed, as it does without file descriptors. *Ours.*
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a connection beyond the limit is told.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: text/plain\r\ncontent-length: 26\r\n\r\nToo many connections open.";

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where it listens; port 0 is any that is free.
    pub listen: SocketAddr,
    /// What it takes.
    pub limits: Limits,
    /// Whether a request can empty the state.
    pub reset: ResetRequests,
    /// The keys that requests have to be signed with; `None` takes every request, which is for loopback only.
    pub credentials: Option<Credentials>,
    /// Is told of every request once it is answered. When it is full, requests go unrecorded rather than wait.
    pub log: Option<Sender<RequestRecord>>,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            limits: Limits::default(),
            reset: ResetRequests::Refused,
            credentials: None,
            log: None,
        }
    }
}

/// Whether `POST /_longshore/reset` is obeyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetRequests {
    /// It is answered with 403.
    #[default]
    Refused,
    /// It empties the state: for test suites.
    Allowed,
}

/// Why a server can't be started.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Somebody else listens there.
    #[error("{0} is taken: another program listens there; --port 0 takes any port that is free")]
    AddressTaken(SocketAddr),
    /// It can't listen there.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Others than this machine's programs could reach it, and nobody would have to say who he is.
    #[error(
        "{0} can be reached from other machines, and so signatures are verified there: name keys with --credentials FILE, or in \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials(SocketAddr),
    /// Its threads can't be started.
    #[error("can't start the server's threads: {0}")]
    Threads(#[source] io::Error),
}

/// A server that is up. Dropping it ends it at once, whatever is under way; see [`Server::stop`] for good order.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    limits: Limits,
    stop: watch::Sender<Phase>,
    runtime: Option<Runtime>,
}

/// What connections do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// They take requests.
    Serving,
    /// They answer what they have taken, and close.
    Closing,
}

impl Server {
    /// Listens, and answers from here on.
    ///
    /// # Errors
    /// When the address is taken or can't be had, when it can be reached from elsewhere and there are no keys, or when there are no threads.
    pub fn start(api: Arc<Api>, options: ServerOptions) -> Result<Server, ServeError> {
        if !options.listen.ip().is_loopback() && options.credentials.is_none() {
            return Err(ServeError::NoCredentials(options.listen));
        }
        let cannot = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::AddressTaken(options.listen),
            _ => ServeError::Listen { address: options.listen, source },
        };
        let listener = StdListener::bind(options.listen).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        api.served_at(address);
        let limits = options.limits;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(NETWORK_THREADS)
            .max_blocking_threads(limits.handlers)
            .thread_name("longshore-api")
            .enable_all()
            .build()
            .map_err(ServeError::Threads)?;
        let (stop, phase) = watch::channel(Phase::Serving);
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener).map_err(cannot)?
        };
        let desk = Arc::new(Desk::new(api, options));
        runtime.spawn(accept(listener, desk, limits, phase));
        Ok(Server { address, limits, stop, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, answers what is under way, and ends. Takes no longer than a request may take.
    pub fn stop(mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        self.stop.send_replace(Phase::Closing);
        let patience = self.limits.body_time + self.limits.answer_time + self.limits.write_time;
        runtime.block_on(async {
            // Each connection has a receiver, and so has who accepts: when they are gone, everything is answered.
            let _ = tokio::time::timeout(patience, self.stop.closed()).await;
        });
        runtime.shutdown_background();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Takes connections until the server closes.
async fn accept(listener: TcpListener, desk: Arc<Desk>, limits: Limits, mut phase: watch::Receiver<Phase>) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => match connections.clone().try_acquire_owned() {
                Ok(place) => drop(tokio::spawn(serve(stream, place, desk.clone(), limits, phase.clone()))),
                Err(_) => drop(tokio::spawn(turn_away(stream, limits.write_time))),
            },
            // The client has gone, or there is no file descriptor: others will go, and so will the cause.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves a connection to its end.
async fn serve(
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    desk: Arc<Desk>,
    limits: Limits,
    mut phase: watch::Receiver<Phase>,
) {
    // Answers are written in one piece each: to wait for more would only delay them.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(StalledWrites::new(stream, limits.write_time));
    let answer = service_fn(move |request| {
        let desk = desk.clone();
        async move { desk.answer(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(8192))
        .max_headers(limits.headers)
        .half_close(false)
        .serve_connection(stream, answer);
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            // What ends a connection is the client's matter, and it has been told if it still listens.
            _ = connection.as_mut() => return,
            changed = phase.changed() => match changed {
                Ok(()) => connection.as_mut().graceful_shutdown(),
                Err(_) => return,
            },
        }
    }
}

/// Tells a client that there is no place for its connection.
async fn turn_away(mut stream: TcpStream, patience: Duration) {
    let _ = tokio::time::timeout(patience, stream.write_all(TOO_MANY_CONNECTIONS)).await;
}
