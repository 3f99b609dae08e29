//! The spec of a notifier: schema, validation and parsed form.

use apimachinery::{FieldError, fields};
use detect::Template;
use event::Severity;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::schema::{object_with, short_text, text, texts, words};

const TYPES: [&str; 3] = ["Alertmanager", "Webhook", "Slack"];
/// Maximum length of a URL, in characters.
const URL_LEN_MAX: u32 = 2048;
/// Maximum length of a template, in characters.
const TEMPLATE_LEN_MAX: u32 = 16 << 10;
/// Maximum length of the CA bundle, in characters.
const CA_LEN_MAX: u32 = 64 << 10;

/// The protocol of a notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum NotifierType {
    /// Version 2 of the Alertmanager API.
    Alertmanager,
    /// A signed POST of the signal as JSON.
    Webhook,
    /// A message for Slack's incoming webhooks.
    Slack,
}

/// A reference to a key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SecretKey {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// The key in its `data`.
    pub key: String,
}

/// The spec of a notifier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifierSpec {
    /// The protocol.
    #[serde(rename = "type")]
    pub kind: NotifierType,
    /// The URL, if it is not secret.
    pub url: Option<String>,
    /// The Secret with the URL, if it is secret.
    pub url_secret_ref: Option<SecretKey>,
    /// The Secret with the signing key of a webhook, or the token of an Alertmanager.
    pub secret_ref: Option<SecretKey>,
    /// Minimum severity; signals below it are not sent.
    #[serde(default)]
    pub min_severity: Severity,
    /// Ids or titles of the rules whose signals are sent; empty for all rules.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The message template, with the same variables as messages of rules.
    pub template: Option<String>,
    /// Whether updates of an ongoing signal are sent from time to time.
    #[serde(default)]
    pub send_updates: bool,
    /// Whether a notification is sent when a signal is closed.
    #[serde(default = "default_true")]
    pub send_closed: bool,
    /// CA certificates as PEM, trusted in addition to the system's.
    pub ca_bundle: Option<String>,
}

const fn default_true() -> bool {
    true
}

impl NotifierSpec {
    /// Parses the spec of a stored notifier; `None` if it is invalid.
    pub(super) fn parse(notifier: &Map<String, Value>) -> Option<Self> {
        Self::deserialize(notifier.get("spec")?).ok()
    }
}

/// The schema.
pub(super) fn schema() -> Value {
    let flag = |default: bool, description: &str| json!({"type": "boolean", "default": default, "description": description});
    let mut severity = words(
        &Severity::ALL.map(Severity::as_str),
        "Minimum severity of the signals that are sent.",
    );
    severity["default"] = Severity::Low.as_str().into();
    let secret = |description: &str| {
        let required = |description| {
            let mut field = text(description);
            field["minLength"] = 1.into();
            field
        };
        object_with(
            description,
            &["namespace", "name", "key"],
            &[
                ("namespace", required("Namespace of the Secret.")),
                ("name", required("Name of the Secret.")),
                ("key", required("Key in the data of the Secret.")),
            ],
        )
    };
    object_with(
        "The destination, and the signals that are sent to it.",
        &["type"],
        &[
            ("type", words(&TYPES, "Protocol of the destination.")),
            (
                "url",
                short_text(
                    URL_LEN_MAX,
                    "URL of the destination. Use urlSecretRef if the URL itself is secret.",
                ),
            ),
            (
                "urlSecretRef",
                secret("Secret with the URL of the destination, if the URL itself is secret."),
            ),
            ("secretRef", secret("Signing key of a Webhook, bearer token of an Alertmanager.")),
            ("minSeverity", severity),
            ("rules", texts("IDs or titles of the rules whose signals are sent; all if empty.")),
            (
                "template",
                short_text(
                    TEMPLATE_LEN_MAX,
                    "Template of the message, with the variables of rule messages.",
                ),
            ),
            (
                "sendUpdates",
                flag(
                    false,
                    "Whether further events of an open signal are sent, at most every 5 minutes.",
                ),
            ),
            ("sendClosed", flag(true, "Whether closed signals are sent.")),
            ("caBundle", short_text(CA_LEN_MAX, "CA certificates to trust, as PEM.")),
        ],
    )
}

/// Validation beyond the schema.
pub(super) fn validate(notifier: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let url = fields::value(notifier, "spec.url").and_then(Value::as_str);
    let has_secret_url = fields::value(notifier, "spec.urlSecretRef").is_some();
    match url {
        Some(_) if has_secret_url => {
            let detail = "may not be set together with url";
            errors.push(FieldError::forbidden("spec.urlSecretRef", detail));
        }
        Some(_) if fields::text(notifier, "spec.type") == "Slack" => {
            let detail = "the URL of a Slack webhook is a secret: put it into a Secret, and set \
                          urlSecretRef";
            errors.push(FieldError::forbidden("spec.url", detail));
        }
        Some(url) => errors.extend(check_url(url)),
        None if !has_secret_url => {
            errors.push(FieldError::required("spec.url", "or urlSecretRef"));
        }
        None => {}
    }
    if let Err(error) = Template::parse(fields::text(notifier, "spec.template")) {
        let hint = error.hint.as_ref().map(|hint| format!(" (help: {hint})")).unwrap_or_default();
        errors.push(FieldError {
            reason: "FieldValueInvalid",
            field: "spec.template".to_owned(),
            message: format!("Invalid value: {error}{hint}"),
        });
    }
    let certificates = fields::text(notifier, "spec.caBundle");
    if !certificates.is_empty() && !certificates.contains("-----BEGIN CERTIFICATE-----") {
        errors.push(FieldError {
            reason: "FieldValueInvalid",
            field: "spec.caBundle".to_owned(),
            message: "Invalid value: must contain a certificate as PEM".to_owned(),
        });
    }
    errors
}

/// Rejects a URL with a password or with parameters, because spec and audit events must not contain
/// secrets. The error does not repeat the URL.
fn check_url(url: &str) -> Option<FieldError> {
    let invalid = |message: &str| {
        let message = format!("Invalid value: {message}");
        Some(FieldError { reason: "FieldValueInvalid", field: "spec.url".to_owned(), message })
    };
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return invalid("must begin with https:// or http://") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return invalid("must be a URL such as https://alertmanager.monitoring.svc:9093");
    }
    if host.contains('@') || url.contains(['?', '#']) {
        return invalid(
            "user, password and parameters are secrets: put the whole URL into a Secret, and set \
             urlSecretRef",
        );
    }
    None
}
