//! Capacity of a region as it was asked for: capacity providers, and the Auto Scaling groups under them.
//!
//! A group runs in the cluster that its instances' user data name, or that its provider is associated with, and stays there. *Ours:* while that
//! cluster is not there, the group has no instances, since there is nothing else that they could be of.
//!
//! **Source:** ecs-semantics §6.1, §6.2, §9.1.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Registry;
use super::clusters::ClusterStatus;
use crate::model::auto_scaling_group::{ManagedDraining, ManagedTerminationProtection, ScaleInProtection};
use crate::model::capacity::{ManagedScaling, is_group_by_itself};
use crate::model::units::MemoryMib;
use crate::model::written_form::is_default;

/// A capacity provider over an Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityProviderRow {
    /// The group's name.
    pub group: Arc<str>,
    /// Managed scaling, if it is on.
    pub managed_scaling: Option<ManagedScaling>,
    /// Managed termination protection.
    pub managed_termination_protection: ManagedTerminationProtection,
    /// Managed draining.
    pub managed_draining: ManagedDraining,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The cluster that it is associated with.
    pub cluster: Option<Arc<str>>,
}

/// An Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRow {
    /// The part of its ARN that is unique.
    pub id: String,
    /// What its instances are launched from.
    pub launch: GroupLaunch,
    /// The least size.
    pub min_size: u32,
    /// The greatest size.
    pub max_size: u32,
    /// The desired capacity that was asked for.
    pub desired_capacity: Option<u32>,
    /// Its zones, in the order that they were given in.
    pub availability_zones: Vec<Arc<str>>,
    /// `NewInstancesProtectedFromScaleIn`.
    pub new_instances_protected: ScaleInProtection,
    /// Members that are given back as they were sent.
    pub document: serde_json::Map<String, serde_json::Value>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The provider through which it runs, and the cluster that it runs in.
    pub home: Option<GroupHome>,
    /// When it was created.
    pub created_at: jiff::Timestamp,
}

/// What the instances of a group are launched from, as its launch template or launch configuration has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GroupLaunch {
    /// Their type.
    pub instance_type: String,
    /// Their machine image, if it is named.
    pub image_id: Option<Arc<str>>,
    /// The version of the launch template; 1 of a launch configuration.
    pub version: u32,
    /// The cluster that the user data name.
    pub cluster: Option<Arc<str>>,
    /// `ECS_RESERVED_MEMORY` of the user data.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reserved_memory: MemoryMib,
}

/// Where a group runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GroupHome {
    /// The cluster.
    pub cluster: Arc<str>,
    /// The name that its control plane knows it by: that of the provider which brought it there, or one of its own
    /// ([`group_by_itself`](crate::model::capacity::group_by_itself)).
    pub capacity_provider: Arc<str>,
}

impl GroupHome {
    /// Whether no capacity provider is over the group there.
    pub fn is_by_itself(&self) -> bool {
        is_group_by_itself(&self.capacity_provider)
    }
}

impl Registry {
    /// A cluster was deleted: its providers and their groups, which have no instances there any more, may go to another.
    pub fn cluster_gone(&mut self, name: &str) {
        self.clusters.update(name, |row| row.status = ClusterStatus::Inactive);
        let groups = self.groups.iter().filter(|(_, row)| row.home.as_ref().is_some_and(|home| *home.cluster == *name));
        let groups: Vec<Arc<str>> = groups.map(|(key, _)| key.clone()).collect();
        for group in groups {
            self.groups.update(&group, |row| row.home = None);
        }
        let providers = self.capacity_providers.iter().filter(|(_, row)| row.cluster.as_deref() == Some(name));
        let providers: Vec<Arc<str>> = providers.map(|(key, _)| key.clone()).collect();
        for provider in providers {
            self.capacity_providers.update(&provider, |row| row.cluster = None);
        }
    }
}

impl GroupRow {
    /// Its ARN.
    pub fn arn(&self, region: &str, name: &str) -> String {
        let account = crate::model::arn::ACCOUNT;
        format!("arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{}:autoScalingGroupName/{name}", self.id)
    }
}

/// What instances are launched from: a launch template, or the older launch configuration.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchTemplateRow {
    /// Its id.
    pub id: String,
    /// Its versions from 1 on; there is always one. A launch configuration has no more.
    pub versions: Vec<LaunchTemplateVersion>,
    /// The version that is meant where none is named.
    pub default_version: u32,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: jiff::Timestamp,
}

/// A version of a launch template.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchTemplateVersion {
    /// What it says, as it was sent.
    pub data: serde_json::Map<String, serde_json::Value>,
    /// What it is for.
    pub description: Option<String>,
    /// When it was created.
    pub created_at: jiff::Timestamp,
}

impl LaunchTemplateRow {
    /// The number of its last version.
    pub fn latest_version(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }

    /// A version and its number: `$Latest`, `$Default`, or a number; the default one where none is named. **Source:** EC2 API reference,
    /// LaunchTemplateSpecification.
    pub fn version(&self, named: Option<&str>) -> Option<(u32, &LaunchTemplateVersion)> {
        let number = match named {
            None | Some("" | "$Default") => self.default_version,
            Some("$Latest") => self.latest_version(),
            Some(number) => number.parse().ok()?,
        };
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        Some((number, self.versions.get(index)?))
    }
}

impl LaunchTemplateVersion {
    /// The type of the instances, if it says one.
    pub fn instance_type(&self) -> Option<&str> {
        self.data.get("InstanceType")?.as_str()
    }
    /// The machine image, if it says one.
    pub fn image_id(&self) -> Option<&str> {
        self.data.get("ImageId")?.as_str()
    }

    /// The user data, in base64, if there are some.
    pub fn user_data(&self) -> Option<&str> {
        self.data.get("UserData")?.as_str()
    }
}
