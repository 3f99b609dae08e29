//! `KastenDRReview`: looks at what another K10 left behind, before it is brought back.

use apiserver::Resource;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{RecoveryStatus, SourceClusterInfo};
use crate::{Installation, domain, schema};

/// What to look at.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KastenDRReviewSpec {
    /// The cluster that K10 is brought back from.
    pub source_cluster_info: SourceClusterInfo,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    super::resource(
        installation,
        domain::KASTEN_DR_REVIEW,
        schema::object::<KastenDRReviewSpec, RecoveryStatus>(
            "KastenDRReview looks at what another K10 left behind.",
        ),
        super::check_source,
    )
}
