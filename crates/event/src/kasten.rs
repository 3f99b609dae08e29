//! The encoding `kasten`: the line K10 writes, with a few keys for log tools in front.

use crate::Event;

/// What a line carries beside the event.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// The `service` key; `keepwatch` unless configured.
    pub service: String,
    /// The cluster's name, for `ddtags`; left out when empty.
    pub cluster_name: String,
    /// Words that may stand in `message`: the plural names of the resources we serve.
    pub resources: Vec<String>,
}

/// Appends one event, without the newline.
pub fn write(event: &Event, labels: &Labels, line: &mut Vec<u8>) {
    line.extend_from_slice(labels.service.as_bytes());
    line.extend_from_slice(event.audit_id.as_bytes());
}
