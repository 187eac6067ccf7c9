//! How requests are told apart and read, and how answers are written: AWS JSON 1.1, and the forms and XML of the older services.
//!
//! One port serves all services: `X-Amz-Target` tells those that speak JSON, the scope of the signature (or the action) the others.
//!
//! **Source:** ecs-semantics §11.1, §11.2.

use serde_json::{Map, Value, json};

use super::Api;
use super::error::ApiError;
use super::shape::{Protocol, Service};

/// A request as it came, after its body was read.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// The header `X-Amz-Target`.
    pub target: Option<&'a str>,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
    /// What the answer names the request by.
    pub request_id: &'a str,
}

/// What goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The header `x-amzn-errortype`, of an exception.
    pub error_type: Option<&'static str>,
    /// The operation, for the log.
    pub operation: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// The scope that a signature is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureScope<'a> {
    /// The region.
    pub region: &'a str,
    /// The service's signing name.
    pub service: &'a str,
}

impl<'a> SignatureScope<'a> {
    /// The scope in an `Authorization` header: `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...`.
    pub fn of(authorization: &'a str) -> Option<SignatureScope<'a>> {
        let credential = authorization.split("Credential=").nth(1)?.split([',', ' ']).next()?;
        let mut parts = credential.split('/').skip(2);
        Some(SignatureScope { region: parts.next()?, service: parts.next()? })
    }
}

/// Names that AWS JSON is sent and answered under.
const AMZ_JSON: &str = "application/x-amz-json-1.1";

impl Api {
    /// Answers a request. Never fails: what is wrong is in the answer.
    pub fn answer(&self, request: &HttpRequest<'_>) -> HttpAnswer {
        let scope = request.authorization.and_then(SignatureScope::of);
        let region = scope.map_or(&*self.options.region, |scope| scope.region);
        match request.target {
            Some(target) => self.answer_json(target, region, request),
            None => json_error(None, &ApiError::new("UnknownOperationException", "the header X-Amz-Target is missing")),
        }
    }

    /// Answers a request that was refused before its operation was looked at, in the form that its client reads.
    pub fn refuse(&self, request: &HttpRequest<'_>, error: &ApiError) -> HttpAnswer {
        json_error(request.target.and_then(|target| target.split_once('.')).map(|(_, operation)| operation), error)
    }

    fn answer_json(&self, target: &str, region: &str, request: &HttpRequest<'_>) -> HttpAnswer {
        let (prefix, operation) = target.split_once('.').unwrap_or(("", target));
        let speaks_json = |service: &Service| {
            let model = self.model(*service);
            model.protocol == Protocol::Json && model.target_prefix.as_deref() == Some(prefix)
        };
        let Some(service) = Service::ALL.into_iter().find(speaks_json) else {
            return json_error(None, &ApiError::new("UnknownOperationException", format!("unknown target '{target}'")));
        };
        let input = match request.body {
            [] => Ok(Value::Object(Map::new())),
            body => serde_json::from_slice(body),
        };
        let answered = match input {
            Ok(input) => self.call(service, operation, region, input),
            Err(error) => Err(ApiError::new("SerializationException", format!("the body is no JSON: {error}"))),
        };
        match answered {
            Ok(answer) => HttpAnswer {
                status: 200,
                content_type: AMZ_JSON,
                error_type: None,
                operation: Some(operation.to_owned()),
                body: answer.to_string().into_bytes(),
            },
            Err(error) => json_error(Some(operation), &error),
        }
    }
}

/// An exception in AWS JSON.
pub fn json_error(operation: Option<&str>, error: &ApiError) -> HttpAnswer {
    let mut body = error.members.clone();
    body.insert("__type".to_owned(), json!(error.exception));
    body.insert("message".to_owned(), json!(error.message));
    HttpAnswer {
        status: status_of(error.exception),
        content_type: AMZ_JSON,
        error_type: Some(error.exception),
        operation: operation.map(str::to_owned),
        body: Value::Object(body).to_string().into_bytes(),
    }
}

/// The status of an exception. **Source:** ecs-semantics §11.2.
fn status_of(exception: &str) -> u16 {
    match exception {
        "ServerException" | "InternalFailure" => 500,
        "ServiceUnavailable" | "ThrottlingException" => 503,
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException" => 403,
        "RequestTimeout" => 408,
        "RequestEntityTooLarge" => 413,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_of_a_signature() {
        let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261126/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=ab";
        assert_eq!(SignatureScope::of(header), Some(SignatureScope { region: "eu-west-1", service: "ecs" }));
        assert_eq!(SignatureScope::of("Bearer x"), None);
    }
}
