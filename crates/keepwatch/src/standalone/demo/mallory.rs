//! mallory's attack on the backups, with a role for clean-up.

use kasten::kinds::{
    BACKUP_ACTION, CANCEL_ACTION, CLUSTER_RESTORE_POINT, PASSKEY as PASSKEYS, RESTORE_POINT,
    RESTORE_POINT_CONTENT, RETIRE_ACTION,
};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::client::name_of;
use super::{Demo, KindAndNoun, PASSKEY};
use crate::standalone::client::retry;
use crate::standalone::executor::now;

/// The deleted kinds, from reversible to irreversible.
const TARGETS: [KindAndNoun; 3] = [
    (RESTORE_POINT, "restore points, which only hides the backups"),
    (RESTORE_POINT_CONTENT, "restore point contents, which destroys the data"),
    (CLUSTER_RESTORE_POINT, "restore points of the cluster"),
];

/// Runs the attack, step by step.
pub(super) async fn destroy(demo: &Demo) {
    let (mallory, narrator) = (&demo.mallory, &demo.narrator);
    narrator
        .announce("mallory, whose role was meant for tidying up old backups, looks around:")
        .await;
    let mut count = 0;
    for (kind, _) in TARGETS {
        count += mallory.list(kind, "").await.len();
    }
    let read = mallory.get(PASSKEYS, "", PASSKEY).await;
    let addition = if read { " and read the passkey" } else { "" };
    narrator.report(&format!("mallory found {count} restore points and contents{addition}.")).await;
    cancel(demo).await;
    for (kind, noun) in TARGETS {
        narrator.announce(&format!("mallory deletes {noun}:")).await;
        let mut deleted = 0;
        for object in mallory.list(kind, "").await {
            let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
            deleted += usize::from(mallory.delete(kind, namespace, name_of(&object)).await);
        }
        narrator.report(&format!("{deleted} deleted.")).await;
    }
    try_forbidden(demo).await;
}

/// K10 starts a backup, and mallory cancels it.
async fn cancel(demo: &Demo) {
    demo.narrator.announce("K10 begins tonight's backup of shop, and mallory cancels it:").await;
    let Some(backup) = demo.start_backup("shop", 0).await else { return };
    let Some(backup) = demo.kasten.wait_for_state(BACKUP_ACTION, &backup, "Running").await else {
        return;
    };
    let name = name_of(&backup);
    let subject = json!({"kind": "BackupAction", "name": name, "namespace": "shop"});
    let spec = json!({"subject": subject});
    let cancelled = demo.mallory.create(CANCEL_ACTION, "shop", "cancel-", &json!({}), &spec).await;
    if cancelled.is_some()
        && demo.kasten.wait_for_state(BACKUP_ACTION, &backup, "Cancelled").await.is_some()
    {
        demo.narrator.report("The backup was cancelled while it ran.").await;
    }
}

/// Requests that RBAC refuses, and how many of the refusals are audited.
async fn try_forbidden(demo: &Demo) {
    let Demo { mallory, narrator, admin, .. } = demo;
    narrator
        .announce(
            "mallory tries to delete the passkey, to retire a backup and to delete a namespace:",
        )
        .await;
    let since = now();
    let passkey = mallory.delete(PASSKEYS, "", PASSKEY).await;
    let retire = mallory.create(RETIRE_ACTION, "", "retire-", &json!({}), &json!({})).await;
    let namespace = mallory.delete_namespace("crm").await;
    let attempts = [passkey, retire.is_some(), namespace];
    let refused = attempts.into_iter().filter(|allowed| !allowed).count();
    let recorded = recorded_refusals(admin, &since).await;
    narrator
        .report(&format!(
            "{refused} of {} were refused; {recorded} of these refusals are on record, as the audit \
             policy says.",
            attempts.len()
        ))
        .await;
}

/// The number of mallory's refused requests since then that are in the journal.
async fn recorded_refusals(admin: &kube::Client, since: &str) -> usize {
    let gvk = GroupVersionKind::gvk(siem::GROUP, siem::VERSION, "AuditEvent");
    let kind = ApiResource::from_gvk_with_plural(&gvk, siem::audit_event::AUDIT_EVENTS.plural);
    let api: Api<DynamicObject> = Api::all_with(admin.clone(), &kind);
    let refusals = format!("user=mallory,code=403,since={since}");
    let list = retry(|| async { api.list(&ListParams::default().fields(&refusals)).await }).await;
    list.map_or(0, |list| list.items.len())
}
