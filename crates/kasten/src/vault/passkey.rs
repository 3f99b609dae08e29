//! `Passkey`: names the key that K10's master key is wrapped with.
//!
//! A passkey refers to a Secret, or to a key in AWS, Vault or Azure. It has no field for key
//! material: key material in a request is dropped before anything is stored or returned, and only
//! known fields of a body are audited. A passkey whose Secret does not exist is not valid. The last
//! one cannot be deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{Column, Objects, Resource, ResourceId, Strategy, WriteContext};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::actions::spec::Reference;
use crate::kinds::PASSKEY;
use crate::{Installation, columns, rules, schema, verbs};

/// Where the key is: exactly one of the four alternatives.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct PasskeySpec {
    /// A Secret in K10's namespace, with the key under `passphrase`.
    pub secret: Option<Reference>,
    /// A customer managed key in AWS KMS.
    pub awscmkkeyid: Option<String>,
    /// Name of a key in the transit engine of Vault.
    pub vaulttransitkeyname: Option<String>,
    /// Path of the transit engine of Vault.
    pub vaulttransitpath: Option<String>,
    /// Role to log in to Vault with.
    pub vaultauthrole: Option<String>,
    /// Path of the token to log in to Vault with.
    pub vaultk8sserviceaccounttokenpath: Option<String>,
    /// Name of a key in an Azure key vault.
    pub azurekeyname: Option<String>,
    /// URL of the Azure key vault.
    pub azurekeyvaulturl: Option<String>,
    /// From older releases: uses the passkey immediately.
    pub usenow: Option<bool>,
}

/// The status of a passkey.
#[derive(Clone, Debug, Default, JsonSchema)]
pub struct PasskeyStatus {
    /// Whether the master key is wrapped with it.
    pub valid: Option<bool>,
    /// Human-readable state.
    pub state: Option<String>,
}

/// The resource that serves the kind.
pub fn resource(installation: &Installation) -> Resource {
    Resource {
        omit_bodies: true,
        ..crate::resource(
            installation.kind(PASSKEY),
            verbs::ALL,
            &[VALID],
            columns::STATUS,
            schema::object::<PasskeySpec, PasskeyStatus>(
                "Passkey names the key that the master key is wrapped with.",
            ),
            Arc::new(Passkey { installation: *installation }),
        )
    }
}

/// The key of a Secret under which the passphrase is.
pub const SECRET_KEY: &str = "passphrase";
/// The state of a valid passkey.
const VALID_STATE: &str = "Added to Catalog";
/// Secrets, in a server that serves them.
const SECRETS: ResourceId = ResourceId { group: "", plural: "secrets" };

/// The known Secrets by namespace and name, with an error for each unusable Secret.
pub type KnownSecrets = BTreeMap<(String, String), Option<String>>;

/// The Secret that a passkey names, by namespace and name.
pub fn secret(passkey: &Map<String, Value>) -> Option<(String, String)> {
    let text = |path| fields::text(passkey, path).to_owned();
    let secret = (text("spec.secret.namespace"), text("spec.secret.name"));
    (!secret.1.is_empty()).then_some(secret)
}

/// The status according to the known Secrets; `None` if the passkey has it already.
pub fn status_update(passkey: &Map<String, Value>, known_secrets: &KnownSecrets) -> Option<Value> {
    let problem = known_secrets.get(&secret(passkey)?)?;
    let state = problem.as_deref().unwrap_or(VALID_STATE);
    let status = json!({"valid": problem.is_none(), "state": state});
    (passkey.get("status") != Some(&status)).then_some(status)
}

/// Updates the status of each passkey whose Secret is known.
pub fn report(
    installation: &Installation,
    known_secrets: &KnownSecrets,
    objects: &mut Objects<'_>,
) -> Result<(), ApiError> {
    let id = installation.id(PASSKEY);
    for mut passkey in objects.list(id, None) {
        if let Some(status) = status_update(&passkey, known_secrets) {
            fields::set(&mut passkey, "status", status);
            objects.update(id, passkey)?;
        }
    }
    Ok(())
}

const VALID: Column = Column {
    name: "Valid",
    kind: "boolean",
    path: "status.valid",
    priority: 0,
    description: "Whether it can be used.",
};
/// The main field of each alternative.
const ALTERNATIVES: [&str; 4] =
    ["spec.secret", "spec.awscmkkeyid", "spec.vaulttransitkeyname", "spec.azurekeyname"];
/// A field, the alternative it belongs to, and whether it is required there.
const COMPANIONS: [(&str, &str, bool); 4] = [
    ("spec.vaulttransitpath", "spec.vaulttransitkeyname", true),
    ("spec.vaultauthrole", "spec.vaulttransitkeyname", false),
    ("spec.vaultk8sserviceaccounttokenpath", "spec.vaulttransitkeyname", false),
    ("spec.azurekeyvaulturl", "spec.azurekeyname", true),
];

/// The annotation in which `kubectl apply` stores the applied object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

struct Passkey {
    installation: Installation,
}

/// The fields that are audited: references and the status.
const AUDITED_FIELDS: [&str; 13] = [
    "metadata.labels.*",
    "spec.secret.name",
    "spec.secret.namespace",
    "spec.awscmkkeyid",
    "spec.vaulttransitkeyname",
    "spec.vaulttransitpath",
    "spec.vaultauthrole",
    "spec.vaultk8sserviceaccounttokenpath",
    "spec.azurekeyname",
    "spec.azurekeyvaulturl",
    "spec.usenow",
    "status.valid",
    "status.state",
];

impl Strategy for Passkey {
    fn recorded_fields(&self) -> &'static [&'static str] {
        &AUDITED_FIELDS
    }

    fn prepare_create(&self, passkey: &mut Map<String, Value>, _ctx: &WriteContext) {
        drop_key_material(passkey);
        fields::set(passkey, "status", json!({"valid": true, "state": VALID_STATE}));
        if fields::value(passkey, "spec.secret").is_some()
            && fields::text(passkey, "spec.secret.namespace").is_empty()
        {
            fields::set(passkey, "spec.secret.namespace", self.installation.namespace());
        }
    }

    fn prepare_update(
        &self,
        passkey: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        drop_key_material(passkey);
        if ctx.subresource.is_empty() {
            fields::restore(passkey, old, &["status"]);
        }
    }

    fn validate(
        &self,
        passkey: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let is_set = |path: &str| !rules::is_empty(passkey, path);
        let mut errors = Vec::new();
        let mut set_alternatives = ALTERNATIVES.iter().filter(|path| is_set(path));
        let first = set_alternatives.next();
        if first.is_none() {
            let list = "one of secret, awscmkkeyid, vaulttransitkeyname, azurekeyname";
            errors.push(FieldError::required("spec", list));
        }
        for other in set_alternatives {
            let detail = format!("may not be set together with {}", first.unwrap_or(other));
            errors.push(FieldError::forbidden(*other, &detail));
        }
        for (companion, alternative, is_required) in COMPANIONS {
            if is_required && is_set(alternative) && !is_set(companion) {
                errors
                    .push(FieldError::required(companion, &format!("required with {alternative}")));
            } else if is_set(companion) && !is_set(alternative) {
                let detail = format!("only allowed with {alternative}");
                errors.push(FieldError::forbidden(companion, &detail));
            }
        }
        errors.extend(check_secret(passkey, self.installation.namespace()));
        errors
    }

    fn on_create(
        &self,
        passkey: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let Some((namespace, name)) = secret(passkey) else { return Ok(()) };
        // If another server serves the Secrets, they are checked asynchronously.
        if objects.get(SECRETS, &namespace, &name).is_none() {
            let state = format!("Secret {namespace}/{name} is not known to exist");
            fields::set(passkey, "status", json!({"valid": false, "state": state}));
        }
        Ok(())
    }

    fn on_delete(
        &self,
        passkey: &Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        let name = fields::name(passkey);
        let id = self.installation.id(PASSKEY);
        let others = objects.list(id, None);
        if others.iter().any(|other| fields::name(other) != name) {
            return Ok(());
        }
        let detail = "it is the last one, and without it no backup could be restored; \
                      create another one first";
        Err(ApiError::forbidden(id.group, id.plural, name, detail))
    }
}

/// `kubectl apply` copies the applied object into an annotation, including key material in unknown
/// fields. The annotation is removed if it contains more than references.
fn drop_key_material(passkey: &mut Map<String, Value>) {
    let Some(Value::Object(annotations)) =
        passkey.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"))
    else {
        return;
    };
    let Some(last_applied) = annotations.get(LAST_APPLIED) else { return };
    let last_applied: Option<Map<String, Value>> =
        last_applied.as_str().and_then(|text| serde_json::from_str(text).ok());
    if !last_applied.is_some_and(|last_applied| holds_references_only(&last_applied)) {
        annotations.shift_remove(LAST_APPLIED);
    }
}

fn holds_references_only(last_applied: &Map<String, Value>) -> bool {
    let has_only = |map: Option<&Value>, allowed_keys: &[&str]| {
        map.and_then(Value::as_object)
            .is_none_or(|map| map.keys().all(|key| allowed_keys.contains(&key.as_str())))
    };
    let spec: Vec<&str> = ALTERNATIVES
        .into_iter()
        .chain(COMPANIONS.map(|(companion, ..)| companion))
        .chain(["spec.usenow"])
        .filter_map(|path| path.strip_prefix("spec."))
        .collect();
    last_applied
        .keys()
        .all(|key| ["apiVersion", "kind", "metadata", "spec"].contains(&key.as_str()))
        && has_only(last_applied.get("spec"), &spec)
        && has_only(fields::value(last_applied, "spec.secret"), &["name", "namespace"])
}

/// Checks that a Secret has a name and is in K10's namespace.
fn check_secret(passkey: &Map<String, Value>, k10: &str) -> Vec<FieldError> {
    if fields::value(passkey, "spec.secret").is_none() {
        return Vec::new();
    }
    let mut errors = rules::required(passkey, &["spec.secret.name"]);
    let namespace = fields::text(passkey, "spec.secret.namespace");
    if namespace != k10 {
        let detail = format!("must be K10's namespace, {k10:?}");
        let value = json!(namespace);
        errors.push(FieldError::invalid("spec.secret.namespace", &value, &detail));
    }
    errors
}
