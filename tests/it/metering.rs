//! Metering: a bill equals a sum worked by hand from the catalog's rates, its parts sum to it, and facts count once.
//!
//! Rates in the comments are us-east-1's, in nano-dollars an hour: vCPU 40,480,000 and GB 4,445,000 on Fargate x86; m7i.large 100,800,000.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore::catalog::Catalog;
use longshore::metering::bill::{Bill, BillUnit, CostAndUse, IDLE, NO_CAPACITY_PROVIDER, STANDALONE, UNTAGGED};
use longshore::metering::meter::Meter;
use longshore::metering::quantity::Quantity;
use longshore::model::ids::{ContainerInstanceId, TaskId};
use longshore::model::task_definition::{CpuArchitecture, LaunchType, NetworkMode, TaskDefinition};
use longshore::model::units::{CpuUnits, Fuel, MemoryMib, NanoUsd, Timestamp, VcpuNanos};
use longshore::model::usage::{BilledPlacement, MeteringFact, PurchaseOption, TaskIdentity, TaskUsage, UsageSample};
use proptest::prelude::*;

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;
const X86: CpuArchitecture = CpuArchitecture::X86_64;
const ARM: CpuArchitecture = CpuArchitecture::Arm64;

pub(crate) fn fargate(purchase_option: PurchaseOption, architecture: CpuArchitecture) -> BilledPlacement {
    BilledPlacement::Fargate { purchase_option, architecture, extra_storage_gib: 0 }
}

pub(crate) fn on_demand() -> BilledPlacement {
    fargate(PurchaseOption::OnDemand, X86)
}

pub(crate) fn on_instance(instance: u64) -> BilledPlacement {
    BilledPlacement::Ec2 { instance: ContainerInstanceId(instance) }
}

/// A task of a script: who, what size, where.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    service: Option<&'static str>,
    family: &'static str,
    tags: Vec<(&'static str, &'static str)>,
    cpu: u32,
    memory: u32,
    placement: BilledPlacement,
}

impl Task {
    pub(crate) fn new(family: &'static str, cpu: u32, memory: u32, placement: BilledPlacement) -> Task {
        Task { service: None, family, tags: Vec::new(), cpu, memory, placement }
    }

    pub(crate) fn of(mut self, service: &'static str) -> Task {
        self.service = Some(service);
        self
    }

    pub(crate) fn tagged(mut self, key: &'static str, value: &'static str) -> Task {
        self.tags.push((key, value));
        self
    }

    fn identity(&self) -> Arc<TaskIdentity> {
        Arc::new(TaskIdentity {
            service: self.service.map(Arc::from),
            task_definition: Arc::new(TaskDefinition {
                family: self.family.to_owned(),
                revision: 1,
                cpu: Some(CpuUnits(self.cpu)),
                memory: Some(MemoryMib(self.memory)),
                network_mode: NetworkMode::Awsvpc,
                ..TaskDefinition::default()
            }),
            tags: self.tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            placement: self.placement,
            cpu: CpuUnits(self.cpu),
            memory: MemoryMib(self.memory),
        })
    }

    pub(crate) fn started(&self, task: u64, at: u64) -> MeteringFact {
        MeteringFact::TaskStarted { task: TaskId(task), at: Timestamp(at), identity: self.identity() }
    }
}

pub(crate) fn stopped(task: u64, at: u64) -> MeteringFact {
    MeteringFact::TaskStopped { task: TaskId(task), at: Timestamp(at), usage: TaskUsage::default() }
}

pub(crate) fn used(task: u64, at: u64, vcpu_nanos: u64, mib_millis: u64, peak_bytes: u64) -> MeteringFact {
    let usage = TaskUsage {
        fuel: Fuel(vcpu_nanos * 3),
        vcpu: VcpuNanos(vcpu_nanos),
        memory_mib_millis: mib_millis,
        memory_bytes_peak: peak_bytes,
        ..TaskUsage::default()
    };
    MeteringFact::TaskStopped { task: TaskId(task), at: Timestamp(at), usage }
}

pub(crate) fn instance_started(instance: u64, at: u64, name: &str, provider: Option<&str>) -> MeteringFact {
    MeteringFact::InstanceStarted {
        instance: ContainerInstanceId(instance),
        start: 1,
        purchase_option: PurchaseOption::OnDemand,
        at: Timestamp(at),
        instance_type: Catalog::embedded().instance_type(name).expect("a type of the catalog"),
        availability_zone: "us-east-1a".into(),
        capacity_provider: provider.map(Arc::from),
    }
}

pub(crate) fn instance_stopped(instance: u64, at: u64) -> MeteringFact {
    MeteringFact::InstanceStopped { instance: ContainerInstanceId(instance), start: 1, at: Timestamp(at) }
}

pub(crate) fn surplus_charged(instance: u64, charge: u32, surplus: u64) -> MeteringFact {
    let (instance, surplus) = (ContainerInstanceId(instance), VcpuNanos(surplus));
    MeteringFact::SurplusCreditsCharged { instance, charge, at: Timestamp(0), surplus }
}

pub(crate) fn meter() -> Meter {
    Meter::new(Catalog::embedded().price_book("us-east-1").expect("a region of the catalog"))
}

fn metered(facts: &[MeteringFact]) -> Meter {
    let mut meter = meter();
    for fact in facts {
        meter.record(fact);
    }
    meter
}

/// The bill after everything has stopped.
fn bill_of(facts: &[MeteringFact]) -> Bill {
    let bill = metered(facts).bill(Timestamp(u64::MAX));
    assert_eq!(bill.running, 0, "the script ends everything that it starts");
    check_sums(&bill);
    bill
}

#[track_caller]
fn amount_of(bill: &Bill, usage_type: &str) -> i64 {
    let mut lines = bill.lines.iter().filter(|line| line.usage_type == usage_type);
    let line = lines.next().unwrap_or_else(|| panic!("no line {usage_type} in {:#?}", bill.lines));
    assert!(lines.next().is_none(), "one line for {usage_type}");
    line.amount.0
}

#[track_caller]
fn check_parts(parts: &BTreeMap<String, CostAndUse>, total: NanoUsd) {
    assert_eq!(parts.values().map(|part| part.amount).sum::<NanoUsd>(), total, "{parts:#?}");
}

/// The lines sum to the total, and so does every breakdown.
#[track_caller]
pub(crate) fn check_sums(bill: &Bill) {
    assert_eq!(bill.lines.iter().map(|line| line.amount).sum::<NanoUsd>(), bill.total);
    check_parts(&bill.by_service, bill.total);
    check_parts(&bill.by_task_definition, bill.total);
    for parts in bill.by_tag.values() {
        check_parts(parts, bill.total);
    }
    check_parts(&bill.idle_by_capacity_provider, bill.waste.idle);
    for line in &bill.lines {
        assert_eq!(line.amount, line.quantity.times(line.rate));
        assert_eq!(line.launch_type == LaunchType::Fargate, line.usage_type.contains("Fargate"), "{line:?}");
        assert_eq!(line.purchase_option == PurchaseOption::Spot, line.usage_type.contains("Spot"), "{line:?}");
    }
}

/// One line of every kind, worked by hand to the nano-dollar.
#[test]
fn a_scripted_run_costs_what_the_rates_say() {
    let web = Task::new("web", 512, 1024, on_demand()).of("web");
    let batch = Task::new("batch", 256, 512, on_demand());
    let spot = Task::new("spot", 1024, 2048, fargate(PurchaseOption::Spot, X86));
    let arm = Task::new(
        "arm",
        2048,
        4096,
        BilledPlacement::Fargate {
            purchase_option: PurchaseOption::OnDemand,
            architecture: ARM,
            extra_storage_gib: 80,
        },
    );
    let spot_arm = Task::new("spot-arm", 4096, 8192, fargate(PurchaseOption::Spot, ARM));
    let api = Task::new("api", 512, 2048, on_instance(1)).of("api");
    let cron = Task::new("cron", 1024, 1024, on_instance(1));
    let bill = bill_of(&[
        // Two of 0.5 vCPU and 1 GB for an hour and a nanosecond, which is 3,601 s each.
        web.started(1, 0),
        web.started(2, 7 * SECOND),
        stopped(1, 3_600 * SECOND + 1),
        stopped(2, 3_607 * SECOND + 1),
        // 0.25 vCPU and 0.5 GB for 89.7 s, which is 90 s.
        batch.started(3, 1_500 * MILLISECOND),
        stopped(3, 91_200 * MILLISECOND),
        // 1 vCPU and 2 GB for 10 s, which is 60 s, on Spot.
        spot.started(4, 0),
        stopped(4, 10 * SECOND),
        // 2 vCPU, 4 GB and 80 GB of storage for 120 s exactly, on ARM.
        arm.started(5, SECOND),
        stopped(5, 121 * SECOND),
        // 4 vCPU and 8 GB for 61 s on ARM Spot.
        spot_arm.started(6, 0),
        stopped(6, 61 * SECOND),
        // An instance for 1,800.25 s, which is 1,801 s, and one for 10 s, which is 60 s: 1,861 s.
        instance_started(1, 0, "m7i.large", Some("asg")),
        instance_stopped(1, 1_800_250 * MILLISECOND),
        instance_started(2, 10 * SECOND, "m7i.large", None),
        instance_stopped(2, 20 * SECOND),
        api.started(7, 100 * SECOND),
        stopped(7, 1_100 * SECOND),
        cron.started(8, 100 * SECOND),
        stopped(8, 600 * SECOND),
    ]);

    // vCPU-seconds 0.5 * 3,601 * 2 + 0.25 * 90 = 3,623.5; * 40,480,000 / 3,600 = 40,744,244.4
    assert_eq!(amount_of(&bill, "USE1-Fargate-vCPU-Hours:perCPU"), 40_744_244);
    // GB-seconds 1 * 3,601 * 2 + 0.5 * 90 = 7,247; * 4,445,000 / 3,600 = 8,948,031.9
    assert_eq!(amount_of(&bill, "USE1-Fargate-GB-Hours"), 8_948_032);
    // 60 * 12,885,610 / 3,600 = 214,760.2 and 120 * 1,414,930 / 3,600 = 47,164.3
    assert_eq!(amount_of(&bill, "USE1-SpotUsage-Fargate-vCPU-Hours:perCPU"), 214_760);
    assert_eq!(amount_of(&bill, "USE1-SpotUsage-Fargate-GB-Hours"), 47_164);
    // 240 * 32,380,000 / 3,600 = 2,158,666.7 and 480 * 3,560,000 / 3,600 = 474,666.7
    assert_eq!(amount_of(&bill, "USE1-Fargate-ARM-vCPU-Hours:perCPU"), 2_158_667);
    assert_eq!(amount_of(&bill, "USE1-Fargate-ARM-GB-Hours"), 474_667);
    // 244 * 10,307,210 / 3,600 = 698,599.8 and 488 * 1,133,220 / 3,600 = 153,614.3
    assert_eq!(amount_of(&bill, "USE1-SpotUsage-Fargate-ARM-vCPU-Hours:perCPU"), 698_600);
    assert_eq!(amount_of(&bill, "USE1-SpotUsage-Fargate-ARM-GB-Hours"), 153_614);
    // 80 * 120 = 9,600 GB-seconds; * 111,000 / 3,600 = 296,000
    assert_eq!(amount_of(&bill, "USE1-Fargate-EphemeralStorage-GB-Hours"), 296_000);
    // 1,861 * 100,800,000 / 3,600 = 1,861 * 28,000
    assert_eq!(amount_of(&bill, "BoxUsage:m7i.large"), 52_108_000);
    // 512 * 1,000 + 1,024 * 500 unit-seconds are 1,000 vCPU-seconds; 2 * 1,000 + 1 * 500 = 2,500 GB-seconds: no charge.
    assert_eq!(amount_of(&bill, "USE1-ECS-EC2-vCPU-Hours"), 0);
    assert_eq!(amount_of(&bill, "USE1-ECS-EC2-GB-Hours"), 0);
    let quantity = |usage_type| bill.lines.iter().find(|line| line.usage_type == usage_type).unwrap().quantity;
    assert_eq!(quantity("USE1-ECS-EC2-vCPU-Hours"), Quantity::new(1_000, 3_600));
    assert_eq!(quantity("USE1-ECS-EC2-GB-Hours"), Quantity::new(2_500, 3_600));
    assert_eq!(quantity("BoxUsage:m7i.large").to_string(), "0.516944444");

    // 40,744,244 + 8,948,032 + 214,760 + 47,164 + 2,158,667 + 474,667 + 698,600 + 153,614 + 296,000 + 52,108,000
    assert_eq!(bill.total, NanoUsd(105_843_748));
    assert_eq!(bill.total.to_string(), "0.105843748");
    assert_eq!(bill.lines.len(), 12);
    assert_eq!(bill.lines[0].unit, BillUnit::VcpuHours);

    // m7i.large has 2,048 units and 8,192 MiB and costs 28,000 a second.
    // api: (512/2,048 + 2,048/8,192) / 2 = 0.25 of it for 1,000 s; cron: (1,024/2,048 + 1,024/8,192) / 2 = 0.3125 for 500 s.
    assert_eq!(bill.by_service["api"].amount, NanoUsd(7_000_000));
    assert_eq!(bill.by_task_definition["cron:1"].amount, NanoUsd(4_375_000));
    // Idle: all 60 s of the second instance, and of the first 1,801 s * 28,000 less both parts.
    assert_eq!(bill.idle_by_capacity_provider[NO_CAPACITY_PROVIDER].amount, NanoUsd(1_680_000));
    assert_eq!(bill.idle_by_capacity_provider["asg"].amount, NanoUsd(50_428_000 - 11_375_000));
    assert_eq!(bill.by_service[IDLE].amount, bill.waste.idle);
    assert_eq!(bill.waste.idle, NanoUsd(40_733_000));
    // batch has 22.5 of 3,623.5 vCPU-seconds, 252,999.997 of the line, and 45 of 7,247 GB-seconds, 55,562.5004: rounding down leaves a
    // nano-dollar of each line, and batch has the larger remainder both times.
    assert_eq!(bill.by_task_definition["batch:1"].amount, NanoUsd(253_000 + 55_563));
    assert_eq!(bill.by_service["web"].amount, NanoUsd(40_744_244 + 8_948_032 - 253_000 - 55_563));
    assert_eq!(bill.by_service["web"].tasks, 2);
    assert_eq!(bill.by_service[STANDALONE].tasks, 5);
}

/// The example of AWS' price page in the rule book: an hour of 0.25 vCPU and 0.5 GB is 0.0123425 USD.
#[test]
fn an_hour_of_the_smallest_task_is_the_published_figure() {
    let task = Task::new("hello", 256, 512, on_demand());
    let bill = bill_of(&[task.started(1, 0), stopped(1, 3_600 * SECOND)]);
    assert_eq!(bill.total, NanoUsd(12_342_500));
    let big = Task::new("big", 16_384, 122_880, on_demand());
    let bill = bill_of(&[big.started(1, 0), stopped(1, 3_600 * SECOND)]);
    assert_eq!(bill.total, NanoUsd(1_181_080_000));
}

/// Seconds are rounded up, never below a minute, for tasks and instances alike. Table: interval in nanoseconds, seconds billed.
#[test]
fn seconds_are_rounded_up_with_a_minute_as_the_minimum() {
    for (interval, seconds) in [
        (0, 60),
        (1, 60),
        (59 * SECOND + 1, 60),
        (60 * SECOND, 60),
        (60 * SECOND + 1, 61),
        (61 * SECOND - 1, 61),
        (61 * SECOND, 61),
        (3_600 * SECOND, 3_600),
    ] {
        let start = 5 * SECOND + 123;
        let task = Task::new("hello", 1024, 2048, on_demand());
        let bill = bill_of(&[
            task.started(1, start),
            stopped(1, start + interval),
            instance_started(1, start, "m7i.large", None),
            instance_stopped(1, start + interval),
        ]);
        for line in &bill.lines {
            let of_unit = if line.unit == BillUnit::GbHours { 2 } else { 1 };
            assert_eq!(line.quantity, Quantity::new(of_unit * seconds, 3_600), "{interval} ns: {}", line.usage_type);
        }
        assert_eq!(bill.lines.len(), 3);
    }
}

/// Each start of an instance has a minimum of its own.
#[test]
fn an_idle_instance_is_paid_for_and_its_cost_is_idle() {
    let bill = bill_of(&[
        instance_started(1, 0, "m7i.large", Some("asg")),
        instance_stopped(1, SECOND),
        instance_started(2, 2 * SECOND, "m7i.large", Some("asg")),
        instance_stopped(2, 3 * SECOND),
    ]);
    // 2 * 60 s * 28,000
    assert_eq!(bill.total, NanoUsd(3_360_000));
    assert_eq!(bill.by_service.keys().collect::<Vec<_>>(), [IDLE]);
    assert_eq!(bill.idle_by_capacity_provider["asg"].amount, bill.total);
    assert_eq!(bill.idle_by_capacity_provider["asg"].vcpu_seconds_reserved, Quantity::new(240, 1));
    assert_eq!(bill.idle_by_capacity_provider["asg"].memory_gb_seconds_reserved, Quantity::new(960, 1));
    assert_eq!(bill.waste.ec2.vcpu_used_permille(), Some(0));
    assert_eq!(bill.waste.ec2.wasted(), bill.total);
    assert_eq!(bill.waste.fargate.vcpu_used_permille(), None);
}

/// An amount that three equal services cannot share evenly: 61 s * 28,000 = 1,708,000, a third of it to each.
#[test]
fn shared_instance_cost_sums_exactly() {
    let mut facts = vec![instance_started(1, 0, "m7i.large", None), instance_stopped(1, 61 * SECOND)];
    for (task, service) in [(1, "a"), (2, "b"), (3, "c")] {
        // 2,048 units and 8,192 MiB do not divide by three: 0.3330078125 of the CPU, 0.3333740234375 of the memory.
        let task_of = Task::new("third", 682, 2731, on_instance(1)).of(service);
        facts.extend([task_of.started(task, 0), stopped(task, 61 * SECOND)]);
    }
    let bill = bill_of(&facts);
    assert_eq!(bill.total, NanoUsd(1_708_000));
    // (682 * 4 + 2,731) / (2 * 8,192) * 1,708,000 = 569,090.5 each; idle (16,384 - 3 * 5,459) / 16,384 * 1,708,000 = 729.7.
    // Rounded down they leave 2 over: idle has the largest remainder, then the first of the equal ones.
    assert_eq!(bill.waste.idle, NanoUsd(730));
    assert_eq!(["a", "b", "c"].map(|service| bill.by_service[service].amount.0), [569_090, 569_090, 569_090]);
}

/// A task whose end is stated after its instance's has no more than the instance.
#[test]
fn tasks_share_no_more_than_the_instance() {
    let task = Task::new("late", 2048, 8192, on_instance(1)).of("late");
    let bill = bill_of(&[
        instance_started(1, 0, "m7i.large", None),
        instance_stopped(1, 100 * SECOND),
        task.started(1, 0),
        stopped(1, 130 * SECOND),
    ]);
    assert_eq!(bill.total, NanoUsd(2_800_000));
    assert_eq!(bill.by_service["late"].amount, NanoUsd(2_800_000));
    assert_eq!(bill.waste.idle, NanoUsd(0));
}

#[test]
fn a_running_task_is_billed_a_minute_at_once_and_its_bill_only_grows() {
    let task = Task::new("web", 1024, 2048, on_demand()).of("web");
    let mut meter = metered(&[task.started(1, 10 * SECOND), instance_started(1, 10 * SECOND, "m7i.large", None)]);
    let minute = meter.bill(Timestamp(10 * SECOND));
    check_sums(&minute);
    assert_eq!(minute.running, 2);
    // 60 * 40,480,000 / 3,600 + 120 * 4,445,000 / 3,600 + 60 * 28,000 = 674,666.7 + 148,166.7 + 1,680,000
    assert_eq!(minute.total, NanoUsd(674_667 + 148_167 + 1_680_000));
    assert_eq!(meter.bill(Timestamp(70 * SECOND)).total, minute.total);
    let live = meter.bill(Timestamp(3_610 * SECOND));
    assert!(live.total > minute.total);

    meter.record(&stopped(1, 3_610 * SECOND));
    meter.record(&instance_stopped(1, 3_610 * SECOND));
    let last = meter.bill(Timestamp(9_999 * SECOND));
    assert_eq!(last.running, 0);
    assert_eq!(last.lines, live.lines, "the live bill was the final one of that moment");
    assert_eq!(last.by_service, live.by_service);
    assert_eq!(meter.bill(Timestamp::ZERO).lines, last.lines, "a final bill does not depend on when it is asked for");
}

#[test]
fn cost_is_put_down_to_tags() {
    let of_customer = |task: Task, customer| task.tagged("customer", customer);
    let task = Task::new("job", 1024, 2048, on_demand());
    let bill = bill_of(&[
        of_customer(task.clone(), "acme").started(1, 0),
        stopped(1, 60 * SECOND),
        of_customer(task.clone(), "acme").tagged("stage", "test").started(2, 0),
        stopped(2, 120 * SECOND),
        of_customer(task.clone(), "blue").started(3, 0),
        stopped(3, 60 * SECOND),
        task.started(4, 0),
        stopped(4, 60 * SECOND),
        instance_started(1, 0, "m7i.large", None),
        instance_stopped(1, 60 * SECOND),
    ]);
    // 5 minutes in all: 300 * 40,480,000 / 3,600 = 3,373,333.3 and 600 * 4,445,000 / 3,600 = 740,833.3. A minute is a fifth of each line,
    // 674,666.6 and 148,166.6, and two minutes 1,349,333.2 and 296,333.2. Rounding down leaves 2 of each line for three remainders of
    // 0.6: the first two get them, by order of their tags. So blue goes without.
    let customers = &bill.by_tag["customer"];
    assert_eq!(customers.keys().collect::<Vec<_>>(), [IDLE, UNTAGGED, "acme", "blue"]);
    assert_eq!(customers[IDLE].amount, NanoUsd(1_680_000));
    assert_eq!(customers["acme"].tasks, 2);
    assert_eq!(customers["acme"].vcpu_seconds_reserved, Quantity::new(180, 1));
    assert_eq!(customers["acme"].memory_gb_seconds_reserved, Quantity::new(360, 1));
    assert_eq!(customers["acme"].amount, NanoUsd(674_667 + 148_167 + 1_349_333 + 296_333));
    assert_eq!(customers["blue"].amount, NanoUsd(674_666 + 148_166));
    assert_eq!(customers[UNTAGGED].amount, NanoUsd(674_667 + 148_167));
    let stages = &bill.by_tag["stage"];
    assert_eq!(stages.keys().collect::<Vec<_>>(), [IDLE, UNTAGGED, "test"]);
    assert_eq!(stages["test"].tasks, 1);
    assert_eq!(stages[UNTAGGED].tasks, 3);
}

#[test]
fn use_stands_beside_what_was_paid() {
    let on_fargate = Task::new("web", 1024, 2048, on_demand()).of("web");
    let on_ec2 = Task::new("api", 1024, 4096, on_instance(1)).of("api");
    let bill = bill_of(&[
        // 25 of 100 vCPU-seconds; 1,024 MiB for 100 s are 100 of 200 GB-seconds.
        on_fargate.started(1, 0),
        used(1, 100 * SECOND, 25 * SECOND, 1_024 * 100_000, 1_500 << 20),
        // A burst: 150 vCPU-seconds where 100 are reserved and 200 are paid for; 200 of 800 GB-seconds.
        instance_started(1, 0, "m7i.large", None),
        instance_stopped(1, 100 * SECOND),
        on_ec2.started(2, 0),
        used(2, 100 * SECOND, 150 * SECOND, 1_024 * 200_000, 3_000 << 20),
    ]);
    let web = &bill.by_service["web"];
    assert_eq!(web.vcpu_seconds_used, Quantity::new(25, 1));
    assert_eq!(web.memory_gb_seconds_used, Quantity::new(100, 1));
    assert_eq!((web.memory_bytes_peak, web.fuel), (1_500 << 20, Fuel(75 * SECOND)));
    let api = &bill.by_service["api"];
    assert_eq!(api.vcpu_seconds_reserved, Quantity::new(100, 1));
    assert_eq!(api.vcpu_seconds_used, Quantity::new(150, 1));

    let waste = &bill.waste;
    assert_eq!((waste.fargate.vcpu_used_permille(), waste.fargate.memory_used_permille()), (Some(250), Some(500)));
    assert_eq!((waste.ec2.vcpu_used_permille(), waste.ec2.memory_used_permille()), (Some(750), Some(250)));
    // Fargate: 1,124,444 for CPU, of which three quarters 843,333, and 246,944 for memory, of which half 123,472.
    assert_eq!((waste.fargate.vcpu_amount, waste.fargate.memory_amount), (NanoUsd(1_124_444), NanoUsd(246_944)));
    assert_eq!(waste.fargate.wasted(), NanoUsd(843_333 + 123_472));
    // EC2: 2,800,000, half for each: a quarter of the CPU and three quarters of the memory were not used.
    assert_eq!(waste.ec2.wasted(), NanoUsd(350_000 + 1_050_000));
    assert_eq!(waste.total().vcpu_seconds_paid, Quantity::new(300, 1));
    assert_eq!(waste.total().vcpu_used_permille(), Some(583));
}

#[test]
fn usage_records_say_who_when_and_how_much() {
    let on_fargate = Task::new("web", 256, 512, on_demand()).of("web");
    let on_ec2 = Task::new("api", 512, 2048, on_instance(1));
    let mut meter = metered(&[
        on_ec2.started(2, 10 * SECOND),
        on_fargate.started(1, 0),
        used(1, 90_500 * MILLISECOND, 3 * SECOND, 0, (5 << 20) + 1),
        instance_started(1, 0, "m7i.large", None),
    ]);
    let sample = |vcpu: u64| {
        let usage = TaskUsage { vcpu: VcpuNanos(vcpu), ..TaskUsage::default() };
        UsageSample { task: TaskId(2), usage }
    };
    meter.note_usage(&sample(7 * SECOND));
    meter.note_usage(&sample(6 * SECOND));
    meter.note_usage(&UsageSample { task: TaskId(99), usage: TaskUsage::default() });

    let records = meter.usage_records(Timestamp(20 * SECOND));
    let [finished, running] = &records[..] else { panic!("two records, not {records:?}") };
    assert_eq!((finished.task, finished.billed_seconds()), (TaskId(1), Some(91)));
    assert_eq!(finished.stopped_at, Some(Timestamp(90_500 * MILLISECOND)));
    assert_eq!(finished.vcpu_seconds_reserved(), Quantity::new(91, 4));
    assert_eq!(finished.memory_gb_seconds_reserved(), Quantity::new(91, 2));
    assert_eq!(finished.vcpu_seconds_used(), Quantity::new(3, 1));
    assert_eq!(finished.memory_mib_peak(), 6);
    // 22.75 * 40,480,000 / 3,600 + 45.5 * 4,445,000 / 3,600 = 311,990.97, rounded once.
    assert_eq!(meter.task_amount(finished), Some(NanoUsd(311_991)));

    assert_eq!((running.task, running.billed_seconds(), running.stopped_at), (TaskId(2), None, None));
    assert_eq!(running.vcpu_seconds_reserved(), Quantity::new(5, 1), "0.5 vCPU for 10 s");
    assert_eq!(running.vcpu_seconds_used(), Quantity::new(7, 1), "a sample that was overtaken changes nothing");
    // A quarter of the instance for 10 s: 10 * 28,000 / 4.
    assert_eq!(meter.task_amount(running), Some(NanoUsd(70_000)));
}

#[test]
fn the_bill_does_not_depend_on_the_records_kept() {
    let task = Task::new("hello", 256, 512, on_demand());
    let mut few = meter().retain_records(10);
    let mut all = meter();
    for id in 0..1_000 {
        for fact in [task.started(id, id * MILLISECOND), used(id, (id + 90_000) * MILLISECOND, id, id, id)] {
            few.record(&fact);
            all.record(&fact);
        }
    }
    assert_eq!(few.bill(Timestamp::ZERO), all.bill(Timestamp::ZERO));
    assert_eq!((few.usage_records(Timestamp::ZERO).len(), few.records_dropped()), (10, 990));
    assert_eq!((all.usage_records(Timestamp::ZERO).len(), all.records_dropped()), (1_000, 0));
    // A fact of a task whose record is gone is still known.
    few.record(&task.started(5, 0));
    few.record(&stopped(5, SECOND));
    assert_eq!(few.bill(Timestamp::ZERO), all.bill(Timestamp::ZERO));
}

#[test]
fn another_region_has_its_own_names_and_rates() {
    let task = Task::new("web", 1024, 2048, on_demand());
    let meter = metered(&[
        task.started(1, 0),
        stopped(1, 3_600 * SECOND),
        instance_started(1, 0, "m8g.large", None),
        instance_stopped(1, 60 * SECOND),
    ]);
    let bill = meter.bill_at(&Catalog::embedded().price_book("ap-northeast-1").unwrap(), Timestamp::ZERO);
    assert_eq!(amount_of(&bill, "APN1-Fargate-vCPU-Hours:perCPU"), 50_560_000);
    // Tokyo has no price for m8g: the line is there, and the bill says that it is too low.
    assert_eq!(amount_of(&bill, "APN1-BoxUsage:m8g.large"), 0);
    assert_eq!(bill.unpriced_instance_types, ["m8g.large"]);
    assert!(meter.bill(Timestamp::ZERO).unpriced_instance_types.is_empty());
}

#[test]
fn nothing_costs_nothing() {
    let bill = meter().bill(Timestamp(SECOND));
    assert!(bill.lines.is_empty() && bill.by_service.is_empty() && bill.by_tag.is_empty());
    assert_eq!((bill.total, bill.running), (NanoUsd(0), 0));
    assert_eq!(bill.waste.total().wasted(), NanoUsd(0));
}

/// Every row parses, and the counts are those of the sources.
#[test]
fn the_catalog_is_complete() {
    let catalog = Catalog::embedded();
    assert_eq!(catalog.instance_type_names().count(), 1_164);
    assert!(catalog.instance_type_names().all(|name| {
        let instance_type = catalog.instance_type(name).expect("its own name");
        instance_type.name == name && instance_type.vcpus > 0 && instance_type.memory.0 > 0
    }));
    assert_eq!(catalog.fargate_sizes().iter().map(|size| size.memory.len()).sum::<usize>(), 77);
    let cpus: Vec<u32> = catalog.fargate_sizes().iter().map(|size| size.cpu.0).collect();
    assert_eq!(cpus, [256, 512, 1024, 2048, 4096, 8192, 16384, 32768]);
    let priced: Vec<(&str, usize)> = catalog
        .regions()
        .map(|region| (region, catalog.price_book(region).expect("its own region").ec2_hourly.len()))
        .collect();
    let expected = [
        ("us-east-1", 1_164),
        ("us-west-2", 734),
        ("eu-west-1", 677),
        ("eu-central-1", 692),
        ("ap-southeast-1", 569),
        ("ap-northeast-1", 673),
    ];
    assert_eq!(priced, expected);
    for (region, _) in expected {
        let book = catalog.price_book(region).unwrap();
        for name in catalog.instance_type_names() {
            assert_eq!(catalog.ec2_rate(region, name), book.ec2_rate(name), "{region} {name}");
            assert!(book.ec2_rate(name).is_none_or(|rate| rate.0 > 0), "{region} {name}");
        }
        for architecture in [X86, ARM] {
            let full = book.fargate_rate(PurchaseOption::OnDemand, architecture);
            let spot = book.fargate_rate(PurchaseOption::Spot, architecture);
            assert!(0 < spot.vcpu_hour.0 && spot.vcpu_hour < full.vcpu_hour, "{region}");
            assert!(0 < spot.gb_hour.0 && spot.gb_hour < full.gb_hour, "{region}");
        }
    }
    assert!(catalog.price_book("mars-1").is_none() && catalog.instance_type("m7i.tiny").is_none());
    assert_eq!(catalog.ec2_rate("ap-northeast-1", "m8g.large"), None);
}

/// Prices and sizes that several published lists agree on. **Source:** `src/catalog/data/README.md`.
#[test]
fn well_known_types_have_their_published_price_and_size() {
    let catalog = Catalog::embedded();
    for (name, nano_usd, vcpus, memory) in [
        ("t2.micro", 11_600_000, 1, 1_024),
        ("t3.micro", 10_400_000, 2, 1_024),
        ("t3a.medium", 37_600_000, 2, 4_096),
        ("t4g.small", 16_800_000, 2, 2_048),
        ("m5.large", 96_000_000, 2, 8_192),
        ("m5a.xlarge", 172_000_000, 4, 16_384),
        ("m6i.2xlarge", 384_000_000, 8, 32_768),
        ("m6a.large", 86_400_000, 2, 8_192),
        ("m6g.xlarge", 154_000_000, 4, 16_384),
        ("m7i.large", 100_800_000, 2, 8_192),
        ("m7a.large", 115_920_000, 2, 8_192),
        ("m7g.2xlarge", 326_400_000, 8, 32_768),
        ("m8g.large", 89_760_000, 2, 8_192),
        ("c5.xlarge", 170_000_000, 4, 8_192),
        ("c6i.large", 85_000_000, 2, 4_096),
        ("c6g.4xlarge", 544_000_000, 16, 32_768),
        ("c7i.large", 89_250_000, 2, 4_096),
        ("c7g.xlarge", 145_000_000, 4, 8_192),
        ("c8g.large", 79_760_000, 2, 4_096),
        ("r5.large", 126_000_000, 2, 16_384),
        ("r6i.xlarge", 252_000_000, 4, 32_768),
        ("r6g.large", 100_800_000, 2, 16_384),
        ("r7i.large", 132_300_000, 2, 16_384),
        ("r7g.2xlarge", 428_400_000, 8, 65_536),
        ("r8g.large", 117_820_000, 2, 16_384),
        ("i3.large", 156_000_000, 2, 15_616),
        ("i4i.xlarge", 343_000_000, 4, 32_768),
        ("x2gd.large", 167_000_000, 2, 32_768),
        ("x2iedn.xlarge", 833_630_000, 4, 131_072),
        ("g5.xlarge", 1_006_000_000, 4, 16_384),
    ] {
        let instance_type = catalog.instance_type(name).unwrap_or_else(|| panic!("{name}"));
        let found = (catalog.ec2_rate("us-east-1", name), instance_type.vcpus, instance_type.memory);
        assert_eq!(found, (Some(NanoUsd(nano_usd)), vcpus, MemoryMib(memory)), "{name}");
        let is_arm = ["t4g.", "m6g.", "m7g.", "m8g.", "c6g.", "c7g.", "c8g.", "r6g.", "r7g.", "r8g.", "x2gd."]
            .iter()
            .any(|family| name.starts_with(family));
        assert_eq!(instance_type.architecture, if is_arm { ARM } else { X86 }, "{name}");
    }
}

/// An interval of a random script: its start, and its length unless it does not end.
/// Surplus CPU credits are a line for each family, at 0.05 USD a vCPU-hour and 0.04 on ARM, and are put down to those whose tasks were on
/// the instance: to the capacity provider only where there were none. A charge that is stated twice counts once.
#[test]
fn surplus_credits_are_billed_to_those_on_the_instance() {
    // Both hold the whole instance's worth of nothing else: api three quarters of what is reserved, cron a quarter.
    let api = Task::new("api", 768, 384, on_instance(1)).of("api");
    let cron = Task::new("cron", 256, 128, on_instance(1));
    let hours = |hours: u64| hours * 3_600 * SECOND;
    let bill = bill_of(&[
        instance_started(1, 0, "t3.micro", Some("asg")),
        api.started(1, 0),
        cron.started(2, 0),
        surplus_charged(1, 1, hours(2)),
        surplus_charged(1, 1, hours(2)),
        surplus_charged(1, 2, hours(6)),
        stopped(1, hours(1)),
        stopped(2, hours(1)),
        instance_stopped(1, hours(1)),
        instance_started(2, 0, "t4g.small", Some("arm")),
        surplus_charged(2, 1, hours(1)),
        instance_stopped(2, hours(1)),
    ]);
    assert_eq!(amount_of(&bill, "CPUCredits:t3"), 8 * 50_000_000);
    assert_eq!(amount_of(&bill, "CPUCredits:t4g"), 40_000_000);
    // A t3.micro costs 10,400,000 an hour, and a t4g.small 16,800,000.
    // Of the instance, api holds the mean of 768/2048 and 384/1024: three eighths; cron an eighth.
    assert_eq!(bill.by_service["api"].amount.0, 10_400_000 * 3 / 8 + 300_000_000);
    assert_eq!(bill.by_service[STANDALONE].amount.0, 10_400_000 / 8 + 100_000_000);
    assert_eq!(bill.idle_by_capacity_provider["asg"].amount.0, 10_400_000 / 2);
    assert_eq!(bill.idle_by_capacity_provider["arm"].amount.0, 16_800_000 + 40_000_000);
}

fn interval() -> impl Strategy<Value = (u64, Option<u64>)> {
    (0..1_000 * SECOND, prop::option::weighted(0.8, prop_oneof![0..200 * SECOND, Just(60 * SECOND)]))
}

fn task() -> impl Strategy<Value = Task> {
    let placement = prop_oneof![
        (any::<bool>(), any::<bool>(), 0..3_u32).prop_map(|(spot, arm, extra_storage_gib)| BilledPlacement::Fargate {
            purchase_option: if spot { PurchaseOption::Spot } else { PurchaseOption::OnDemand },
            architecture: if arm { ARM } else { X86 },
            extra_storage_gib,
        }),
        (0..4_u64).prop_map(on_instance),
    ];
    (
        prop::option::of(prop::sample::select(vec!["web", "api"])),
        prop::sample::select(vec!["a", "b", "c"]),
        prop::option::of(prop::sample::select(vec!["acme", "blue"])),
        0..5_000_u32,
        1..9_000_u32,
        placement,
    )
        .prop_map(|(service, family, customer, cpu, memory, placement)| {
            let tags = customer.map(|customer| ("customer", customer)).into_iter().collect();
            Task { service, family, tags, cpu, memory, placement }
        })
}

/// The facts of a random script. Instances 0 to 2 may exist; tasks also name a fourth, whose start is never stated.
pub(crate) fn script() -> impl Strategy<Value = Vec<MeteringFact>> {
    let types = vec!["m7i.large", "c4.8xlarge", "t3.micro", "t4g.small"];
    let charges = prop::collection::vec(0..1_000 * SECOND, 0..3);
    let instances =
        prop::collection::vec((interval(), prop::sample::select(types), prop::option::of(Just("asg")), charges), 0..4);
    let tasks = prop::collection::vec((interval(), task(), 0..100 * SECOND), 0..30);
    (instances, tasks).prop_map(|(instances, tasks)| {
        let mut facts = Vec::new();
        for (id, ((start, length), name, provider, charges)) in (0..).zip(instances.into_iter().take(3)) {
            facts.push(instance_started(id, start, name, provider));
            let is_burstable = name.starts_with('t');
            let charges = (1..).zip(charges).filter(|_| is_burstable);
            facts.extend(charges.map(|(charge, work)| surplus_charged(id, charge, work)));
            facts.extend(length.map(|length| instance_stopped(id, start + length)));
        }
        for (id, ((start, length), task, vcpu)) in (0..).zip(tasks) {
            facts.push(task.started(id, start));
            facts.extend(length.map(|length| used(id, start + length, vcpu, vcpu / MILLISECOND, vcpu)));
        }
        facts
    })
}

/// What Fargate costs by the formula of the rule book (ecs-semantics §8.3), added up task by task: numerators of nano-dollars over
/// 1,024 * 3,600, which the bill may miss by half a nano-dollar a line.
fn fargate_by_formula(facts: &[MeteringFact], now: u64) -> u128 {
    let book = Catalog::embedded().price_book("us-east-1").unwrap();
    let stop_of = |id: TaskId| {
        facts.iter().find_map(|fact| match fact {
            MeteringFact::TaskStopped { task, at, .. } if *task == id => Some(at.0),
            _ => None,
        })
    };
    let nanos = |rate: NanoUsd| u128::try_from(rate.0).unwrap();
    let mut sum = 0;
    for fact in facts {
        let MeteringFact::TaskStarted { task, at, identity } = fact else { continue };
        let BilledPlacement::Fargate { purchase_option, architecture, extra_storage_gib } = identity.placement else {
            continue;
        };
        let seconds = u128::from((stop_of(*task).unwrap_or(now).saturating_sub(at.0)).div_ceil(SECOND).max(60));
        let rate = book.fargate_rate(purchase_option, architecture);
        sum += seconds
            * (u128::from(identity.cpu.0) * nanos(rate.vcpu_hour)
                + u128::from(identity.memory.0) * nanos(rate.gb_hour)
                + u128::from(extra_storage_gib) * 1_024 * nanos(book.fargate.ephemeral_gb_hour));
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Parts sum to the total, and the Fargate lines to the formula, live and final, within half a nano-dollar a line.
    #[test]
    fn parts_sum_to_the_total(facts in script(), now in 0..1_500 * SECOND) {
        let bill = metered(&facts).bill(Timestamp(now));
        check_sums(&bill);
        let fargate: i64 =
            bill.lines.iter().filter(|line| line.usage_type.contains("Fargate")).map(|line| line.amount.0).sum();
        let exact = fargate_by_formula(&facts, now);
        let off = (u128::try_from(fargate).unwrap() * 1_024 * 3_600).abs_diff(exact);
        prop_assert!(off <= 9 * 1_024 * 1_800, "{fargate} is not {exact} / 3,686,400");
    }

    /// Neither the order of facts nor stating them again changes the bill or the records.
    #[test]
    fn facts_count_once_in_any_order(
        (facts, shuffled) in script().prop_flat_map(|facts| {
            let twice: Vec<MeteringFact> = facts.iter().chain(&facts).cloned().collect();
            (Just(facts), Just(twice).prop_shuffle())
        }),
        now in 0..1_500 * SECOND,
    ) {
        let (ordered, shuffled) = (metered(&facts), metered(&shuffled));
        prop_assert_eq!(ordered.bill(Timestamp(now)), shuffled.bill(Timestamp(now)));
        prop_assert_eq!(ordered.usage_records(Timestamp(now)), shuffled.usage_records(Timestamp(now)));
    }

    /// A live bill is the final bill of stopping everything at that moment, and it never falls.
    #[test]
    fn a_live_bill_is_the_final_one_of_its_moment(facts in script(), now in 1_000 * SECOND..1_500 * SECOND, later in 0..500 * SECOND) {
        let live = metered(&facts).bill(Timestamp(now));
        let mut ended = facts.clone();
        for fact in &facts {
            // A stop that the script states itself comes first and counts.
            match fact {
                MeteringFact::TaskStarted { task, .. } => ended.push(stopped(task.0, now)),
                MeteringFact::InstanceStarted { instance, .. } => ended.push(instance_stopped(instance.0, now)),
                _ => {}
            }
        }
        let ended = bill_of(&ended);
        prop_assert_eq!(&live.lines, &ended.lines);
        prop_assert_eq!(&live.by_service, &ended.by_service);
        prop_assert_eq!(&live.waste, &ended.waste);
        prop_assert!(metered(&facts).bill(Timestamp(now + later)).total >= live.total);
    }
}
