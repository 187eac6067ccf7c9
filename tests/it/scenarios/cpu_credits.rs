//! Scenarios of CPU credits: EC2 user guide, burstable performance instances (issue "the whole of ECS' scheduling", capacity).
//!
//! Credits are minutes of a vCPU. A t2.micro has one vCPU and earns 6 an hour, a t3.micro has two and earns 12; both are at 10 %.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use longshore::catalog::Catalog;
use longshore::control_plane::action::Action;
use longshore::control_plane::event::{Request, UpdateAutoScalingGroup};
use longshore::metering::meter::Meter;
use longshore::model::alarm::Statistic;
use longshore::model::cpu_credits::{CPU_CREDIT, CreditSpecification};
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::units::{Duration, VcpuNanos};
use longshore::model::usage::MeteringFact;

use crate::harness::{Behaviour, World, at, on_ec2, run, secs, task_definition};

#[track_caller]
fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

/// An instance of a type, and task definitions that want half of a vCPU or all of one or two.
fn instance_of(instance_type: &str, keys: &str) -> World {
    let mut world = World::of_file(&format!(
        "[[container_instance]]\ninstance_type = \"{instance_type}\"\nboot_time = \"10s\"\n{keys}\n"
    ));
    for (family, cpu) in [("half", 512), ("one", 1024), ("two", 2048)] {
        world.done(Request::RegisterTaskDefinition(Box::new(task_definition(family, cpu, 256))));
        let busy = Behaviour { start: secs(0), stop: secs(0), cpu_percent: 100, ..Behaviour::default() };
        world.behave(family, busy);
    }
    world.run_until(10);
    world
}

fn start(world: &mut World, family: &str) -> TaskId {
    let (tasks, failures) = world.run_task(run(family, 1, on_ec2()));
    assert_eq!(failures, Vec::<String>::new());
    tasks[0]
}

fn credits(work: VcpuNanos) -> String {
    let hundredths = work.0 / (CPU_CREDIT.0 / 100);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The accounts of all instances that are there.
fn accounts(world: &World) -> String {
    let mut text = String::new();
    for instance in world.plane.state().live_instances() {
        let account = instance.cpu_credits.as_ref().expect("its type is burstable");
        let _ = writeln!(
            text,
            "{} I{} {}: {} launch and {} earned credits, owes {}, used {}, charged {}, {:?}",
            world.now,
            instance.id,
            account.specification.as_str(),
            credits(account.launch),
            credits(account.earned),
            credits(account.surplus),
            credits(account.used),
            credits(account.charged),
            account.rate,
        );
    }
    text
}

/// What instances were told to do at most in a second, and what they were charged for.
fn rates_and_charges(world: &World) -> String {
    let mut text = String::new();
    for ((at, _), actions) in world.journal.iter().zip(&world.actions) {
        for action in actions {
            let _ = match action {
                Action::SetInstanceCpuRate { instance, work_per_second } => {
                    writeln!(text, "{at} I{instance} may do {:?} a second", Duration::from_nanos(work_per_second.0))
                }
                Action::Meter(MeteringFact::SurplusCreditsCharged { instance, charge, surplus, .. }) => {
                    writeln!(text, "{at} I{instance} charge {charge}: {} credits", credits(*surplus))
                }
                _ => Ok(()),
            };
        }
    }
    text
}

/// EC2 user guide, standard mode: launch credits are spent first while earned ones come in, then the earned ones; without credits
/// it runs at its baseline, and is let go when it has some again. 30 credits at 0.9 a minute last for 33 minutes and 20 seconds.
#[test]
fn a_standard_instance_without_credits_runs_at_its_baseline() {
    let mut world = instance_of("t2.micro", "");
    world.sample_usage_until(6000);
    let task = start(&mut world, "one");
    let mut text = String::new();
    for moment in [10, 1000, 1900, 2005, 2020, 4000] {
        world.run_until(moment);
        text += &accounts(&world);
    }
    world.done(Request::StopTask { task, reason: None });
    for moment in [4060, 6000] {
        world.run_until(moment);
        text += &accounts(&world);
    }
    check(
        &text,
        &expect![[r#"
        10.000s I1 standard: 30.00 launch and 0.00 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        1000.000s I1 standard: 13.50 launch and 1.65 earned credits, owes 0.00, used 16.50, charged 0.00, Full
        1900.000s I1 standard: 0.00 launch and 1.65 earned credits, owes 0.00, used 31.50, charged 0.00, Full
        2005.000s I1 standard: 0.00 launch and 0.15 earned credits, owes 0.00, used 33.16, charged 0.00, Full
        2020.000s I1 standard: 0.00 launch and 0.00 earned credits, owes 0.00, used 33.35, charged 0.00, Baseline
        4000.000s I1 standard: 0.00 launch and 0.00 earned credits, owes 0.00, used 36.65, charged 0.00, Baseline
        4060.000s I1 standard: 0.00 launch and 0.10 earned credits, owes 0.00, used 36.65, charged 0.00, Baseline
        6000.000s I1 standard: 0.00 launch and 3.33 earned credits, owes 0.00, used 36.65, charged 0.00, Full
    "#]],
    );
    check(
        &rates_and_charges(&world),
        &expect![[r#"
        2010.000s I1 may do 100ms a second
        4090.000s I1 may do 1s a second
    "#]],
    );
}

/// EC2 user guide, standard mode: a t3 has no launch credits, so a standard one begins at its baseline.
#[test]
fn a_standard_t3_begins_at_its_baseline() {
    let mut world = instance_of("t3.micro", "credit_specification = \"standard\"");
    world.sample_usage_until(1000);
    start(&mut world, "half");
    world.run_until(1000);
    check(
        &accounts(&world),
        &expect![[r#"
        1000.000s I1 standard: 0.00 launch and 0.00 earned credits, owes 0.00, used 3.30, charged 0.00, Baseline
    "#]],
    );
    check(
        &rates_and_charges(&world),
        &expect![[r#"
        10.000s I1 may do 200ms a second
    "#]],
    );
}

/// EC2 user guide, unlimited mode: at full speed it owes 1.8 credits a minute. What is beyond a day's earnings (288) is charged at the
/// end of the hour, the rest when the instance is terminated; the rate is 0.05 USD a vCPU-hour.
#[test]
fn an_unlimited_instance_goes_on_and_is_charged() {
    let mut world = instance_of("t3.micro", "");
    start(&mut world, "two");
    let mut text = String::new();
    for hours in [1, 2, 3, 4] {
        world.run_until(hours * 3600);
        text += &accounts(&world);
    }
    world.run_until(4 * 3600 + 600);
    world.done(Request::TerminateInstance(ContainerInstanceId(1)));
    check(
        &text,
        &expect![[r#"
        3600.000s I1 unlimited: 0.00 launch and 0.00 earned credits, owes 107.70, used 119.66, charged 0.00, Full
        7200.000s I1 unlimited: 0.00 launch and 0.00 earned credits, owes 215.70, used 239.66, charged 0.00, Full
        10800.000s I1 unlimited: 0.00 launch and 0.00 earned credits, owes 288.00, used 359.66, charged 35.70, Full
        14400.000s I1 unlimited: 0.00 launch and 0.00 earned credits, owes 288.00, used 479.66, charged 143.70, Full
    "#]],
    );
    check(
        &rates_and_charges(&world),
        &expect![[r#"
        10800.000s I1 charge 1: 35.70 credits
        14400.000s I1 charge 2: 108.00 credits
        15000.000s I1 charge 3: 306.00 credits
    "#]],
    );
    let mut meter = Meter::new(Catalog::embedded().price_book("us-east-1").unwrap());
    for action in world.actions.iter().flatten() {
        if let Action::Meter(fact) = action {
            meter.record(fact);
        }
    }
    let bill = meter.bill(world.now);
    let line = bill.lines.iter().find(|line| line.usage_type == "CPUCredits:t3").expect("surplus is on the bill");
    check(
        &format!("{:.4} {} at {} make {}", line.quantity, line.unit, line.rate, line.amount),
        &expect!["7.4950 vCPU-Hours at 0.050000000 make 0.374750000"],
    );
    assert_eq!(bill.by_service.values().map(|cost| cost.amount).sum::<longshore::model::units::NanoUsd>(), bill.total);
}

/// EC2 user guide, unlimited mode: earnings pay down what is owed before anything is kept, so an instance that is idle for long enough
/// owes nothing when it ends.
#[test]
fn earnings_pay_down_surplus() {
    let mut world = instance_of("t3.micro", "");
    let task = start(&mut world, "one");
    world.run_until(1810);
    let mut text = accounts(&world);
    world.done(Request::StopTask { task, reason: None });
    for moment in [3600, 9000, 12_000] {
        world.run_until(moment);
        text += &accounts(&world);
    }
    world.done(Request::TerminateInstance(ContainerInstanceId(1)));
    check(
        &text,
        &expect![[r#"
        1810.000s I1 unlimited: 0.00 launch and 0.00 earned credits, owes 23.86, used 29.83, charged 0.00, Full
        3600.000s I1 unlimited: 0.00 launch and 0.00 earned credits, owes 17.86, used 29.83, charged 0.00, Full
        9000.000s I1 unlimited: 0.00 launch and 0.13 earned credits, owes 0.00, used 29.83, charged 0.00, Full
        12000.000s I1 unlimited: 0.00 launch and 10.13 earned credits, owes 0.00, used 29.83, charged 0.00, Full
    "#]],
    );
    check(&rates_and_charges(&world), &expect![[""]]);
}

/// EC2 user guide, key concepts: an idle instance keeps what it earns in 24 hours; launch credits do not count towards that.
#[test]
fn earned_credits_have_a_limit() {
    let mut text = String::new();
    for instance_type in ["t2.micro", "t2.2xlarge", "t3.micro", "t4g.small"] {
        let mut world = instance_of(instance_type, "");
        world.run_until(100_000);
        text += &format!("{instance_type} {}", accounts(&world));
    }
    check(
        &text,
        &expect![[r#"
        t2.micro 100000.000s I1 standard: 30.00 launch and 144.00 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        t2.2xlarge 100000.000s I1 standard: 240.00 launch and 1958.40 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        t3.micro 100000.000s I1 unlimited: 0.00 launch and 288.00 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        t4g.small 100000.000s I1 unlimited: 0.00 launch and 576.00 earned credits, owes 0.00, used 0.00, charged 0.00, Full
    "#]],
    );
}

/// EC2 user guide, unlimited mode: a switch to standard charges for what is owed at once and keeps the balance; one to unlimited
/// takes the launch credits away.
#[test]
fn switching_modes_charges_or_takes_launch_credits() {
    let mut world = instance_of("t2.micro", "");
    world.run_until(3610);
    let mut text = accounts(&world);
    let switch = |world: &mut World, specification| {
        let instance = ContainerInstanceId(1);
        world.done(Request::ModifyInstanceCreditSpecification { instance, specification });
    };
    switch(&mut world, CreditSpecification::Unlimited);
    text += &accounts(&world);
    start(&mut world, "one");
    world.run_until(7210);
    text += &accounts(&world);
    switch(&mut world, CreditSpecification::Standard);
    text += &accounts(&world);
    check(
        &text,
        &expect![[r#"
        3610.000s I1 standard: 30.00 launch and 5.98 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        3610.000s I1 unlimited: 0.00 launch and 6.00 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        7210.000s I1 unlimited: 0.00 launch and 0.00 earned credits, owes 47.85, used 59.83, charged 0.00, Full
        7210.000s I1 standard: 0.00 launch and 0.00 earned credits, owes 0.00, used 59.83, charged 47.83, Baseline
    "#]],
    );
    check(
        &rates_and_charges(&world),
        &expect![[r#"
        7210.000s I1 charge 1: 47.83 credits
        7210.000s I1 may do 100ms a second
    "#]],
    );
    let gone = ContainerInstanceId(9);
    let refused = world.request(Request::ModifyInstanceCreditSpecification {
        instance: gone,
        specification: CreditSpecification::Standard,
    });
    assert_eq!(refused.unwrap_err().exception(), "InvalidParameterException");
}

/// EC2 user guide, standard mode: launch credits are given at most 100 times in 24 hours.
#[test]
fn launch_credits_run_out() {
    let mut world = instance_of("t2.micro", "count = 102");
    let with = |world: &World| {
        let instances = world.plane.state().live_instances();
        instances.filter(|instance| instance.cpu_credits.as_ref().unwrap().launch > VcpuNanos(0)).count()
    };
    assert_eq!(with(&world), 100);
    let launch = world.plane.state().container_instances[&ContainerInstanceId(1)].launch.clone();
    world.run_until(86_411);
    world.done(Request::LaunchInstance(launch));
    world.run_until(86_430);
    assert_eq!(with(&world), 101);
}

/// EC2 user guide, monitoring CPU credits: metrics by instance, each metric period.
#[test]
fn credits_are_metrics() {
    let mut world = instance_of("t3.micro", "");
    start(&mut world, "one");
    world.run_until(3600);
    let metrics = &world.plane.state().metrics;
    let mut text = String::new();
    for metric in metrics.list(Some("AWS/EC2")) {
        let value = metrics.statistic(metric, at(3540), secs(60), Statistic::Average);
        let _ = writeln!(text, "{} {:?}", metric.name, value);
    }
    check(
        &text,
        &expect![[r#"
        CPUCreditBalance Some(0)
        CPUCreditUsage Some(1000)
        CPUSurplusCreditBalance Some(47866)
        CPUSurplusCreditsCharged Some(0)
    "#]],
    );
}

/// EC2 user guide, key concepts: credits of a t3 outlast a stop of up to seven days, those of a t2 do not, and a t2 gets launch credits
/// at each start. An instance is scaled in to its warm pool, which stops it, and comes back later.
#[test]
fn a_stop_keeps_the_credits_of_a_t3_alone() {
    let mut text = String::new();
    for (instance_type, days) in [("t3.micro", 6), ("t3.micro", 8), ("t2.micro", 1)] {
        let mut world = World::of_file(&format!(
            "[[capacity_provider]]\nname = \"asg\"\n[capacity_provider.auto_scaling_group]\n\
             instance_type = \"{instance_type}\"\nmin_size = 0\nmax_size = 1\ndesired_capacity = 1\nboot_time = \"30s\"\n\
             warm_pool = {{ instance_reuse_policy = {{ reuse_on_scale_in = true }} }}\n"
        ));
        world.run_until(1830);
        let _ = write!(text, "after half an hour: {}", accounts(&world));
        let set_desired = |world: &mut World, desired| {
            world.done(Request::UpdateAutoScalingGroup(Box::new(UpdateAutoScalingGroup {
                capacity_provider: "asg".into(),
                desired_capacity: Some(desired),
                ..UpdateAutoScalingGroup::default()
            })));
        };
        set_desired(&mut world, 0);
        world.run_for(days * 86_400);
        set_desired(&mut world, 1);
        world.run_for(10);
        let _ = write!(text, "{days} days later:    {}", accounts(&world));
    }
    check(
        &text,
        &expect![[r#"
        after half an hour: 1830.000s I1 unlimited: 0.00 launch and 5.90 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        6 days later:    520240.000s I1 unlimited: 0.00 launch and 6.00 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        after half an hour: 1830.000s I1 unlimited: 0.00 launch and 5.90 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        8 days later:    693040.000s I1 unlimited: 0.00 launch and 0.00 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        after half an hour: 1830.000s I1 standard: 30.00 launch and 2.95 earned credits, owes 0.00, used 0.00, charged 0.00, Full
        1 days later:    88240.000s I1 standard: 30.00 launch and 0.00 earned credits, owes 0.00, used 0.00, charged 0.00, Full
    "#]],
    );
}
