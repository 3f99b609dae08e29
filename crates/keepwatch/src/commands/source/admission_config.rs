//! The `ValidatingWebhookConfiguration` of the admission webhook.
//!
//! The chart has the same object; an end-to-end test compares the two.
//!
//! Deliberately absent: selectors of objects and namespaces. A label would hide what it selects.

use anyhow::{Result, bail};
use detect::coverage::ADMISSION_GROUPS;
use serde_json::{Map, Value, json};
use source::admission_webhook::{PATH, WEBHOOK_NAME};

use super::{encoded, origin, token};
use crate::args::source::{AdmissionConfigArgs, FailurePolicy};

/// Conditions that a request must meet to be recorded. Velero deletes the data of a backup whose
/// `status.expiration` is over, so that field is not left out. kube-apiserver evaluates them, so that
/// controllers that write a status many times a minute cost nothing. With `Ignore` it skips a
/// request whose condition has an error, so each field that may be missing is looked up as
/// optional.
const CONDITIONS: [(&str, &str); 2] = [
    ("not-a-status", "!has(request.subResource) || request.subResource != 'status'"),
    (
        "not-only-a-status",
        "request.operation != 'UPDATE' || object == null || oldObject == null || \
         object.exists(k, !(k in ['metadata', 'status']) && object[?k] != oldObject[?k]) || \
         oldObject.exists(k, !(k in ['metadata', 'status']) && !(k in object)) || \
         object.?status.expiration != oldObject.?status.expiration || \
         ['labels', 'annotations', 'finalizers', 'ownerReferences', 'deletionTimestamp']\
         .exists(k, object.metadata[?k] != oldObject.metadata[?k])",
    ),
];

/// The configuration as an object.
pub(super) fn configuration(args: &AdmissionConfigArgs) -> Result<Value> {
    let groups: Vec<&str> = if args.groups.is_empty() {
        ADMISSION_GROUPS.to_vec()
    } else {
        args.groups.iter().map(String::as_str).collect()
    };
    let conditions =
        CONDITIONS.map(|(name, expression)| json!({"name": name, "expression": expression}));
    Ok(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {
            "name": args.name,
            // On AKS a controller would add a selector, so that a label of a namespace would
            // exclude it.
            "labels": {"admissions.enforcer/disabled": "true"},
        },
        "webhooks": [{
            "name": WEBHOOK_NAME,
            "admissionReviewVersions": ["v1"],
            "clientConfig": client(args)?,
            "rules": [{
                "apiGroups": groups,
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE", "DELETE", "CONNECT"],
                // Includes subresources, unlike `*`.
                "resources": ["*/*"],
                "scope": "*",
            }],
            "matchConditions": conditions,
            "matchPolicy": "Equivalent",
            "failurePolicy": match args.failure_policy {
                FailurePolicy::Ignore => "Ignore",
                FailurePolicy::Fail => "Fail",
            },
            "sideEffects": "NoneOnDryRun",
            "timeoutSeconds": args.timeout_seconds,
        }],
    }))
}

/// The client configuration of the webhook.
fn client(args: &AdmissionConfigArgs) -> Result<Value> {
    let mut path = format!("{PATH}{}", args.cluster);
    if let Some(file) = &args.token_file {
        let token = token(file)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !token.bytes().all(is_plain) {
            bail!(
                "the token in {} has a character that a path cannot have: create one with `openssl \
                 rand -hex 32`",
                file.display()
            );
        }
        path.extend(["/", &token]);
    }
    let mut client = Map::new();
    if let Some(service) = &args.service {
        let service = json!({
            "namespace": service.namespace,
            "name": service.name,
            "port": args.service_port,
            "path": path,
        });
        client.insert("service".to_owned(), service);
    }
    if let Some(url) = &args.url {
        client.insert("url".to_owned(), format!("{}{path}", origin(url)?).into());
    }
    if let Some(ca) = &args.ca {
        client.insert("caBundle".to_owned(), encoded(ca)?.into());
    }
    Ok(client.into())
}
