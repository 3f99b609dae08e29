//! Derives a destination from a profile and its Secret, or the errors in them.
//!
//! Pure. Messages are for the authors of these objects: they name fields and keys, never a value of
//! a Secret, and no text from a response of a server.

mod credentials;
mod endpoint;
mod own_credentials;
mod providers;

use std::path::{Component, Path};

use kasten::config::profile::{LocationSpec, ObjectStore, ProfileSpec};
use objectstore::{Credentials, Destination, FileStore, Provider, Retention, RetentionMode};
use serde_json::Value;

use crate::objects::{AuditConfigView, Lookup, NamespacedName, SecretData};
use crate::settings::Settings;

use providers::StoreSpec;

/// The destination that a profile describes.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// The cache has not been filled yet.
    Unknown,
    /// An object does not exist yet.
    Pending(String),
    /// An object has to be changed first.
    Invalid(Vec<String>),
    /// Events can be delivered.
    Ready(Box<ResolvedDestination>),
}

/// The destination of an `AuditConfig`, ready for delivery.
#[derive(Clone, Debug)]
pub struct ResolvedDestination {
    /// The destination.
    pub destination: Destination,
    /// [`Destination::fingerprint`].
    pub fingerprint: [u8; 32],
}

/// Resolves the destination of an `AuditConfig`.
pub fn resolve_config(
    config: &AuditConfigView,
    profile: &Lookup<Value>,
    secret: &Lookup<SecretData>,
    settings: &Settings,
) -> Resolution {
    if let Some(error) = namespace_error("AuditConfig", &config.key, settings) {
        return Resolution::Invalid(vec![error]);
    }
    let name = match (&config.profile, config.profile_key()) {
        (Err(error), _) => return Resolution::Invalid(vec![error.clone()]),
        (Ok(_), name) => name.unwrap_or_default(),
    };
    resolve_profile(&name, profile, secret, config.retention.as_deref(), settings)
}

/// The destination that a profile describes. `retention` is the annotation of the `AuditConfig`.
pub fn resolve_profile(
    name: &NamespacedName,
    profile: &Lookup<Value>,
    secret: &Lookup<SecretData>,
    retention: Option<&str>,
    settings: &Settings,
) -> Resolution {
    if let Some(error) = namespace_error("Profile", name, settings) {
        return Resolution::Invalid(vec![error]);
    }
    let spec = match profile {
        Lookup::NotSynced => return Resolution::Unknown,
        Lookup::NotFound => return Resolution::Pending(format!("Profile {name} does not exist")),
        Lookup::Forbidden(why) => {
            return Resolution::Invalid(vec![format!("Profile {name} cannot be read: {why}")]);
        }
        Lookup::Found(spec) => spec,
    };
    let location = match location(spec) {
        Ok(location) => location,
        Err(error) => return Resolution::Invalid(vec![format!("Profile {name}: {error}")]),
    };
    let secret_name = location_secret(name, &location);
    let secret_data = match (&secret_name, secret) {
        (None, _) => None,
        (Some(secret), _) if !settings.allows(&secret.namespace) => {
            let error = namespace_error("Secret", secret, settings).unwrap_or_default();
            return Resolution::Invalid(vec![error]);
        }
        (Some(_), Lookup::NotSynced) => return Resolution::Unknown,
        (Some(secret), Lookup::NotFound) => {
            return Resolution::Pending(format!(
                "Secret {secret}, which Profile {name} names, does not exist"
            ));
        }
        (Some(secret), Lookup::Forbidden(why)) => {
            return Resolution::Invalid(vec![format!("Secret {secret} cannot be read: {why}")]);
        }
        (Some(_), Lookup::Found(secret_data)) => Some(secret_data),
    };
    match destination(&location, secret_data, retention, settings) {
        Ok(destination) => {
            let fingerprint = destination.fingerprint();
            Resolution::Ready(Box::new(ResolvedDestination { destination, fingerprint }))
        }
        Err(errors) => {
            let with_object = |error: String| match &secret_name {
                Some(secret) if error.starts_with("key ") => format!("Secret {secret}: {error}"),
                _ => format!("Profile {name}: {error}"),
            };
            Resolution::Invalid(errors.into_iter().map(with_object).collect())
        }
    }
}

/// The Secret that a profile needs, if it needs one.
pub fn referenced_secret(name: &NamespacedName, profile: &Lookup<Value>) -> Option<NamespacedName> {
    let Lookup::Found(spec) = profile else { return None };
    location_secret(name, &location(spec).ok()?)
}

fn location_secret(profile: &NamespacedName, location: &LocationSpec) -> Option<NamespacedName> {
    if equals_ignore_case(location.kind.as_deref(), "FileStore") {
        return None;
    }
    let secret = location.credential.as_ref()?.secret.as_ref()?;
    let name = secret.name.clone().filter(|name| !name.is_empty())?;
    let namespace = secret.namespace.clone().filter(|namespace| !namespace.is_empty());
    Some(NamespacedName { namespace: namespace.unwrap_or_else(|| profile.namespace.clone()), name })
}

fn namespace_error(kind: &str, name: &NamespacedName, settings: &Settings) -> Option<String> {
    let namespaces = settings.namespaces.join(", ");
    (!settings.allows(&name.namespace)).then(|| {
        format!(
            "{kind} {name} is not in a namespace that may be used for delivery ({namespaces}); \
             --audit-config-namespaces names them"
        )
    })
}

/// The location of a profile. The older form is also accepted.
fn location(spec: &Value) -> Result<LocationSpec, String> {
    let mut spec = spec.clone();
    if let Some(Value::Object(location)) = spec.get_mut("locationSpec") {
        if let Some(kind) = location.shift_remove("locationType") {
            location.entry("type").or_insert(kind);
        }
        if let Some(Value::Object(older_form)) = location.shift_remove("location") {
            for (key, value) in older_form {
                let key = if key == "locationType" { "type".to_owned() } else { key };
                location.entry(key).or_insert(value);
            }
        }
    }
    let spec: ProfileSpec = serde_json::from_value(spec).map_err(|error| {
        // The value may be a secret in the wrong field, so serde's message is not shown.
        let expected = error.to_string();
        let expected = expected.split(", expected ").nth(1).unwrap_or("what the schema says");
        format!("a field of its spec is not {expected}")
    })?;
    if !equals_ignore_case(Some(&spec.kind), "Location") {
        let kind = spec.kind;
        return Err(format!("spec.type is {kind:?}; events can be delivered to a Location only"));
    }
    spec.location_spec.ok_or_else(|| "spec.locationSpec is missing".to_owned())
}

fn equals_ignore_case(value: Option<&str>, expected: &str) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case(expected))
}

fn destination(
    location: &LocationSpec,
    secret_data: Option<&SecretData>,
    retention: Option<&str>,
    settings: &Settings,
) -> Result<Destination, Vec<String>> {
    match location.kind.as_deref().unwrap_or_default() {
        kind if equals_ignore_case(Some(kind), "FileStore") => {
            file_destination(location, settings).map_err(|error| vec![error])
        }
        kind if equals_ignore_case(Some(kind), "ObjectStore") => {
            let none = "spec.locationSpec.objectStore is missing";
            let store = location.object_store.as_ref().ok_or_else(|| vec![none.to_owned()])?;
            bucket(location, store, secret_data, retention, settings)
        }
        "" => Err(vec!["spec.locationSpec.type is missing".to_owned()]),
        kind => Err(vec![format!(
            "spec.locationSpec.type is {kind:?}, which cannot take events; ObjectStore (S3, GCS, \
             Azure) and FileStore can"
        )]),
    }
}

fn bucket(
    location: &LocationSpec,
    store: &ObjectStore,
    secret_data: Option<&SecretData>,
    retention: Option<&str>,
    settings: &Settings,
) -> Result<Destination, Vec<String>> {
    let mut errors = Vec::new();
    let bucket = store.name.clone().unwrap_or_default();
    if !is_bucket_name(&bucket) {
        errors.push(format!(
            "spec.locationSpec.objectStore.name {bucket:?} is not the name of a bucket"
        ));
    }
    let mut endpoint = store.endpoint.clone().filter(|endpoint| !endpoint.is_empty());
    if let Some(configured) = &endpoint {
        match endpoint::normalize(configured, settings) {
            Ok(normalized) => endpoint = Some(normalized),
            Err(error) => errors.push(format!("spec.locationSpec.objectStore.endpoint {error}")),
        }
    }
    let region = store.region.clone().unwrap_or_default();
    let kind = store.object_store_type.as_deref().unwrap_or_default();
    let Some(provider_row) = providers::find(kind) else {
        errors.push(format!(
            "spec.locationSpec.objectStore.objectStoreType is {kind:?}, which cannot take events; \
             {} can",
            providers::names()
        ));
        return Err(errors);
    };
    let provider = (provider_row.provider)(StoreSpec { endpoint, region, secret: secret_data });
    let secret_type =
        location.credential.as_ref().and_then(|credential| credential.secret_type.as_deref());
    let credentials = credentials::read(provider_row, secret_type, secret_data, settings);
    let retention = parse_retention(retention, store.protection_period.as_deref());
    let skip_tls_verify = store.skip_ssl_verify.unwrap_or(false);
    if let Ok(credentials) = &credentials {
        let endpoint = provider.endpoint();
        errors.extend(own_credentials::denial(
            provider_row,
            endpoint,
            credentials,
            skip_tls_verify,
            settings,
        ));
    }
    match (credentials, retention) {
        (Ok(credentials), Ok(retention)) if errors.is_empty() => Ok(Destination {
            provider,
            bucket,
            prefix: settings.prefix.clone(),
            skip_tls_verify,
            ca_pem: settings.ca_pem.borrow().clone(),
            credentials,
            retention,
            limits: settings.limits,
        }),
        (credentials, retention) => {
            errors.extend(credentials.err().into_iter().flatten());
            errors.extend(retention.err());
            Err(errors)
        }
    }
}

/// Whether S3, Google or Azure may accept a name. A name that all of them reject is rejected.
fn is_bucket_name(name: &str) -> bool {
    let is_allowed_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (3..=222).contains(&name.len())
        && name.chars().all(is_allowed_char)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.contains("..")
}

fn parse_retention(mode: Option<&str>, period: Option<&str>) -> Result<Option<Retention>, String> {
    let mode = match mode {
        None | Some("" | "none") => return Ok(None),
        Some(word) if equals_ignore_case(Some(word), "governance") => RetentionMode::Governance,
        Some(word) if equals_ignore_case(Some(word), "compliance") => RetentionMode::Compliance,
        Some(word) => {
            let name = event::annotations::RETENTION;
            return Err(format!(
                "annotation {name} is {word:?}; only governance and compliance are allowed"
            ));
        }
    };
    let period = period.unwrap_or_default();
    let length: Option<jiff::SignedDuration> = period.parse().ok();
    let length = length.and_then(|length| std::time::Duration::try_from(length).ok());
    let length = length.filter(|length| !length.is_zero());
    let field = "spec.locationSpec.objectStore.protectionPeriod";
    let length = length
        .ok_or_else(|| format!("{field} is {period:?}; retention needs a time such as 240h"))?;
    Ok(Some(Retention { mode, period: length }))
}

/// A folder in a mounted volume.
fn file_destination(location: &LocationSpec, settings: &Settings) -> Result<Destination, String> {
    let store = location.file_store.clone().unwrap_or_default();
    let claim = store.claim_name.unwrap_or_default();
    let Some(volumes) = &settings.volumes else {
        return Err("it is of type FileStore, and no volumes are mounted here; \
                    --audit-volumes names the folder they are mounted below"
            .to_owned());
    };
    if claim.is_empty() || claim.contains(['/', '\\']) || claim.starts_with('.') {
        return Err(format!(
            "spec.locationSpec.fileStore.claimName {claim:?} is not the name of a claim"
        ));
    }
    let path = store.path.unwrap_or_default();
    let path = Path::new(path.trim_start_matches('/'));
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_below {
        let path = path.display();
        return Err(format!("spec.locationSpec.fileStore.path {path} leaves the volume"));
    }
    Ok(Destination {
        provider: Provider::File(FileStore { root: volumes.join(claim), path: path.to_owned() }),
        bucket: String::new(),
        prefix: settings.prefix.clone(),
        skip_tls_verify: false,
        ca_pem: None,
        credentials: Credentials::None,
        retention: None,
        limits: settings.limits,
    })
}

impl ResolvedDestination {
    /// A description of the destination and the prefix of its keys.
    pub fn description(&self) -> String {
        format!("{}, below {}", self.destination, self.destination.prefix)
    }
}

#[cfg(test)]
mod tests;
