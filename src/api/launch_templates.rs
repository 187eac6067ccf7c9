//! Launch templates of EC2 and their versions, which are never changed once they are there.
//!
//! **Source:** EC2 user guide, "Manage Amazon EC2 launch template versions"; the API reference of EC2 for members and error codes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::auto_scaling::{follow_template, tags_of};
use super::error::ApiError;
use super::members::Members;
use super::page::{PageForm, PageSizes, page_of};
use super::registry::Registry;
use super::registry::capacity::{LaunchTemplateRow, LaunchTemplateVersion};
use super::{Call, epoch_seconds};

/// What EC2's pages are called.
const EC2_PAGES: PageForm = PageForm {
    limit: "MaxResults",
    token: "NextToken",
    next_token: "NextToken",
    wrong_limit: "InvalidParameterValue",
    wrong_token: "InvalidNextToken",
};
/// **Source:** API reference, DescribeLaunchTemplateVersions.
const PAGES: PageSizes = PageSizes { default: 200, most: 200 };
/// Versions of a template at most. **Source:** EC2 user guide, quotas of launch templates.
const VERSIONS_MAX: usize = 10_000;

/// CreateLaunchTemplate: with its first version.
pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let name = input.required_text("LaunchTemplateName");
    let mut registry = region.registry();
    if registry.launch_templates.get(name).is_some() {
        return Err(ApiError::new(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "Launch template name already in use.",
        ));
    }
    let tags: BTreeMap<String, String> = input.structures("TagSpecifications").flat_map(tags_of).collect();
    let first = LaunchTemplateVersion {
        data: input.structure("LaunchTemplateData").map(|data| data.0.clone()).unwrap_or_default(),
        description: input.text("VersionDescription").map(str::to_owned),
        created_at: region.now(),
    };
    let row = LaunchTemplateRow {
        id: format!("lt-{}", super::ids::hex17_of(&[&region.name, "template", name])),
        versions: vec![first],
        default_version: 1,
        tags,
        created_at: region.now(),
    };
    let shown = show(name, &row);
    registry.launch_templates.put(name, row);
    Ok(json!({"LaunchTemplate": shown}))
}

fn show(name: &str, row: &LaunchTemplateRow) -> Value {
    let tags: Vec<Value> = row.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    json!({
        "LaunchTemplateId": row.id,
        "LaunchTemplateName": name,
        "CreateTime": epoch_seconds(row.created_at),
        "CreatedBy": super::PRINCIPAL_ARN,
        "DefaultVersionNumber": row.default_version,
        "LatestVersionNumber": row.latest_version(),
        "Tags": tags,
    })
}

fn show_version(name: &str, row: &LaunchTemplateRow, number: u32, version: &LaunchTemplateVersion) -> Value {
    json!({
        "LaunchTemplateId": row.id,
        "LaunchTemplateName": name,
        "VersionNumber": number,
        "VersionDescription": version.description,
        "CreateTime": epoch_seconds(version.created_at),
        "CreatedBy": super::PRINCIPAL_ARN,
        "DefaultVersion": number == row.default_version,
        "LaunchTemplateData": version.data,
    })
}

/// The template that a request or a specification names, by id or by name.
///
/// # Errors
/// When it names none, or one that is not there.
pub(super) fn named<'a>(
    registry: &'a Registry,
    named: Members<'_>,
) -> Result<(&'a Arc<str>, &'a LaunchTemplateRow), ApiError> {
    let mut rows = registry.launch_templates.iter();
    match (named.text("LaunchTemplateId"), named.text("LaunchTemplateName")) {
        (None, None) => Err(ApiError::new(
            "MissingParameter",
            "The request must contain the parameter LaunchTemplateName or LaunchTemplateId",
        )),
        (Some(id), _) => rows.find(|(_, row)| row.id == id).ok_or_else(|| {
            let message = format!("The specified launch template, with template ID {id}, does not exist.");
            ApiError::new("InvalidLaunchTemplateId.NotFound", message)
        }),
        (None, Some(name)) => rows.find(|(found, _)| ***found == *name).ok_or_else(|| {
            let message = format!("The specified launch template, with template name {name}, does not exist.");
            ApiError::new("InvalidLaunchTemplateName.NotFoundException", message)
        }),
    }
}

/// The version that a specification names, with its template and its number.
///
/// # Errors
/// When the template or the version is not there.
pub(super) fn version_named<'a>(
    registry: &'a Registry,
    specification: Members<'_>,
) -> Result<(&'a LaunchTemplateRow, u32, &'a LaunchTemplateVersion), ApiError> {
    let (_, row) = named(registry, specification)?;
    let (number, version) = existing(row, specification.text("Version"))?;
    Ok((row, number, version))
}

fn existing<'a>(
    row: &'a LaunchTemplateRow,
    version: Option<&str>,
) -> Result<(u32, &'a LaunchTemplateVersion), ApiError> {
    row.version(version).ok_or_else(|| {
        let version = version.unwrap_or("$Default");
        let message =
            format!("Could not find the specified version {version} for the launch template with ID {}.", row.id);
        ApiError::new("InvalidLaunchTemplateId.VersionNotFound", message)
    })
}

/// CreateLaunchTemplateVersion. What the source version says stays where the data sent say nothing.
pub(super) fn create_version(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let _alone = region.lock_capacity();
    let (shown, id) = {
        let mut registry = region.registry();
        let (name, row) = named(&registry, input)?;
        if row.versions.len() >= VERSIONS_MAX {
            let message = format!("A launch template has at most {VERSIONS_MAX} versions.");
            return Err(ApiError::new("VersionLimitExceeded", message));
        }
        let mut data = match input.text("SourceVersion") {
            Some(source) => existing(row, Some(source))?.1.data.clone(),
            None => Map::new(),
        };
        data.extend(input.structure("LaunchTemplateData").map(|sent| sent.0.clone()).unwrap_or_default());
        let version = LaunchTemplateVersion {
            data,
            description: input.text("VersionDescription").map(str::to_owned),
            created_at: region.now(),
        };
        let (name, number) = (name.clone(), row.latest_version() + 1);
        let shown = show_version(&name, row, number, &version);
        let id = row.id.clone();
        registry.launch_templates.update(&name, |row| row.versions.push(version));
        (shown, id)
    };
    follow_template(region, &id)?;
    Ok(json!({"LaunchTemplateVersion": shown}))
}

/// ModifyLaunchTemplate: which version is the default one.
pub(super) fn modify(call: &Call<'_>) -> Result<Value, ApiError> {
    let (region, input) = (call.region, call.input);
    let _alone = region.lock_capacity();
    let (shown, id) = {
        let mut registry = region.registry();
        let (name, row) = named(&registry, input)?;
        let (name, mut row) = (name.clone(), row.clone());
        if let Some(version) = input.text("DefaultVersion") {
            row.default_version = existing(&row, Some(version))?.0;
        }
        let (shown, id) = (show(&name, &row), row.id.clone());
        registry.launch_templates.put(&name, row);
        (shown, id)
    };
    follow_template(region, &id)?;
    Ok(json!({"LaunchTemplate": shown}))
}

/// DescribeLaunchTemplates.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let names: Vec<&str> = input.texts("LaunchTemplateNames").collect();
    let ids: Vec<&str> = input.texts("LaunchTemplateIds").collect();
    let registry = call.region.registry();
    let rows = registry.launch_templates.iter().filter(|(name, row)| {
        names.is_empty() && ids.is_empty() || names.contains(&&***name) || ids.contains(&&*row.id)
    });
    let shown: Vec<Value> = rows.map(|(name, row)| show(name, row)).collect();
    if shown.len() < names.len() + ids.len() {
        return Err(ApiError::new(
            "InvalidLaunchTemplateName.NotFoundException",
            "At least one of the launch templates specified in the request does not exist.",
        ));
    }
    Ok(json!({"LaunchTemplates": shown}))
}

/// DescribeLaunchTemplateVersions: of one template the versions that are named, or all of them, the newest first; or the latest and the default
/// ones of all templates.
pub(super) fn describe_versions(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let registry = call.region.registry();
    let versions: Vec<&str> = input.texts("Versions").collect();
    let rows: Vec<(&Arc<str>, &LaunchTemplateRow)> = if input.has("LaunchTemplateId") || input.has("LaunchTemplateName")
    {
        vec![named(&registry, input)?]
    } else if !versions.is_empty() && versions.iter().all(|version| ["$Latest", "$Default"].contains(version)) {
        registry.launch_templates.iter().collect()
    } else {
        return Err(ApiError::new(
            "MissingParameter",
            "The request must contain the parameter LaunchTemplateName or LaunchTemplateId, or else $Latest or $Default as versions.",
        ));
    };
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for (name, row) in rows {
        let bound = |member: &str| {
            let version = input.text(member);
            version.map(|version| existing(row, Some(version)).map(|(number, _)| number)).transpose()
        };
        let (least, most) = (bound("MinVersion")?.unwrap_or(1), bound("MaxVersion")?.unwrap_or(u32::MAX));
        let of_row: Vec<(u32, &LaunchTemplateVersion)> = if versions.is_empty() {
            (1..).zip(&row.versions).filter(|(number, _)| (least..=most).contains(number)).collect()
        } else {
            versions.iter().map(|version| existing(row, Some(version))).collect::<Result<_, _>>()?
        };
        for (number, version) in of_row {
            found.insert(format!("{name}/{:010}", u32::MAX - number), show_version(name, row, number, version));
        }
    }
    page_of(EC2_PAGES, input, PAGES, "LaunchTemplateVersions", found, |shown| shown).map(Value::Object)
}

/// DeleteLaunchTemplate.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut registry = call.region.registry();
    let (name, row) = named(&registry, call.input)?;
    let (name, shown) = (name.clone(), show(name, row));
    registry.launch_templates.remove(&name);
    Ok(json!({"LaunchTemplate": shown}))
}
