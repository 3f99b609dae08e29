//! `KastenDRReview`: lists the backups of another K10, before it is restored.

use apiserver::Resource;
use schemars::JsonSchema;

use super::{RecoveryStatus, SourceClusterInfo};
use crate::{Installation, kinds, schema};

/// What to review.
#[derive(Clone, Debug, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KastenDRReviewSpec {
    /// The cluster that K10 is recovered from.
    pub source_cluster_info: SourceClusterInfo,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    super::resource(
        installation,
        kinds::KASTEN_DR_REVIEW,
        schema::object::<KastenDRReviewSpec, RecoveryStatus>(
            "KastenDRReview lists the backups of another K10.",
        ),
        super::check_source,
    )
}
