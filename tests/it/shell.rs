//! The shell that stands for busybox, alpine and the like: real scripts through the data plane.

mod scripts;

use std::io::Write as _;
use std::time::Duration;

use longshore::control_plane::action::TaskHost;
use longshore::data_plane::DataPlaneOptions;
use longshore::model::image_map::{ImageMap, MappedImage};
use longshore::model::task::{ContainerOverride, HealthStatus, TaskOverrides};
use longshore::model::task_definition::{
    ContainerDefinition, HealthCheck, MountPoint, TaskDefinition, Volume, VolumeAccess,
};

use crate::guests;
use crate::plane::{Plane, container, definition, only};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A data plane on which the shell stands for every image.
fn plane() -> Plane {
    let images = ImageMap {
        default: Some(MappedImage { command: words(&["sh"]), ..MappedImage::of(guests::wasip1("shell")) }),
        ..ImageMap::default()
    };
    Plane::with(DataPlaneOptions { images, ..DataPlaneOptions::default() })
}

fn shell(script: &str) -> TaskDefinition {
    definition(vec![ContainerDefinition {
        entry_point: Some(words(&["sh", "-c"])),
        command: words(&[script]),
        ..container("alpine:3.20")
    }])
}

/// What a task wrote, and how it ended.
fn outcome(plane: &Plane, definition: TaskDefinition) -> (String, String, Option<i32>) {
    let task = plane.start(definition);
    let ended = plane.wait_stopped(task);
    let (code, _) = only(&ended);
    let stderr = plane.plane.logs(task, 0).expect("its output is kept").stderr;
    (plane.stdout(task, 0), String::from_utf8_lossy(&stderr).into_owned(), code)
}

/// Claim: scripts do what they do elsewhere. Method: a table with what dash or busybox has printed.
#[test]
fn scripts_do_what_they_do_elsewhere() {
    let plane = plane();
    let mut wrong = Vec::new();
    for (script, stdout, code) in scripts::SCRIPTS {
        let (said, complained, ended) = outcome(&plane, shell(script));
        if said != *stdout || ended != Some(*code) {
            wrong.push(format!(
                "{script}\n  wrote {said:?}\n  not   {stdout:?}\n  exit {ended:?} not {code}: {complained}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Claim: what a script can't have is said on standard error. Method: one of each, by its message.
#[test]
fn mistakes_are_told() {
    let plane = plane();
    for (script, message, code) in [
        ("nosuch", "sh: nosuch: not found\n", 127),
        ("/opt/app/run", "sh: /opt/app/run: not found\n", 127),
        ("/etc", "sh: /etc: Permission denied\n", 126),
        ("echo a; fi", "sh: line 1: syntax error: unexpected \"fi\"\n", 2),
        ("cat nothing", "cat: can't open 'nothing': No such file or directory\n", 1),
        ("echo x >/no/such", "sh: can't create /no/such: nonexistent directory\n", 1),
        ("cat </no/such", "sh: can't open /no/such: no such file\n", 1),
        ("set -u; echo $x", "sh: x: parameter not set\n", 2),
        ("set -x; A=1; echo 'a b' $A", "+ A=1\n+ echo 'a b' 1\n", 0),
        ("echo $((1/0))", "sh: divide by zero\n", 2),
        ("f() { f; }; f", "sh: nested too deep\n", 2),
        ("curl http://x", "sh: curl: not found\n", 127),
    ] {
        let (_, complained, ended) = outcome(&plane, shell(script));
        assert_eq!((complained.as_str(), ended), (message, Some(code)), "{script}");
    }
}

/// Claim: a container runs what its definition says, in every way in which people write it. **Source:** ecs-semantics §1.5.
/// Method: entry points and commands of real task definitions, and an override.
#[test]
fn entry_points_and_commands() {
    let plane = plane();
    type Case<'a> = (Option<&'a [&'a str]>, &'a [&'a str], &'a str, i32);
    let cases: [Case<'_>; 12] = [
        (None, &["sh", "-c", "echo hello && exit 0"], "hello\n", 0),
        (None, &["/bin/sh", "-c", "echo $0 $1", "name", "x"], "name x\n", 0),
        (None, &["echo", "hi"], "hi\n", 0),
        (None, &["/bin/echo", "hi"], "hi\n", 0),
        (None, &["sleep", "0.01"], "", 0),
        (None, &["busybox", "echo", "-n", "x"], "x", 0),
        (None, &["bash", "-c", "exit 3"], "", 3),
        (None, &["nosuch"], "", 127),
        (None, &[], "", 0),
        (Some(&["sh", "-c"]), &["echo a; exit 4"], "a\n", 4),
        (Some(&["/bin/sh", "-ec"]), &["false; echo no"], "", 1),
        (Some(&["echo"]), &["from", "entry"], "from entry\n", 0),
    ];
    for (entry_point, command, stdout, code) in cases {
        let defined = definition(vec![ContainerDefinition {
            entry_point: entry_point.map(words),
            command: words(command),
            ..container("busybox")
        }]);
        let (said, complained, ended) = outcome(&plane, defined);
        assert_eq!((said.as_str(), ended), (stdout, Some(code)), "{entry_point:?} {command:?}: {complained}");
    }
    let defined = definition(vec![ContainerDefinition { command: words(&["echo", "no"]), ..container("busybox") }]);
    let change = ContainerOverride { command: Some(words(&["echo", "$X"])), ..ContainerOverride::default() };
    let overrides = TaskOverrides { containers: [("c7".to_owned(), change)].into(), ..TaskOverrides::default() };
    let task = plane.start_on(defined, TaskHost::Fargate, overrides, None);
    plane.wait_stopped(task);
    assert_eq!(plane.stdout(task, 0), "$X\n");
}

/// Claim: StopTask is a SIGTERM to what waits: it ends with 143, or does what its trap says. Method: stop each once it runs and has
/// said so, and see that none needed its stop timeout.
#[test]
fn stopping_is_a_signal() {
    let plane = plane();
    for (script, stdout, code) in [
        ("echo up; sleep 300; echo never", "up\n", 143),
        ("echo up; sleep infinity", "up\n", 143),
        ("echo up; tail -f /dev/null", "up\n", 143),
        ("echo up; while true; do sleep 1; done", "up\n", 143),
        ("echo up; (sleep 300); echo never", "up\n", 143),
        ("trap 'echo bye; exit 0' TERM; echo up; sleep 300", "up\nbye\n", 0),
        ("trap 'echo bye; exit 3' TERM; echo up; sleep 300 & wait", "up\nbye\n", 3),
        ("trap 'echo got' TERM; echo up; sleep 300; echo after $?", "up\ngot\nafter 143\n", 0),
        ("trap 'exit 7' TERM; echo up; while :; do :; done", "up\n", 7),
        ("trap 'echo last' EXIT; trap 'exit 0' TERM; echo up; sleep 300", "up\nlast\n", 0),
        ("echo up; exec sleep 300", "up\n", 143),
        ("trap 'echo bye; exit 0' TERM; echo up; (cd /tmp && sleep 300); echo never", "up\nbye\n", 0),
        ("trap 'echo bye; exit 0' TERM; echo up; x=$(sleep 300); echo never", "up\nbye\n", 0),
        ("trap 'echo bye; exit 0' TERM; echo up; sh -c 'sleep 300' | cat; echo never", "up\nbye\n", 0),
        ("echo up; cat; echo end of input", "up\nend of input\n", 0),
        (
            "echo up; nginx -g 'daemon off;'",
            "up\nnginx: stand-in without a network, waits to be stopped\nnginx: stopped\n",
            0,
        ),
    ] {
        let mut defined = shell(script);
        defined.containers[0].stop_timeout = Some(Duration::from_secs(20));
        let began = plane.clock.now();
        let task = plane.start(defined);
        plane.wait_running(task);
        while !plane.stdout(task, 0).contains("up") {
            std::thread::sleep(Duration::from_millis(1));
        }
        // What waits is waiting: whoever has just said so may not have begun to.
        std::thread::sleep(Duration::from_millis(20));
        plane.plane.stop_task(task);
        let ended = plane.wait_stopped(task);
        assert_eq!((plane.stdout(task, 0).as_str(), only(&ended).0), (stdout, Some(code)), "{script}");
        assert!(plane.clock.now().since(began) < Duration::from_secs(15), "{script}: it took its stop timeout");
    }
}

/// Claim: a stop is heard also when it comes before the shell looks at its input, and an input that has ended before a health check
/// begins is none. Method: stop tasks right after they were started, and while they look for the first time; and a check that sleeps.
#[test]
fn a_stop_before_the_shell_looks_is_heard() {
    let plane = plane();
    plane.run(shell("exit 0"));
    let scripts = ["sleep 300", "while true; do sleep 1; done", "tail -f /dev/null"];
    // The first look takes a millisecond, and the shell comes to it within some.
    for (script, delay) in scripts.repeat(200).into_iter().zip((0..6_000).step_by(10)) {
        let mut defined = shell(script);
        defined.containers[0].stop_timeout = Some(Duration::from_secs(20));
        let began = plane.clock.now();
        let task = plane.start(defined);
        std::thread::sleep(Duration::from_micros(delay));
        plane.plane.stop_task(task);
        let ended = plane.wait_stopped(task);
        assert!(ended.exits.values().all(|exit| exit.exit_code.is_none_or(|code| code == 143)), "{script}: {ended:?}");
        assert!(plane.clock.now().since(began) < Duration::from_secs(15), "{script}: it took its stop timeout");
    }

    let mut defined = shell("sleep 300");
    defined.containers[0].health_check = Some(HealthCheck {
        command: words(&["CMD", "sh", "-c", "sleep 0.01 && echo checked"]),
        interval: Duration::from_millis(10),
        ..HealthCheck::default()
    });
    let task = plane.start(defined);
    let health = std::iter::repeat_with(|| plane.change())
        .find_map(|change| change.containers.iter().find_map(|container| container.health))
        .expect("it is checked");
    assert_eq!(health, HealthStatus::Healthy);
    plane.plane.stop_task(task);
    plane.wait_stopped(task);
}

/// Claim: what ignores the stop is ended by force, as elsewhere. Method: a trap that does nothing, and a short stop timeout.
#[test]
fn ignoring_the_stop_ends_by_force() {
    let plane = plane();
    let task = plane.start(shell("trap '' TERM; echo up; sleep 300"));
    plane.wait_running(task);
    while !plane.stdout(task, 0).contains("up") {
        std::thread::sleep(Duration::from_millis(1));
    }
    plane.plane.stop_task(task);
    assert_eq!(only(&plane.wait_stopped(task)).0, Some(137));
}

/// Claim: a mounted volume is there for the shell as for its neighbours, and what is not mounted is in memory. Method: write in one
/// container, wait for it in the other, and look at the host's folder.
#[test]
fn volumes_are_shared() {
    let plane = plane();
    let folder = plane.folder.path().join("data");
    std::fs::create_dir(&folder).expect("the folder is made");
    let mounted =
        |access| vec![MountPoint { source_volume: "v".to_owned(), container_path: "/mnt/data".to_owned(), access }];
    let writes = "mkdir -p /mnt/data/a && echo from one > /mnt/data/a/x && echo more >> /mnt/data/a/x && echo y > /opt/y; sleep 5";
    let reads = "until [ -s /mnt/data/a/x ]; do sleep 0.01; done; sleep 0.05; cat /mnt/data/a/x; ls /mnt/data /mnt; cat /opt/y; \
                 echo z > /mnt/data/z";
    let task = TaskDefinition {
        volumes: vec![Volume { name: "v".to_owned(), host_source_path: Some(folder.display().to_string()) }],
        ..definition(vec![
            ContainerDefinition {
                name: "writer".to_owned(),
                essential: false,
                mount_points: mounted(VolumeAccess::ReadWrite),
                ..shell(writes).containers.remove(0)
            },
            ContainerDefinition {
                name: "reader".to_owned(),
                mount_points: mounted(VolumeAccess::ReadOnly),
                ..shell(reads).containers.remove(0)
            },
        ])
    };
    let task = plane.start(task);
    let ended = plane.wait_stopped(task);
    assert_eq!(plane.stdout(task, 1), "from one\nmore\n/mnt/data:\na\n\n/mnt:\ndata\n");
    let complained = plane.plane.logs(task, 1).expect("its output is kept").stderr;
    let complained = String::from_utf8_lossy(&complained).into_owned();
    assert!(
        complained.contains("can't open '/opt/y'") && complained.contains("can't create /mnt/data/z"),
        "{complained}"
    );
    assert_eq!(ended.exits[&1].exit_code, Some(1));
    assert_eq!(std::fs::read_to_string(folder.join("a/x")).expect("it is there"), "from one\nmore\n");
}

/// Claim: a shell that sleeps uses no CPU, and one that spins is held like any other. Method: what a sleep of a second has used; a
/// script that fills memory.
#[test]
fn limits_hold() {
    let plane = plane();
    let task = plane.start(shell("sleep 1"));
    let used = plane.wait_stopped(task).usage.vcpu;
    assert!(used.0 < 50_000_000, "a sleep of a second used {used:?}");
    let (_, _, ended) = outcome(&plane, shell("x=0123456789abcdef; while :; do x=$x$x; done"));
    assert_eq!(ended, Some(137));
}

/// Claim: environment and files of variables are the guest's. Method: print one.
#[test]
fn environments_are_seen() {
    let plane = plane();
    let mut defined = shell("echo \"$GREETING\"; env | grep ^GREET; sh -c 'echo inner $GREETING'");
    defined.containers[0].environment = [("GREETING".to_owned(), "hi there".to_owned())].into();
    assert_eq!(outcome(&plane, defined).0, "hi there\nGREETING=hi there\ninner hi there\n");
}

/// Claim: an input that had ended before the shell began is no request to stop, and one that is piped is the script's. Method: run the
/// program with each.
#[test]
fn the_end_of_a_pipe_is_no_signal() {
    let run = |script: &str, input: &str| {
        let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_longshore"))
            .args(["run-task", "--no-cache", &guests::wasip1("shell").display().to_string(), "--", "sh", "-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdin = process.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("there is room");
        drop(stdin);
        let output = process.wait_with_output().expect("it ends");
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    };
    assert_eq!(run("sleep 0.05; echo after", ""), ("after\n".to_owned(), Some(0)));
    assert_eq!(run("cat; sleep 0.05; echo after", "piped\n"), ("piped\nafter\n".to_owned(), Some(0)));
    assert_eq!(run("sleep 0.05; while read x; do echo \"<$x>\"; done", "a\nb\n"), ("<a>\n<b>\n".to_owned(), Some(0)));
}
