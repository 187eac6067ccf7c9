//! The Rust SDK of AWS as a client of `longshore serve`: `longshore-sdk-client SCENARIO ENDPOINT`.
//!
//! A scenario asserts what it expects; the program panics where that does not hold, and ends with 0 where all of it did. What the server
//! has to be started with is said by each scenario.

mod capacity;
mod services;
mod session;
mod signatures;
mod tasks;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scenario, endpoint] = &arguments[..] else {
        panic!("usage: longshore-sdk-client tasks|services|capacity|signatures ENDPOINT");
    };
    match scenario.as_str() {
        "tasks" => tasks::run(endpoint).await,
        "services" => services::run(endpoint).await,
        "capacity" => capacity::run(endpoint).await,
        "signatures" => signatures::run(endpoint).await,
        other => panic!("there is no scenario '{other}'"),
    }
}
