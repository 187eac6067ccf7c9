//! Scalable targets as Application Auto Scaling keeps them: bounds and policies, and the record of what they did.
//!
//! A target remembers; it decides nothing. What it says is readable from outside.
//!
//! **Source:** ecs-semantics §7.1.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::service_autoscaling::ServiceScaler;
use crate::model::ids::IdForm;
use crate::model::scaling::{ActivityRecord, ActivityStatus, AutoScaling};
use crate::model::units::{Duration, Timestamp};

/// Activities kept for a target. *Ours:* Application Auto Scaling keeps those of six weeks.
const ACTIVITIES_KEPT: usize = 100;
/// How long an activity may take to be fulfilled. *Ours:* no document says.
const UNFULFILLED_AFTER: Duration = Duration::from_secs(3_600);

/// A service whose desired count is scaled.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ScalableTarget {
    /// `service/CLUSTER/SERVICE`.
    pub resource_id: Arc<str>,
    /// Bounds, suspended processes, policies and scheduled actions.
    pub settings: AutoScaling,
    /// What the policies remember: their alarms and cooldowns.
    pub scaler: ServiceScaler,
    /// What was done, oldest first. Only the last one that changed the count can be under way.
    pub activities: VecDeque<ActivityRecord>,
    /// When each scheduled action next takes place, by its name. One that is over is not listed.
    pub next_actions: BTreeMap<Arc<str>, Timestamp>,
    /// When each scheduled action was put, by its name: what a rate without a start time counts from.
    pub(super) put_at: BTreeMap<Arc<str>, Timestamp>,
    next_activity: u64,
}

/// How a service stands, for the question whether an activity has come to its end.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Standing {
    pub now: Timestamp,
    pub desired_count: u32,
    pub running_count: u32,
}

impl ScalableTarget {
    /// A target without a past.
    pub(super) fn new(resource_id: Arc<str>, ids: IdForm, settings: AutoScaling) -> ScalableTarget {
        ScalableTarget {
            scaler: ServiceScaler::new(resource_id.clone(), ids, &settings),
            resource_id,
            settings,
            activities: VecDeque::new(),
            next_actions: BTreeMap::new(),
            put_at: BTreeMap::new(),
            next_activity: 1,
        }
    }

    /// The activity that is under way, if one is.
    pub fn activity_in_progress(&self) -> Option<&ActivityRecord> {
        self.activities.iter().rev().find(|activity| activity.status == ActivityStatus::InProgress)
    }

    /// Records an activity. One that changes the count takes the place of the one under way.
    pub(super) fn record(&mut self, at: Timestamp, from: u32, to: u32, description: &str, cause: &str) {
        if let Some(before) = self.in_progress_mut().filter(|_| from != to) {
            let text = "The activity was overridden by a newer one.";
            end(before, at, ActivityStatus::Overridden, text.to_owned());
        }
        let mut activity = ActivityRecord {
            id: self.next_activity,
            started_at: at,
            ended_at: None,
            status: ActivityStatus::InProgress,
            status_message: format!(
                "Successfully set desired count to {to}. Waiting for change to be fulfilled by ecs."
            )
            .into(),
            from,
            to,
            description: description.into(),
            cause: cause.into(),
        };
        if from == to {
            end(&mut activity, at, ActivityStatus::Successful, lower_case_done(description));
        }
        self.push(activity);
    }

    /// Records something that was to be done and could not.
    pub(super) fn record_failure(&mut self, at: Timestamp, count: u32, description: &str, cause: &str, why: &str) {
        self.push(ActivityRecord {
            id: self.next_activity,
            started_at: at,
            ended_at: Some(at),
            status: ActivityStatus::Failed,
            status_message: why.into(),
            from: count,
            to: count,
            description: description.into(),
            cause: cause.into(),
        });
    }

    /// Ends the activity under way if it has come to its end. Says whether one is still under way.
    pub(super) fn follow(&mut self, standing: Standing) -> Following {
        let Some(activity) = self.in_progress_mut() else { return Following::Over };
        let to = activity.to;
        let (status, text) = if standing.desired_count != to {
            (ActivityStatus::Overridden, "The desired count was set to another value.".to_owned())
        } else if standing.running_count == to {
            let text = format!("Successfully set desired count to {to}. Change successfully fulfilled by ecs.");
            (ActivityStatus::Successful, text)
        } else if standing.now.since(activity.started_at) >= UNFULFILLED_AFTER {
            let running = standing.running_count;
            let text = format!("The desired count was set to {to}, and {running} tasks are running after an hour.");
            (ActivityStatus::Unfulfilled, text)
        } else {
            return Following::UnderWay;
        };
        end(activity, standing.now, status, text);
        Following::Over
    }

    /// The target is deregistered: what was under way has nobody to fulfil it, and nothing takes place any more.
    pub(super) fn deregister(&mut self, at: Timestamp) {
        self.next_actions.clear();
        if let Some(activity) = self.in_progress_mut() {
            end(activity, at, ActivityStatus::Failed, "The scalable target was deregistered.".to_owned());
        }
    }

    fn in_progress_mut(&mut self) -> Option<&mut ActivityRecord> {
        self.activities.iter_mut().rev().find(|activity| activity.status == ActivityStatus::InProgress)
    }

    fn push(&mut self, activity: ActivityRecord) {
        self.next_activity += 1;
        if self.activities.len() == ACTIVITIES_KEPT {
            self.activities.pop_front();
        }
        self.activities.push_back(activity);
    }

    /// What must hold after every event.
    pub(super) fn check_invariants(&self) {
        let name = &self.resource_id;
        let settings = &self.settings;
        assert!(settings.min_capacity <= settings.max_capacity, "{name} has a minimum above its maximum");
        let under_way = self.activities.iter().filter(|activity| activity.status == ActivityStatus::InProgress);
        assert!(under_way.count() <= 1, "{name} has two activities under way");
        for activity in &self.activities {
            let is_over = activity.status != ActivityStatus::InProgress;
            assert_eq!(is_over, activity.ended_at.is_some(), "an activity of {name} is over or not");
        }
        for action in self.next_actions.keys() {
            let is_there = settings.scheduled_actions.iter().any(|other| other.name == *action);
            assert!(is_there, "{name} waits for the action {action}, which is deleted");
        }
    }
}

/// Whether an activity is still under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    UnderWay,
    Over,
}

fn end(activity: &mut ActivityRecord, at: Timestamp, status: ActivityStatus, text: String) {
    activity.ended_at = Some(at);
    activity.status = status;
    activity.status_message = text.into();
}

/// `Setting X to Y` as done: `Successfully set X to Y`.
fn lower_case_done(description: &str) -> String {
    let what = description.strip_prefix("Setting ").unwrap_or(description);
    format!("Successfully set {what}")
}
