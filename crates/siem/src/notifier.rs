//! `Notifier`: a destination of signals, such as an Alertmanager.
//!
//! Secret values (the URL of a Slack webhook, a signing key, a token) are in a Secret, to which the
//! notifier refers; its user must be authorized to read that Secret. The sender of notifications
//! reads [`NotifierSpec`] and writes the status with [`record_status`].

mod spec;
mod status;

use std::sync::Arc;

use apimachinery::{ApiError, FieldError, fields};
use apiserver::{
    Attributes, Column, Objects, Registry, Resource, ResourceId, Scope, Strategy, Subresource,
    WriteContext,
};
use event::Level;
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::{Map, Value};

use crate::detection_rule::DETECTION_RULES;
use crate::{AGE, CHANGEABLE, GROUP, VERSION, column, rule_names, schema, wide};

pub use spec::{NotifierSpec, NotifierType, SecretKey};
pub use status::{NotifierState, NotifierStatus, record_status};

/// The resource.
pub const NOTIFIERS: ResourceId = ResourceId { group: GROUP, plural: "notifiers" };

const KIND: &str = "Notifier";
/// Last segment of the URL that sends a test notification.
const TEST: &str = "test";
/// The field with the names of rules.
const RULES: &str = "spec.rules";

const COLUMNS: &[Column] = &[
    column("Type", "string", "spec.type", "Protocol of the destination."),
    column("State", "string", "status.state", "Whether signals are sent."),
    column(
        "Min Severity",
        "string",
        "spec.minSeverity",
        "Minimum severity of the signals that are sent.",
    ),
    column("Pending", "integer", "status.pending", "Number of pending notifications."),
    column("Last Sent", "date", "status.lastSent", "Time since the last notification."),
    wide(column("Error", "string", "status.lastError", "Why the last attempt failed.")),
    AGE,
];

/// Sends test notifications.
pub trait NotifierTester: Send + Sync {
    /// Sends one sample signal, with one attempt. Returns the result or the error as a readable
    /// message without secrets.
    fn test(&self, name: String, spec: NotifierSpec) -> BoxFuture<'static, Result<String, String>>;
}

/// The resource for the API server.
pub fn resource(tester: Arc<dyn NotifierTester>) -> Resource {
    Resource {
        group: GROUP,
        version: VERSION,
        kind: KIND,
        plural: NOTIFIERS.plural,
        singular: "notifier",
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: CHANGEABLE,
        columns: COLUMNS,
        schema: schema::kind(
            "Notifier sends signals to another system. A create of its subresource test sends a \
             sample.",
            spec::schema(),
            status::schema(),
        )
        .into(),
        subresources: &[Subresource::Operation { name: TEST }],
        selectable_fields: &["spec.type", "status.state"],
        omit_bodies: false,
        audit_level_min: Level::RequestResponse,
        read_only: None,
        strategy: Arc::new(Rules { tester }),
    }
}

/// A stored notifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotifier {
    /// Name of the object.
    pub name: String,
    /// UID, which differs from that of an earlier notifier with the same name.
    pub uid: String,
    /// Its spec.
    pub spec: NotifierSpec,
}

/// Parses a stored notifier; `None` if it is invalid.
pub fn stored(body: &[u8]) -> Option<StoredNotifier> {
    let notifier: Map<String, Value> = serde_json::from_slice(body).ok()?;
    Some(StoredNotifier {
        name: fields::text(&notifier, "metadata.name").to_owned(),
        uid: fields::text(&notifier, "metadata.uid").to_owned(),
        spec: NotifierSpec::parse(&notifier)?,
    })
}

/// All notifiers.
pub async fn load(registry: &Registry) -> Result<Vec<StoredNotifier>, ApiError> {
    let mut notifiers = Vec::new();
    registry.scan(NOTIFIERS, |body| notifiers.extend(stored(body))).await?;
    Ok(notifiers)
}

/// Rejects names of rules that do not exist: a misspelt name would send nothing.
fn check_rules(
    notifier: &Map<String, Value>,
    accepted: &[&str],
    objects: &mut Objects<'_>,
) -> Result<(), ApiError> {
    let names = rule_names::texts_of(notifier, RULES);
    if names.iter().all(|rule| accepted.contains(rule)) {
        return Ok(());
    }
    let stored = objects.list(DETECTION_RULES, None);
    let known = [rule_names::ids(&stored), rule_names::titles(&stored), accepted.to_vec()].concat();
    let field = |index| format!("{RULES}[{index}]");
    let what = "there is no rule with this id or title";
    rule_names::check((KIND, notifier), &names, &known, (&field, what))
}

struct Rules {
    tester: Arc<dyn NotifierTester>,
}

impl Strategy for Rules {
    fn prepare_create(&self, notifier: &mut Map<String, Value>, _ctx: &WriteContext) {
        fields::set(notifier, "status", status::unsent());
    }

    fn prepare_update(
        &self,
        notifier: &mut Map<String, Value>,
        old: &Map<String, Value>,
        _ctx: &WriteContext,
    ) {
        fields::restore(notifier, old, &["status"]);
    }

    fn validate(
        &self,
        notifier: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        spec::validate(notifier)
    }

    fn on_create(
        &self,
        notifier: &mut Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        check_rules(notifier, &[], objects)
    }

    fn on_update(
        &self,
        notifier: &mut Map<String, Value>,
        old: &Map<String, Value>,
        objects: &mut Objects<'_>,
        _ctx: &WriteContext,
    ) -> Result<(), ApiError> {
        // Rules that were deleted later do not block other changes.
        check_rules(notifier, &rule_names::texts_of(old, RULES), objects)
    }

    fn required_access(&self, notifier: &Map<String, Value>) -> Vec<Attributes> {
        let names = ["spec.urlSecretRef", "spec.secretRef"];
        let secret = |path: &str| {
            fields::value(notifier, path).map(|_| Attributes {
                verb: "get".to_owned(),
                version: "v1".to_owned(),
                resource: "secrets".to_owned(),
                namespace: fields::text(notifier, &format!("{path}.namespace")).to_owned(),
                name: fields::text(notifier, &format!("{path}.name")).to_owned(),
                ..Attributes::default()
            })
        };
        names.into_iter().filter_map(secret).collect()
    }

    fn operate(
        &self,
        notifier: Map<String, Value>,
        _ctx: WriteContext,
    ) -> BoxFuture<'static, Result<String, ApiError>> {
        let name = fields::text(&notifier, "metadata.name").to_owned();
        let Some(spec) = NotifierSpec::parse(&notifier) else {
            let error = ApiError::internal("the stored notifier cannot be read");
            return Box::pin(async move { Err(error) });
        };
        let tested = self.tester.test(name.clone(), spec);
        Box::pin(async move {
            tested.await.map_err(|message| {
                ApiError::new(StatusCode::BAD_GATEWAY, "TestFailed", message).about(
                    GROUP,
                    NOTIFIERS.plural,
                    &name,
                )
            })
        })
    }
}
