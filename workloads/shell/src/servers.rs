//! Stand-ins for servers: they say that they run, and wait to be asked to stop. There is no network.

use crate::shell::{EXIT_TERMINATED, Flow, Run, Shell};

const SERVERS: [&str; 10] = [
    "nginx",
    "httpd",
    "httpd-foreground",
    "apache2-foreground",
    "apachectl",
    "apache2ctl",
    "redis-server",
    "postgres",
    "mysqld",
    "memcached",
];

pub fn is_server(name: &str) -> bool {
    SERVERS.contains(&name)
}

/// Runs a stand-in; `None`: there is none of that name. Asked to stop, a server ends in good order: with 0.
pub fn run(shell: &mut Shell, name: &str) -> Option<Run> {
    if !is_server(name) {
        return None;
    }
    let said = shell.put(format!("{name}: stand-in without a network, waits to be stopped\n"));
    Some(said.and_then(|()| match shell.wait(None) {
        Err(Flow::Killed(EXIT_TERMINATED)) => {
            shell.put(format!("{name}: stopped\n"))?;
            Err(Flow::Killed(0))
        }
        ended => ended,
    }))
}
