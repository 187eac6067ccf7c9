//! Account settings: PutAccountSetting, PutAccountSettingDefault, DeleteAccountSetting, ListAccountSettings.
//!
//! They are kept and given back. Long ARNs are all that there is, so that these settings can't be turned off; `containerInsights` is what
//! clusters begin with that say nothing.
//!
//! **Source:** ecs-semantics §1.2, §10.2, §11.6.

use serde_json::{Value, json};

use super::error::ApiError;
use super::page::{PageSizes, page};
use super::registry::Registry;
use super::{Call, PRINCIPAL_ARN};

/// **Source:** ecs-semantics §11.3: ten at most.
const PAGES: PageSizes = PageSizes { default: 10, most: 10 };
/// Who the account's defaults belong to.
const ROOT_ARN: &str = "arn:aws:iam::123456789012:root";

/// The settings that there are, what each may be, and what it is where nobody says. An empty list takes any text.
const SETTINGS: [(&str, &[&str], &str); 11] = [
    ("awsvpcTrunking", &["enabled", "disabled"], "disabled"),
    ("containerInsights", &["enabled", "enhanced", "disabled"], "disabled"),
    ("containerInstanceLongArnFormat", &["enabled"], "enabled"),
    ("defaultLogDriverMode", &["blocking", "non-blocking"], "non-blocking"),
    ("fargateEventWindows", &["enabled", "disabled"], "disabled"),
    ("fargateFIPSMode", &["enabled", "disabled"], "disabled"),
    ("fargateTaskRetirementWaitPeriod", &["0", "7", "14"], "7"),
    ("guardDutyActivate", &["on", "off"], "off"),
    ("serviceLongArnFormat", &["enabled"], "enabled"),
    ("tagResourceAuthorization", &["on", "off"], "on"),
    ("taskLongArnFormat", &["enabled"], "enabled"),
];

/// What a setting is for a principal where nobody says anything.
fn default_of(registry: &Registry, name: &str) -> String {
    let of_account = registry.account_settings.get(&key_of(name, ROOT_ARN)).cloned();
    let built_in = || SETTINGS.iter().find(|(found, _, _)| *found == name).map_or("", |(_, _, value)| value).to_owned();
    of_account.unwrap_or_else(built_in)
}

/// The value of a setting that clusters begin with.
pub(super) fn effective(registry: &Registry, name: &str) -> String {
    registry.account_settings.get(&key_of(name, PRINCIPAL_ARN)).cloned().unwrap_or_else(|| default_of(registry, name))
}

fn key_of(name: &str, principal: &str) -> String {
    format!("{name} {principal}")
}

/// PutAccountSetting.
pub(super) fn put(call: &Call<'_>) -> Result<Value, ApiError> {
    put_for(call, call.input.text("principalArn").unwrap_or(PRINCIPAL_ARN))
}

/// PutAccountSettingDefault.
pub(super) fn put_default(call: &Call<'_>) -> Result<Value, ApiError> {
    put_for(call, ROOT_ARN)
}

fn put_for(call: &Call<'_>, principal: &str) -> Result<Value, ApiError> {
    let (name, value) = (call.input.required_text("name"), call.input.required_text("value"));
    let allowed = SETTINGS.iter().find(|(found, _, _)| *found == name).map_or(&[] as &[&str], |(_, values, _)| values);
    if !allowed.contains(&value) {
        return Err(ApiError::invalid_parameter(format!(
            "Invalid value '{value}' for setting {name}: it is one of {}.",
            allowed.join(", ")
        )));
    }
    call.region.registry().account_settings.put(&key_of(name, principal), value.to_owned());
    Ok(json!({"setting": show(name, value, principal)}))
}

/// DeleteAccountSetting: what the account's default is counts again.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let name = call.input.required_text("name");
    let principal = call.input.text("principalArn").unwrap_or(PRINCIPAL_ARN);
    let mut registry = call.region.registry();
    registry.account_settings.remove(&key_of(name, principal));
    Ok(json!({"setting": show(name, &default_of(&registry, name), principal)}))
}

/// ListAccountSettings: those that were put for a principal, or with `effectiveSettings` all.
pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let input = call.input;
    let principal = input.text("principalArn").unwrap_or(PRINCIPAL_ARN);
    let (name, value) = (input.text("name"), input.text("value"));
    let registry = call.region.registry();
    let settings = SETTINGS.iter().filter_map(|(found, _, _)| {
        let own = registry.account_settings.get(&key_of(found, principal)).cloned();
        let is_wanted = name.is_none_or(|name| name == *found);
        let found_value = match own {
            Some(own) => own,
            None if input.flag("effectiveSettings") == Some(true) => default_of(&registry, found),
            None => return None,
        };
        (is_wanted && value.is_none_or(|value| value == found_value)).then(|| (found.to_string(), found_value))
    });
    let settings: Vec<(String, (String, String))> =
        settings.map(|(name, value)| (name.clone(), (name, value))).collect();
    let answer = page(input, PAGES, "settings", settings, |(name, value)| show(&name, &value, principal))?;
    Ok(Value::Object(answer))
}

fn show(name: &str, value: &str, principal: &str) -> Value {
    json!({"name": name, "value": value, "principalArn": principal, "type": "user"})
}
