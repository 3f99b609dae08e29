//! What mallory does to the backups, with a role that was meant for tidying up.

use kasten::domain::{
    BACKUP_ACTION, CANCEL_ACTION, CLUSTER_RESTORE_POINT, PASSKEY as PASSKEYS, RESTORE_POINT,
    RESTORE_POINT_CONTENT, RETIRE_ACTION,
};
use serde_json::json;

use super::cast::{Actor, name_of};
use super::{PASSKEY, Story, Things};
use crate::commands::say;

/// What is deleted, in this order: from what can be undone to what cannot.
const TARGETS: [Things; 3] = [
    (RESTORE_POINT, "restore points, which only hides the backups"),
    (RESTORE_POINT_CONTENT, "restore point contents, which destroys the data"),
    (CLUSTER_RESTORE_POINT, "cluster restore points"),
];

/// Everything, one thing after the other.
pub(super) async fn destroy(story: &Story) {
    say("Now mallory, who holds a role that was meant for tidying up old backups.");
    let mallory = &story.mallory;
    let mut found = 0;
    for (kind, _) in TARGETS {
        found += mallory.list(kind, "").await.len();
    }
    let read = mallory.get(PASSKEYS, "", PASSKEY).await;
    let and = if read { " and reads the passkey" } else { "" };
    say(&format!("mallory looks around, finds {found} restore points and contents{and}."));
    cancel(story).await;
    for (kind, things) in TARGETS {
        let mut deleted = 0;
        for object in mallory.list(kind, "").await {
            let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
            deleted += usize::from(mallory.delete(kind, namespace, name_of(&object)).await);
        }
        say(&format!("mallory deletes {deleted} {things}."));
    }
    let refused = try_forbidden(mallory).await;
    say(&format!(
        "mallory also tries to delete the passkey, to retire a backup and to delete a namespace: \
         refused {refused} times. Refusals are on record as the audit policy says: K10's names \
         the first two, --policy extended all three."
    ));
}

/// K10 begins a backup, and it does not come to its end.
async fn cancel(story: &Story) {
    let Some(backup) = story.begin_backup("shop", 0).await else { return };
    let Some(backup) = story.kasten.until(BACKUP_ACTION, &backup, "Running").await else { return };
    let name = name_of(&backup);
    let subject = json!({"kind": "BackupAction", "name": name, "namespace": "shop"});
    let spec = json!({"subject": subject});
    let cancelled = story.mallory.create(CANCEL_ACTION, "shop", "cancel-", &json!({}), &spec).await;
    if cancelled.is_some() {
        say("K10 begins tonight's backup of shop; mallory cancels it while it runs.");
    }
}

/// What RBAC refuses; how often it did.
async fn try_forbidden(mallory: &Actor) -> usize {
    let passkey = mallory.delete(PASSKEYS, "", PASSKEY).await;
    let retire = mallory.create(RETIRE_ACTION, "", "retire-", &json!({}), &json!({})).await;
    let namespace = mallory.delete_namespace("crm").await;
    [passkey, retire.is_some(), namespace].into_iter().filter(|allowed| !allowed).count()
}
