//! `[cluster]` and `[settings]`.

use super::keys::{CLUSTER, CLUSTER_SETTING, SETTINGS};
use super::reader::{Table, Value, Words, and_list, did_you_mean, quoted};
use super::suggest::nearest;
use crate::catalog::Catalog;
use crate::model::settings::{ContainerInsights, CpuBasis, FuelRate, Settings};
use crate::model::units::{Duration, Fuel};

/// ECS' name of the cluster that a request names none for. **Source:** ecs-semantics §1.3.
const DEFAULT_CLUSTER_NAME: &str = "default";
/// The catalog's first region, and the one that AWS' price examples are of.
pub(super) const DEFAULT_REGION: &str = "us-east-1";

const CPU_BASES: Words<CpuBasis> =
    Words { available: &[("fuel", CpuBasis::Fuel), ("time", CpuBasis::Time)], planned: &[] };

const CLUSTER_SETTINGS: Words<()> = Words { available: &[("containerInsights", ())], planned: &[] };

const CONTAINER_INSIGHTS: Words<ContainerInsights> = Words {
    available: &[
        ("disabled", ContainerInsights::Disabled),
        ("enabled", ContainerInsights::Enabled),
        ("enhanced", ContainerInsights::Enhanced),
    ],
    planned: &[],
};

/// `[cluster]`: name and region. Its default strategy is read by [`super::launch`].
pub(super) struct Cluster<'a> {
    pub(super) name: String,
    /// `None`: one was named that does not exist, so that nothing can be said of zones and prices.
    pub(super) region: Option<String>,
    pub(super) at: Option<Table<'a>>,
}

pub(super) fn read_cluster<'a>(root: &Table<'a>, catalog: &Catalog) -> Cluster<'a> {
    let at = root.table("cluster", &CLUSTER);
    let name = at.as_ref().filter(|cluster| cluster.has("name")).and_then(|cluster| cluster.name("name"));
    let region = match at.as_ref().and_then(|cluster| cluster.get("region")) {
        Some(value) => read_region(&value, catalog),
        None => Some(DEFAULT_REGION.to_owned()),
    };
    Cluster { name: name.unwrap_or(DEFAULT_CLUSTER_NAME).to_owned(), region, at }
}

fn read_region(value: &Value<'_>, catalog: &Catalog) -> Option<String> {
    let region = value.string()?;
    let is_known = catalog.regions().any(|known| known == region);
    if !is_known {
        let known = and_list(catalog.regions().map(str::to_owned));
        let help = nearest(region, catalog.regions()).map(did_you_mean);
        value.reject_with_help(format!("there are no prices for region \"{region}\", only for {known}"), help);
    }
    is_known.then(|| region.to_owned())
}

/// `settings` of `[cluster]`, as ECS has them: names and values. **Source:** ecs-semantics §10.2.
pub(super) fn read_container_insights(cluster: &Table<'_>) -> ContainerInsights {
    let mut insights = ContainerInsights::default();
    for setting in cluster.tables("settings", &CLUSTER_SETTING) {
        let name = setting.need("name").and_then(|value| value.word(&CLUSTER_SETTINGS));
        let value = setting.need("value").and_then(|value| value.word(&CONTAINER_INSIGHTS));
        if let (Some(()), Some(value)) = (name, value) {
            insights = value;
        }
    }
    insights
}

/// `[settings]`: each key at its default where the file has none.
pub(super) fn read_settings(root: &Table<'_>) -> Settings {
    let default = Settings::default();
    let Some(table) = root.table("settings", &SETTINGS) else { return default };
    let period = |key, default| positive(&table, key).unwrap_or(default);
    let settings = Settings {
        seed: table.get("seed").and_then(|value| value.integer(0..=u64::MAX)).unwrap_or(default.seed),
        cpu_basis: table.word("cpu_basis", &CPU_BASES).unwrap_or(default.cpu_basis),
        fuel_rate: read_fuel_rate(&table).unwrap_or(default.fuel_rate),
        cpu_period: period("cpu_period", default.cpu_period),
        metric_period: period("metric_period", default.metric_period),
        calendar_start: table.get("calendar_start").and_then(|value| value.utc()),
        container_insights: default.container_insights,
        usage_period: period("usage_period", default.usage_period),
        healthy_after: table.duration("healthy_after").unwrap_or(default.healthy_after),
        restart_delay_first: period("restart_delay_first", default.restart_delay_first),
        restart_delay_max: period("restart_delay_max", default.restart_delay_max),
        service_launches_per_minute: table
            .u32("service_launches_per_minute", 1..=u32::MAX)
            .unwrap_or(default.service_launches_per_minute),
        bake_time: table.duration("bake_time").unwrap_or(default.bake_time),
        deployment_timeout: period("deployment_timeout", default.deployment_timeout),
        deployment_stage_timeout: period("deployment_stage_timeout", default.deployment_stage_timeout),
        task_protection: period("task_protection", default.task_protection),
        stop_timeout: table.duration("stop_timeout").unwrap_or(default.stop_timeout),
        boot_time: table.duration("boot_time").unwrap_or(default.boot_time),
        managed_draining_timeout: table
            .duration("managed_draining_timeout")
            .unwrap_or(default.managed_draining_timeout),
        spot_interruption_notice: table
            .duration("spot_interruption_notice")
            .unwrap_or(default.spot_interruption_notice),
        fargate_task_retirement_wait_period: table
            .duration("fargate_task_retirement_wait_period")
            .unwrap_or(default.fargate_task_retirement_wait_period),
        provisioning_timeout: positive(&table, "provisioning_timeout"),
        stopped_task_retention: table.duration("stopped_task_retention").unwrap_or(default.stopped_task_retention),
        stopped_task_limit: table
            .u32("stopped_task_limit", 0..=u32::MAX)
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(default.stopped_task_limit),
        run_for: positive(&table, "run_for"),
    };
    check_settings(&table, &settings);
    settings
}

/// Which limits hold for the periods of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeriodLimits {
    /// ECS' own.
    Ecs,
    /// Anything from a millisecond up: for demonstrations.
    Short,
}

/// *Ours:* `short_periods`, since a demonstration that takes minutes is none.
pub(super) fn read_period_limits(root: &Table<'_>) -> PeriodLimits {
    let table = root.table("settings", &SETTINGS);
    match table.and_then(|table| table.boolean("short_periods")) {
        Some(true) => PeriodLimits::Short,
        Some(false) | None => PeriodLimits::Ecs,
    }
}

/// A duration that must not be zero.
fn positive(table: &Table<'_>, key: &'static str) -> Option<Duration> {
    let value = table.get(key)?;
    let duration = value.duration()?;
    if duration.is_zero() {
        value.reject(format!("{key} must be longer than zero"));
    }
    (!duration.is_zero()).then_some(duration)
}

fn read_fuel_rate(table: &Table<'_>) -> Option<FuelRate> {
    let value = table.get("fuel_per_vcpu_second")?;
    if !value.is_string() {
        return value.integer(1..=u64::MAX).map(|fuel| FuelRate::PerVcpuSecond(Fuel(fuel)));
    }
    let text = value.string()?;
    if text != "native" {
        let help = nearest(text, ["native"]).map(did_you_mean);
        value.reject_with_help(format!("{} is not a rate of fuel: write a number, or \"native\"", quoted(text)), help);
        return None;
    }
    Some(FuelRate::Native)
}

fn check_settings(table: &Table<'_>, settings: &Settings) {
    use super::duration::format_duration as show;
    // The limits of the kernel's CFS period. Source: Documentation/scheduler/sched-bwc.rst of Linux.
    if !(Duration::from_millis(1)..=Duration::from_secs(1)).contains(&settings.cpu_period) {
        table.reject("cpu_period", format!("cpu_period {} is not from 1ms to 1s", show(settings.cpu_period)));
    }
    if settings.usage_period > settings.metric_period {
        // Whichever of them the file has is the one to change.
        let key = if table.has("usage_period") { "usage_period" } else { "metric_period" };
        let other = if key == "usage_period" { "metric_period" } else { "usage_period" };
        let help = (!table.has(other)).then(|| format!("write {other} as well"));
        table.reject_with_help(
            key,
            format!(
                "usage_period {} is longer than metric_period {}, so that periods would have no sample",
                show(settings.usage_period),
                show(settings.metric_period)
            ),
            help,
        );
    }
    if settings.restart_delay_first > settings.restart_delay_max {
        let key = if table.has("restart_delay_first") { "restart_delay_first" } else { "restart_delay_max" };
        table.reject(
            key,
            format!(
                "restart_delay_first {} is longer than restart_delay_max {}",
                show(settings.restart_delay_first),
                show(settings.restart_delay_max)
            ),
        );
    }
}
