//! A run as plain lines, for pipes and logs: one line for everything that happens.

use super::format;
use crate::control_plane::action::Notification;
use crate::data_plane::image::ImageProgress;
use crate::driver::running_cluster::Notice;
use crate::model::ids::IdForm;
use crate::model::task::TaskStatus;

/// The line of a notice, `None` for those that would only be noise: the many small steps of tasks.
pub(super) fn line(notice: &Notice, ids: IdForm) -> Option<String> {
    let at = format::clock(notice.at);
    let text = match &notice.notification {
        Notification::Service { message, .. } => message.to_string(),
        Notification::AutoScalingGroup { capacity_provider, from, to, reason } if from == to => {
            format!("(capacity provider {capacity_provider}) {reason}")
        }
        Notification::AutoScalingGroup { capacity_provider, from, to, reason } => {
            format!("(capacity provider {capacity_provider}) desired capacity changed from {from} to {to}: {reason}")
        }
        Notification::ContainerInstance { instance, status, .. } => {
            format!("(instance {}) {}", ids.ec2_instance(*instance), status.as_str())
        }
        Notification::Task { last_status: TaskStatus::Stopped, .. } => {
            let task = notice.stopped_task.as_ref()?;
            let codes: Vec<String> = task
                .containers
                .iter()
                .filter_map(|container| container.exit.exit_code.map(|code| code.to_string()))
                .collect();
            let reason = task.containers.iter().find_map(|container| container.exit.reason.as_deref());
            let exit = if codes.is_empty() { String::new() } else { format!(", exit code {}", codes.join(" and ")) };
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!(
                "(task {}) {} STOPPED: {}{exit}{reason}",
                format::short_id(&ids.task(task.id)),
                task.task_definition,
                task.stopped_reason.as_deref().unwrap_or("-"),
            )
        }
        Notification::Alarm { alarm, from, to, reason } => {
            format!("(alarm {alarm}) {} -> {}: {reason}", from.as_str(), to.as_str())
        }
        Notification::RunTask { task_definition, wanted, placed, reason } => {
            format!(
                "(run_task {task_definition}) {placed} of {wanted} tasks placed: {reason}; the others are tried again"
            )
        }
        // Each comes beside a line of the service's own.
        Notification::ServiceAction { .. } | Notification::DeploymentStateChange { .. } => return None,
        Notification::Task { .. } | Notification::InstanceTasks { .. } => return None,
    };
    Some(format!("{at}  {text}"))
}

/// What happens to an image, in a line.
pub(super) fn image_line(progress: &ImageProgress) -> String {
    // The folder or file alone: paths are long and their ends tell images apart.
    let name = |image: &str| {
        std::path::Path::new(image).file_name().map_or(image.into(), |name| name.to_string_lossy().into_owned())
    };
    match progress {
        ImageProgress::Building { image } => {
            format!("(image {}) cargo build --release --target wasm32-wasip1", name(image))
        }
        ImageProgress::Compiling { image } => format!("(image {}) compiling to machine code", name(image)),
        ImageProgress::Ready { image, took } => {
            format!("(image {}) ready after {}", name(image), format::duration(*took))
        }
        ImageProgress::Failed { image, error } => format!("(image {}) {error}", name(image)),
    }
}
