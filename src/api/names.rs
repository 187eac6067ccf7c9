//! How clients name things: by a short name, an id or an ARN, nearly everywhere either.
//!
//! **Source:** ecs-semantics §1.2.

use super::error::ApiError;
use crate::model::arn::ArnForm;
use crate::model::task_definition::TaskDefinitionRef;

/// The cluster that is meant where none is named. **Source:** ecs-semantics §1.1.
pub const DEFAULT_CLUSTER: &str = "default";

/// The resource part of an ARN of ECS: what stands behind the account. `None` for what is no ARN.
fn resource(text: &str) -> Option<&str> {
    let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
    parts.nth(4)
}

/// The last part of a name or an ARN: of `arn:...:service/CLUSTER/NAME` it is `NAME`, and of `NAME` too.
pub fn last_part(text: &str) -> &str {
    resource(text).unwrap_or(text).rsplit('/').next().unwrap_or(text)
}

/// The cluster in an ARN of something of a cluster: of `arn:...:task/CLUSTER/ID` it is `CLUSTER`.
pub fn cluster_in(arn: &str) -> Option<&str> {
    let mut parts = resource(arn)?.split('/').skip(1);
    let cluster = parts.next()?;
    parts.next().map(|_| cluster)
}

/// The kind of thing that an ARN names: `task`, `service`, `cluster`, ...
pub fn kind_in(arn: &str) -> Option<&str> {
    resource(arn)?.split('/').next()
}

/// What names something of a cluster that is not there: the ARN that was asked for, or that of the id.
pub fn arn_like(arns: &ArnForm, kind: &str, named: &str) -> String {
    if named.starts_with("arn:") { named.to_owned() } else { arns.within(kind, named) }
}

/// A task definition by `family`, `family:revision` or ARN. **Source:** ecs-semantics §1.3.
///
/// # Errors
/// When it is none of these.
pub fn task_definition(text: &str) -> Result<TaskDefinitionRef, ApiError> {
    let name = last_part(text);
    let (family, revision) = match name.split_once(':') {
        Some((family, revision)) => (family, Some(revision)),
        None => (name, None),
    };
    let revision = revision.map(|revision| {
        revision.parse::<u32>().map_err(|_| ApiError::client(format!("Invalid revision number. Number: {revision}")))
    });
    if family.is_empty() {
        return Err(ApiError::client("Unable to describe task definition."));
    }
    Ok(TaskDefinitionRef { family: family.to_owned(), revision: revision.transpose()? })
}

/// Whether a name is one of 1 to 255 letters, digits, hyphens and underscores. **Source:** ecs-semantics §1.2.
pub fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=255).contains(&text.len()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns_are_the_same() {
        let arn = "arn:aws:ecs:us-east-1:123456789012:service/shop/web";
        assert_eq!((last_part(arn), last_part("web")), ("web", "web"));
        assert_eq!((cluster_in(arn), kind_in(arn)), (Some("shop"), Some("service")));
        let old = "arn:aws:ecs:us-east-1:123456789012:service/web";
        assert_eq!((last_part(old), cluster_in(old)), ("web", None));
        let definition = task_definition("arn:aws:ecs:us-east-1:123456789012:task-definition/web:7").expect("a name");
        assert_eq!(definition.to_string(), "web:7");
        assert_eq!(task_definition("web").expect("a name").revision, None);
        assert!(task_definition("web:latest").is_err());
    }
}
