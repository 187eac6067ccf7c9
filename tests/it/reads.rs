//! Reads of a running cluster without a copy: they see what a request has just made, and can do the cluster no harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore::control_plane::action::Response;
use longshore::control_plane::event::Request;
use longshore::driver::running_cluster::{AskError, HostOptions, RunningCluster};
use longshore::model::cluster::ClusterSpec;
use longshore::model::ids::TaskId;
use longshore::model::task::TaskStatus;
use longshore::model::task_definition::TaskDefinition;

use crate::harness::{on_fargate, run, task_definition};

/// A cluster without anything in it but a task definition `once` whose task ends by itself.
fn cluster() -> (RunningCluster, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("once.wat");
    std::fs::write(&path, r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap();
    let mut definition: TaskDefinition = task_definition("once", 256, 512);
    definition.containers[0].image = path.display().to_string();
    let spec = ClusterSpec {
        name: "reads".to_owned(),
        region: "us-east-1".to_owned(),
        task_definitions: vec![definition],
        ..ClusterSpec::default()
    };
    (RunningCluster::start(spec, HostOptions::default()).unwrap(), folder)
}

/// What RunTask has made is read before anything else happens: the tasks are PENDING, whatever the data plane is about to say.
#[test]
fn an_answer_is_read_in_the_turn_of_its_request() {
    let (cluster, _folder) = cluster();
    for _ in 0..50 {
        let request = Request::RunTask(Box::new(run("once", 3, on_fargate())));
        let seen = cluster.ask_then(request, |response, state, context| {
            let Response::RunTask { tasks, .. } = response else { panic!("it is RunTask's answer") };
            let shown = |task: &TaskId| (context.arns.task(*task), state.tasks[task].task.last_status);
            (context.now, tasks.iter().map(shown).collect::<BTreeMap<_, _>>())
        });
        let (now, seen) = seen.unwrap();
        assert_eq!(seen.len(), 3);
        assert!(seen.keys().all(|arn| arn.starts_with("arn:aws:ecs:us-east-1:123456789012:task/reads/")), "{seen:?}");
        assert!(seen.values().all(|status| *status == TaskStatus::Pending), "{seen:?}");
        assert!(now <= cluster.read(|_, context| context.now).unwrap(), "time goes on");
    }
    cluster.wait_for_standalone_tasks().unwrap();
    let over = cluster.read(|state, _| state.stopped_count).unwrap();
    assert_eq!(over, 150);
}

/// A request that is refused is not read after, a read that panics panics where it was asked for, and a cluster that is over says so.
#[test]
fn what_goes_wrong_with_a_read_is_its_callers() {
    let (cluster, _folder) = cluster();
    let refused = cluster.ask_then(Request::RunTask(Box::new(run("twice", 1, on_fargate()))), |_, _, _| {
        unreachable!("nothing was granted")
    });
    let refused: Result<(), AskError> = refused;
    assert_eq!(refused.unwrap_err().to_string(), "TaskDefinition not found: twice");
    let cluster = Arc::new(cluster);
    let reader = cluster.clone();
    let panicked = std::thread::spawn(move || reader.read(|_, _| panic!("the read fails"))).join();
    let panic = panicked.map(|answer: Result<(), _>| answer).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the read fails"));
    assert_eq!(cluster.read(|state, _| state.live_count).unwrap(), 0);
    cluster.drain();
    while !cluster.is_over() {
        std::thread::yield_now();
    }
    assert!(cluster.read(|_, _| ()).is_err());
    assert!(matches!(cluster.ask_then(Request::DrainCluster, |_, _, _| ()), Err(AskError::Over(_))));
}
