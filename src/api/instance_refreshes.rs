//! Instance refreshes of Auto Scaling groups, which is how instances are patched: a new version of the launch template, and a refresh.
//!
//! How one goes about it is the control plane's. A desired configuration is another version of the launch template that the group has.
//!
//! **Source:** ecs-semantics §9.4; the API reference of EC2 Auto Scaling for members and error codes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::auto_scaling::{group_named, template_of, validation};
use super::error::ApiError;
use super::members::Members;
use super::page::{PageForm, PageSizes, page_of};
use super::region::{LiveCluster, Region};
use super::registry::capacity::{GroupHome, GroupRow};
use super::{Call, launch_templates, seconds};
use crate::control_plane::action::Response;
use crate::control_plane::event::Request;
use crate::control_plane::instance_refresh::InstanceRefresh;
use crate::model::auto_scaling_group::{
    AutoRollback, InstanceRefreshSpec, LaunchTemplate, ProtectedInstances, RefreshPreferences, SkipMatching,
    StandbyInstances,
};

/// What the pages of EC2 Auto Scaling are called.
const AUTO_SCALING_PAGES: PageForm = PageForm {
    limit: "MaxRecords",
    token: "NextToken",
    next_token: "NextToken",
    wrong_limit: "ValidationError",
    wrong_token: "InvalidNextToken",
};
/// **Source:** API reference, DescribeInstanceRefreshes.
const PAGES: PageSizes = PageSizes { default: 50, most: 100 };

/// A group that runs, and where.
struct Running {
    row: GroupRow,
    live: Arc<LiveCluster>,
    capacity_provider: Arc<str>,
}

fn running(region: &Region, name: &str) -> Result<Running, ApiError> {
    let row = group_named(region, name)?;
    let Some(GroupHome { cluster, capacity_provider }) = row.home.clone() else {
        return Err(validation(format!(
            "The group {name} runs in no cluster yet, and so has no instances to refresh."
        )));
    };
    let live = region.cluster(Some(&cluster))?;
    Ok(Running { row, live, capacity_provider })
}

impl Running {
    fn refresh_id(&self, number: u32) -> String {
        super::ids::uuid_of(&["refresh", &self.row.id, &number.to_string()])
    }

    /// The refresh that is under way.
    fn under_way(&self) -> Result<Option<InstanceRefresh>, ApiError> {
        let name = self.capacity_provider.clone();
        Ok(self.live.cluster.read(move |state, _| state.capacity_providers.get(&name)?.refresh().cloned())?)
    }
}

/// StartInstanceRefresh.
pub(super) fn start(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    if input.text("Strategy") == Some("ReplaceRootVolume") {
        return Err(validation("Instances have no root volumes that could be replaced: the strategy is Rolling."));
    }
    let _alone = region.lock_capacity();
    let group = running(region, input.required_text("AutoScalingGroupName"))?;
    if group.under_way()?.is_some() {
        return Err(ApiError::new(
            "InstanceRefreshInProgress",
            "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
        ));
    }
    let spec = InstanceRefreshSpec {
        capacity_provider: group.capacity_provider.clone(),
        launch_template: desired_template(region, &group.row, input)?,
        preferences: input.structure("Preferences").map(preferences_of).unwrap_or_default(),
    };
    match group.live.cluster.ask(Request::StartInstanceRefresh(Box::new(spec)))? {
        Response::InstanceRefresh(number) => Ok(json!({"InstanceRefreshId": group.refresh_id(number)})),
        _ => Ok(json!({})),
    }
}

/// The template of a desired configuration: a version of the one that the group has. *Ours:* of another one it could not say later what it is.
fn desired_template(region: &Region, row: &GroupRow, input: Members<'_>) -> Result<Option<LaunchTemplate>, ApiError> {
    let Some(named) = input.structure("DesiredConfiguration").and_then(template_of) else { return Ok(None) };
    let registry = region.registry();
    let found = launch_templates::version_named(&registry, named);
    let (template, number, version) = found.map_err(|error| validation(error.message))?;
    let own = template_of(Members(&row.document)).and_then(|own| launch_templates::named(&registry, own).ok());
    if own.is_none_or(|(_, own)| own.id != template.id) {
        return Err(validation("The desired configuration has to be a version of the group's own launch template."));
    }
    let instance_type = version.instance_type().and_then(|name| region.catalog().instance_type(name));
    let instance_type = instance_type.ok_or_else(|| validation("The launch template names no instance type."))?;
    Ok(Some(LaunchTemplate { version: number, image_id: version.image_id().map(Arc::from), instance_type }))
}

fn preferences_of(sent: Members<'_>) -> RefreshPreferences {
    let period = |name: &str| sent.count(name).map(|seconds| Duration::from_secs(seconds.into()));
    let percentages = sent.list("CheckpointPercentages").iter().filter_map(Value::as_u64);
    RefreshPreferences {
        min_healthy_percentage: sent.count("MinHealthyPercentage"),
        max_healthy_percentage: sent.count("MaxHealthyPercentage"),
        instance_warmup: period("InstanceWarmup"),
        checkpoint_percentages: percentages.filter_map(|percent| u32::try_from(percent).ok()).collect(),
        checkpoint_delay: period("CheckpointDelay"),
        skip_matching: if sent.flag("SkipMatching") == Some(true) { SkipMatching::Yes } else { SkipMatching::No },
        auto_rollback: if sent.flag("AutoRollback") == Some(true) { AutoRollback::Yes } else { AutoRollback::No },
        scale_in_protected_instances: match sent.text("ScaleInProtectedInstances") {
            Some("Refresh") => ProtectedInstances::Refresh,
            Some("Ignore") => ProtectedInstances::Ignore,
            _ => ProtectedInstances::Wait,
        },
        standby_instances: match sent.text("StandbyInstances") {
            Some("Terminate") => StandbyInstances::Terminate,
            Some("Ignore") => StandbyInstances::Ignore,
            _ => StandbyInstances::Wait,
        },
        bake_time: period("BakeTime").unwrap_or_default(),
    }
}

/// DescribeInstanceRefreshes: the newest first.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("AutoScalingGroupName");
    if group_named(region, name)?.home.is_none() {
        return Ok(json!({"InstanceRefreshes": []}));
    }
    let group = running(region, name)?;
    let named: Vec<&str> = input.texts("InstanceRefreshIds").collect();
    let provider = group.capacity_provider.clone();
    let (refreshes, calendar_start) = group.live.cluster.read(move |state, context| {
        let refreshes = state.capacity_providers.get(&provider).map(|group| group.refreshes.clone());
        (refreshes.unwrap_or_default(), context.calendar_start)
    })?;
    let found = refreshes.iter().rev().filter_map(|refresh| {
        let id = group.refresh_id(refresh.number);
        let is_meant = named.is_empty() || named.contains(&&*id);
        is_meant.then(|| (format!("{:010}", u32::MAX - refresh.number), show(&id, name, refresh, calendar_start)))
    });
    page_of(AUTO_SCALING_PAGES, input, PAGES, "InstanceRefreshes", found, |shown| shown).map(Value::Object)
}

fn show(id: &str, group: &str, refresh: &InstanceRefresh, calendar_start: jiff::Timestamp) -> Value {
    let preferences = &refresh.preferences;
    let in_seconds = |period: Duration| json!(period.as_secs());
    json!({
        "InstanceRefreshId": id,
        "AutoScalingGroupName": group,
        "Status": refresh.status.as_str(),
        "StatusReason": refresh.reason,
        "StartTime": seconds(calendar_start, refresh.started_at),
        "EndTime": refresh.ended_at.map(|at| seconds(calendar_start, at)),
        "PercentageComplete": refresh.percentage_complete(),
        "InstancesToUpdate": refresh.total.saturating_sub(refresh.replaced),
        "Strategy": "Rolling",
        "Preferences": {
            "MinHealthyPercentage": preferences.min_healthy_percentage,
            "MaxHealthyPercentage": preferences.max_healthy_percentage,
            "InstanceWarmup": preferences.instance_warmup.map(in_seconds),
            "CheckpointPercentages":
                Some(&preferences.checkpoint_percentages).filter(|percentages| !percentages.is_empty()),
            "CheckpointDelay": preferences.checkpoint_delay.map(in_seconds),
            "SkipMatching": preferences.skip_matching == SkipMatching::Yes,
            "AutoRollback": preferences.auto_rollback == AutoRollback::Yes,
            "ScaleInProtectedInstances": preferences.scale_in_protected_instances.as_str(),
            "StandbyInstances": preferences.standby_instances.as_str(),
            "BakeTime": in_seconds(preferences.bake_time),
        },
    })
}

/// CancelInstanceRefresh.
pub(super) fn cancel(call: &Call<'_>) -> Result<Value, ApiError> {
    end(call, |capacity_provider| Request::CancelInstanceRefresh { capacity_provider })
}

/// RollbackInstanceRefresh: of one that has another version to go back to.
pub(super) fn roll_back(call: &Call<'_>) -> Result<Value, ApiError> {
    end(call, |capacity_provider| Request::RollbackInstanceRefresh { capacity_provider })
}

fn end(call: &Call<'_>, request: impl FnOnce(Arc<str>) -> Request) -> Result<Value, ApiError> {
    let name = call.input.required_text("AutoScalingGroupName");
    let not_found = || {
        let message = format!("No in progress or pending Instance Refresh found for Auto Scaling group {name}");
        ApiError::new("ActiveInstanceRefreshNotFound", message)
    };
    if group_named(call.region, name)?.home.is_none() {
        return Err(not_found());
    }
    let group = running(call.region, name)?;
    let refresh = group.under_way()?.ok_or_else(not_found)?;
    let request = request(group.capacity_provider.clone());
    if matches!(request, Request::RollbackInstanceRefresh { .. }) && refresh.from == refresh.to {
        return Err(ApiError::new(
            "IrreversibleInstanceRefresh",
            "The Instance Refresh has no desired configuration, and so there is nothing that it could be rolled back from.",
        ));
    }
    // It may be on its way back, or out, already.
    group.live.cluster.ask(request).map_err(|_| not_found())?;
    Ok(json!({"InstanceRefreshId": group.refresh_id(refresh.number)}))
}
