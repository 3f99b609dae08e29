//! `KastenDRRestore`: restores another K10 into this cluster, from its backups or from a review of them.

use apimachinery::{FieldError, fields};
use apiserver::Resource;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::{RecoveryStatus, SourceClusterInfo};
use crate::actions::spec::Reference;
use crate::{Installation, kinds, rules, schema};

/// What to restore.
#[derive(Clone, Debug, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KastenDRRestoreSpec {
    /// The cluster that K10 is recovered from.
    pub source_cluster_info: Option<SourceClusterInfo>,
    /// The review to restore from, and the restore point.
    #[serde(rename = "kastenDRReviewDetails")]
    pub review_details: Option<ReviewDetails>,
    /// Resources that are not restored.
    pub skip_resources: Option<Value>,
}

/// A review, and one of its restore points.
#[derive(Clone, Debug, JsonSchema)]
pub struct ReviewDetails {
    /// The review.
    #[serde(rename = "kastenDRReviewRef")]
    pub review_ref: Reference,
    /// One of the restore points in the review.
    pub id: Option<String>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    super::resource(
        installation,
        kinds::KASTEN_DR_RESTORE,
        schema::object::<KastenDRRestoreSpec, RecoveryStatus>(
            "KastenDRRestore restores another K10 in this cluster.",
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
