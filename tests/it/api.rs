//! The ECS API without a socket: operations as JSON in, answers and exceptions out.

mod agents;
mod application_auto_scaling;
mod capacity;
mod client_tokens;
mod clusters;
mod durability;
mod server;
mod services;
mod sigv4;
mod tags;
mod task_definitions;
mod task_sets;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use longshore::api::error::ApiError;
use longshore::api::shape::Service;
use longshore::api::{Api, ApiOptions};
use longshore::data_plane::DataPlaneOptions;
use longshore::store::Store;
use serde_json::Value;

/// An account of its own.
struct Account {
    api: Api,
}

impl Account {
    fn new() -> Account {
        Account::kept(None)
    }

    /// One whose clusters measure by such a period.
    fn measured_each(period: Duration) -> Account {
        Account::with(|options| {
            options.settings.metric_period = period;
            options.settings.usage_period = period / 4;
        })
    }

    /// One that outlives this process, or goes on with what is there.
    fn kept(data: Option<Arc<Store>>) -> Account {
        Account::with(|options| options.data = data)
    }

    fn with(change: impl FnOnce(&mut ApiOptions)) -> Account {
        let options = DataPlaneOptions { pooled_instances: 64, worker_threads: Some(1), ..DataPlaneOptions::default() };
        let mut options = ApiOptions::new(options).expect("the engine starts");
        // As ECS does it, and sooner.
        options.settings.restart_delay_first = Duration::from_millis(50);
        options.settings.healthy_after = Duration::from_millis(500);
        options.settings.boot_time = Duration::from_millis(200);
        change(&mut options);
        let api = Api::new(options);
        api.go_on().unwrap_or_else(|error| panic!("{error}"));
        Account { api }
    }

    /// Calls an operation of ECS.
    fn ecs(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.api.call(Service::Ecs, operation, "us-east-1", input)
    }

    /// Calls one that has to be granted.
    #[track_caller]
    fn granted(&self, operation: &str, input: Value) -> Value {
        self.ecs(operation, input).unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    }

    /// Calls one that has to be refused: the exception and its message.
    #[track_caller]
    fn refused(&self, operation: &str, input: Value) -> (&'static str, String) {
        match self.ecs(operation, input) {
            Ok(answer) => panic!("{operation} is granted: {answer}"),
            Err(error) => (error.exception, error.message),
        }
    }

    /// Asks again until it is so.
    #[track_caller]
    fn until(&self, operation: &str, input: Value, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut answer = Value::Null;
        for _ in 0..PATIENCE_TRIES {
            answer = self.granted(operation, input.clone());
            if is_so(&answer) {
                return answer;
            }
            std::thread::sleep(PATIENCE / PATIENCE_TRIES);
        }
        panic!("{operation} still answers {answer}");
    }
}

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_TRIES: u32 = 1_200;

/// Clients that do the same at once, and how often they do.
const CLIENTS: usize = 4;
const ROUNDS: usize = 20;

/// The path of a workload.
fn workload(name: &str) -> String {
    format!("{}/workloads/{name}", env!("CARGO_MANIFEST_DIR"))
}
