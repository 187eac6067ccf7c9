//! Security Token Service: who is asking. There is one answer.
//!
//! **Source:** STS API reference, GetCallerIdentity.

use serde_json::{Value, json};

use super::error::ApiError;
use super::{Call, PRINCIPAL_ARN};
use crate::model::arn::ACCOUNT;

/// The unique id of the one user, in IAM's form. *Ours.*
const USER_ID: &str = "AIDALONGSHOREEXAMPLE";

/// GetCallerIdentity.
pub(super) fn caller_identity(_: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"Account": ACCOUNT, "Arn": PRINCIPAL_ARN, "UserId": USER_ID}))
}
