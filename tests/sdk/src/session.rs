//! What the scenarios share: clients, task definitions, patience.

use std::time::Duration;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ecs::types::{AwsVpcConfiguration, Compatibility, ContainerDefinition, NetworkConfiguration, NetworkMode};

/// The keys that servers which verify signatures know.
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub const SECRET_KEY: &str = "an example of a secret";
/// How long a waiter waits.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A client that does not try again: what goes wrong is to be seen.
pub fn client(endpoint: &str, access_key: &str, secret_key: &str) -> Client {
    let config = aws_sdk_ecs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "these tests"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// A network as tasks on Fargate name it.
pub fn network() -> NetworkConfiguration {
    let vpc = AwsVpcConfiguration::builder().subnets("subnet-1").build().expect("it has a subnet");
    NetworkConfiguration::builder().awsvpc_configuration(vpc).build()
}

/// Registers a revision with one container; returns its ARN.
pub async fn define(ecs: &Client, family: &str, image: &str, command: &[&str]) -> String {
    let container = ContainerDefinition::builder()
        .name("main")
        .image(image)
        .set_command(Some(command.iter().map(|&word| word.to_owned()).collect()))
        .stop_timeout(2)
        .essential(true)
        .build();
    let registered = ecs
        .register_task_definition()
        .family(family)
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate)
        .requires_compatibilities(Compatibility::Ec2)
        .cpu("256")
        .memory("512")
        .container_definitions(container)
        .send()
        .await
        .expect("it is registered");
    let definition = registered.task_definition.expect("it is answered");
    assert_eq!(definition.container_definitions()[0].image(), Some(image));
    definition.task_definition_arn.expect("it has an ARN")
}

/// Asks until there is an answer that will do.
pub async fn until<T, A>(what: &str, ask: impl Fn() -> A) -> T
where
    A: Future<Output = Option<T>>,
{
    for _ in 0..PATIENCE.as_millis() / 100 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: it does not come");
}
