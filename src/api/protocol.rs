//! How requests are told apart and read, and how answers are written: AWS JSON 1.1, and the forms and XML of the older services.
//!
//! One port serves all services: `X-Amz-Target` tells those that speak JSON, the scope of the signature (or the action) the others.
//!
//! **Source:** ecs-semantics §11.1, §11.2.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::error::ApiError;
use super::query::Form;
use super::shape::{Protocol, Service};
use super::{Api, xml};

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
    pub error_type: Option<String>,
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
/// What XML is answered under.
const XML: &str = "text/xml;charset=UTF-8";

/// What a request asks for.
struct Asked<'a> {
    service: Service,
    operation: Cow<'a, str>,
    /// Its members, where they came as a form.
    form: Option<Form>,
}

impl Api {
    /// Answers a request. Never fails: what is wrong is in the answer.
    pub fn answer(&self, request: &HttpRequest<'_>) -> HttpAnswer {
        let scope = request.authorization.and_then(SignatureScope::of);
        let region = scope.map_or(&*self.options.region, |scope| scope.region);
        let asked = match self.asked(request) {
            Ok(asked) => asked,
            Err(error) => return self.refuse(request, &error),
        };
        let (service, operation) = (asked.service, &*asked.operation);
        match self.input_of(&asked, request.body).and_then(|input| self.call(service, operation, region, input)) {
            Ok(answer) => self.write(service, operation, &answer, request.request_id),
            Err(error) => self.write_error(service, Some(operation), &error, request.request_id),
        }
    }

    /// Answers a request that was refused before its operation was looked at, in the form that its client reads.
    pub fn refuse(&self, request: &HttpRequest<'_>, error: &ApiError) -> HttpAnswer {
        match self.asked(request) {
            Ok(asked) => self.write_error(asked.service, Some(&asked.operation), error, request.request_id),
            Err(_) => {
                let service = self.service_of_scope(request).unwrap_or(Service::Ecs);
                self.write_error(service, None, error, request.request_id)
            }
        }
    }

    /// The service that a request is made to, if that can be told.
    pub fn service_of(&self, request: &HttpRequest<'_>) -> Option<Service> {
        self.asked(request).map(|asked| asked.service).ok().or_else(|| self.service_of_scope(request))
    }

    fn asked<'a>(&self, request: &HttpRequest<'a>) -> Result<Asked<'a>, ApiError> {
        if let Some(target) = request.target {
            let (prefix, operation) = target.split_once('.').unwrap_or(("", target));
            let speaks = |service: &Service| {
                let model = self.model(*service);
                model.protocol == Protocol::Json && model.target_prefix.as_deref() == Some(prefix)
            };
            let service = Service::ALL.into_iter().find(speaks);
            let unknown = || ApiError::new("UnknownOperationException", format!("unknown target '{target}'"));
            return Ok(Asked { service: service.ok_or_else(unknown)?, operation: operation.into(), form: None });
        }
        let form = Form::parse(request.body)?;
        let Some(action) = form.text("Action").map(str::to_owned) else {
            return Err(ApiError::new(
                "UnknownOperationException",
                "neither the header X-Amz-Target nor the parameter Action says what is asked for",
            ));
        };
        let version = form.text("Version");
        let has = |service: &Service| {
            let model = self.model(*service);
            let is_version = version.is_none_or(|version| version == model.api_version);
            model.protocol != Protocol::Json && is_version && model.operations.contains_key(&action)
        };
        let service = self.service_of_scope(request).filter(|service| self.model(*service).protocol != Protocol::Json);
        let service = service.or_else(|| Service::ALL.into_iter().find(has));
        let unknown = || ApiError::new("UnknownOperationException", format!("unknown action '{action}'"));
        Ok(Asked { service: service.ok_or_else(unknown)?, operation: action.clone().into(), form: Some(form) })
    }

    /// The service that a request is signed for.
    fn service_of_scope(&self, request: &HttpRequest<'_>) -> Option<Service> {
        let scope = SignatureScope::of(request.authorization?)?;
        Service::ALL.into_iter().find(|service| service.signing_name() == scope.service)
    }

    /// The members that a request came with, as JSON.
    fn input_of(&self, asked: &Asked<'_>, body: &[u8]) -> Result<Value, ApiError> {
        match &asked.form {
            Some(form) => {
                let model = self.model(asked.service);
                let place = model.operations.get(&*asked.operation).and_then(|operation| operation.input.as_ref());
                Ok(place.map_or_else(|| json!({}), |place| form.members(model, place)))
            }
            None if body.is_empty() => Ok(json!({})),
            None => serde_json::from_slice(body)
                .map_err(|error| ApiError::new("SerializationException", format!("the body is no JSON: {error}"))),
        }
    }

    /// An answer as the service's protocol has it.
    fn write(&self, service: Service, operation: &str, answer: &Value, request_id: &str) -> HttpAnswer {
        let model = self.model(service);
        let (content_type, body) = match (model.protocol, model.operations.get(operation)) {
            (Protocol::Query | Protocol::Ec2, Some(known)) => {
                (XML, xml::answer(model, operation, known, answer, request_id))
            }
            _ => (AMZ_JSON, answer.to_string()),
        };
        HttpAnswer {
            status: 200,
            content_type,
            error_type: None,
            operation: Some(operation.to_owned()),
            body: body.into_bytes(),
        }
    }

    /// An exception as the service's protocol has it.
    fn write_error(&self, service: Service, operation: Option<&str>, error: &ApiError, request_id: &str) -> HttpAnswer {
        let model = self.model(service);
        let exception = exception_of(service, error.exception);
        let declared = model.shapes.get(exception).and_then(|shape| shape.error.as_ref());
        let code = declared.and_then(|declared| declared.code.as_deref()).unwrap_or(exception);
        let status = declared.and_then(|declared| declared.http_status_code).unwrap_or_else(|| status_of(exception));
        let (content_type, body) = if model.protocol == Protocol::Json {
            let mut body = error.members.clone();
            body.insert("__type".to_owned(), json!(code));
            body.insert("message".to_owned(), json!(error.message));
            (AMZ_JSON, Value::Object(body).to_string())
        } else {
            (XML, xml::error(model, code, &error.message, status, request_id))
        };
        HttpAnswer {
            status,
            content_type,
            error_type: Some(code.to_owned()),
            operation: operation.map(str::to_owned),
            body: body.into_bytes(),
        }
    }
}

/// What a service calls an exception that all of them have, each by its own name. The names of ECS are what the others are known by here.
/// **Source:** the services' models and "Common errors" of their API references; EC2, "Error codes".
fn exception_of(service: Service, exception: &'static str) -> &'static str {
    match (service, exception) {
        (Service::ApplicationAutoScaling, "ServerException") => "InternalServiceException",
        (Service::ApplicationAutoScaling, "ClientException" | "InvalidParameterException") => "ValidationException",
        (Service::AutoScaling | Service::Sts | Service::Ec2, "UnknownOperationException") => "InvalidAction",
        (Service::AutoScaling | Service::Sts | Service::Ec2, "SerializationException") => "MalformedQueryString",
        (Service::AutoScaling | Service::Sts, "ServerException") => "InternalFailure",
        (Service::AutoScaling | Service::Sts, "ThrottlingException") => "Throttling",
        (Service::AutoScaling | Service::Sts, "AccessDeniedException") => "AccessDenied",
        (Service::AutoScaling | Service::Sts, "ClientException" | "InvalidParameterException") => "ValidationError",
        (Service::Ec2, "ServerException") => "InternalError",
        (Service::Ec2, "ThrottlingException") => "RequestLimitExceeded",
        (Service::Ec2, "AccessDeniedException") => "UnauthorizedOperation",
        (Service::Ec2, "ClientException" | "InvalidParameterException") => "InvalidParameterValue",
        (_, other) => other,
    }
}

/// The status of an exception of which the model says none. **Source:** ecs-semantics §11.2, and as [`exception_of`].
fn status_of(exception: &str) -> u16 {
    match exception {
        "ServerException" | "InternalServiceException" | "InternalFailure" | "InternalError" => 500,
        "ServiceUnavailable" | "ThrottlingException" | "Throttling" | "RequestLimitExceeded" => 503,
        "AuthFailure" => 401,
        "AccessDenied"
        | "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        | "UnauthorizedOperation"
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
