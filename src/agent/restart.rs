//! Whether a container that ended is started again.

use crate::model::task_definition::RestartPolicy;
use crate::model::units::Duration;

/// Decides on one that was not asked to stop. `ran_for` is the time since its last start. There is neither a delay nor a limit on
/// their number. **Source:** ecs-semantics §1.5.2.
pub(super) fn is_restarted(policy: &RestartPolicy, exit_code: Option<i32>, ran_for: Duration) -> bool {
    exit_code.is_some_and(|code| !policy.ignored_exit_codes.contains(&code)) && ran_for >= policy.restart_attempt_period
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Claim: the code must be known and not ignored, and the container must have run long enough. Method: each fails alone.
    #[test]
    fn conditions() {
        let policy = RestartPolicy { ignored_exit_codes: vec![0, 3], ..RestartPolicy::default() };
        let restarted = |code, secs| is_restarted(&policy, code, Duration::from_secs(secs));
        assert!(restarted(Some(1), 300));
        assert!(!restarted(Some(1), 299));
        assert!(!restarted(Some(3), 300));
        assert!(!restarted(Some(0), 300));
        assert!(!restarted(None, 300));
        assert!(is_restarted(&RestartPolicy::default(), Some(0), Duration::from_secs(300)));
    }
}
