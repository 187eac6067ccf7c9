//! What a seed means: a cluster with its loads and faults as a cluster file, and what its operator does in the middle of it.

use std::fmt::Write as _;

use longshore::model::rng::{RandomStream, Stream};

/// When loads and faults end, in seconds.
pub const CHAOS_SECONDS: u64 = 1_200;

/// One of the things that an operator does.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// A new desired count.
    Scale { count: u32 },
    /// A revision that works.
    DeployGood,
    /// A revision whose tasks end with an error soon after their start.
    DeployBad { after_seconds: u64 },
    /// The same revision again.
    ForceDeployment,
    /// Other deployment bounds.
    SetBounds { minimum: u32, maximum: u32 },
    /// A task of the service, or of nobody, is stopped by hand.
    StopTask { which: u64 },
    /// The service is deleted, and created again when it is gone.
    Replace,
    /// Tasks that belong to no service.
    RunBatch { count: u32 },
    /// An instance's agent is told to drain it.
    Drain { which: u64 },
    /// An instance is terminated by hand.
    Terminate { which: u64 },
    /// A group is set to another size.
    ResizeGroup { size: u32 },
}

/// Everything that a seed decides.
pub struct Drawn {
    /// The cluster file.
    pub file: String,
    /// What is done, when (in seconds), to the service of which number.
    pub deeds: Vec<(u64, u64, Deed)>,
}

/// What a seed is asked.
pub struct Chance(RandomStream);

impl Chance {
    /// The chance of a seed.
    pub fn new(seed: u64) -> Chance {
        Chance(RandomStream::new(seed, Stream::Faults))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.below(most - least + 1)
    }

    /// Whether something of such a probability is so.
    pub fn of(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.0.below(all.len() as u64)).expect("it is below a length")]
    }
}

const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];

/// Where a service's tasks can run in a drawn cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Capacity {
    Fargate,
    FargateSpot,
    Group,
    Spot,
    ByHand,
}

/// Who deploys a service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Controller {
    Ecs,
    /// The operator, by task sets. A service with load or that is a DAEMON is ECS' all the same.
    External,
}

/// Draws a cluster and what happens to it.
pub fn draw(seed: u64) -> Drawn {
    let mut chance = Chance::new(seed);
    let mut file = String::new();
    let boot = chance.between(5, 90);
    let _ = write!(
        file,
        "[cluster]\nname = \"chaos\"\n[settings]\nseed = {seed}\nrun_for = \"100h\"\nboot_time = \"{boot}s\"\nusage_period = \"30s\"\n\
         restart_delay_max = \"1m\"\nstopped_task_limit = 12\nfargate_task_retirement_wait_period = \"2m\"\nstop_timeout = \"{}s\"\n",
        chance.between(2, 30),
    );
    let capacities = draw_capacity(&mut chance, &mut file);
    let services = chance.between(1, 3);
    for index in 0..services {
        let capacity = chance.pick(&capacities);
        // By other draws, so that the rest of a seed's cluster is what it is without.
        let mut apart = Chance(RandomStream::new(seed.wrapping_mul(31).wrapping_add(index), Stream::Placement));
        let controller = if apart.of(15) { Controller::External } else { Controller::Ecs };
        let front = if apart.of(40) { Front::LoadBalancer } else { Front::Nothing };
        draw_service(&mut chance, &mut file, index, capacity, controller, front);
    }
    draw_batch(&mut chance, &mut file);
    draw_faults(&mut chance, &mut file, &capacities);
    draw_messages(&mut chance, &mut file, "messages");
    draw_messages(&mut chance, &mut file, "actions");
    let deeds = (0..chance.between(0, 8)).map(|_| draw_deed(&mut chance, services)).collect();
    Drawn { file, deeds }
}

fn draw_capacity(chance: &mut Chance, file: &mut String) -> Vec<Capacity> {
    let mut capacities = Vec::new();
    for (name, capacity) in [("asg", Capacity::Group), ("spot", Capacity::Spot)] {
        if !chance.of(60) {
            continue;
        }
        capacities.push(capacity);
        let (min, max) = (chance.below(2), chance.between(1, 4));
        let zones = usize::try_from(chance.between(1, 3)).expect("three at most");
        let _ = write!(
            file,
            "[[capacity_provider]]\nname = \"{name}\"\nmanaged_draining = \"{}\"\n",
            chance.pick(&["ENABLED", "DISABLED"])
        );
        let managed = chance.of(80);
        let protects = managed && chance.of(40);
        if managed {
            let _ = writeln!(
                file,
                "managed_scaling = {{ target_capacity = {}, instance_warmup_period = \"{}s\" }}",
                chance.pick(&[60, 80, 100]),
                chance.pick(&[0, 60, 300]),
            );
        }
        if protects {
            file.push_str("managed_termination_protection = \"ENABLED\"\n");
        }
        let _ = write!(
            file,
            "[capacity_provider.auto_scaling_group]\ninstance_type = \"m7i.large\"\nmin_size = {}\nmax_size = {max}\navailability_zones = {:?}\n",
            min.min(max),
            &ZONES[..zones],
        );
        if protects {
            file.push_str("new_instances_protected_from_scale_in = true\n");
        }
        if capacity == Capacity::Spot {
            let draining = chance.of(50);
            let _ = write!(file, "purchase_option = \"SPOT\"\necs_enable_spot_instance_draining = {draining}\n");
        }
        if chance.of(15) {
            let _ = writeln!(file, "warm_pool = {{ min_size = {} }}", chance.between(1, 2));
        }
    }
    if chance.of(30) {
        capacities.push(Capacity::ByHand);
        let _ = write!(
            file,
            "[[container_instance]]\ninstance_type = \"m7i.large\"\navailability_zone = \"{}\"\ncount = {}\n",
            chance.pick(&ZONES),
            chance.between(1, 3),
        );
    }
    if capacities.is_empty() || chance.of(60) {
        capacities.extend([Capacity::Fargate, Capacity::FargateSpot]);
    }
    capacities
}

/// What stands before a service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Front {
    Nothing,
    LoadBalancer,
}

fn draw_service(
    chance: &mut Chance,
    file: &mut String,
    index: u64,
    capacity: Capacity,
    controller: Controller,
    front: Front,
) {
    let is_daemon = capacity == Capacity::ByHand && chance.of(40);
    let has_load = !is_daemon && chance.of(50);
    let on_fargate = matches!(capacity, Capacity::Fargate | Capacity::FargateSpot);
    let (cpu, memory) = chance.pick(&[(256, 512), (256, 512), (512, 1024)]);
    let _ = write!(file, "[[task_definition]]\nfamily = \"s{index}\"\ncpu = \"{cpu}\"\nmemory = \"{memory}\"\n");
    if on_fargate {
        file.push_str("requires_compatibilities = [\"FARGATE\"]\n");
    }
    let _ = write!(
        file,
        "[task_definition.simulation]\npull = \"{}s\"\ncold_start = {{ exponential = {{ mean = \"{}ms\" }} }}\n\
         stop = {{ exponential = {{ mean = \"{}s\" }} }}\n",
        chance.below(8),
        chance.between(1, 3_000),
        chance.between(1, 20),
    );
    if chance.of(25) {
        let _ = writeln!(
            file,
            "crash = {{ probability = 0.2, after = {{ exponential = {{ mean = \"{}s\" }} }}, exit_code = 3 }}",
            chance.between(5, 300)
        );
    }
    if has_load {
        file.push_str("job_cpu = \"300ms\"\n");
    } else {
        let _ = writeln!(file, "cpu = {}", chance.between(0, 400));
    }
    file.push_str("[[task_definition.container]]\nname = \"main\"\n");
    if chance.of(20) {
        file.push_str("restart_policy = { enabled = true, restart_attempt_period = \"60s\" }\n");
    }
    if front == Front::LoadBalancer {
        file.push_str("port_mappings = [{ container_port = 80 }]\n");
        let _ = write!(
            file,
            "[[target_group]]\nname = \"s{index}\"\nderegistration_delay = \"{}s\"\n\
             health_check = {{ interval = \"10s\", timeout = \"2s\" }}\n",
            20 + 13 * index,
        );
    }
    let is_external = controller == Controller::External && !is_daemon && !has_load;
    let _ = write!(file, "[[service]]\nname = \"s{index}\"\n");
    let desired = chance.below(6);
    if front == Front::LoadBalancer {
        let _ = writeln!(
            file,
            "load_balancers = [{{ target_group = \"s{index}\", container_name = \"main\", container_port = 80 }}]"
        );
    }
    let target = match capacity {
        _ if is_daemon => "launch_type = \"EC2\"\nscheduling_strategy = \"DAEMON\"\n",
        Capacity::Fargate => "launch_type = \"FARGATE\"\n",
        Capacity::ByHand => "launch_type = \"EC2\"\n",
        Capacity::FargateSpot => {
            "capacity_provider_strategy = [{ capacity_provider = \"FARGATE\", base = 1 }, \
             { capacity_provider = \"FARGATE_SPOT\", weight = 1 }]\n"
        }
        Capacity::Group => "capacity_provider_strategy = [{ capacity_provider = \"asg\", weight = 1 }]\n",
        Capacity::Spot => "capacity_provider_strategy = [{ capacity_provider = \"spot\", weight = 1 }]\n",
    };
    match is_external {
        true => file.push_str("deployment_controller = \"EXTERNAL\"\n"),
        false => {
            let _ = write!(file, "task_definition = \"s{index}\"\n{target}");
        }
    }
    if is_daemon {
        return;
    }
    let _ = writeln!(file, "desired_count = {desired}");
    if !on_fargate {
        let strategy = chance.pick(&[
            "",
            "placement_strategy = [{ type = \"binpack\", field = \"memory\" }]\n",
            "placement_strategy = [{ type = \"spread\", field = \"attribute:ecs.availability-zone\" }]\n",
            "placement_strategy = [{ type = \"random\" }]\n",
        ]);
        file.push_str(strategy);
        if chance.of(10) {
            file.push_str("placement_constraints = [{ type = \"distinctInstance\" }]\n");
        }
    }
    let (minimum, maximum) = chance.pick(&[(100, 200), (50, 100), (0, 100), (50, 150)]);
    let breaker = chance.pick(&["false", "true", "true, rollback = true", "true, rollback = true"]);
    let breaker = match is_external {
        true => String::new(),
        false => format!("deployment_circuit_breaker = {{ enable = {breaker} }}"),
    };
    let _ = writeln!(
        file,
        "deployment_configuration = {{ minimum_healthy_percent = {minimum}, maximum_percent = {maximum}, \
         {breaker} }}",
    );
    if is_external {
        for (name, scale) in [("first", 100), ("second", 40)] {
            let _ = write!(
                file,
                "[[service.task_set]]\nexternal_id = \"{name}\"\ntask_definition = \"s{index}\"\nscale = {scale}\n{target}"
            );
        }
    }
    if has_load {
        let rates: Vec<String> = [0, CHAOS_SECONDS / 3, CHAOS_SECONDS * 2 / 3]
            .map(|at| format!("{{ at = \"{at}s\", jobs_per_second = 0.{} }}", chance.between(1, 9)))
            .into();
        let _ = write!(
            file,
            "[service.auto_scaling]\nmin_capacity = {}\nmax_capacity = {}\n\
             target_tracking = [{{ metric = \"ECSServiceAverageCPUUtilization\", target_value = 50 }}]\n\
             [[load]]\nservice = \"s{index}\"\njob = \"x\"\narrivals = \"poisson\"\n\
             steps = [{}, {{ at = \"{CHAOS_SECONDS}s\", jobs_per_second = 0 }}]\n",
            chance.below(2),
            chance.between(2, 6),
            rates.join(", "),
        );
    }
}

/// A family for tasks of no service.
fn draw_batch(chance: &mut Chance, file: &mut String) {
    let _ = write!(
        file,
        "[[task_definition]]\nfamily = \"batch\"\ncpu = \"256\"\nmemory = \"512\"\nrequires_compatibilities = [\"FARGATE\"]\n\
         [task_definition.simulation]\nduration = {{ exponential = {{ mean = \"{}s\" }} }}\ncpu = 200\n\
         [[task_definition.container]]\nname = \"main\"\n",
        chance.between(5, 200),
    );
}

fn draw_faults(chance: &mut Chance, file: &mut String, capacities: &[Capacity]) {
    for _ in 0..chance.below(5) {
        let kind = chance.pick(&[
            "INSTANCE_FAILURE",
            "INSTANCE_IMPAIRED",
            "AZ_OUTAGE",
            "SPOT_INTERRUPTION",
            "CAPACITY_REFUSED",
            "SLOW_BOOT",
            "AGENT_DISCONNECTED",
            "DRAIN",
            "TASK_CRASH",
            "TASK_RETIREMENT",
        ]);
        let _ = write!(file, "[[fault]]\nkind = \"{kind}\"\n");
        if chance.of(50) {
            let _ = writeln!(file, "mean_time_between = \"{}s\"", chance.between(60, 600));
        } else {
            let _ = writeln!(file, "at = \"{}s\"", chance.below(CHAOS_SECONDS));
        }
        let lasts = chance.between(10, 900);
        let _ = match kind {
            "INSTANCE_FAILURE" | "INSTANCE_IMPAIRED" | "DRAIN" => writeln!(file, "count = {}", chance.between(1, 3)),
            "AZ_OUTAGE" => {
                write!(file, "availability_zone = \"{}\"\nduration = \"{lasts}s\"\n", chance.pick(&ZONES))
            }
            "SPOT_INTERRUPTION" | "TASK_RETIREMENT" => writeln!(file, "count = {}", chance.between(1, 4)),
            "TASK_CRASH" => {
                write!(file, "count = {}\nexit_code = {}\n", chance.between(1, 4), chance.below(3))
            }
            "CAPACITY_REFUSED" => writeln!(file, "duration = \"{lasts}s\""),
            "SLOW_BOOT" => write!(file, "duration = \"{lasts}s\"\nboot_time = \"{}s\"\n", chance.between(60, 600)),
            _ => write!(file, "count = {}\nduration = \"{lasts}s\"\n", chance.between(1, 2)),
        };
        if capacities.contains(&Capacity::Group)
            && !matches!(kind, "AZ_OUTAGE" | "SPOT_INTERRUPTION" | "TASK_CRASH" | "TASK_RETIREMENT")
            && chance.of(30)
        {
            file.push_str("capacity_provider = \"asg\"\n");
        }
    }
}

/// What goes astray on the way from the data plane (`messages`), or to it (`actions`).
pub fn draw_messages(chance: &mut Chance, file: &mut String, table: &str) {
    if chance.of(60) {
        let _ = write!(
            file,
            "[simulation.{table}]\nlost = 0.0{}\nlate = 0.{}\nrepeated = 0.{}\nresent_after = \"{}s\"\n\
             delay = {{ exponential = {{ mean = \"{}ms\" }} }}\n",
            chance.below(10),
            chance.below(5),
            chance.below(5),
            chance.between(1, 30),
            chance.between(1, 20_000),
        );
    }
}

fn draw_deed(chance: &mut Chance, services: u64) -> (u64, u64, Deed) {
    let deed = match chance.below(12) {
        0 | 1 => Deed::Scale { count: u32::try_from(chance.below(7)).expect("it is small") },
        2 => Deed::DeployGood,
        3 | 4 => Deed::DeployBad { after_seconds: chance.pick(&[0, 1, 20, 90]) },
        5 => Deed::ForceDeployment,
        6 => {
            let (minimum, maximum) = chance.pick(&[(100, 200), (50, 100), (0, 100), (50, 150)]);
            Deed::SetBounds { minimum, maximum }
        }
        7 => Deed::StopTask { which: chance.below(1_000) },
        8 => Deed::Replace,
        9 => Deed::RunBatch { count: u32::try_from(chance.between(1, 10)).expect("it is small") },
        10 => Deed::Drain { which: chance.below(1_000) },
        _ if chance.of(50) => Deed::Terminate { which: chance.below(1_000) },
        _ => Deed::ResizeGroup { size: u32::try_from(chance.below(4)).expect("it is small") },
    };
    (chance.below(CHAOS_SECONDS), chance.below(services), deed)
}
