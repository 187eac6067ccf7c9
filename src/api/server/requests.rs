//! A request from its head to its answer: where it goes, what bounds it, and what is recorded of it.
//!
//! `POST /` is the API, `GET /health` says how the server is, `POST /_longshore/reset` empties the state where that is allowed.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, ORIGIN, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::request_ids::RequestIds;
use super::{RequestRecord, ResetRequests, ServerOptions};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::protocol::{HttpAnswer, HttpRequest};
use crate::api::shape::Protocol;
use crate::api::sigv4::{SignedRequest, Verifier};
use crate::data_plane::clock::Clock;
use crate::model::units::Duration;

/// Where the state is emptied.
const RESET_PATH: &str = "/_longshore/reset";
/// What bodies are counted in.
const KIB: usize = 1024;

/// Answers requests.
#[derive(Debug)]
pub(super) struct Desk {
    api: Arc<Api>,
    options: ServerOptions,
    clock: Clock,
    ids: RequestIds,
    /// Verifies signatures, where that is asked for.
    verifier: Option<Verifier>,
    /// A permit for each request that waits for its answer.
    requests: Arc<Semaphore>,
    /// A permit for each KiB of bodies that are held.
    bodies: Arc<Semaphore>,
}

/// What of a request an answer is made from.
struct Received {
    head: Parts,
    body: Bytes,
    /// Given back when the body is no longer held.
    _memory: Option<OwnedSemaphorePermit>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// What a request came to, and whether it was our mistake.
struct Answered {
    answer: HttpAnswer,
    trouble: Option<String>,
}

impl From<HttpAnswer> for Answered {
    fn from(answer: HttpAnswer) -> Answered {
        Answered { answer, trouble: None }
    }
}

impl Desk {
    pub(super) fn new(api: Arc<Api>, mut options: ServerOptions) -> Desk {
        let limits = options.limits;
        Desk {
            api,
            verifier: options.credentials.take().map(Verifier::new),
            clock: Clock::start_now(),
            ids: RequestIds::new(),
            requests: Arc::new(Semaphore::new(limits.requests)),
            bodies: Arc::new(Semaphore::new(limits.all_body_bytes / KIB)),
            options,
        }
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let began = self.clock.now();
        let request_id = self.ids.next();
        let path = request.uri().path();
        let is_api = path == "/" && request.method() == Method::POST;
        let mut record = RequestRecord {
            at: self.clock.calendar(began),
            request_id: request_id.clone(),
            operation: None,
            path: (!is_api).then(|| format!("{} {path}", request.method())),
            status: 0,
            exception: None,
            took: Duration::ZERO,
            request_bytes: 0,
            answer_bytes: 0,
            trouble: None,
        };
        let response = if is_api {
            let answered = self.clone().answer_api(request, &request_id, &mut record.request_bytes).await;
            record.operation.clone_from(&answered.answer.operation);
            record.exception.clone_from(&answered.answer.error_type);
            record.trouble = answered.trouble;
            response_of(answered.answer)
        } else {
            self.clone().answer_other(request, &request_id).await
        };
        let mut response = response;
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        record.status = response.status().as_u16();
        record.answer_bytes = response.body().size_hint().exact().and_then(|size| size.try_into().ok()).unwrap_or(0);
        let now = self.clock.now();
        (record.at, record.took) = (self.clock.calendar(now), now.since(began));
        if let Some(log) = &self.options.log {
            // Full: then whoever reads it is behind, and nobody is to wait for that.
            let _ = log.try_send(record);
        }
        Ok(response)
    }

    async fn answer_api(self: Arc<Self>, request: Request<Incoming>, request_id: &str, size: &mut usize) -> Answered {
        let (received, read) = self.receive(request).await;
        *size = received.body.len();
        let place = match read.and_then(|()| self.admit(&received, request_id)).and_then(|()| self.place()) {
            Ok(place) => place,
            Err(error) => return self.refuse(&received, request_id, &error).into(),
        };
        let received = Arc::new(received);
        let (desk, asked, id) = (self.clone(), received.clone(), request_id.to_owned());
        match carry_out(place, self.options.limits.answer_time, move || desk.api.answer(&http_request(&asked, &id)))
            .await
        {
            Ok(answer) => answer.into(),
            Err(trouble) => {
                let error = ApiError::new("ServerException", trouble.told());
                Answered { answer: self.refuse(&received, request_id, &error), trouble: Some(trouble.logged()) }
            }
        }
    }

    /// Reads a request; where its body can't be read, it has none.
    async fn receive(&self, request: Request<Incoming>) -> (Received, Result<(), ApiError>) {
        let (head, body) = request.into_parts();
        match self.read_body(body).await {
            Ok((body, memory)) => (Received { head, body, _memory: memory }, Ok(())),
            Err(error) => (Received { head, body: Bytes::new(), _memory: None }, Err(error)),
        }
    }

    /// Whether who sends a request may do so.
    fn admit(&self, received: &Received, request_id: &str) -> Result<(), ApiError> {
        if received.head.headers.contains_key(ORIGIN) {
            // Any page that a browser shows may send a form to a server on loopback; no SDK but those in pages sends this header.
            return Err(ApiError::new("AccessDeniedException", "requests of web pages are not answered"));
        }
        let Some(verifier) = &self.verifier else { return Ok(()) };
        let asked = (received.head.uri.path() == "/").then(|| self.api.service_of(&http_request(received, request_id)));
        let service = asked.flatten();
        let signed = SignedRequest {
            method: received.head.method.as_str(),
            path: received.head.uri.path(),
            query: received.head.uri.query().unwrap_or_default(),
            headers: &received.head.headers,
            body: &received.body,
        };
        let verified = verifier.verify(&signed, service, self.clock.calendar(self.clock.now()));
        let protocol = service.map_or(Protocol::Json, |service| self.api.model(service).protocol);
        verified.map_err(|problem| problem.error(protocol))
    }

    /// A place among the requests that are under way.
    fn place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.requests.clone().try_acquire_owned().map_err(|_| throttled())
    }

    /// Reads a body within its bounds.
    async fn read_body(&self, body: Incoming) -> Result<(Bytes, Option<OwnedSemaphorePermit>), ApiError> {
        let limits = self.options.limits;
        let announced = body.size_hint().lower();
        let too_large = || {
            ApiError::new(
                "RequestEntityTooLarge",
                format!("the body of a request may have {} bytes at most", limits.body_bytes),
            )
        };
        if usize::try_from(announced).map_or(true, |announced| announced > limits.body_bytes) {
            return Err(too_large());
        }
        let read = tokio::time::timeout(limits.body_time, self.read_within(body, limits.body_bytes));
        match read.await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(Unread::TooLarge)) => Err(too_large()),
            Ok(Err(Unread::NoMemory)) => Err(throttled()),
            Ok(Err(Unread::Broken)) => Err(ApiError::new("SerializationException", "the body has not come whole")),
            Err(_) => Err(ApiError::new(
                "RequestTimeout",
                format!("the body has not come within {} s", limits.body_time.as_secs()),
            )),
        }
    }

    async fn read_within(
        &self,
        mut body: Incoming,
        most: usize,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Unread> {
        let mut read = Vec::new();
        let mut memory: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
            if read.len() + data.len() > most {
                return Err(Unread::TooLarge);
            }
            let held = memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let wanted = (read.len() + data.len()).div_ceil(KIB).saturating_sub(held);
            if wanted > 0 {
                let wanted = u32::try_from(wanted).map_err(|_| Unread::TooLarge)?;
                let more = self.bodies.clone().try_acquire_many_owned(wanted);
                let more = more.map_err(|_: TryAcquireError| Unread::NoMemory)?;
                match &mut memory {
                    Some(memory) => memory.merge(more),
                    None => memory = Some(more),
                }
            }
            read.extend_from_slice(&data);
        }
        Ok((read.into(), memory))
    }

    fn refuse(&self, received: &Received, request_id: &str, error: &ApiError) -> HttpAnswer {
        self.api.refuse(&http_request(received, request_id), error)
    }

    /// Everything that is not the API.
    async fn answer_other(self: Arc<Self>, request: Request<Incoming>, request_id: &str) -> Response<Full<Bytes>> {
        match (request.uri().path(), request.method()) {
            ("/health", &Method::GET | &Method::HEAD) => json_response(StatusCode::OK, &self.health()),
            ("/health", _) => wrong_method("GET, HEAD"),
            (RESET_PATH, &Method::POST) => self.reset(request, request_id).await,
            (RESET_PATH, _) => wrong_method("POST"),
            ("/", _) => wrong_method("POST"),
            (path, _) => message(
                StatusCode::NOT_FOUND,
                &format!("there is nothing at {path}: the ECS API is POST /, and GET /health says how the server is"),
            ),
        }
    }

    fn health(&self) -> serde_json::Value {
        json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "clusters": self.api.cluster_count(),
            "uptime_seconds": self.clock.now().elapsed().as_secs(),
        })
    }

    async fn reset(&self, request: Request<Incoming>, request_id: &str) -> Response<Full<Bytes>> {
        if self.options.reset == ResetRequests::Refused {
            return message(
                StatusCode::FORBIDDEN,
                "this server was not started with --allow-reset, and keeps its state",
            );
        }
        let (received, read) = self.receive(request).await;
        let place = match read.and_then(|()| self.admit(&received, request_id)).and_then(|()| self.place()) {
            Ok(place) => place,
            Err(error) => return response_of(self.refuse(&received, request_id, &error)),
        };
        let api = self.api.clone();
        match carry_out(place, self.options.limits.answer_time, move || api.reset()).await {
            Ok(()) => json_response(StatusCode::OK, &json!({"reset": true})),
            Err(trouble) => message(StatusCode::INTERNAL_SERVER_ERROR, trouble.told()),
        }
    }
}

/// Does something that waits for clusters, beside the threads that serve connections.
async fn carry_out<T: Send + 'static>(
    place: OwnedSemaphorePermit,
    answer_time: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Trouble> {
    let work = tokio::task::spawn_blocking(move || {
        // Held to the end of the work, also when nobody waits for it any more.
        let _place = place;
        // Nothing of ours is left half changed: the clusters' states are on threads of their own.
        std::panic::catch_unwind(AssertUnwindSafe(work))
    });
    match tokio::time::timeout(answer_time, work).await {
        Ok(Ok(Ok(done))) => Ok(done),
        Ok(Ok(Err(panic))) => Err(Trouble::Panic(text_of(&*panic))),
        Ok(Err(_)) => Err(Trouble::Panic("the handler was given up".to_owned())),
        Err(_) => Err(Trouble::Late),
    }
}

/// Why a body was not read.
enum Unread {
    TooLarge,
    NoMemory,
    Broken,
}

/// Our own mistakes.
#[derive(Debug)]
enum Trouble {
    Panic(String),
    Late,
}

impl Trouble {
    /// What the client is told.
    fn told(&self) -> &'static str {
        match self {
            Trouble::Panic(_) => "an internal error, which is in the server's log",
            Trouble::Late => "the answer has taken too long",
        }
    }

    /// What the log says.
    fn logged(&self) -> String {
        match self {
            Trouble::Panic(text) => format!("the handler panicked: {text}"),
            Trouble::Late => "the handler has not answered in time".to_owned(),
        }
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

fn throttled() -> ApiError {
    ApiError::new("ThrottlingException", "Rate exceeded: too many requests are under way, try again")
}

fn http_request<'a>(received: &'a Received, request_id: &'a str) -> HttpRequest<'a> {
    HttpRequest {
        target: received.header("x-amz-target"),
        authorization: received.header(AUTHORIZATION.as_str()),
        body: &received.body,
        request_id,
    }
}

fn response_of(answer: HttpAnswer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body.into()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if let Some(exception) = answer.error_type.and_then(|exception| HeaderValue::from_str(&exception).ok()) {
        headers.insert("x-amzn-errortype", exception);
    }
    match answer.status {
        503 => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
        // The rest of the body has not been read, and never will be.
        408 | 413 => drop(headers.insert(CONNECTION, HeaderValue::from_static("close"))),
        _ => {}
    }
    response
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(format!("{body}\n").into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn message(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    json_response(status, &json!({ "message": message }))
}

fn wrong_method(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = message(StatusCode::METHOD_NOT_ALLOWED, &format!("the methods here are {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries something out that may take so long; says how it ended and how many places are free then.
    fn check(seconds: f32, work: impl FnOnce() -> u32 + Send + 'static) -> (Result<u32, String>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().try_acquire_owned().expect("it is free");
        let done = runtime.block_on(carry_out(place, Duration::from_secs_f32(seconds), work));
        runtime.shutdown_background();
        (done.map_err(|trouble| trouble.logged()), places.available_permits())
    }

    /// A handler that panics or hangs is an answer like others, and keeps nobody out but for as long as it lasts.
    #[test]
    fn handlers_that_panic_or_hang() {
        assert_eq!(check(60.0, || 7), (Ok(7), 1));
        assert_eq!(check(60.0, || panic!("on the {}nd", 2)), (Err("the handler panicked: on the 2nd".to_owned()), 1));
        let (hung, release) = std::sync::mpsc::channel::<()>();
        let found = check(0.05, move || release.recv().map_or(0, |()| 1));
        assert_eq!(found, (Err("the handler has not answered in time".to_owned()), 0));
        drop(hung);
    }
}
