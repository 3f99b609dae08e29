//! `Passkey`: names the key that K10's master key is wrapped with.
//!
//! A passkey is a reference: to a Secret, or to a key in AWS, Vault or Azure. Key material has no
//! field here; what a client sends of it is dropped before anything is stored or answered, and of
//! bodies only what the definition knows is recorded. One whose Secret does not exist is not valid. The last one cannot be deleted: with it every backup would
//! be lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use apiserver::{ApiError, Column, FieldError, Objects, Occasion, Resource, ResourceId, Strategy};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::actions::spec::Reference;
use crate::domain::PASSKEY;
use crate::{Installation, columns, fields, rules, schema};

/// Where the key is: exactly one of the four.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
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
    /// Where the Azure key vault is.
    pub azurekeyvaulturl: Option<String>,
    /// Of older releases: puts the passkey to use at once.
    pub usenow: Option<bool>,
}

/// Whether it can be used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct PasskeyStatus {
    /// Whether the master key is wrapped with it.
    pub valid: Option<bool>,
    /// For people.
    pub state: Option<String>,
}

/// The kind, ready to be served.
pub fn resource(installation: &Installation) -> Resource {
    Resource {
        withhold_bodies: true,
        ..crate::resource(
            installation.kind(PASSKEY),
            columns::CHANGEABLE,
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
/// What is said of one that can be used.
const VALID_STATE: &str = "Added to Catalog";
/// Secrets, where they are served here.
const SECRETS: ResourceId = ResourceId { group: "", plural: "secrets" };

/// What is known of Secrets, by namespace and name: what is wrong with each, if anything is.
pub type KnownSecrets = BTreeMap<(String, String), Option<String>>;

/// The Secret that a passkey names, by namespace and name.
pub fn secret(passkey: &Map<String, Value>) -> Option<(String, String)> {
    let text = |path| fields::text(passkey, path).to_owned();
    let secret = (text("spec.secret.namespace"), text("spec.secret.name"));
    (!secret.1.is_empty()).then_some(secret)
}

/// The status that is to be written, if what is known of its Secret says another one.
pub fn status_due(passkey: &Map<String, Value>, known: &KnownSecrets) -> Option<Value> {
    let fault = known.get(&secret(passkey)?)?;
    let state = fault.as_deref().unwrap_or(VALID_STATE);
    let status = json!({"valid": fault.is_none(), "state": state});
    (passkey.get("status") != Some(&status)).then_some(status)
}

/// Says of each passkey what is wrong with its Secret, as far as that is known.
pub fn report(
    installation: &Installation,
    known: &KnownSecrets,
    objects: &mut Objects<'_>,
) -> Result<(), ApiError> {
    let id = installation.id(PASSKEY);
    for mut passkey in objects.list(id, None) {
        if let Some(status) = status_due(&passkey, known) {
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
/// One field of each alternative decides.
const ALTERNATIVES: [&str; 4] =
    ["spec.secret", "spec.awscmkkeyid", "spec.vaulttransitkeyname", "spec.azurekeyname"];
/// What goes with which alternative, and whether it must.
const COMPANIONS: [(&str, &str, bool); 4] = [
    ("spec.vaulttransitpath", "spec.vaulttransitkeyname", true),
    ("spec.vaultauthrole", "spec.vaulttransitkeyname", false),
    ("spec.vaultk8sserviceaccounttokenpath", "spec.vaulttransitkeyname", false),
    ("spec.azurekeyvaulturl", "spec.azurekeyname", true),
];

/// Where `kubectl apply` keeps the whole of what it was given.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

struct Passkey {
    installation: Installation,
}

/// All that a passkey may say: references, and whether they work.
const RECORDED: [&str; 13] = [
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
        &RECORDED
    }

    fn prepare_create(&self, passkey: &mut Map<String, Value>, _at: &Occasion) {
        drop_applied_key(passkey);
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
        at: &Occasion,
    ) {
        drop_applied_key(passkey);
        if at.subresource.is_empty() {
            fields::restore(passkey, old, &["status"]);
        }
    }

    fn validate(
        &self,
        passkey: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _at: &Occasion,
    ) -> Vec<FieldError> {
        let is_there = |path: &str| !rules::is_empty(passkey, path);
        let mut errors = Vec::new();
        let mut chosen = ALTERNATIVES.iter().filter(|path| is_there(path));
        let first = chosen.next();
        if first.is_none() {
            let list = "one of secret, awscmkkeyid, vaulttransitkeyname, azurekeyname";
            errors.push(FieldError::required("spec", list));
        }
        for other in chosen {
            let detail = format!("may not be set together with {}", first.unwrap_or(other));
            errors.push(FieldError::forbidden(*other, &detail));
        }
        for (companion, of, is_required) in COMPANIONS {
            if is_required && is_there(of) && !is_there(companion) {
                errors.push(FieldError::required(companion, &format!("goes with {of}")));
            } else if is_there(companion) && !is_there(of) {
                let detail = format!("goes with {of} only");
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
        _at: &Occasion,
    ) -> Result<(), ApiError> {
        let Some((namespace, name)) = secret(passkey) else { return Ok(()) };
        // Where Secrets are elsewhere, they are looked for a moment later.
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
        _at: &Occasion,
    ) -> Result<(), ApiError> {
        let name = fields::name(passkey);
        let id = self.installation.id(PASSKEY);
        let others = objects.list(id, None);
        if others.iter().any(|other| fields::name(other) != name) {
            return Ok(());
        }
        let detail = "it is the last one, and without it no backup could be read again; \
                      add another first";
        Err(ApiError::forbidden(id.group, id.plural, name, detail))
    }
}

/// `kubectl apply` copies what it was given into an annotation, key material that has no field
/// included. The annotation goes if there is more in it than references.
fn drop_applied_key(passkey: &mut Map<String, Value>) {
    let Some(Value::Object(annotations)) =
        passkey.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"))
    else {
        return;
    };
    let Some(applied) = annotations.get(APPLIED) else { return };
    let applied: Option<Map<String, Value>> =
        applied.as_str().and_then(|text| serde_json::from_str(text).ok());
    if !applied.is_some_and(|applied| holds_references_only(&applied)) {
        annotations.shift_remove(APPLIED);
    }
}

fn holds_references_only(applied: &Map<String, Value>) -> bool {
    let has_only = |map: Option<&Value>, known: &[&str]| {
        map.and_then(Value::as_object)
            .is_none_or(|map| map.keys().all(|key| known.contains(&key.as_str())))
    };
    let spec: Vec<&str> = ALTERNATIVES
        .into_iter()
        .chain(COMPANIONS.map(|(companion, ..)| companion))
        .chain(["spec.usenow"])
        .filter_map(|path| path.strip_prefix("spec."))
        .collect();
    applied.keys().all(|key| ["apiVersion", "kind", "metadata", "spec"].contains(&key.as_str()))
        && has_only(applied.get("spec"), &spec)
        && has_only(fields::value(applied, "spec.secret"), &["name", "namespace"])
}

/// A secret is named in full, and is K10's own.
fn check_secret(passkey: &Map<String, Value>, k10: &str) -> Vec<FieldError> {
    if fields::value(passkey, "spec.secret").is_none() {
        return Vec::new();
    }
    let mut errors = rules::required(passkey, &["spec.secret.name"]);
    let namespace = fields::text(passkey, "spec.secret.namespace");
    if namespace != k10 {
        let detail = format!("must be K10's namespace, {k10:?}");
        let given = json!(namespace);
        errors.push(FieldError::invalid("spec.secret.namespace", &given, &detail));
    }
    errors
}
