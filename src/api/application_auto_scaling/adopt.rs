//! Scalable targets of a cluster file get their names and times.

use super::policy_document::document_of;
use super::{policies, scheduled_actions, targets};
use crate::api::region::Region;
use crate::api::registry::scaling::ScalableTargetRow;
use crate::model::cluster::ClusterSpec;

/// The rows of a specification's services that are scaled, by resource id.
pub(in crate::api) fn scalable_target_rows(region: &Region, spec: &ClusterSpec) -> Vec<(String, ScalableTargetRow)> {
    let scaled = spec.services.iter().filter_map(|service| Some((service, service.auto_scaling.as_ref()?)));
    let rows = scaled.map(|(service, settings)| {
        let resource = format!("service/{}/{}", spec.name, service.name);
        let mut row = targets::row_of(region, &resource);
        for policy in settings.policies() {
            let document = document_of(&policy);
            row.policies.insert(policy.name().to_owned(), policies::row_of(region, &resource, policy.name(), document));
        }
        for action in &settings.scheduled_actions {
            row.actions.insert(action.name.to_string(), scheduled_actions::row_of(region, &resource, &action.name));
        }
        (resource, row)
    });
    rows.collect()
}
