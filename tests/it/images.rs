//! Images by name: which module stands for one, by names, patterns, folders, paths and a default, and what becomes of those that nothing
//! stands for.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longshore::catalog::Catalog;
use longshore::config::{ClusterFile, load_images};
use longshore::control_plane::action::{TaskHost, TaskStart};
use longshore::data_plane::DataPlaneOptions;
use longshore::model::ids::{DeploymentId, TaskId};
use longshore::model::image_map::{AtPath, ImageMap, ImagePaths, MappedImage};
use longshore::model::task::HealthStatus;
use longshore::model::task_definition::{ContainerDefinition, VersionConsistency};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_clients::{Served, run_task};
use crate::guests;
use crate::plane::{Plane, container, definition, only};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn at_path(path: &Path) -> AtPath {
    match (path.is_file(), path.join("Cargo.toml").is_file(), path.exists()) {
        (true, _, _) if path.extension().is_some_and(|ending| ending == "wasm") => AtPath::Module,
        (_, true, _) => AtPath::Module,
        (_, _, true) => AtPath::Other,
        _ => AtPath::Nothing,
    }
}

/// The module for an image, or why there is none.
fn resolved(images: &ImageMap, image: &str) -> String {
    match images.resolve(image, &at_path) {
        Ok(mapped) => mapped.module.display().to_string(),
        Err(reason) => reason,
    }
}

fn map(names: &[&str]) -> ImageMap {
    let names = names.iter().map(|name| ((*name).to_owned(), MappedImage::of(format!("<{name}>")))).collect();
    ImageMap { names, paths: ImagePaths::Refused, ..ImageMap::default() }
}

/// Claim: of all names that fit, the most specific one wins. Method: a map in which several fit, and images for each.
#[test]
fn the_most_specific_name_wins() {
    let pinned = format!("web@{DIGEST}");
    let images = map(&[
        "*",
        "web",
        "web:1.2",
        &pinned,
        "*/web:*",
        "*/web:1.*",
        "public.ecr.aws/*",
        "public.ecr.aws/team/*",
        "team/*:canary",
        "localhost:5000/web",
    ]);
    let with_digest = format!("web:9@{DIGEST}");
    for (image, name) in [
        ("web", "<web>"),
        ("web:latest", "<web>"),
        ("docker.io/library/web:3", "<web>"),
        ("web:1.2", "<web:1.2>"),
        ("docker.io/web:1.2", "<web:1.2>"),
        (&with_digest, &format!("<{pinned}>")),
        ("team/web:1.2", "<*/web:1.*>"),
        ("team/web", "<*/web:*>"),
        ("public.ecr.aws/other/thing:1", "<public.ecr.aws/*>"),
        ("public.ecr.aws/team/thing:1", "<public.ecr.aws/team/*>"),
        ("public.ecr.aws/team/web:1.2", "<public.ecr.aws/team/*>"),
        ("team/thing:canary", "<team/*:canary>"),
        ("localhost:5000/web:x", "<localhost:5000/web>"),
        ("redis", "<*>"),
    ] {
        assert_eq!(resolved(&images, image), *name, "{image}");
    }
}

/// Claim: names match the whole image, however it is written. Method: patterns that fit and that do not.
#[test]
fn patterns_match_whole_names() {
    for (pattern, image, fits) in [
        ("web:*", "web:1", true),
        ("web:*", "web", true),
        ("web:*", "team/web:1", false),
        ("*web", "team/web:1", true),
        ("*web", "web-2", false),
        ("w*b", "wb", true),
        ("w*b:*1*2*", "web:a1b2c", true),
        ("w*b:*1*2*", "web:a2b1c", false),
        ("library/web", "web", true),
        ("docker.io/library/web", "web", true),
        ("docker.io/*/web", "web", true),
        ("*:latest", "web", true),
        ("*@sha256:0123*", &format!("web@{DIGEST}"), true),
        ("*@sha256:9999*", &format!("web@{DIGEST}"), false),
        ("web:1", "web:10", false),
        ("web", "webs", false),
    ] {
        let found = map(&[pattern]).resolve(image, &at_path).is_ok();
        assert_eq!(found, fits, "{pattern} {image}");
    }
}

/// Claim: a folder's modules are found by the image's name, the longest form of it first. Method: add forms, the least specific first.
#[test]
fn folders_are_looked_through() {
    let folder = TempDir::new().expect("there is a temporary folder");
    let images =
        ImageMap { folders: vec![folder.path().to_owned()], paths: ImagePaths::Refused, ..ImageMap::default() };
    let image = "public.ecr.aws/docker/library/busybox:1.36";
    assert!(resolved(&images, image).starts_with("failed to resolve ref public.ecr.aws/docker/library/busybox:1.36: "));
    fs::create_dir_all(folder.path().join("library")).expect("the folder is made");
    fs::create_dir_all(folder.path().join("public.ecr.aws/docker/library")).expect("the folder is made");
    for file in [
        "busybox.wasm",
        "busybox:1.36.wasm",
        "library/busybox.wasm",
        "library/busybox:1.36.wasm",
        "public.ecr.aws/docker/library/busybox:1.36.wasm",
    ] {
        fs::write(folder.path().join(file), "").expect("the file is written");
        assert_eq!(resolved(&images, image), folder.path().join(file).display().to_string());
    }
    assert_eq!(resolved(&images, "busybox:1.35"), folder.path().join("library/busybox.wasm").display().to_string());
    fs::create_dir(folder.path().join("app")).expect("the folder is made");
    assert!(resolved(&images, "team/app").starts_with("failed to resolve ref docker.io/team/app:latest: "));
    fs::write(folder.path().join("app/Cargo.toml"), "").expect("the file is written");
    assert_eq!(resolved(&images, "team/app"), folder.path().join("app").display().to_string());
    // Nothing outside the folder is in it.
    for image in ["../app", "a/../../app", "/etc/passwd"] {
        assert!(resolved(&images, image).starts_with("invalid reference format: "), "{image}");
    }
}

/// Claim: paths are images only where that is allowed, and the default stands for what is left. Method: each with and without.
#[test]
fn paths_and_defaults() {
    let module = guests::wasip1("hello");
    let path = module.display().to_string();
    let mut images = ImageMap::default();
    assert_eq!(resolved(&images, &path), path);
    assert_eq!(resolved(&images, "nowhere.wasm"), "nowhere.wasm");
    images.paths = ImagePaths::Refused;
    assert_eq!(
        resolved(&images, &path),
        format!(
            "invalid reference format: {path} (images by path are not allowed here: name the module in [images], or \
             let the server --allow-paths)"
        )
    );
    assert_eq!(
        resolved(&images, "nginx"),
        "failed to resolve ref docker.io/library/nginx:latest: docker.io/library/nginx:latest: not found (no module \
         stands for it: name one in [images], a folder of modules with --images, or a default)"
    );
    images.default = Some(MappedImage::of("stand-in.wasm"));
    assert_eq!(resolved(&images, "nginx"), "stand-in.wasm");
    assert_eq!(resolved(&images, &path), "stand-in.wasm");
}

/// Claim: what the first of two maps says comes first. Method: one map before another.
#[test]
fn one_map_before_another() {
    let first = ImageMap { names: [("web".to_owned(), MappedImage::of("first"))].into(), ..ImageMap::default() };
    let both = first.before(ImageMap { default: Some(MappedImage::of("default")), ..map(&["web", "app"]) });
    assert_eq!(resolved(&both, "web"), "first");
    assert_eq!(resolved(&both, "app"), "<app>");
    assert_eq!(resolved(&both, "other"), "default");
    assert_eq!(both.paths, ImagePaths::Refused);
}

/// Claim: a task whose image nothing stands for ends as in ECS. **Source:** ecs-semantics §2.4. Method: run one.
#[test]
fn what_nothing_stands_for_cannot_be_pulled() {
    let images = ImageMap { paths: ImagePaths::Refused, ..ImageMap::default() };
    let plane = Plane::with(DataPlaneOptions { images, ..DataPlaneOptions::default() });
    let ended = plane.run(definition(vec![container("nginx:1.27")]));
    let reason = ended.failed_to_start.expect("it did not start");
    assert!(
        reason.starts_with(
            "CannotPullContainerError: failed to resolve ref docker.io/library/nginx:1.27: \
             docker.io/library/nginx:1.27: not found (no module"
        ),
        "{reason}"
    );
    assert!(["[images]", "--images", "default"].iter().all(|setting| reason.contains(setting)), "{reason}");
}

/// Claim: an image has an entry point and a command of its own, which a container's replace as in Docker. **Source:** ecs-semantics
/// §1.5. Method: what a guest is given, for each of the four.
#[test]
fn images_have_entry_points_and_commands() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mapped = MappedImage {
        entry_point: Some(words(&["of-image"])),
        command: words(&["by", "default"]),
        ..MappedImage::of(guests::wasip1("probe"))
    };
    let plain = MappedImage::of(guests::wasip1("probe"));
    let names = [("full".to_owned(), mapped), ("plain".to_owned(), plain)].into();
    let images = ImageMap { names, ..ImageMap::default() };
    let plane = Plane::with(DataPlaneOptions { images, ..DataPlaneOptions::default() });
    for (image, entry_point, command, arguments) in [
        ("full", None, &[][..], r#"["of-image", "by", "default"]"#),
        ("full", None, &["given"], r#"["of-image", "given"]"#),
        ("full", Some(&["mine"][..]), &[], r#"["mine"]"#),
        ("full", Some(&["mine"]), &["given"], r#"["mine", "given"]"#),
        ("plain", None, &["given"], r#"["probe", "given"]"#),
    ] {
        let task = plane.start(definition(vec![ContainerDefinition {
            entry_point: entry_point.map(words),
            command: words(command),
            ..container(image)
        }]));
        plane.wait_stopped(task);
        let said = plane.stdout(task, 0);
        assert!(said.contains(&format!("{{\"args\": {arguments}, ")), "{image}: {said}");
    }
}

/// Claim: the digest of a container's image is the SHA-256 of its module. **Source:** ecs-semantics §5.9. Method: a module of known bytes.
#[test]
fn containers_have_their_images_digest() {
    let plane = Plane::new();
    let image = plane.module("empty", "(module (func (export \"_start\")))");
    let task = plane.start(definition(vec![container(&image)]));
    let digests: Vec<String> = std::iter::from_fn(|| {
        let change = plane.change();
        let is_over = matches!(change.step, longshore::control_plane::event::TaskStep::Stopped { .. });
        (!is_over)
            .then(|| change.containers.iter().filter_map(|one| one.image_digest).map(String::from).collect::<Vec<_>>())
    })
    .flatten()
    .collect();
    // As sha256sum has it.
    assert_eq!(digests, ["sha256:dcb40385d8ad71d128df072e620febe3114b162d8db40fe1776e755bb71ec9cd"], "{task}");
}

/// Claim: the images that come along stand for what people write. Method: each in a task, as its definition has it.
#[test]
fn the_ready_made_images_run() {
    // Also a folder of modules, where the modules of a build are.
    let images = load_images(guests::folder()).expect("the file is right");
    assert_eq!(images.folders, [guests::folder()]);
    for image in [
        "busybox",
        "busybox:1.36-glibc",
        "alpine:3.20",
        "debian:bookworm-slim",
        "ubuntu:24.04",
        "amazonlinux:2023",
        "public.ecr.aws/docker/library/busybox:latest",
        "public.ecr.aws/amazonlinux/amazonlinux:2023",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/alpine:3",
        "nginx",
        "nginx:1.27-alpine",
        "httpd:2.4",
        "amazon/amazon-ecs-sample",
        "public.ecr.aws/nginx/nginx:stable",
        "public.ecr.aws/docker/library/httpd:2.4",
    ] {
        assert_eq!(resolved(&images, image), guests::folder().join("shell").display().to_string(), "{image}");
    }
    assert_eq!(
        resolved(&images, "registry.k8s.io/pause:3.9"),
        guests::folder().join("pause.wat").display().to_string()
    );
    // By its folder, as a workload is found without a name of its own.
    assert_eq!(resolved(&images, "team/sieve:2"), guests::folder().join("sieve").display().to_string());

    let built = |mapped: MappedImage| MappedImage { module: guests::wasip1("shell"), ..mapped };
    let names = images.names.into_iter().map(|(name, mapped)| {
        let mapped = if mapped.module.ends_with("shell") { built(mapped) } else { mapped };
        (name, mapped)
    });
    let images = ImageMap { names: names.collect(), paths: ImagePaths::Refused, ..ImageMap::default() };
    let plane = Plane::with(DataPlaneOptions { images, ..DataPlaneOptions::default() });
    // The task definition of ECS' own examples.
    let sample = ContainerDefinition {
        entry_point: Some(vec!["sh".to_owned(), "-c".to_owned()]),
        command: vec![
            "/bin/sh -c \"echo '<html> <head> <title>Amazon ECS Sample App</title> </head> </html>' > \
             /usr/local/apache2/htdocs/index.html && httpd-foreground\""
                .to_owned(),
        ],
        ..container("public.ecr.aws/docker/library/httpd:latest")
    };
    for (defined, said) in [
        (sample, "httpd-foreground: stand-in without a network, waits to be stopped\nhttpd-foreground: stopped\n"),
        (
            container("public.ecr.aws/docker/library/redis:7"),
            "redis-server: stand-in without a network, waits to be stopped\nredis-server: stopped\n",
        ),
        (container("nginx:latest"), "nginx: stand-in without a network, waits to be stopped\nnginx: stopped\n"),
        (container("amazon/amazon-ecs-pause:0.1"), ""),
    ] {
        let image = defined.image.clone();
        let task = plane.start(definition(vec![defined]));
        plane.wait_running(task);
        while !said.starts_with(&plane.stdout(task, 0)) || (plane.stdout(task, 0).is_empty() && !said.is_empty()) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        plane.plane.stop_task(task);
        assert_eq!(only(&plane.wait_stopped(task)), (Some(0), None), "{image}");
        assert_eq!(plane.stdout(task, 0), said, "{image}");
    }
}

/// Claim: a file of images says what is wrong with it, also one that another names, and files that name each other end. Method: a mistake
/// two files deep, a file that names itself, a key of a cluster file, and a file that is not there.
#[test]
fn files_of_images_tell_their_mistakes() {
    let folder = TempDir::new().expect("there is a temporary folder");
    let told = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the file is written");
        let errors = load_images(&path).expect_err("it has a mistake");
        errors.to_string().replace(&*folder.path().to_string_lossy(), "/folder")
    };
    assert_eq!(
        told("inner.toml", "[images]\n\"x\" = \"nowhere\"\n"),
        "/folder/inner.toml:2:7: images.x: module \"nowhere\" not found: looked for /folder/nowhere"
    );
    assert_eq!(
        told("outer.toml", "[images]\nfrom = \"inner.toml\"\n"),
        "/folder/outer.toml:2:8: images.from: /folder/inner.toml:2:7: images.x: module \"nowhere\" not found: looked for \
         /folder/nowhere"
    );
    let endless = told("endless.toml", "[images]\nfrom = \"endless.toml\"\n");
    assert!(endless.ends_with("8 files in a row name each other"), "{endless}");
    assert_eq!(
        told("cluster.toml", "[cluster]\n"),
        "/folder/cluster.toml:1:2: cluster: unknown key `cluster`\n  help: the keys here are images"
    );
    let missing = load_images(folder.path().join("none.toml")).expect_err("it is not there").to_string();
    assert!(missing.ends_with("none.toml: cannot be read: no such file or directory (os error 2)"), "{missing}");
}

/// Claim: a cluster file names images as a server does, and runs them. Method: a file with each kind, and its tasks.
#[test]
fn a_cluster_file_names_images() {
    let folder = TempDir::new().expect("there is a temporary folder");
    let shell = guests::wasip1("shell");
    fs::create_dir(folder.path().join("modules")).expect("the folder is made");
    fs::copy(guests::wasip1("hello"), folder.path().join("modules/greeter.wasm")).expect("the file is copied");
    fs::copy(&shell, folder.path().join("shell.wasm")).expect("the file is copied");
    fs::write(
        folder.path().join("more.toml"),
        "[images]\n\"busy*\" = { module = \"shell.wasm\", entry_point = [\"sh\", \"-c\"] }\n",
    )
    .expect("the file is written");
    let text = r#"
[images]
from = ["modules", "more.toml"]
"alpine" = "shell.wasm"
default = { module = "shell.wasm", command = ["echo", "default"] }

[[task_definition]]
family = "t"
cpu = "256"
memory = "512"
requires_compatibilities = ["FARGATE"]
container = [
  { name = "a", image = "alpine:3", command = ["echo", "named"] },
  { name = "b", image = "busybox:1", command = ["echo pattern"] },
  { name = "c", image = "team/greeter:v1" },
  { name = "d", image = "whatever" },
  { name = "e", image = "./shell.wasm", command = ["echo", "path"] },
]

[[run_task]]
task_definition = "t"
launch_type = "FARGATE"
"#;
    let spec = ClusterFile::parse(text, folder.path().join("cluster.toml"), &Catalog::embedded());
    let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    let images: Vec<&str> = spec.task_definitions[0].containers.iter().map(|one| one.image.as_str()).collect();
    assert_eq!(images[..4], ["alpine:3", "busybox:1", "team/greeter:v1", "whatever"], "they keep their names");
    let plane = Plane::with(DataPlaneOptions { images: spec.images.clone(), ..DataPlaneOptions::default() });
    let said = spec.task_definitions[0].containers.iter().map(|defined| {
        let task = plane.start(definition(vec![defined.clone()]));
        plane.wait_stopped(task);
        plane.stdout(task, 0)
    });
    let said: Vec<String> = said.collect();
    assert_eq!(said[..2], ["named\n", "pattern\n"]);
    assert!(said[2].contains("ello"), "{}", said[2]);
    assert_eq!(said[3..], ["default\n", "path\n"]);
}

/// What becomes of a task of one container on a server.
fn run_on(server: &Served, image: &str, command: &[&str]) -> Value {
    run_task(&server.address, &json!({"name": "c", "image": image, "command": command, "essential": true}), "STOPPED")
}

/// Claim: a server runs the images that it is told to know, and no path of its machine unless it is told so. **Source:** ecs-semantics
/// §2.4. Method: tasks of both kinds from a client, without and with the permission.
#[test]
fn a_server_runs_images() {
    let folder = TempDir::new().expect("there is a temporary folder");
    let module = guests::wasip1("shell").display().to_string();
    let file = folder.path().join("images.toml");
    fs::write(&file, format!("[images]\n\"busybox\" = \"{module}\"\n")).expect("the file is written");
    let file = file.display().to_string();
    let server = Served::start(&["--images", &file]);
    let task = run_on(&server, "busybox:1.36", &["sh", "-c", "exit 3"]);
    assert_eq!(
        (&task["containers"][0]["exitCode"], &task["stopCode"]),
        (&json!(3), &json!("EssentialContainerExited"))
    );
    let digest = task["containers"][0]["imageDigest"].as_str().unwrap_or_else(|| panic!("{task}"));
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    assert_eq!(task["containers"][0]["image"], "busybox:1.36");
    for image in ["nginx", &module] {
        let task = run_on(&server, image, &[]);
        let reason = task["stoppedReason"].as_str().unwrap_or_else(|| panic!("{task}"));
        assert!(reason.starts_with("CannotPullContainerError: "), "{reason}");
        assert_eq!(task["stopCode"], "TaskFailedToStart", "{task}");
    }
    drop(server);
    let server = Served::start(&["--allow-paths"]);
    assert_eq!(run_on(&server, &module, &["sh", "-c", "exit 4"])["containers"][0]["exitCode"], 4);
}

/// Claim: all tasks of a deployment have the module that its first one had, and another deployment has what is there then; a task by itself
/// has what is there when it starts, and so has a container that wants no consistency. **Source:** ecs-semantics §5.9. Method: a module that is exchanged, and exchanged for one that is none.
#[test]
fn a_deployment_keeps_its_module() {
    let plane = Plane::new();
    let exits = |code: i32, padding: &str| {
        plane.module(
            "moved",
            &format!(
                r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                   (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const {code})))) {padding}"#
            ),
        )
    };
    let image = exits(1, "");
    let next_task = std::cell::Cell::new(100);
    let run_with = |deployment: Option<u64>, version_consistency: VersionConsistency| {
        let task = TaskId(next_task.replace(next_task.get() + 1));
        let container = ContainerDefinition { version_consistency, ..container(&image) };
        plane.plane.start_task(&Arc::new(TaskStart {
            task,
            task_definition: Arc::new(definition(vec![container])),
            overrides: Arc::default(),
            host: TaskHost::Fargate,
            service: Some("web".into()),
            deployment: deployment.map(DeploymentId),
            version_consistency: VersionConsistency::Enabled,
            stop_timeout: Duration::from_millis(300),
            targets: Vec::new(),
        }));
        let ended = plane.wait_stopped(task);
        ended.exits.get(&0).and_then(|exit| exit.exit_code).ok_or(ended.failed_to_start)
    };
    let run = |deployment| run_with(deployment, VersionConsistency::Enabled);
    assert_eq!((run(Some(1)), run(None)), (Ok(1), Ok(1)));
    exits(2, ";; another size");
    assert_eq!(run(Some(1)), Ok(1));
    // Longer than whether it has changed is not looked at again.
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(run_with(Some(1), VersionConsistency::Disabled), Ok(2));
    assert_eq!(run(Some(2)), Ok(2));
    assert_eq!((run(Some(1)), run(Some(2))), (Ok(1), Ok(2)));
    fs::write(&image, "no module").expect("the file is written");
    // Longer than whether it has changed is not looked at again.
    std::thread::sleep(Duration::from_millis(150));
    assert!(run(None).is_err_and(|reason| reason.is_some_and(|reason| reason.starts_with("CannotPullContainerError"))));
    assert!(run(Some(3)).is_err(), "a deployment of what is no module fails");
    assert_eq!((run(Some(1)), run(Some(2))), (Ok(1), Ok(2)));
    exits(3, "");
    assert_eq!((run(Some(3)), run(None), run(Some(1))), (Ok(3), Ok(3), Ok(1)));
    assert_eq!(plane.plane.compiled_count(), 3);
}

/// Claim: a health check's line is a shell's where the image has one, and is refused where it has none. **Source:** ecs-semantics §1.5.1.
/// Method: one line in a cluster file for both, and the container that it is for.
#[test]
fn health_checks_have_the_shell_of_their_image() {
    let folder = TempDir::new().expect("there is a temporary folder");
    fs::copy(guests::wasip1("shell"), folder.path().join("shell.wasm")).expect("the shell is built");
    fs::copy(guests::wasip1("probe"), folder.path().join("probe.wasm")).expect("the probe is built");
    let parse = |image: &str| {
        let text = format!(
            r#"
[settings]
short_periods = true
[images]
"nginx" = {{ module = "shell.wasm", command = ["nginx"] }}
"tool" = {{ module = "probe.wasm", entry_point = ["/bin/sh"] }}
"probe" = "probe.wasm"
[[task_definition]]
family = "t"
memory = 64
[[task_definition.container]]
name = "a"
image = "{image}"
command = ["sleep", "300"]
health_check = {{ command = ["CMD-SHELL", "x=$(echo on) && test $x = on || exit 1"], interval = "20ms" }}
"#
        );
        ClusterFile::parse(&text, folder.path().join("cluster.toml"), &Catalog::embedded())
    };
    for image in ["nginx", "./shell.wasm", "tool"] {
        let spec = parse(image).unwrap_or_else(|errors| panic!("{errors}"));
        let check = spec.task_definitions[0].containers[0].health_check.as_ref().expect("it has one");
        assert_eq!(check.command, ["CMD", "sh", "-c", "x=$(echo on) && test $x = on || exit 1"], "{image}");
    }
    let refused = parse("probe").expect_err("it has no shell").to_string();
    assert!(refused.contains("the image has no shell that is known, and"), "{refused}");

    let spec = parse("nginx").unwrap_or_else(|errors| panic!("{errors}"));
    let plane = Plane::with(DataPlaneOptions { images: spec.images.clone(), ..DataPlaneOptions::default() });
    let task = plane.start(definition(spec.task_definitions[0].containers.clone()));
    let health = std::iter::repeat_with(|| plane.change())
        .find_map(|change| change.containers.iter().find_map(|container| container.health))
        .expect("it is checked");
    assert_eq!(health, HealthStatus::Healthy);
    plane.plane.stop_task(task);
    plane.wait_stopped(task);
}
