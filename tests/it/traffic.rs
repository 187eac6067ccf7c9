//! Deployments that move traffic, with real guests: who gets which share of the jobs, and hooks that are modules and callbacks.

use std::time::Duration;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::control_plane::action::Response;
use longshore::control_plane::event::{NewDeployment, Request, UpdateService};
use longshore::driver::snapshot::Snapshot;
use longshore::model::deployment::{LifecycleStage, ServiceDeploymentStatus};
use longshore::model::deployment_hook::{DeploymentHook, HookAnswer, HookTarget, HookTimeoutAction};
use longshore::model::service::DeploymentConfiguration;
use longshore::model::task_definition::TaskDefinitionRef;
use longshore::model::traffic::TrafficWeight;
use longshore::{HostOptions, RunningCluster};

use crate::plane::PATIENCE;
use crate::sandbox::ECHO;

/// Two revisions of a service that echoes its jobs, and modules for hooks: one says yes, one says in words that it wants to be asked
/// again, and then is given up on.
const FILE: &str = r#"
[settings]
metric_period = "1s"
usage_period = "50ms"
healthy_after = "100ms"
stop_timeout = "500ms"
[[task_definition]]
family = "web"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
container = [{ name = "main", image = "echo.wat" }]
[[task_definition]]
family = "web"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
container = [{ name = "main", image = "echo.wat", environment = { RELEASE = "2" } }]
[[task_definition]]
family = "yes"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
container = [{ name = "main", image = "yes.wat" }]
[[task_definition]]
family = "later"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
container = [{ name = "main", image = "later.wat" }]
[[task_definition]]
family = "no"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
container = [{ name = "main", image = "no.wat" }]
[[service]]
name = "web"
task_definition = "web:1"
desired_count = 2
launch_type = "FARGATE"
  [service.deployment_configuration]
  strategy = "CANARY"
  canary_configuration = { canary_percent = 20, canary_bake_time_in_minutes = 0.05 }
  bake_time_in_minutes = 0.01
  lifecycle_hooks = [
    { task_definition = "yes", lifecycle_stages = ["POST_SCALE_UP"] },
    { task_definition = "later", lifecycle_stages = ["POST_TEST_TRAFFIC_SHIFT"], timeout_configuration = { timeout_in_minutes = 0.03, action = "CONTINUE" } },
  ]
[[load]]
service = "web"
job = "x"
jobs_per_second = 100
"#;

const LATER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\30\00\00\00")
    (data (i32.const 16) "{\"hookStatus\": \"IN_PROGRESS\", \"callBackDelay\":1}")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

struct Shop {
    cluster: RunningCluster,
    _folder: tempfile::TempDir,
}

impl Shop {
    fn open() -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let yes = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
        let no = include_str!("../../workloads/limits/exit_3.wat");
        for (name, text) in [("echo", ECHO), ("yes", yes), ("later", LATER), ("no", no)] {
            std::fs::write(folder.path().join(format!("{name}.wat")), text).unwrap();
        }
        let path = folder.path().join("cluster.toml");
        let spec = ClusterFile::parse(FILE, &path, &Catalog::embedded()).unwrap_or_else(|errors| panic!("{errors}"));
        let mut options = HostOptions::default();
        options.hooks.put("ask-me", |call| match call.call {
            1 => HookAnswer::InProgress { call_back_delay: Some(Duration::from_secs(1)) },
            _ if call.production_weight == Some(TrafficWeight(20_000)) => HookAnswer::Succeeded,
            _ => HookAnswer::Failed { reason: "a share of 20 % was enough".into() },
        });
        Shop { cluster: RunningCluster::start(spec, options).unwrap(), _folder: folder }
    }

    /// Waits until something is true of the cluster.
    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        for _ in 0..PATIENCE.as_millis() / 10 {
            let snapshot = self.cluster.snapshot().unwrap();
            if is_so(&snapshot) {
                return snapshot;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{what}: {:?}", self.cluster.snapshot().unwrap().state.services["web"].events);
    }

    fn wait_steady(&self) {
        self.wait("it completes", |snapshot| snapshot.state.services["web"].current_service_deployment().is_none());
    }

    /// Deploys and says how that ended.
    #[track_caller]
    fn deploy(
        &self,
        revision: u32,
        configuration: Option<DeploymentConfiguration>,
    ) -> (ServiceDeploymentStatus, String) {
        let deployment = self.begin(revision, configuration);
        let end = self.cluster.wait_for_deployment("web", deployment).unwrap();
        (end.status, end.reason.as_deref().unwrap_or_default().to_owned())
    }

    fn begin(
        &self,
        revision: u32,
        deployment_configuration: Option<DeploymentConfiguration>,
    ) -> longshore::model::ids::DeploymentId {
        let update = UpdateService {
            service: "web".into(),
            task_definition: Some(TaskDefinitionRef { family: "web".to_owned(), revision: Some(revision) }),
            deployment_configuration,
            new_deployment: NewDeployment::Forced,
            ..UpdateService::default()
        };
        match self.cluster.ask(Request::UpdateService(Box::new(update))).unwrap() {
            Response::Service { deployment } => deployment,
            other => panic!("{other:?}"),
        }
    }

    /// Jobs that each revision's tasks have echoed.
    fn echoed(&self, snapshot: &Snapshot) -> [usize; 2] {
        let lines = |revision: u32| {
            let tasks = snapshot.state.tasks.values().map(|record| &record.task);
            let of_it =
                tasks.filter(|task| task.task_definition.family == "web" && task.task_definition.revision == revision);
            of_it.filter_map(|task| self.cluster.data_plane().logs(task.id, 0)).map(|logs| logs.stdout.len() / 2).sum()
        };
        [lines(1), lines(2)]
    }
}

fn weight(snapshot: &Snapshot) -> Option<TrafficWeight> {
    let service = &snapshot.state.services["web"];
    service.traffic.production_of(service.primary().id)
}

/// ecs-semantics §5.8: none of the jobs, then a fifth of them, then all are the canary's; hooks that are modules say when.
#[test]
fn a_canary_gets_its_share_of_the_jobs() {
    let shop = Shop::open();
    shop.wait_steady();
    let deployment = shop.begin(2, None);
    let before = shop.wait("it gets its share", |snapshot| weight(snapshot) == Some(TrafficWeight(20_000)));
    let [_, canary] = shop.echoed(&before);
    // What was under way when the share began, at most.
    assert!(canary <= 10, "the canary had {canary} jobs before its share");
    let [source_before, canary_before] = shop.echoed(&before);
    std::thread::sleep(Duration::from_millis(2000));
    let after = shop.cluster.snapshot().unwrap();
    assert_eq!(weight(&after), Some(TrafficWeight(20_000)), "the canary bakes for three seconds");
    let [source, canary] = shop.echoed(&after);
    let (source, canary) = (source - source_before, canary - canary_before);
    assert!(source + canary > 50, "{source} and {canary} jobs are too few to tell");
    let fifth = (source + canary) / 5;
    assert!(canary.abs_diff(fifth) <= 5, "the canary did {canary} of {} jobs", source + canary);
    let all = shop.wait("it gets all", |snapshot| weight(snapshot) == Some(TrafficWeight::ALL));
    let record = all.state.services["web"].service_deployments.back().unwrap();
    let hooks: Vec<_> = record.lifecycle_hooks.iter().map(|hook| (hook.target.name(), hook.status.as_str())).collect();
    assert_eq!(hooks, [("yes".to_owned(), "SUCCEEDED"), ("later".to_owned(), "TIMED_OUT")]);
    let asked = all.state.tasks.values().filter(|record| record.task.task_definition.family == "later").count();
    assert!(asked >= 2, "IN_PROGRESS has it asked again: {asked} times");
    let end = shop.cluster.wait_for_deployment("web", deployment).unwrap();
    assert_eq!(end.status, ServiceDeploymentStatus::Successful, "{end:?}");
    let jobs = shop.cluster.snapshot().unwrap().jobs["web"];
    assert_eq!((jobs.lost, jobs.rejected), (0, 0));
}

/// ecs-semantics §5.8: a module that fails takes the deployment back; a callback that is asked twice lets it pass.
#[test]
fn hooks_decide() {
    let shop = Shop::open();
    shop.wait_steady();
    let hook = |target| DeploymentHook {
        target,
        stages: [LifecycleStage::ProductionTrafficShift].into(),
        details: None,
        timeout: Duration::from_secs(60),
        on_timeout: HookTimeoutAction::Rollback,
    };
    let spec = shop.cluster.snapshot().unwrap().state.services["web"].spec.deployment_configuration.clone();
    let with = |target| Some(DeploymentConfiguration { lifecycle_hooks: vec![hook(target)], ..spec.clone() });
    let reference = TaskDefinitionRef { family: "no".to_owned(), revision: None };
    let (status, reason) = shop.deploy(2, with(HookTarget::TaskDefinition(reference)));
    assert_eq!(status, ServiceDeploymentStatus::RollbackSuccessful, "{reason}");
    assert!(reason.contains("lifecycle hook no in stage PRODUCTION_TRAFFIC_SHIFT failed: exit code 3"), "{reason}");
    let (status, reason) = shop.deploy(2, with(HookTarget::Callback("nobody".into())));
    assert_eq!(status, ServiceDeploymentStatus::RollbackSuccessful);
    assert!(reason.contains("no callback is named nobody"), "{reason}");
    let (status, reason) = shop.deploy(2, with(HookTarget::Callback("ask-me".into())));
    // It is asked at 20 % of the traffic, where it says yes, and again at all of it, where it says no.
    assert_eq!(status, ServiceDeploymentStatus::RollbackSuccessful, "{reason}");
    assert!(reason.contains("a share of 20 % was enough"), "{reason}");
    let snapshot = shop.cluster.snapshot().unwrap();
    let record = snapshot.state.services["web"].service_deployments.back().unwrap();
    let statuses: Vec<&str> = record.lifecycle_hooks.iter().map(|hook| hook.status.as_str()).collect();
    assert_eq!(statuses, ["SUCCEEDED", "FAILED"]);
}
