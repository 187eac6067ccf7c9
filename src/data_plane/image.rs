//! Images.

use std::sync::Arc;

use crate::model::units::Duration;

/// News of an image on its way to being runnable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageProgress {
    /// A Cargo package is being built.
    Building {
        /// The image, as the task definition names it.
        image: Arc<str>,
    },
    /// A module is being compiled to machine code.
    Compiling {
        /// The image, as the task definition names it.
        image: Arc<str>,
    },
    /// The image can run.
    Ready {
        /// The image, as the task definition names it.
        image: Arc<str>,
        /// From the first news to this.
        took: Duration,
    },
    /// The image cannot run.
    Failed {
        /// The image, as the task definition names it.
        image: Arc<str>,
        /// Why.
        error: ImageError,
    },
}

/// Why an image cannot run: ECS' class and the detail. **Source:** ecs-semantics §2.4.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CannotPullContainerError: {0}")]
pub struct ImageError(pub String);
