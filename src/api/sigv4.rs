//! Signatures: whether a request was made by somebody who knows the secret of a key that this server knows.
//!
//! AWS' Signature Version 4 in the `Authorization` header; presigned queries are not taken. Beyond AWS' rules a signature counts once:
//! who has overheard a request can't send it again as it is, nor with another id two seconds later.
//!
//! Nothing here decides who may do what: who has a key may do everything.
//!
//! **Source:** IAM user guide, "Create a signed AWS API request"; IAM user guide, "Troubleshoot Signature Version 4".

pub mod credentials;
mod replays;

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

use self::credentials::Credentials;
use self::replays::{Replays, Seen};
use super::error::ApiError;
use super::shape::{Protocol, Service};

/// How a header of a signed request begins.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last part of a scope.
const TERMINATOR: &str = "aws4_request";
/// How far a request's clock may be off. **Source:** IAM user guide, "Troubleshoot Signature Version 4": five minutes for most services.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// How times are written in signatures.
const TIME_FORM: &str = "%Y%m%dT%H%M%SZ";

/// A request as it was signed.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// As in `POST`.
    pub method: &'a str,
    /// As it was sent, percent-encoded.
    pub path: &'a str,
    /// What stands behind the question mark, as it was sent.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureProblem {
    /// It is not signed.
    Missing,
    /// The signature lacks something.
    Incomplete(String),
    /// The key is not known.
    UnknownKey,
    /// The session token is not the key's.
    WrongToken,
    /// Another secret, or another request.
    Mismatch,
    /// What is signed is not what is asked for.
    WrongScope(String),
    /// The request's clock is off.
    Time(String),
    /// The signature was used before.
    Replayed,
    /// Too many signatures are young: none can be told from a replay.
    TooMany,
}

/// Verifies signatures.
#[derive(Debug)]
pub struct Verifier {
    credentials: Credentials,
    replays: Replays,
}

/// The parts of an `Authorization` header.
#[derive(Debug)]
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: [u8; 32],
}

impl Verifier {
    /// One that knows these keys.
    pub fn new(credentials: Credentials) -> Verifier {
        Verifier { credentials, replays: Replays::default() }
    }

    /// Verifies a request that has come at a moment. `service` is the one that it asks, if that is known.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        service: Option<Service>,
        now: jiff::Timestamp,
    ) -> Result<(), SignatureProblem> {
        let header = request.headers.get("authorization").ok_or(SignatureProblem::Missing)?;
        let header = header.to_str().map_err(|_| incomplete("the header Authorization is not ASCII"))?;
        let authorization = Authorization::parse(header)?;
        let time = self.time_of(request, &authorization, now)?;
        if let Some(service) = service.filter(|service| service.signing_name() != authorization.service) {
            let name = service.signing_name();
            return Err(SignatureProblem::WrongScope(format!(
                "Credential should be scoped to correct service: '{name}'."
            )));
        }
        let canonical = canonical_request(request, authorization.signed_headers)?;
        let credential = self.credentials.of(authorization.access_key_id).ok_or(SignatureProblem::UnknownKey)?;
        let token = request.headers.get("x-amz-security-token").map(|token| token.as_bytes());
        if !credential.has_token(token) {
            return Err(SignatureProblem::WrongToken);
        }
        let Authorization { date, region, service, signature, .. } = authorization;
        let text = format!(
            "{ALGORITHM}\n{}\n{date}/{region}/{service}/{TERMINATOR}\n{}",
            time.strftime(TIME_FORM),
            hex(&Sha256::digest(canonical))
        );
        let mut key = sign(format!("AWS4{}", credential.secret()).as_bytes(), date).finalize().into_bytes();
        for part in [region, service, TERMINATOR] {
            key = sign(&key, part).finalize().into_bytes();
        }
        // Compares in constant time.
        sign(&key, &text).verify_slice(&signature).map_err(|_| SignatureProblem::Mismatch)?;
        // Each attempt has an id and a number, which some clients sign and botocore does not.
        let id: Vec<u8> = ["amz-sdk-invocation-id", "amz-sdk-request"]
            .into_iter()
            .filter_map(|name| request.headers.get(name))
            .flat_map(|value| value.as_bytes().iter().copied().chain([b'\n']))
            .collect();
        let id = Some(id.as_slice()).filter(|id| !id.is_empty());
        match self.replays.note(&signature, id, time + SKEW, now) {
            Seen::First => Ok(()),
            Seen::Before => Err(SignatureProblem::Replayed),
            Seen::TooMany => Err(SignatureProblem::TooMany),
        }
    }

    /// The moment that a request says it was signed at.
    fn time_of(
        &self,
        request: &SignedRequest<'_>,
        authorization: &Authorization<'_>,
        now: jiff::Timestamp,
    ) -> Result<jiff::Timestamp, SignatureProblem> {
        let written = request.headers.get("x-amz-date").and_then(|date| date.to_str().ok());
        let written = written.ok_or_else(|| incomplete("the header X-Amz-Date is missing"))?;
        let time = jiff::civil::DateTime::strptime(TIME_FORM, written)
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
            .map_err(|_| incomplete("the header X-Amz-Date is not of the form 20260131T083000Z"))?
            .timestamp();
        if !written.starts_with(authorization.date) || authorization.date.len() != 8 {
            let date = authorization.date;
            return Err(SignatureProblem::WrongScope(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != \
                 '{written}'."
            )));
        }
        let shown = |time: jiff::Timestamp| time.strftime(TIME_FORM).to_string();
        if time < now - SKEW {
            let (since, now) = (shown(now - SKEW), shown(now));
            return Err(SignatureProblem::Time(format!(
                "Signature expired: {written} is now earlier than {since} ({now} - 5 min.)"
            )));
        }
        if time > now + SKEW {
            let (until, now) = (shown(now + SKEW), shown(now));
            return Err(SignatureProblem::Time(format!(
                "Signature not yet current: {written} is still later than {until} ({now} + 5 min.)"
            )));
        }
        Ok(time)
    }
}

fn incomplete(why: impl Into<String>) -> SignatureProblem {
    SignatureProblem::Incomplete(why.into())
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Result<Authorization<'a>, SignatureProblem> {
        let Some(rest) = header.strip_prefix(ALGORITHM) else {
            return Err(incomplete(format!("the header Authorization does not begin with {ALGORITHM}")));
        };
        let part = |name: &str| {
            let mut parts = rest.split(',').filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            parts.next().ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
        };
        let scope: Vec<&str> = part("Credential")?.split('/').collect();
        let &[access_key_id, date, region, service, TERMINATOR] = &scope[..] else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements: KEY/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        let signature =
            unhex(part("Signature")?).ok_or_else(|| incomplete("Signature is not of 64 hexadecimal digits"))?;
        Ok(Authorization { access_key_id, date, region, service, signed_headers: part("SignedHeaders")?, signature })
    }
}

/// What is signed of a request. The hash of the body is always the body's own.
fn canonical_request(request: &SignedRequest<'_>, signed_headers: &str) -> Result<String, SignatureProblem> {
    let signed: Vec<&str> = signed_headers.split(';').collect();
    // What is not signed could be changed on the way.
    let needed = request.headers.keys().map(hyper::header::HeaderName::as_str);
    let needed = needed.filter(|name| name.starts_with("x-amz-")).chain(["host"]);
    for name in needed {
        if !signed.contains(&name) {
            return Err(incomplete(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
        }
    }
    let mut text = format!("{}\n{}\n{}\n", request.method, request.path, canonical_query(request.query));
    for name in &signed {
        let mut values = request.headers.get_all(*name).iter().peekable();
        if values.peek().is_none() {
            return Err(incomplete(format!("the signed header '{name}' is missing")));
        }
        let _ = write!(text, "{name}:");
        for (index, value) in values.enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let value = String::from_utf8_lossy(value.as_bytes());
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            let _ = write!(text, "{separator}{}", words.join(" "));
        }
        text.push('\n');
    }
    let _ = write!(text, "\n{signed_headers}\n{}", hex(&Sha256::digest(request.body)));
    Ok(text)
}

/// Parameters in the order of their names.
fn canonical_query(query: &str) -> String {
    let mut parameters: Vec<(&str, &str)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .collect();
    parameters.sort_unstable();
    let parameters: Vec<String> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    parameters.join("&")
}

fn sign(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.chain_update(text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

impl SignatureProblem {
    /// What the client is told, by the names that its protocol has. **Source:** "Common errors" of the services' API references; EC2,
    /// "Error codes".
    pub fn error(&self, protocol: Protocol) -> ApiError {
        let name = |json: &'static str, query: &'static str, ec2: &'static str| match protocol {
            Protocol::Json => json,
            Protocol::Query => query,
            Protocol::Ec2 => ec2,
        };
        match self {
            SignatureProblem::Missing => ApiError::new(
                name("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AuthFailure"),
                "Missing Authentication Token: this server verifies signatures",
            ),
            SignatureProblem::Incomplete(why) => {
                ApiError::new(name("IncompleteSignatureException", "IncompleteSignature", "IncompleteSignature"), why)
            }
            SignatureProblem::UnknownKey => ApiError::new(
                name("UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure"),
                "The security token included in the request is invalid: this server does not know the access key",
            ),
            SignatureProblem::WrongToken => ApiError::new(
                name("UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure"),
                "The security token included in the request is invalid.",
            ),
            SignatureProblem::Mismatch => ApiError::new(
                name("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
                 Key and signing method. Consult the service documentation for details.",
            ),
            SignatureProblem::WrongScope(why) => {
                ApiError::new(name("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"), why)
            }
            SignatureProblem::Time(why) => {
                ApiError::new(name("InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired"), why)
            }
            SignatureProblem::Replayed => ApiError::new(
                name("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
                "The signature was used before. Requests that are alike and of the same second have to differ in the header \
                 amz-sdk-invocation-id.",
            ),
            SignatureProblem::TooMany => {
                ApiError::new("ThrottlingException", "Rate exceeded: too many signed requests")
            }
        }
    }
}
