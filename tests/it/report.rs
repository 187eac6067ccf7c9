//! Reports of simulations: the page, its charts and its tables, as somebody finds them in the folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use longshore::catalog::Catalog;
use longshore::config::ClusterFile;
use longshore::driver::recorder::Recording;
use longshore::driver::series::Series;
use longshore::driver::simulated::{Digest, Simulation, SimulationOptions};
use longshore::driver::snapshot::Snapshot;
use longshore::model::cluster::ClusterSpec;
use longshore::report::{ReportFolder, ReportInput, ReportTime};

/// Three hours of a shop: a service on EC2 that is scaled with its instances, one on Fargate and Fargate Spot, a batch.
/// What it says of itself would be markup if it were let.
const SHOP: &str = r#"
# </pre><script>alert(1)</script> & "quotes" 'too' https://example.com/?a=1&b=2
[cluster]
name = "shop"
[settings]
seed = 7
boot_time = "75s"
run_for = "3h"
[[capacity_provider]]
name = "asg"
auto_scaling_group = { instance_type = "m7i.large", min_size = 1, max_size = 6 }
managed_scaling = { target_capacity = 85 }
[[task_definition]]
family = "web"
memory = "512"
  [task_definition.simulation]
  cold_start = "2s"
  job_cpu = { exponential = { mean = "120ms" } }
  memory = 300
  [[task_definition.container]]
  name = "web"
  cpu = 512
[[task_definition]]
family = "pictures"
cpu = "1024"
memory = "2048"
requires_compatibilities = ["FARGATE"]
  [task_definition.simulation]
  pull = "12s"
  job_cpu = { exponential = { mean = "500ms" } }
  memory = 900
  [[task_definition.container]]
  name = "pictures"
[[task_definition]]
family = "report"
cpu = "2048"
memory = "4096"
requires_compatibilities = ["FARGATE"]
  [task_definition.simulation]
  duration = "6m"
  cpu = 900
  [[task_definition.container]]
  name = "report"
[[service]]
name = "web"
task_definition = "web"
desired_count = 2
capacity_provider_strategy = [{ capacity_provider = "asg", weight = 1 }]
  [service.auto_scaling]
  min_capacity = 1
  max_capacity = 20
  target_tracking = [
    { metric = "ECSServiceAverageCPUUtilization", target_value = 50 },
    { metric = "ALBRequestCountPerTarget", target_value = 500 },
  ]
[[service]]
name = "pictures"
task_definition = "pictures"
desired_count = 4
capacity_provider_strategy = [{ capacity_provider = "FARGATE", weight = 1, base = 1 }, { capacity_provider = "FARGATE_SPOT", weight = 3 }]
[[load]]
service = "web"
job = "GET /"
arrivals = "poisson"
steps = [{ at = "0s", jobs_per_second = 4 }, { at = "40m", jobs_per_second = 20 }, { at = "2h", jobs_per_second = 3 }]
[[load]]
service = "pictures"
job = "scale"
arrivals = "poisson"
jobs_per_second = 2
[[run_task]]
task_definition = "report"
launch_type = "FARGATE"
count = 4
at = "1h"
"#;

fn spec(text: &str) -> ClusterSpec {
    let file = ClusterFile::parse(text, "shop.toml", &Catalog::embedded());
    file.unwrap_or_else(|errors| panic!("{errors}"))
}

/// A cluster file simulated to its end.
fn simulated(spec: &ClusterSpec) -> (Snapshot, Arc<Series>) {
    let options = SimulationOptions { recording: Recording::Kept, ..SimulationOptions::default() };
    let mut simulation = Simulation::new(spec, options).expect("it can be simulated");
    simulation.run_to_end();
    let snapshot = simulation.snapshot();
    let series = snapshot.series.clone().expect("it is recorded");
    (snapshot, series)
}

/// Every file below a folder with what is in it.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            found.insert(name, std::fs::read_to_string(&path).expect("it is text"));
        }
    }
    found
}

/// The files of a report.
fn report(snapshot: &Snapshot, series: &Series, text: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = ReportInput { snapshot, series, time: ReportTime::Simulated, file_name: "shop.toml", file_text: text };
    let page = ReportFolder::open(folder.path()).expect("it can be written").finish(&input).expect("it can be written");
    assert!(page.ends_with("index.html"));
    files(folder.path())
}

/// Checks that every element is closed in its order, that attributes are quoted, and that nothing stands outside of an element but
/// escaped text. Returns the names of the elements.
#[track_caller]
fn elements(name: &str, markup: &str) -> Vec<String> {
    let (mut open, mut found): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    let mut rest = markup.strip_prefix("<!DOCTYPE html>").unwrap_or(markup);
    while let Some(start) = rest.find('<') {
        let (text, tag) = rest.split_at(start);
        assert!(open.last() == Some(&"style") || !text.contains('>'), "{name}: {text}");
        for (at, _) in text.match_indices('&') {
            let end = text[at..].find(';').unwrap_or_else(|| panic!("{name}: a bare & in {text}"));
            assert!(["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"].contains(&&text[at..=at + end]), "{name}: {text}");
        }
        let end = tag.find('>').unwrap_or_else(|| panic!("{name}: a tag that does not end"));
        let inside = &tag[1..end];
        assert_eq!(inside.matches('"').count() % 2, 0, "{name}: <{inside}>");
        let element = inside.trim_start_matches('/').split([' ', '/', '\n']).next().expect("it has a name");
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(element), "{name}: </{element}> closes another");
        } else {
            found.push(element.to_owned());
            if !inside.ends_with('/') {
                open.push(element);
            }
        }
        rest = &tag[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{name}: {open:?} are not closed");
    found
}

/// How many points the lines of a chart have, in their order.
fn points(svg: &str) -> Vec<usize> {
    let paths = svg.split("<path class=\"l ").skip(1).filter_map(|part| part.split("d=\"").nth(1)?.split('"').next());
    // A legend's swatch begins left of its middle.
    let lines = paths.filter(|path| !path.starts_with("M-"));
    lines.map(|path| path.matches(['M', 'L']).count()).collect()
}

/// The fields of a CSV file's row; none of these has a line's end in it.
fn fields(line: &str) -> Vec<String> {
    let (mut found, mut is_quoted) = (vec![String::new()], false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let last = found.last_mut().expect("there is a first");
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => last.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => found.push(String::new()),
            other => last.push(other),
        }
    }
    assert!(!is_quoted, "a quote is open: {line}");
    found
}

/// A column of a CSV file, whose rows must all be as long as its head.
#[track_caller]
fn column(csv: &str, name: &str) -> Vec<String> {
    let mut rows = csv.lines().map(fields);
    let head = rows.next().expect("a head");
    let index = head.iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"));
    rows.map(|mut row| {
        assert_eq!(row.len(), head.len(), "{row:?}");
        row.swap_remove(index)
    })
    .collect()
}

fn nanos(dollars: &str) -> i64 {
    dollars.replace('.', "").parse().unwrap_or_else(|_| panic!("{dollars} is no amount with nine decimals"))
}

/// The page is well-formed and complete by itself; each chart has a point for each sample, in the page and in its own file; nothing is
/// loaded from anywhere, and nothing that the cluster file says is markup.
#[test]
fn a_page_is_complete_by_itself() {
    let (snapshot, series) = simulated(&spec(SHOP));
    let files = report(&snapshot, &series, SHOP);
    let page = &files["index.html"];
    let found = elements("index.html", page);
    let svgs: Vec<(&String, &String)> = files.iter().filter(|(name, _)| name.ends_with(".svg")).collect();
    assert_eq!(found.iter().filter(|name| *name == "figure").count(), svgs.len());
    for what in [
        "cost",
        "tasks",
        "instances",
        "instances-full",
        "service-1-pictures-tasks",
        "service-2-web-utilisation",
        "service-2-web-latency",
        "service-2-web-jobs",
        "service-2-web-waiting",
        "service-2-web-tracked-1",
    ] {
        let svg =
            files.get(&format!("charts/{what}.svg")).unwrap_or_else(|| panic!("{what} is missing: {:?}", files.keys()));
        elements(what, svg);
        let figure =
            page.split(&format!("<figure id=\"{what}\">")).nth(1).and_then(|rest| rest.split("</figure>").next());
        let figure = figure.unwrap_or_else(|| panic!("{what} is not in the page"));
        assert_eq!(points(figure), points(svg), "{what}");
    }
    assert_eq!(points(&files["charts/cost.svg"]), vec![series.samples.len(); 4]);
    let counts = points(&files["charts/service-2-web-tasks.svg"]);
    let alive = series.samples.iter().filter(|sample| sample.services.contains_key("web")).count();
    assert_eq!(counts, [alive; 3]);
    assert!(alive > 1_000, "{alive} samples");
    for (name, text) in files.iter().filter(|(name, _)| !name.ends_with(".csv")) {
        let text =
            text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("https://example.com/?a=1&amp;b=2", "");
        for forbidden in ["http:", "https:", "//", "<script", "src=", "@import", "url("] {
            assert!(!text.contains(forbidden), "{name} has {forbidden}");
        }
        assert_eq!(text.matches("href=").count(), text.matches("href=\"#").count(), "{name} leads elsewhere");
    }
    assert!(page.contains("&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot; &#39;too&#39;"));
}

/// What scales and deploys is marked where it happened, on the charts and in the tables.
#[test]
fn scaling_and_deployments_are_marked() {
    let (snapshot, series) = simulated(&spec(SHOP));
    let files = report(&snapshot, &series, SHOP);
    let events = column(&files["events.csv"], "event");
    for what in [
        "deployment started",
        "deployment completed",
        "service scaled out",
        "service scaled in",
        "instances scaled out",
    ] {
        assert!(events.iter().any(|event| event == what), "no {what} in {events:?}");
        assert!(files["index.html"].contains(&format!("<td class=\"t\">{what}</td>")), "{what}");
    }
    assert!(!events.iter().any(|event| event == "alarm"), "the alarms of target tracking are told as scaling");
    let marks_of = |chart: &str, what: &str| files[chart].matches(&format!(", {what}: ")).count();
    let scaled_out = events.iter().filter(|event| *event == "service scaled out").count();
    assert_eq!(marks_of("charts/service-2-web-tasks.svg", "service scaled out"), scaled_out);
    assert_eq!(marks_of("charts/service-1-pictures-tasks.svg", "service scaled out"), 0, "only web is scaled");
    assert!(marks_of("charts/instances.svg", "instances scaled out") > 0);
}

/// The tables have every sample of every service, and their amounts are the bill.
#[test]
fn tables_add_up() {
    let (snapshot, series) = simulated(&spec(SHOP));
    let files = report(&snapshot, &series, SHOP);
    let bill = snapshot.bill();
    assert!(bill.total.0 > 0);
    let amounts = column(&files["bill.csv"], "amount_usd");
    assert_eq!(amounts.iter().map(|amount| nanos(amount)).sum::<i64>(), bill.total.0);
    let cost = &files["cost.csv"];
    let totals: Vec<i64> = column(cost, "total_usd").iter().map(|total| nanos(total)).collect();
    assert_eq!((totals.len(), totals.last()), (series.samples.len(), Some(&bill.total.0)));
    assert!(totals.windows(2).all(|pair| pair[0] <= pair[1]), "a cost goes down");
    let parts = ["fargate_usd", "fargate_spot_usd", "ec2_usd", "ec2_spot_usd"].map(|name| column(cost, name));
    for (index, total) in totals.iter().enumerate() {
        assert_eq!(parts.iter().map(|part| nanos(&part[index])).sum::<i64>(), *total);
    }
    assert_eq!(parts.map(|part| nanos(&part[part.len() - 1]) > 0), [true, true, true, false]);
    let services = &files["services.csv"];
    let of_web = column(services, "service").into_iter().filter(|name| name == "web").count();
    assert_eq!(of_web, series.samples.iter().filter(|sample| sample.services.contains_key("web")).count());
    // What a service does while it is being ended is in no sample of it any more.
    let done =
        column(services, "jobs_done").iter().filter_map(|done| done.parse::<u64>().ok()).max().expect("jobs are done");
    let in_all = snapshot.jobs["web"].completed;
    assert!(done <= in_all && in_all - done < 100, "{done} of {in_all}");
    // One Auto Scaling group, and two policies of one service.
    assert_eq!(column(&files["instances.csv"], "active").len(), series.samples.len());
    assert_eq!(column(&files["capacity_providers.csv"], "in_service").len(), series.samples.len());
    assert_eq!(column(&files["target_tracking.csv"], "value").len(), of_web * 2);
}

/// A sample says what the cluster was like: its counts are those of the state, its utilisation follows the load, and the percentiles of
/// the jobs are in order.
#[test]
fn samples_follow_the_cluster() {
    let (_, series) = simulated(&spec(SHOP));
    let at = |minutes: u64| {
        let found = series.samples.iter().find(|sample| sample.at.0 >= minutes * 60_000_000_000);
        &found.expect("it goes on so long").services["web"]
    };
    // 20 jobs a second of 120 ms are 2.4 vCPU: at half a vCPU a task and a target of 50 % about ten tasks.
    assert!((8..=14).contains(&at(110).running), "{:?}", at(110));
    assert!((35_000..=65_000).contains(&at(110).cpu.expect("it is measured")), "{:?}", at(110));
    assert!(at(30).running < 5 && at(175).running < 8, "{:?} {:?}", at(30), at(175));
    assert_eq!(at(110).tracked["ECSServiceAverageCPUUtilization"].target, 50_000);
    assert_eq!(at(110).tracked["ECSServiceAverageCPUUtilization"].value, at(110).cpu);
    for sample in &series.samples {
        for latency in sample.services.values().filter_map(|service| service.jobs?.latency) {
            assert!(latency.p90.is_some_and(|p90| latency.p50 <= p90 && p90 <= latency.p99));
        }
        let instances = &sample.instances;
        assert!(instances.cpu_reserved <= instances.cpu_registered);
    }
}

/// The same file and seed give the same bytes, and looking changes nothing of what happens.
#[test]
fn reports_are_the_same_each_time_and_change_nothing() {
    let spec = spec(SHOP);
    let of = || {
        let (snapshot, series) = simulated(&spec);
        report(&snapshot, &series, SHOP)
    };
    let (first, second) = (of(), of());
    for (name, text) in &first {
        assert!(second.get(name) == Some(text), "{name} is another each time");
    }
    assert_eq!(first.len(), second.len());
    let digest = |recording| {
        let options = SimulationOptions { digest: Digest::Kept, recording, ..SimulationOptions::default() };
        let mut simulation = Simulation::new(&spec, options).expect("it can be simulated");
        simulation.run_to_end();
        (simulation.digest(), simulation.now())
    };
    assert_eq!(digest(Recording::None), digest(Recording::Kept));
}

/// Names that come from outside are text wherever they stand: library users' names follow no rule of the cluster file.
#[test]
fn hostile_names_are_text() {
    const HOSTILE: &str = "<img src=x onerror=alert(1)>&\"'/../../x";
    let mut spec = spec(SHOP);
    for service in &mut spec.services {
        if &*service.name == "web" {
            service.name = HOSTILE.into();
        }
    }
    for load in &mut spec.loads {
        if &*load.service == "web" {
            load.service = HOSTILE.into();
        }
    }
    let (snapshot, series) = simulated(&spec);
    let files = report(&snapshot, &series, "");
    let markup = files.iter().filter(|(name, _)| name.ends_with(".html") || name.ends_with(".svg"));
    for (name, text) in markup {
        assert!(!elements(name, text).contains(&"img".to_owned()), "{name}");
        assert!(!text.contains("<img"), "{name}");
    }
    assert!(files["index.html"].contains("Service &lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;/../../x"));
    assert!(files.keys().all(|name| !name.contains("..") && !name.contains('<')), "{:?}", files.keys());
    assert!(files["services.csv"].contains("\"<img src=x onerror=alert(1)>&\"\"'/../../x\""));
}

/// A folder that can't be written to is known before a run.
#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("it can be written");
    let error = ReportFolder::open(&file.join("report")).expect_err("a file is no folder").to_string();
    let shown = file.join("report").display().to_string();
    assert!(error.starts_with(&format!("--report {shown}: cannot make the folder {shown}: ")), "{error}");
    let error = ReportFolder::open(&file).expect_err("a file is no folder").to_string();
    assert!(error.starts_with(&format!("--report {0}: cannot make the folder {0}: ", file.display())), "{error}");
}
