//! `KastenDRRestore`: brings another K10 back here, by a source or by a review of it.

use apiserver::{FieldError, Resource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{RecoveryStatus, SourceClusterInfo};
use crate::actions::spec::Reference;
use crate::{Installation, domain, fields, rules, schema};

/// What to bring back.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KastenDRRestoreSpec {
    /// The cluster that K10 is brought back from.
    pub source_cluster_info: Option<SourceClusterInfo>,
    /// A review of it, and what of the review.
    #[serde(rename = "kastenDRReviewDetails")]
    pub review_details: Option<ReviewDetails>,
    /// What is left out.
    pub skip_resources: Option<Value>,
}

/// A review, and what of it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ReviewDetails {
    /// The review.
    #[serde(rename = "kastenDRReviewRef")]
    pub review_ref: Reference,
    /// Which of the restore points it found.
    pub id: Option<String>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    super::resource(
        installation,
        domain::KASTEN_DR_RESTORE,
        schema::object::<KastenDRRestoreSpec, RecoveryStatus>(
            "KastenDRRestore brings another K10 back here.",
        ),
        check,
    )
}

fn check(restore: &Map<String, Value>) -> Vec<FieldError> {
    let has_review = fields::value(restore, "spec.kastenDRReviewDetails").is_some();
    let has_source = fields::value(restore, "spec.sourceClusterInfo").is_some();
    match (has_review, has_source) {
        (true, true) => {
            let detail = "may not be set together with spec.sourceClusterInfo";
            vec![FieldError::forbidden("spec.kastenDRReviewDetails", detail)]
        }
        (true, false) => {
            rules::required(restore, &["spec.kastenDRReviewDetails.kastenDRReviewRef.name"])
        }
        (false, true) => super::check_source(restore),
        (false, false) => {
            let detail = "this or spec.kastenDRReviewDetails";
            vec![FieldError::required("spec.sourceClusterInfo", detail)]
        }
    }
}
