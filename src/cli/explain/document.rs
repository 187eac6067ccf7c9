//! An explanation as one JSON document.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::control_plane::explain::{
    CapacityWait, Choice, Explanation, Floor, ForecastExplanation, ForecastRun, PlacementNow, ServiceExplanation,
    ServiceReason, TaskExplanation, TaskWait,
};
use crate::control_plane::placement::{Candidate, RankNames, RuleVerdict};
use crate::control_plane::service_autoscaling::predictive::HISTORY_MIN_HOURS;
use crate::control_plane::state::{DecisionBasis, PlacementDecision};
use crate::model::ids::IdForm;
use crate::model::target_group::TargetState;
use crate::model::units::Timestamp;

/// The whole document; times are seconds since the cluster's start.
pub(super) fn of(explanation: &Explanation, at: Timestamp, ids: IdForm) -> Value {
    let mut document = match explanation {
        Explanation::Waiting(waiting) => json!({
            "services": waiting.services.iter().map(|found| service(found, ids)).collect::<Vec<_>>(),
            "tasks": waiting.tasks.iter().map(|found| task(found, ids)).collect::<Vec<_>>(),
            "run_tasks": waiting
                .run_tasks
                .iter()
                .map(|(count, found)| json!({ "count": count, "placement": placement(found, ids) }))
                .collect::<Vec<_>>(),
        }),
        Explanation::Task(found) => json!({ "task": task(found, ids) }),
        Explanation::Service(found) => json!({ "service": service(found, ids) }),
        Explanation::RunTask(found) => json!({ "placement": placement(found, ids) }),
    };
    document["at"] = seconds(at);
    document
}

fn seconds(at: Timestamp) -> Value {
    json!(at.elapsed().as_secs_f64())
}

fn service(found: &ServiceExplanation, ids: IdForm) -> Value {
    let mut document = json!({
        "service": found.service,
        "status": found.status.as_str(),
        "scheduling_strategy": found.scheduling_strategy.as_str(),
        "desired_count": found.desired_count,
        "running_count": found.running_count,
        "pending_count": found.pending_count,
        "healthy_count": found.healthy_count,
        "reasons": found.reasons.iter().map(|found| reason(found, ids)).collect::<Vec<_>>(),
        "tasks": found.tasks.iter().map(|found| task(found, ids)).collect::<Vec<_>>(),
        "next": found.next.as_ref().map(|next| placement(next, ids)),
    });
    if !found.forecasts.is_empty() {
        document["forecasts"] = found.forecasts.iter().map(forecast).collect();
    }
    document
}

/// Hours are those of the calendar, in UTC.
fn forecast(found: &ForecastExplanation) -> Value {
    let run = |run: &ForecastRun| json!({ "from": run.from.to_string(), "until": run.until.to_string(), "capacity": run.capacity });
    let floor =
        |floor: &Floor| json!({ "hour": floor.hour.to_string(), "count": floor.count, "forecast": floor.forecast });
    json!({
        "policy_name": found.policy_name,
        "mode": found.mode.as_str(),
        "history_hours": found.history_hours,
        "history_hours_needed": HISTORY_MIN_HOURS,
        "made_at": found.made_at.map(|hour| hour.to_string()),
        "next_at": found.next_at.map(|hour| hour.to_string()),
        "hours": found.runs.iter().map(run).collect::<Vec<_>>(),
        "floor": found.floor.as_ref().map(floor),
    })
}

fn reason(found: &ServiceReason, ids: IdForm) -> Value {
    let mut document = json!({ "text": found.to_string() });
    let (kind, count) = match found {
        ServiceReason::Deleted => ("DELETED", None),
        ServiceReason::DeploymentFailed { .. } => ("DEPLOYMENT_FAILED", None),
        ServiceReason::Throttled { until, wanted } => {
            document["until"] = seconds(*until);
            ("THROTTLED", Some(wanted))
        }
        ServiceReason::LaunchRate { until, wanted } => {
            document["until"] = seconds(*until);
            ("LAUNCH_RATE", Some(wanted))
        }
        ServiceReason::NoRoom { reason, wanted } => {
            document["reason"] = json!(reason);
            ("NO_ROOM", Some(wanted))
        }
        ServiceReason::ProvisioningLimit { wanted } => ("PROVISIONING_LIMIT", Some(wanted)),
        ServiceReason::UpperBound { .. } => ("UPPER_BOUND", None),
        ServiceReason::BlockedByBounds => ("BLOCKED_BY_BOUNDS", None),
        ServiceReason::NoTaskSet => ("NO_TASK_SET", None),
        ServiceReason::BlockedByProtection => ("BLOCKED_BY_PROTECTION", None),
        ServiceReason::WaitsForCapacity { tasks } => ("WAITS_FOR_CAPACITY", Some(tasks)),
        ServiceReason::Starting { tasks } => ("STARTING", Some(tasks)),
        ServiceReason::NotHealthyYet { tasks } => ("NOT_HEALTHY_YET", Some(tasks)),
        ServiceReason::GivingWay { tasks, .. } => ("GIVING_WAY", Some(tasks)),
        ServiceReason::TaskEnded { task, at, .. } => {
            document["task"] = json!(ids.task(*task));
            document["at"] = seconds(*at);
            ("TASK_ENDED", None)
        }
    };
    document["kind"] = json!(kind);
    if let Some(count) = count {
        document["count"] = json!(count);
    }
    document
}

fn task(found: &TaskExplanation, ids: IdForm) -> Value {
    let task = &found.task;
    json!({
        "id": ids.task(task.id),
        "task_definition": task.task_definition.to_string(),
        "group": task.group,
        "launch_type": task.launch_type.as_str(),
        "capacity_provider": task.capacity_provider,
        "last_status": task.last_status.as_str(),
        "desired_status": task.desired_status.as_str(),
        "container_instance": task.container_instance.map(|instance| ids.container_instance(instance)),
        "created_at": seconds(task.created_at),
        "stop_code": task.stop_code.map(|code| code.as_str()),
        "stopped_reason": task.stopped_reason,
        "decision": found.decision.as_ref().map(|made| decision(made, &found.names)),
        "waits_for": found.waits_for.as_ref().map(|wait| task_wait(wait, ids)),
        "alike": found.alike,
        "now": found.now.as_ref().map(|now| placement(now, ids)),
    })
}

fn decision(made: &PlacementDecision, names: &RankNames) -> Value {
    let at = seconds(made.at);
    match &made.basis {
        DecisionBasis::Strategies { ranks } => json!({
            "at": at,
            "by": "STRATEGIES",
            "ranks": ranked(names, ranks),
            "among_equals": names.among_equals,
        }),
        DecisionBasis::Named => json!({ "at": at, "by": "CALLER" }),
        DecisionBasis::Fargate { availability_zone } => {
            json!({ "at": at, "by": "FARGATE", "availability_zone": availability_zone })
        }
        DecisionBasis::Daemon => json!({ "at": at, "by": "DAEMON" }),
    }
}

fn ranked(names: &RankNames, ranks: &[u32]) -> Vec<Value> {
    names.criteria.iter().zip(ranks).map(|(by, value)| json!({ "by": by, "value": value })).collect()
}

fn task_wait(wait: &TaskWait, ids: IdForm) -> Value {
    match wait {
        TaskWait::Capacity(wait) => json!({ "kind": "CAPACITY", "capacity": capacity(wait, ids) }),
        TaskWait::Start { since } => json!({ "kind": "START", "since": seconds(*since) }),
        TaskWait::Health { at, targets } if targets.is_empty() => json!({ "kind": "HEALTH", "at": at.map(seconds) }),
        TaskWait::Health { at, targets } => {
            let target = |(group, state): &(Arc<str>, TargetState)| {
                let reason = state.reason().map(|(code, _)| code);
                json!({ "target_group": group, "state": state.as_str(), "reason": reason })
            };
            let targets: Vec<Value> = targets.iter().map(target).collect();
            json!({ "kind": "HEALTH", "at": at.map(seconds), "targets": targets })
        }
        TaskWait::Deregistration { until } => json!({ "kind": "DEREGISTRATION", "until": until.map(seconds) }),
        TaskWait::Stop { since } => json!({ "kind": "STOP", "since": seconds(*since) }),
    }
}

fn capacity(wait: &CapacityWait, ids: IdForm) -> Value {
    json!({
        "capacity_provider": wait.capacity_provider,
        "position": wait.position,
        "waiting_count": wait.waiting_count,
        "desired_capacity": wait.desired_capacity,
        "min_size": wait.min_size,
        "max_size": wait.max_size,
        "in_service_count": wait.in_service_count,
        "coming": wait.coming.iter().map(|coming| json!({
            "container_instance": ids.container_instance(coming.instance),
            "lifecycle_state": coming.lifecycle.as_str(),
            "due_at": coming.due_at.map(seconds),
        })).collect::<Vec<_>>(),
        "launches_blocked_until": wait.launches_blocked_until.map(seconds),
        "warming_until": wait.warming_until.map(seconds),
        "last_decision": wait.last_decision.as_ref().map(|(at, reason)| json!({ "at": seconds(*at), "reason": reason })),
        "next_decision_at": seconds(wait.next_decision_at),
        "zones_out": wait.zones_out,
        "outlook": wait.outlook().to_string(),
        "fresh_instances": wait.fresh.iter().map(|fresh| json!({
            "availability_zone": fresh.availability_zone,
            "instance_type": fresh.instance_type.name,
            "takes_task": fresh.takes_task(),
            "rules": fresh.verdicts.iter().map(verdict).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

fn placement(now: &PlacementNow, ids: IdForm) -> Value {
    let mut document = json!({
        "task_definition": now.task_definition.to_string(),
        "group": now.group,
        "launch_type": now.launch_type.as_str(),
        "capacity_provider": now.capacity_provider,
        "cpu_units": now.reservation.cpu.0,
        "memory_mib": now.reservation.memory.0,
        "ports": now.reservation.ports.iter().map(|port| port.port).collect::<Vec<_>>(),
    });
    match &now.choice {
        Choice::Fargate { failure } => {
            document["reason"] = json!(failure.as_ref().map(|failure| failure.reason()));
        }
        Choice::Instance { assessment, names, failure, wait } => {
            let one = |found: &Candidate| candidate(found, Some(names), ids);
            document["container_instances"] = assessment.candidates.iter().map(one).collect();
            document["ranked_by"] = json!(names.criteria);
            document["among_equals"] = json!(names.among_equals);
            document["chosen"] = json!(assessment.chosen.map(|instance| ids.container_instance(instance)));
            document["reason"] = json!(failure.as_ref().map(|failure| failure.reason()));
            document["waits_for"] = json!(wait.as_ref().map(|wait| capacity(wait, ids)));
        }
        Choice::EachInstance { candidates } => {
            document["container_instances"] = candidates.iter().map(|found| candidate(found, None, ids)).collect();
        }
    }
    document
}

fn candidate(found: &Candidate, names: Option<&RankNames>, ids: IdForm) -> Value {
    json!({
        "id": ids.container_instance(found.instance),
        "name": found.launch.name,
        "ec2_instance_id": ids.ec2_instance(found.instance),
        "instance_type": found.launch.instance_type.name,
        "availability_zone": found.launch.availability_zone,
        "tasks_of_group": found.group_task_count,
        "takes_task": found.position.is_some(),
        "rules": found.verdicts.iter().map(verdict).collect::<Vec<_>>(),
        "place": names.and(found.position.as_ref()).map(|position| position.place),
        "ranks": names.zip(found.position.as_ref()).map(|(names, position)| ranked(names, &position.ranks)),
    })
}

fn verdict(found: &RuleVerdict) -> Value {
    let mut document = json!({
        "rule": found.rule.to_string(),
        "met": found.is_met,
        "wanted": found.wanted,
        "has": found.has,
    });
    if !found.is_met {
        document["reason"] = json!(found.rule.reason());
        document["detail"] = json!(found.detail);
    }
    if !found.because.is_empty() {
        let because = found
            .because
            .iter()
            .map(|part| json!({ "expression": part.expression, "is_true": part.is_true, "has": part.has }));
        document["because"] = because.collect();
    }
    document
}
