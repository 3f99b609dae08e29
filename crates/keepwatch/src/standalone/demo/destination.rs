//! The local destination of the demo: a profile of a folder, and the `AuditConfig` for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kasten::kinds::{AUDIT_CONFIG, PROFILE};
use kasten::names::K10_NAMESPACE;
use serde_json::json;

use super::client::DemoUser;
use crate::standalone::client::{api, retry, text};

/// The name of the claim, which is also the name of the folder.
const CLAIM: &str = "audit";
/// Name of both objects.
const NAME: &str = "local";
/// Time between two polls for readiness; each poll is an audit event.
const POLL_PERIOD: Duration = Duration::from_millis(200);
/// Maximum waiting time.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The folder that objects are delivered to.
pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("volumes").join(CLAIM)
}

/// Creates both, and waits until events are delivered. Returns whether they are.
pub(super) async fn set_up(admin: &DemoUser) -> bool {
    let spec = json!({"type": "Location", "locationSpec": {
        "type": "FileStore",
        "fileStore": {"claimName": CLAIM},
    }});
    admin.create(PROFILE, K10_NAMESPACE, NAME, &json!({}), &spec).await;
    let spec = json!({"profile": {"name": NAME, "namespace": K10_NAMESPACE}});
    admin.create(AUDIT_CONFIG, K10_NAMESPACE, NAME, &json!({}), &spec).await;
    let configs = api(&admin.0, AUDIT_CONFIG, K10_NAMESPACE);
    let ready = async {
        loop {
            let config = retry(|| async { configs.get(NAME).await }).await?;
            if text(&config, &["status", "validation"]) == "Success" {
                return Some(());
            }
            tokio::time::sleep(POLL_PERIOD).await;
        }
    };
    tokio::time::timeout(TIMEOUT, ready).await.ok().flatten().is_some()
}
