//! What a task is registered with once a request's overrides are in it: the sizes that placement, the data plane and the bill go by.
//!
//! **Source:** ecs-semantics §2.5.

use std::sync::Arc;

use super::request_error::RequestError;
use super::state::Registered;
use crate::model::task::TaskOverrides;
use crate::model::task_definition::LaunchType;
use crate::model::task_overrides::OverrideError;

impl Registered {
    /// The definition as the tasks of a request run it.
    pub(super) fn overridden(
        self,
        overrides: &TaskOverrides,
        launch_type: LaunchType,
    ) -> Result<Registered, RequestError> {
        Ok(match overrides.resized(&self.definition, launch_type)? {
            None => self,
            Some(resized) => Registered { reservation: Arc::new(resized.reservation()), definition: Arc::new(resized) },
        })
    }
}

impl From<OverrideError> for RequestError {
    fn from(error: OverrideError) -> RequestError {
        match error {
            OverrideError::UnknownContainer(_) => RequestError::InvalidParameter(error.to_string()),
            _ => RequestError::Client(error.to_string()),
        }
    }
}
