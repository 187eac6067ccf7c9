//! Why a request was refused, by ECS' exception names.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::ids::TaskId;

/// A refused request. **Source:** ecs-semantics §11.2.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestError {
    /// `ClientException`.
    #[error("{0}")]
    Client(String),
    /// `InvalidParameterException`.
    #[error("{0}")]
    InvalidParameter(String),
    /// `ServiceNotFoundException`.
    #[error("Service not found.")]
    ServiceNotFound,
    /// `ServiceDeploymentNotFoundException`.
    #[error("Service deployment not found.")]
    ServiceDeploymentNotFound,
    /// `TaskSetNotFoundException`.
    #[error("The specified task set was not found.")]
    TaskSetNotFound,
    /// `ServiceNotActiveException`.
    #[error("Service was not ACTIVE.")]
    ServiceNotActive,
    /// `ValidationException` of Application Auto Scaling and CloudWatch. **Source:** ecs-semantics §7.1.
    #[error("{0}")]
    Validation(String),
    /// `ObjectNotFoundException` of Application Auto Scaling. **Source:** ecs-semantics §7.1.
    #[error("{0}")]
    ObjectNotFound(String),
    /// `AttributeLimitExceededException`.
    #[error("a container instance has at most {most} custom attributes, and {instance} would have {wanted}", most = crate::model::capacity::CUSTOM_ATTRIBUTES_MAX)]
    AttributeLimitExceeded {
        /// The instance, as it is shown.
        instance: String,
        /// How many it would have.
        wanted: usize,
    },
    /// `TargetNotFoundException`.
    #[error("The specified target wasn't found.")]
    TargetNotFound,
    /// `ConflictException`.
    #[error("The client token was used for a RunTask call with other parameters.")]
    Conflict {
        /// The tasks of that call: `resourceIds`.
        tasks: Vec<TaskId>,
    },
    /// `ResourceNotFoundException`.
    #[error("{0}")]
    ResourceNotFound(String),
    /// `ServerException`: the data directory can't be written.
    #[error("{0}")]
    Server(String),
    /// `MissingVersionException`.
    #[error("The version of the container agent is not known.")]
    MissingVersion,
    /// `NoUpdateAvailableException`.
    #[error("There is no update available for this container agent.")]
    NoUpdateAvailable,
    /// `UpdateInProgressException`.
    #[error("An update of this container agent is in progress.")]
    UpdateInProgress,
    /// The cluster is draining and takes nothing new.
    #[error("the cluster is draining")]
    Draining,
}

impl RequestError {
    /// ECS' exception name.
    pub fn exception(&self) -> &'static str {
        match self {
            RequestError::Client(_) => "ClientException",
            RequestError::InvalidParameter(_) => "InvalidParameterException",
            RequestError::ServiceNotFound => "ServiceNotFoundException",
            RequestError::ServiceDeploymentNotFound => "ServiceDeploymentNotFoundException",
            RequestError::TaskSetNotFound => "TaskSetNotFoundException",
            RequestError::ServiceNotActive => "ServiceNotActiveException",
            RequestError::Validation(_) => "ValidationException",
            RequestError::ObjectNotFound(_) => "ObjectNotFoundException",
            RequestError::AttributeLimitExceeded { .. } => "AttributeLimitExceededException",
            RequestError::TargetNotFound => "TargetNotFoundException",
            RequestError::Conflict { .. } => "ConflictException",
            RequestError::ResourceNotFound(_) => "ResourceNotFoundException",
            RequestError::Server(_) => "ServerException",
            RequestError::MissingVersion => "MissingVersionException",
            RequestError::NoUpdateAvailable => "NoUpdateAvailableException",
            RequestError::UpdateInProgress => "UpdateInProgressException",
            RequestError::Draining => "ClientException",
        }
    }
}
