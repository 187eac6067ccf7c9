//! Predictive scaling: what the hours of some days were like, and what a service has ready for the next ones.
//!
//! Requests come evenly through each hour; a task is meant to take 60 a minute. Clusters start on Monday 2 March 2026 at midnight, UTC,
//! so that times are hours since then.

use expect_test::expect;
use longshore::control_plane::event::{Event, RegisterScalableTarget, Request};
use longshore::control_plane::explain::{CalendarHour, Explanation, Question};
use longshore::model::scaling::SuspendedState;

use super::{check, web_of_file};
use crate::harness::World;

/// A service `web` of one task on Fargate under such policies.
fn web(settings: &str) -> World {
    let service = format!("[service.auto_scaling]\nmin_capacity = 1\n{settings}");
    web_of_file("", 1, &service, "[settings]\ncalendar_start = \"2026-03-02T00:00:00Z\"")
}

/// Target tracking on the same metric, which follows what is measured.
const TRACKING: &str = r#"
    [[service.auto_scaling.target_tracking]]
    policy_name = "follow"
    metric = "ALBRequestCountPerTarget"
    target_value = 60
    scale_in_cooldown = "0s"
"#;

/// A predictive policy with such further keys.
fn predictive(more: &str) -> String {
    format!(
        "[[service.auto_scaling.predictive_scaling]]\npolicy_name = \"ahead\"\nmetric_pair = \"ALBRequestCount\"\n\
         target_value = 60\n{more}\n"
    )
}

const AND_SCALE: &str = "mode = \"ForecastAndScale\"";

/// Lets so many hours pass, from an hour since the start on, with so many requests a minute by hour.
fn hours(world: &mut World, from: u64, until: u64, rate: impl Fn(u64) -> u64) {
    let mut done = (0..from).map(|hour| rate(hour) * 60).sum();
    for minute in from * 60..until * 60 {
        world.run_until(minute * 60 + 30);
        done += rate(minute / 60);
        world.apply(Event::JobsDone { service: "web".into(), done });
    }
    world.run_until(until * 3_600);
}

/// Ten tasks' worth of requests in the working hours of each day, and one's in the others.
fn working_hours(hour: u64) -> u64 {
    if (9..17).contains(&(hour % 24)) { 600 } else { 60 }
}

/// When and why the desired count changed, by day and time.
fn changes(world: &World) -> String {
    let events = &world.plane.state().services["web"].events;
    let changes = events.iter().filter(|event| event.message.contains("desired count changed"));
    changes
        .map(|event| {
            let minutes = event.at.0 / 60_000_000_000;
            let (day, hour, minute) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
            let message = crate::harness::without_alarm_ids(&event.message);
            let message = message.trim_start_matches("(service web) desired count changed ").to_owned();
            format!("day {day} {hour:02}:{minute:02} {message}\n")
        })
        .collect()
}

/// The forecast as runs of hours since the start with the same number of tasks, as `24-32: 1`.
fn forecast(world: &World) -> String {
    let target = &world.plane.state().scalable_targets["web"];
    let forecast = target.scaler.forecasts().next().expect("there is a policy");
    let start = 1_772_409_600 / 3_600;
    let mut runs: Vec<(u64, u64, u32)> = Vec::new();
    for hour in forecast.hours {
        let at = hour.hour - start;
        match runs.last_mut() {
            Some((_, last, capacity)) if *capacity == hour.capacity && *last + 1 == at => *last = at,
            _ => runs.push((at, at, hour.capacity)),
        }
    }
    let made_in = forecast.made_in.map(|hour| hour - start);
    let runs: Vec<String> = runs.iter().map(|(from, to, capacity)| format!("{from}-{to}: {capacity}")).collect();
    format!("{made_in:?} {}", runs.join(", "))
}

/// ecs-semantics §7.5: with a day of history the tasks of an hour are there five minutes before it, while target tracking alone is late
/// on the first day. Only raises: what takes tasks away is target tracking, and not below what the hour needs.
#[test]
fn tasks_are_there_before_their_hour() {
    let mut world = web(&format!("max_capacity = 20\n{TRACKING}{}", predictive(AND_SCALE)));
    hours(&mut world, 0, 60, working_hours);
    check(
        &changes(&world),
        &expect![[r#"
        day 0 09:03 from 1 to 10: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy follow: 600 against a target of 60
        day 0 17:15 from 10 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy follow: 6 against a target of 60
        day 1 08:55 from 1 to 10: predictive scaling policy ahead forecast a need of 10 tasks in the hour that begins
        day 1 17:15 from 10 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy follow: 6 against a target of 60
        day 2 08:55 from 1 to 10: predictive scaling policy ahead forecast a need of 10 tasks in the hour that begins
    "#]],
    );
}

/// ecs-semantics §7.5: a policy alone never takes a task away; its buffer is its own.
#[test]
fn a_forecast_only_raises() {
    let buffer = format!("{AND_SCALE}\nscheduling_buffer_time = \"30m\"");
    let mut world = web(&format!("max_capacity = 20\n{}", predictive(&buffer)));
    hours(&mut world, 0, 48, working_hours);
    check(
        &changes(&world),
        &expect![[r#"
        day 1 08:30 from 1 to 10: predictive scaling policy ahead forecast a need of 10 tasks in the hour that begins
    "#]],
    );
}

/// ecs-semantics §7.5: a forecast takes 24 hours of history, covers 48 hours, is made anew every six, and in the default mode is only
/// looked at.
#[test]
fn forecasts_are_made_every_six_hours() {
    let mut world = web(&format!("max_capacity = 20\n{}", predictive("")));
    hours(&mut world, 0, 23, working_hours);
    assert_eq!(forecast(&world), "None ");
    hours(&mut world, 23, 29, working_hours);
    check(&forecast(&world), &expect!["Some(24) 24-32: 1, 33-40: 10, 41-56: 1, 57-64: 10, 65-71: 1"]);
    // The second day is busier, which the next forecast takes in.
    let busier = |hour: u64| if hour < 29 { working_hours(hour) } else { 600 };
    hours(&mut world, 29, 36, busier);
    check(
        &forecast(&world),
        &expect!["Some(36) 36-40: 10, 41-52: 1, 53-56: 6, 57-64: 10, 65-76: 1, 77-80: 6, 81-83: 10"],
    );
    assert_eq!(changes(&world), "");
}

/// ecs-semantics §7.5, *ours* as to the rule: once there is a week of history a weekday counts as much as all other days together, so that
/// a quiet weekend is seen in the forecast of the next one.
#[test]
fn weekdays_count_after_a_week() {
    let mut world = web(&format!("max_capacity = 20\n{}", predictive("")));
    let week = |hour: u64| if hour / 24 % 7 < 5 { working_hours(hour) } else { 60 };
    // Until Friday midnight nothing is known of weekends.
    hours(&mut world, 0, 5 * 24, week);
    check(&forecast(&world), &expect!["Some(120) 120-128: 1, 129-136: 10, 137-152: 1, 153-160: 10, 161-167: 1"]);
    hours(&mut world, 5 * 24, 12 * 24, week);
    check(&forecast(&world), &expect!["Some(288) 288-296: 1, 297-304: 6, 305-320: 1, 321-328: 6, 329-335: 1"]);
}

/// ecs-semantics §7.5: HonorMaxCapacity keeps to the maximum; IncreaseMaxCapacity goes beyond it where a forecast does, with a buffer that
/// other policies may use in that hour.
#[test]
fn the_maximum_is_honoured_or_increased() {
    let mut honoured = web(&format!("max_capacity = 5\n{}", predictive(AND_SCALE)));
    hours(&mut honoured, 0, 34, working_hours);
    check(
        &changes(&honoured),
        &expect![[r#"
        day 1 08:55 from 1 to 5: predictive scaling policy ahead forecast a need of 5 tasks in the hour that begins
    "#]],
    );

    let increase = "max_capacity_breach_behavior = \"IncreaseMaxCapacity\"\nmax_capacity_buffer = 20";
    let mut increased =
        web(&format!("max_capacity = 5\n{TRACKING}{}", predictive(&format!("{AND_SCALE}\n{increase}"))));
    // On the second day there is more to do than on the first.
    let busier = |hour: u64| if hour >= 34 { working_hours(hour) * 2 } else { working_hours(hour) };
    hours(&mut increased, 0, 43, busier);
    check(
        &changes(&increased),
        &expect![[r#"
        day 0 09:03 from 1 to 5: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy follow: 600 against a target of 60
        day 0 17:15 from 5 to 1: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy follow: 12 against a target of 60
        day 1 08:55 from 1 to 10: predictive scaling policy ahead forecast a need of 10 tasks in the hour that begins
        day 1 10:03 from 10 to 12: monitor alarm TargetTracking-service/test/web-AlarmHigh in state ALARM triggered policy follow: 120 against a target of 60
        day 1 17:15 from 12 to 5: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy follow: 10 against a target of 60
        day 1 17:16 from 5 to 2: monitor alarm TargetTracking-service/test/web-AlarmLow in state ALARM triggered policy follow: 24 against a target of 60
    "#]],
    );
}

/// ecs-semantics §7.1, §7.5: where scale-out is suspended a forecast does not scale either.
#[test]
fn suspended_scale_out_holds_forecasts_off() {
    let mut world = web(&format!("max_capacity = 20\n{}", predictive(AND_SCALE)));
    hours(&mut world, 0, 30, working_hours);
    let suspended_state = Some(SuspendedState { dynamic_scaling_out: true, ..SuspendedState::default() });
    world.done(Request::RegisterScalableTarget(RegisterScalableTarget {
        service: "web".into(),
        min_capacity: None,
        max_capacity: None,
        suspended_state,
    }));
    hours(&mut world, 30, 40, working_hours);
    assert_eq!(changes(&world), "");
    assert_eq!(world.counts("web"), "desired 1 running 1 pending 0 healthy 1");
}

/// A service's forecasts as they are explained: each policy's history, its runs of hours and its floor.
fn explained(world: &World) -> String {
    let Ok(Explanation::Service(found)) = world.plane.explain(&Question::Service("web".into())) else {
        panic!("a service is explained");
    };
    let shown = |hour: Option<CalendarHour>| hour.map_or("never".to_owned(), |hour| hour.to_string());
    let lines = found.forecasts.iter().map(|found| {
        let runs = found.runs.iter().map(|run| format!("{} to {}: {}\n", run.from, run.until, run.capacity));
        let floor = found.floor.map(|floor| format!("{} of {} for {}\n", floor.count, floor.forecast, floor.hour));
        format!(
            "{} {}: {} hours of history, made {}, next {}\n{}{}",
            found.policy_name,
            found.mode.as_str(),
            found.history_hours,
            shown(found.made_at),
            shown(found.next_at),
            runs.collect::<String>(),
            floor.unwrap_or_default()
        )
    });
    lines.collect()
}

/// ecs-semantics §7.5: an explanation says how much history there is, what is forecast for which hours, and at what that holds the count.
#[test]
fn forecasts_are_explained() {
    let looks = predictive("").replace("ahead", "looks");
    let mut world = web(&format!("max_capacity = 5\n{}{looks}", predictive(AND_SCALE)));
    check(
        &explained(&world),
        &expect![[r#"
        ahead ForecastAndScale: 0 hours of history, made never, next never
        looks ForecastOnly: 0 hours of history, made never, next never
    "#]],
    );
    hours(&mut world, 0, 5, working_hours);
    check(
        &explained(&world),
        &expect![[r#"
        ahead ForecastAndScale: 5 hours of history, made never, next 2026-03-03T00:00Z
        looks ForecastOnly: 5 hours of history, made never, next 2026-03-03T00:00Z
    "#]],
    );
    hours(&mut world, 5, 33, working_hours);
    check(
        &explained(&world),
        &expect![[r#"
        ahead ForecastAndScale: 33 hours of history, made 2026-03-03T06:00Z, next 2026-03-03T12:00Z
        2026-03-03T06:00Z to 2026-03-03T09:00Z: 1
        2026-03-03T09:00Z to 2026-03-03T17:00Z: 10
        2026-03-03T17:00Z to 2026-03-04T09:00Z: 1
        2026-03-04T09:00Z to 2026-03-04T17:00Z: 10
        2026-03-04T17:00Z to 2026-03-05T06:00Z: 1
        5 of 10 for 2026-03-03T09:00Z
        looks ForecastOnly: 33 hours of history, made 2026-03-03T06:00Z, next 2026-03-03T12:00Z
        2026-03-03T06:00Z to 2026-03-03T09:00Z: 1
        2026-03-03T09:00Z to 2026-03-03T17:00Z: 10
        2026-03-03T17:00Z to 2026-03-04T09:00Z: 1
        2026-03-04T09:00Z to 2026-03-04T17:00Z: 10
        2026-03-04T17:00Z to 2026-03-05T06:00Z: 1
    "#]],
    );
}
