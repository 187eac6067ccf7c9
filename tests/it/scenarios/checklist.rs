//! Where each rule is held that a naive implementation gets wrong: a rule, its section of the rule book, and the scenario or test.
//!
//! The rule book has no list of these of its own; this one is drawn from its tables and from what it calls out. A test holds the list
//! against the files, so that it names only what is there.

use std::path::Path;

/// Section, rule, file under `tests/it`, test.
const CHECKLIST: &[(&str, &str, &str, &str)] = &[
    ("§1.4", "a family is its latest revision", "scenarios/launch_targets", "references_to_task_definitions"),
    ("§1.5", "an essential container that exits 0 ends the task", "scenarios/containers", "essential_or_not"),
    (
        "§1.5",
        "a soft reservation counts before a hard limit",
        "scenarios/reservations",
        "a_reservation_counts_before_a_limit",
    ),
    (
        "§1.5",
        "a start timeout counts from the dependency's own start, not for START",
        "scenarios/containers",
        "start_timeouts_end_the_task",
    ),
    ("§1.5", "START has no timeout", "scenarios/containers", "start_timeouts_do_not_apply_to_start"),
    (
        "§1.5.1",
        "failures of the start period do not count, a pass ends it",
        "scenarios/container_health",
        "start_period",
    ),
    (
        "§1.5.1",
        "failures in a row, not in all; a hanging check has failed",
        "scenarios/container_health",
        "retries_and_timeouts_of_checks",
    ),
    (
        "§1.5.1",
        "an essential container without a check keeps the task UNKNOWN",
        "scenarios/container_health",
        "task_health_is_that_of_essential_containers",
    ),
    (
        "§1.5.2",
        "a restart is no end, has no delay, and needs a run of the attempt period",
        "scenarios/containers",
        "restart_policies",
    ),
    ("§1.5.2", "nothing is restarted in a stop", "scenarios/containers", "no_restarts_in_a_stop_or_without_a_policy"),
    (
        "§2.1",
        "statuses with nothing to do are skipped and never come back",
        "scenarios/task_lifecycle",
        "statuses_are_passed_in_order",
    ),
    ("§2.1", "a task that never ran has no startedAt", "scenarios", "stopped_before_the_start"),
    ("§2.1", "RUNNING when all containers have started", "scenarios/containers", "dependencies_are_waited_for"),
    ("§2.1", "stopped tasks stay listed for an hour", "scenarios", "stopped_tasks_are_forgotten"),
    ("§2.1", "StopTask takes the tags away", "scenarios/rule_rows", "a_stopped_task_has_no_tags"),
    ("§2.2", "a container that is not essential ends nothing", "scenarios", "essential_container_stops_the_others"),
    ("§2.3", "what can never start ends with 143", "scenarios/containers", "failed_dependencies"),
    (
        "§2.3",
        "stops go the reverse way and their timeouts add up",
        "scenarios/containers",
        "stop_order_is_reversed_and_timeouts_add_up",
    ),
    (
        "§2.4",
        "each cause has its stop code and reason",
        "scenarios/task_lifecycle",
        "every_cause_has_its_stop_code_and_reason",
    ),
    ("§2.4", "the first reason stays", "scenarios", "stop_task_has_a_reason"),
    (
        "§2.5",
        "a group is the caller's, a service's is not for the taking",
        "scenarios/placement",
        "groups_are_the_callers",
    ),
    (
        "§2.6",
        "protection holds scale-in off and expires",
        "scenarios/task_protection",
        "scale_in_spares_protected_tasks",
    ),
    (
        "§2.6",
        "protected old tasks linger beside a deployment",
        "scenarios/task_protection",
        "deployments_leave_protected_tasks",
    ),
    ("§2.6", "protection is none from StopTask", "scenarios/task_protection", "stops_from_outside_are_not_held_off"),
    ("§3.1", "a stopping task holds its resources", "scenarios/reservations", "stopping_tasks_hold_their_resources"),
    ("§3.1", "ports are a resource, dynamic ones are none", "scenarios/placement", "host_ports_are_a_resource"),
    (
        "§3.2",
        "an agent without contact takes nothing and loses nothing",
        "scenarios/capacity",
        "a_disconnected_agent_takes_nothing",
    ),
    (
        "§3.2",
        "a forced deregistration forgets tasks and EC2 bills on",
        "scenarios/capacity",
        "deregistration_forgets_tasks_and_ec2_bills_on",
    ),
    ("§3.3", "a drain respects the bounds", "scenarios/capacity", "draining_replaces_running_tasks_within_the_bounds"),
    (
        "§3.3",
        "a drain at 100/100 is stuck and says so",
        "scenarios/capacity",
        "draining_is_stuck_between_equal_bounds_and_ends_when_they_change",
    ),
    (
        "§3.3",
        "a drain leaves standalone tasks",
        "scenarios/capacity",
        "draining_stops_pending_tasks_and_leaves_standalone_ones",
    ),
    (
        "§4.1",
        "constraints bind, of definition and service together",
        "scenarios/placement",
        "constraints_of_definition_and_service_are_anded",
    ),
    ("§4.1", "Fargate ignores strategies and constraints", "scenarios/launch_targets", "fargate_ignores_placement"),
    ("§4.2", "strategies chain, the first decides", "scenarios/placement", "strategies_place_as_they_say"),
    ("§4.2", "overlapping spread rules come to rest", "scenarios/placement", "overlapping_spread_rules_end_well"),
    ("§4.2", "scale-in mirrors the spread", "scenarios", "scale_in_keeps_the_spread"),
    (
        "§4.2",
        "scale-in of a binpack empties the emptiest",
        "scenarios",
        "scale_in_empties_the_emptiest_instance_of_a_binpack",
    ),
    ("§4.1", "GPUs are given whole, and nobody else pays for them", "scenarios/placement", "gpus_are_a_resource"),
    (
        "§4.1",
        "an instance has an interface less for tasks than its type",
        "scenarios/placement",
        "network_interfaces_are_a_resource",
    ),
    (
        "§4.2",
        "a victim leaves the most on its instance, or the fullest bucket",
        "scenarios/rule_rows",
        "victims_mirror_the_strategies",
    ),
    (
        "§4.3",
        "a running task is not moved when attributes change",
        "scenarios/placement",
        "attributes_let_a_waiting_service_start_and_move_nothing",
    ),
    ("§4.5", "RunTask succeeds in part", "scenarios", "run_task_succeeds_in_part"),
    ("§4.5", "ten tasks a call", "api/tasks", "ten_tasks_a_call"),
    (
        "§4.5",
        "StartTask chooses nothing and asks resources all the same",
        "scenarios/placement",
        "start_task_takes_named_instances",
    ),
    ("§4.5", "a missing attribute is ATTRIBUTE", "scenarios/placement", "required_attributes_are_binding"),
    ("§4.5", "tasks wait in PROVISIONING for a provider", "scenarios", "run_task_waits_for_capacity"),
    ("§4.5", "500 of them at most", "scenarios", "no_more_than_500_tasks_wait"),
    ("§4.5", "strategy, launch type, the cluster's default, EC2", "scenarios/launch_targets", "precedence_of_targets"),
    ("§5.1", "a daemon is on each instance, first", "scenarios/placement", "daemon_comes_before_replicas"),
    ("§5.2", "healthy is 40 s after RUNNING", "scenarios", "service_reaches_a_steady_state"),
    (
        "§5.2",
        "with a check healthy is what it says",
        "scenarios/container_health",
        "a_checked_task_counts_when_it_is_healthy",
    ),
    ("§5.2", "the lower bound rounds up, the upper one down", "scenarios", "rolling_deployment_stops_first_at_50_100"),
    ("§5.2", "neither start nor stop is said, once", "scenarios", "rolling_deployment_is_stuck_at_100_100"),
    (
        "§5.4",
        "an unhealthy task has a healthy replacement first",
        "scenarios/container_health",
        "unhealthy_tasks_are_replaced_start_first",
    ),
    (
        "§5.4",
        "without room one goes at a time",
        "scenarios/container_health",
        "unhealthy_tasks_are_replaced_stop_first_without_room",
    ),
    (
        "§5.4",
        "the replacement is of its own revision",
        "scenarios/container_health",
        "unhealthy_tasks_are_replaced_from_their_own_revision",
    ),
    ("§5.4", "a grace period holds health off", "scenarios/container_health", "grace_period_of_a_service"),
    ("§5.5", "a count, bounds or a strategy deploy nothing", "scenarios", "updates_that_start_a_deployment"),
    (
        "§5.5",
        "another strategy moves nothing and is reversible",
        "scenarios/rule_rows",
        "a_strategy_moves_nothing_by_itself",
    ),
    ("§5.6", "only what never ran is throttled", "scenarios", "failing_starts_are_throttled"),
    ("§5.6", "what ran and died comes again at once", "scenarios", "death_is_replaced_at_once"),
    (
        "§5.7",
        "the breaker rolls back to the last completed deployment",
        "scenarios/deployments",
        "a_breaker_rolls_back_what_never_starts",
    ),
    ("§5.7", "failing checks trip it, too", "scenarios/container_health", "failing_checks_trip_the_breaker"),
    ("§5.7", "a first deployment that fails stalls", "scenarios/deployments", "a_first_deployment_that_fails_stalls"),
    (
        "§5.7",
        "the first mechanism's own flag decides on a rollback",
        "scenarios/rule_rows",
        "the_first_mechanism_decides",
    ),
    ("§5.7", "an alarm that was on is ignored", "scenarios/deployments", "an_alarm_that_was_on_is_ignored"),
    (
        "§5.8",
        "a newer deployment stops the one in flight",
        "scenarios/deployments",
        "a_newer_deployment_stops_the_one_in_flight",
    ),
    ("§5.8", "each task set has its share, rounded up", "scenarios/task_sets", "sets_have_their_shares"),
    ("§5.8", "shares follow the desired count", "scenarios/task_sets", "sets_follow_the_desired_count"),
    ("§5.8", "a task set replaces its own tasks", "scenarios/task_sets", "sets_replace_their_tasks"),
    (
        "§5.8",
        "a deleted service takes its task sets along",
        "scenarios/task_sets",
        "a_deleted_service_takes_its_sets_along",
    ),
    ("§5.8", "CODE_DEPLOY has one task set from the start", "scenarios/task_sets", "code_deploy_has_one_set"),
    ("§7.2", "what scales a service scales its task sets", "scenarios/task_sets", "auto_scaling_scales_all_sets"),
    ("§5.10", "zones are rebalanced start first, from a steady state", "scenarios/placement", "zones_are_rebalanced"),
    (
        "§6.1",
        "base once a service, then weights, as it grows",
        "scenarios/managed_scaling",
        "base_and_weights_as_a_service_grows",
    ),
    ("§6.1", "no spill-over", "scenarios/capacity", "several_providers_scale_by_themselves_without_spill_over"),
    ("§6.2", "step sizes bound scale-out only", "scenarios/managed_scaling", "step_sizes_bound_scale_out"),
    (
        "§6.3",
        "whole instances count; the first step from zero is two",
        "scenarios/managed_scaling",
        "rows_of_the_metric",
    ),
    ("§6.3", "an instance with a daemon alone is empty", "scenarios/managed_scaling", "daemons_do_not_count"),
    (
        "§6.3",
        "tasks that fit no instance do not count",
        "scenarios/capacity",
        "managed_scaling_counts_only_its_own_tasks_that_fit",
    ),
    (
        "§6.4",
        "scale-in takes fifteen periods, anew after a scale-out",
        "scenarios/managed_scaling",
        "scale_in_counts_anew_after_a_scale_out",
    ),
    ("§6.4", "no scale-out in a warm-up", "scenarios/managed_scaling", "warm_up_holds_scale_out_off"),
    ("§6.4", "protection and draining: only empty instances go", "scenarios/capacity", "protected_and_draining"),
    ("§6.4", "protection alone: only empty instances go", "scenarios/capacity", "protected_and_not_draining"),
    ("§6.4", "draining alone: an instance waits for its tasks", "scenarios/capacity", "unprotected_and_draining"),
    ("§6.4", "neither: tasks go with their instance", "scenarios/capacity", "unprotected_and_not_draining"),
    (
        "§7.1",
        "a count beyond the bounds goes back with the alarm of that direction alone",
        "scenarios/rule_rows",
        "a_count_beyond_the_bounds_goes_back_to_them",
    ),
    ("§7.2", "what starts is no reason to add more", "scenarios/scaling", "pending_tasks_do_not_compound"),
    ("§7.2", "no scale-in in a deployment", "scenarios/scaling", "deployments_hold_scale_in_off"),
    (
        "§7.3",
        "a larger step goes through in the cooldown, less what was added",
        "scenarios/scaling",
        "steps_follow_an_alarm",
    ),
    (
        "§7.4",
        "a schedule moves the bounds, by the civil time of its zone",
        "scenarios/scaling",
        "actions_follow_the_calendar",
    ),
    (
        "§7.5",
        "a forecast only raises, before the hour, after a day of history",
        "scenarios/predictive_scaling",
        "tasks_are_there_before_their_hour",
    ),
    (
        "§8.3",
        "billed from the pull, a minute at least",
        "metering",
        "seconds_are_rounded_up_with_a_minute_as_the_minimum",
    ),
    ("§8.3", "an idle instance is paid for", "metering", "an_idle_instance_is_paid_for_and_its_cost_is_idle"),
    ("§8.4", "Spot is tried again on Spot", "scenarios/capacity", "a_fargate_spot_task_is_warned_and_killed"),
    ("§9.3", "the default policy ends with chance", "scenarios/capacity", "the_default_policy_ends_with_chance"),
    ("§9.3", "protected instances outlast a scale-in", "scenarios/capacity", "protected_instances_outlast_a_scale_in"),
    (
        "§9.4",
        "a maximum of 100 that is said launches first",
        "scenarios/capacity",
        "a_refresh_launches_first_at_an_explicit_100",
    ),
    (
        "§10.3",
        "every change is told with the next version",
        "scenarios/events",
        "a_fargate_task_is_told_of_at_every_change",
    ),
];

/// Claim: the list names tests that are there, and each rule once. Method: their names in the files.
#[test]
fn every_rule_has_its_test() {
    let mut missing = Vec::new();
    let mut rules = std::collections::BTreeSet::new();
    for (section, rule, file, test) in CHECKLIST {
        assert!(rules.insert((section, rule)), "{section} {rule} is listed twice");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/{file}.rs"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if !text.contains(&format!("#[test]\nfn {test}()")) {
            missing.push(format!("{section} {rule}: {file}::{test}"));
        }
    }
    assert!(missing.is_empty(), "no test holds\n{}", missing.join("\n"));
}
