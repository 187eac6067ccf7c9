//! How far a deployment that moves traffic is: its stage, what it waits for there, and how many tasks each revision is to have.
//!
//! The intuition: the target is brought up beside the source, which keeps all its tasks until the end, so that going back costs nothing
//! but moving the traffic back. Stage follows stage; each does its work, asks its hooks, and perhaps bakes. What a stage does to the
//! cluster is in `traffic_stages`; here is nothing but the record and the arithmetic.
//!
//! **Source:** ecs-semantics §5.8.

use serde::{Deserialize, Serialize};

use super::deployment::{Blocked, Bounds, Tally};
use crate::model::deployment::LifecycleStage;
use crate::model::ids::{DeploymentId, HookId};
use crate::model::units::{Duration, Timestamp};

/// The way of the primary deployment through its stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct TrafficShift {
    /// The stage.
    pub stage: LifecycleStage,
    /// When it, or the move of traffic within it, began.
    pub since: Timestamp,
    /// Where the traffic comes from; `None`: nothing served when the deployment began, so that there is none to move.
    pub source: Option<DeploymentId>,
    /// How often traffic was moved.
    pub steps: u32,
    /// The stage that was last told of.
    pub told: Option<LifecycleStage>,
    /// What it waits for.
    pub phase: ShiftPhase,
}

/// What a stage waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ShiftPhase {
    /// For tasks.
    Working,
    /// For a hook.
    Hook(HookRun),
    /// For time to pass with the target whole.
    Baking {
        /// Until when.
        until: Timestamp,
    },
}

/// A hook that is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct HookRun {
    /// Its identity at this stage.
    pub id: HookId,
    /// Its place among the service's hooks.
    pub index: usize,
    /// How often it has been called.
    pub calls: u32,
    /// When it has timed out.
    pub expires_at: Timestamp,
    /// What is awaited of it.
    pub awaited: Awaited,
}

/// What is awaited of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Awaited {
    /// The answer to a call.
    Answer {
        /// When the call has taken too long.
        until: Timestamp,
    },
    /// The time of its next call.
    NextCall {
        /// When.
        at: Timestamp,
    },
    /// ContinueServiceDeployment.
    Release,
}

impl TrafficShift {
    /// The first moment at which something is to be done if nothing happens before.
    pub fn next_deadline(&self, now: Timestamp, stage_timeout: Duration) -> Timestamp {
        match self.phase {
            ShiftPhase::Hook(run) => match run.awaited {
                Awaited::Answer { until } => until.min(run.expires_at),
                Awaited::NextCall { at } => at.min(run.expires_at),
                Awaited::Release => run.expires_at,
            },
            ShiftPhase::Working => self.since + stage_timeout,
            ShiftPhase::Baking { until } if until > now => until,
            ShiftPhase::Baking { until } => until + stage_timeout,
        }
    }

    /// Whether its stage has taken too long. *Ours:* neither the time for which it bakes counts nor that of a hook, which has a
    /// timeout of its own. **Source:** ecs-semantics §5.8.
    pub fn is_overdue(&self, now: Timestamp, stage_timeout: Duration) -> bool {
        match self.phase {
            ShiftPhase::Working => now >= self.since + stage_timeout,
            ShiftPhase::Baking { until } => now >= until + stage_timeout,
            ShiftPhase::Hook(_) => false,
        }
    }

    /// Whether the target's tasks are to be there.
    pub fn target_is_wanted(&self) -> bool {
        self.stage >= LifecycleStage::ScaleUp
    }

    /// Whether it is past the point up to which the source keeps its tasks.
    pub fn is_cleaning_up(&self) -> bool {
        self.stage == LifecycleStage::CleanUp
    }
}

/// The stage after one, traffic all moved or not. **Source:** ecs-semantics §5.8.
pub fn stage_after(stage: LifecycleStage, traffic: TrafficMoved) -> LifecycleStage {
    use LifecycleStage as Stage;
    match (stage, traffic) {
        (Stage::ReconcileService, _) => Stage::PreScaleUp,
        (Stage::PreScaleUp, _) => Stage::ScaleUp,
        (Stage::ScaleUp, _) => Stage::PostScaleUp,
        (Stage::PostScaleUp, _) => Stage::TestTrafficShift,
        (Stage::TestTrafficShift, _) => Stage::PostTestTrafficShift,
        (Stage::PostTestTrafficShift, _) => Stage::PreProductionTrafficShift,
        (Stage::PreProductionTrafficShift, _) => Stage::ProductionTrafficShift,
        (Stage::ProductionTrafficShift, TrafficMoved::InPart) => Stage::PreProductionTrafficShift,
        (Stage::ProductionTrafficShift, TrafficMoved::Whole) => Stage::PostProductionTrafficShift,
        (Stage::PostProductionTrafficShift, _) => Stage::BakeTime,
        (Stage::BakeTime | Stage::CleanUp, _) => Stage::CleanUp,
    }
}

/// Whether all production traffic is the target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficMoved {
    /// Not yet.
    InPart,
    /// It is.
    Whole,
}

/// One revision's tasks and how many there are to be.
#[derive(Clone, Copy, Debug)]
pub struct TaskSet {
    /// Its tasks.
    pub tally: Tally,
    /// How many it is to have.
    pub wanted: u32,
}

/// What to do for one revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetPlan {
    /// Tasks to start.
    pub start: u32,
    /// Tasks to stop that are not healthy.
    pub stop_not_healthy: u32,
    /// Healthy tasks to stop.
    pub stop_healthy: u32,
}

/// Plans for all revisions of a service, newest first, while traffic is being moved: each to its own count. Older ones get the room
/// first, because they serve. **Source:** ecs-semantics §5.2, §5.8.
pub fn plan_sets(bounds: Bounds, sets: &[TaskSet]) -> (Vec<SetPlan>, Blocked) {
    let placed: u32 = sets.iter().map(|set| set.tally.placed()).sum();
    let healthy: u32 = sets.iter().map(|set| set.tally.healthy).sum();
    let mut room = bounds.upper.saturating_sub(placed);
    let mut may_stop = healthy.saturating_sub(bounds.lower);
    let mut plans = vec![SetPlan::default(); sets.len()];
    let mut blocked = Blocked::No;
    for (plan, TaskSet { tally, wanted }) in plans.iter_mut().zip(sets).rev() {
        plan.start = wanted.saturating_sub(tally.counted()).min(room);
        room -= plan.start;
        // Of a revision that is to go nothing is worth being replaced.
        let present = if *wanted == 0 { tally.placed() } else { tally.counted() };
        let surplus = present.saturating_sub(*wanted);
        plan.stop_not_healthy = surplus.min(tally.free_not_healthy());
        plan.stop_healthy = (surplus - plan.stop_not_healthy).min(tally.free_healthy()).min(may_stop);
        may_stop -= plan.stop_healthy;
        let stays = surplus - plan.stop_not_healthy - plan.stop_healthy;
        if stays > 0 && tally.protected_healthy + tally.protected_not_healthy > 0 {
            blocked = Blocked::ByProtection;
        }
    }
    (plans, blocked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy(count: u32) -> Tally {
        Tally { healthy: count, ..Tally::default() }
    }

    fn planned(desired: u32, sets: &[(Tally, u32)]) -> Vec<SetPlan> {
        let sets: Vec<TaskSet> = sets.iter().map(|&(tally, wanted)| TaskSet { tally, wanted }).collect();
        plan_sets(Bounds { lower: desired, upper: 2 * desired }, &sets).0
    }

    /// ecs-semantics §5.8: the target comes up to 100 % beside the source, which keeps its tasks.
    #[test]
    fn the_target_comes_up_beside_the_source() {
        let plan = planned(4, &[(Tally::default(), 4), (healthy(4), 4)]);
        assert_eq!(plan, [SetPlan { start: 4, ..SetPlan::default() }, SetPlan::default()]);
    }

    /// The source serves: what it misses is started first.
    #[test]
    fn the_source_gets_the_room_first() {
        let half = Tally { starting: 3, healthy: 3, ..Tally::default() };
        let plan = planned(4, &[(half, 7), (healthy(1), 4)]);
        assert_eq!(plan.iter().map(|set| set.start).collect::<Vec<_>>(), [0, 1]);
    }

    /// A scale-in takes from both, and never more healthy tasks than the lower bound leaves.
    #[test]
    fn a_scale_in_takes_from_both() {
        let plan = planned(2, &[(healthy(4), 2), (healthy(4), 2)]);
        assert_eq!(plan.iter().map(|set| set.stop_healthy).collect::<Vec<_>>(), [2, 2]);
        let plan = planned(4, &[(Tally::default(), 0), (healthy(2), 4), (healthy(3), 0)]);
        assert_eq!(plan.iter().map(|set| set.stop_healthy).collect::<Vec<_>>(), [0, 0, 1]);
    }

    /// ecs-semantics §5.8: the stages in their order, those of production traffic once a step.
    #[test]
    fn stages_follow_each_other() {
        let mut stage = LifecycleStage::ReconcileService;
        let mut walked = vec![stage];
        let mut moves = 0;
        while stage != LifecycleStage::CleanUp {
            moves += u32::from(stage == LifecycleStage::ProductionTrafficShift);
            stage = stage_after(stage, if moves < 2 { TrafficMoved::InPart } else { TrafficMoved::Whole });
            walked.push(stage);
        }
        let names: Vec<&str> = walked.iter().map(|stage| stage.as_str()).collect();
        assert_eq!(
            names,
            [
                "RECONCILE_SERVICE",
                "PRE_SCALE_UP",
                "SCALE_UP",
                "POST_SCALE_UP",
                "TEST_TRAFFIC_SHIFT",
                "POST_TEST_TRAFFIC_SHIFT",
                "PRE_PRODUCTION_TRAFFIC_SHIFT",
                "PRODUCTION_TRAFFIC_SHIFT",
                "PRE_PRODUCTION_TRAFFIC_SHIFT",
                "PRODUCTION_TRAFFIC_SHIFT",
                "POST_PRODUCTION_TRAFFIC_SHIFT",
                "BAKE_TIME",
                "CLEAN_UP",
            ]
        );
    }
}
