//! Why a call is refused, by the exceptions' names.
//!
//! **Source:** ecs-semantics §11.2.

use serde_json::{Map, Value};

use super::accept::{MUST_BE_THERE, Rejection};
use super::shape::Service;
use crate::control_plane::request_error::RequestError;
use crate::driver::running_cluster::{AskError, ClusterOver};

/// A refused call.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The exception, as its service's model names it, or one that all services have in common.
    pub exception: &'static str,
    /// What the client is told.
    pub message: String,
    /// Further members of the exception.
    pub members: Map<String, Value>,
}

impl ApiError {
    /// An exception with a message.
    pub fn new(exception: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { exception, message: message.into(), members: Map::new() }
    }

    /// `ClientException`.
    pub fn client(message: impl Into<String>) -> ApiError {
        ApiError::new("ClientException", message)
    }

    /// `InvalidParameterException`.
    pub fn invalid_parameter(message: impl Into<String>) -> ApiError {
        ApiError::new("InvalidParameterException", message)
    }

    /// `ClusterNotFoundException`.
    pub fn cluster_not_found() -> ApiError {
        ApiError::new("ClusterNotFoundException", "Cluster not found.")
    }

    /// `ServiceNotFoundException`.
    pub fn service_not_found() -> ApiError {
        ApiError::new("ServiceNotFoundException", "Service not found.")
    }

    /// What a request's members are refused with. **Source:** ecs-semantics §11.2; the exceptions of the other services are those that
    /// their models declare.
    pub fn of_rejection(service: Service, rejection: &Rejection) -> ApiError {
        let exception = match (service, rejection) {
            (Service::Ecs | Service::ApplicationAutoScaling, Rejection::Type { .. }) => "SerializationException",
            (Service::Ecs, Rejection::Constraints(_)) => "InvalidParameterException",
            (Service::ApplicationAutoScaling, Rejection::Constraints(_)) => "ValidationException",
            (Service::AutoScaling | Service::Sts, _) => "ValidationError",
            (Service::Ec2, Rejection::Constraints(found)) if found.iter().any(|rule| rule.ends_with(MUST_BE_THERE)) => {
                "MissingParameter"
            }
            (Service::Ec2, _) => "InvalidParameterValue",
        };
        ApiError::new(exception, rejection.message())
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> ApiError {
        ApiError::new(error.exception(), error.to_string())
    }
}

impl From<ClusterOver> for ApiError {
    fn from(_: ClusterOver) -> ApiError {
        // Whoever deleted it was told so; for the others it is gone.
        ApiError::cluster_not_found()
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> ApiError {
        match error {
            AskError::Refused(error) => error.into(),
            AskError::Over(over) => over.into(),
        }
    }
}
