//! Azure Kubernetes Service: records of diagnostic settings, in a storage account or from an event
//! hub.
//!
//! The event is a string in `properties.log`. Azure cuts it at 16 or 32 KiB; the record around it
//! stays complete.

use std::borrow::Cow;

use event::Timestamp;
use serde::Deserialize;

use super::unwrap::{Leaf, event_or_cut};

/// The categories with audit events. The second has those of the first without reads.
const CATEGORIES: [&str; 2] = ["kube-audit", "kube-audit-admin"];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties<'a> {
    #[serde(borrow)]
    log: Option<Cow<'a, str>>,
}

/// What a record is. Other categories, and texts that are not JSON, are other logs.
pub(super) fn leaf(properties: &str, category: &str, time: Option<&str>) -> Leaf {
    if !CATEGORIES.contains(&category) {
        return Leaf::Other;
    }
    // Older records have the properties as a string.
    let inner: Option<String> = serde_json::from_str(properties).ok();
    let properties = inner.as_deref().unwrap_or(properties);
    let properties: Properties<'_> = serde_json::from_str(properties).unwrap_or_default();
    let Some(log) = properties.log else {
        return Leaf::Unknown("its properties have no log".to_owned());
    };
    if !log.trim_start().starts_with('{') {
        return Leaf::Other;
    }
    event_or_cut(&log, time.and_then(|time| Timestamp::parse(time).ok()))
}
