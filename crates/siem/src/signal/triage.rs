//! The triage of a signal: the only part that users write.

use apimachinery::{FieldError, fields};
use apiserver::{Strategy, WriteContext};
use serde_json::{Map, Value, json};

use crate::schema::{object, short_text, text, time, words};

const OPEN: &str = "open";
const ARCHIVED: &str = "archived";
const STATES: [&str; 3] = [OPEN, "under_review", ARCHIVED];
const REASONS: [&str; 5] =
    ["true_positive", "benign_positive", "false_positive", "testing", "other"];
/// Maximum length of a note, in characters.
const NOTE_LEN_MAX: u32 = 4096;

/// The triage of a new signal.
pub(super) fn untouched() -> Value {
    json!({"state": OPEN})
}

/// The schema of a signal's status.
pub(super) fn status_schema() -> Value {
    let triage = object(
        "Triage by a user. Written through the subresource triage or status.",
        &[
            ("state", words(&STATES, "State of the triage.")),
            ("reason", words(&REASONS, "Reason for archiving. Required with archived.")),
            ("note", short_text(NOTE_LEN_MAX, "Free text.")),
            ("user", text("The user who wrote the triage. Set by the server.")),
            ("time", time("Time of the triage. Set by the server.")),
        ],
    );
    object(
        "State and triage of the signal.",
        &[
            (
                "state",
                words(
                    &["open", "updated", "closed"],
                    "open at first, updated after further events, closed when no more events \
                     arrive. Set by the detector.",
                ),
            ),
            ("closedAt", time("Time at which the signal closed.")),
            ("triage", triage),
        ],
    )
}

/// The strategy of signals: users can change the triage and nothing else.
pub(super) struct Triage;

impl Strategy for Triage {
    fn prepare_update(
        &self,
        signal: &mut Map<String, Value>,
        old: &Map<String, Value>,
        ctx: &WriteContext,
    ) {
        let mut triage = match fields::value(signal, "status.triage") {
            Some(Value::Object(triage)) => triage.clone(),
            None | Some(Value::Null) => Map::new(),
            // The schema rejects it.
            Some(value) => {
                let value = value.clone();
                fields::restore(signal, old, &["status", "metadata.labels"]);
                fields::set(signal, "status.triage", value);
                return;
            }
        };
        let is_unset = |value: &Value| value.is_null() || value == "";
        if triage.get("state").is_none_or(is_unset) {
            triage.insert("state".to_owned(), OPEN.into());
        }
        // A patch that only opens the signal again leaves its old reason in the object.
        let reason = fields::text(&triage, "reason");
        if fields::text(&triage, "state") != ARCHIVED
            && reason == fields::text(old, "status.triage.reason")
        {
            triage.shift_remove("reason");
        }
        let is_same = ["state", "reason", "note"].iter().all(|key| {
            triage.get(*key).is_none_or(Value::is_string)
                && fields::text(&triage, key) == fields::text(old, &format!("status.triage.{key}"))
        });
        fields::restore(signal, old, &["status", "metadata.labels"]);
        if !is_same {
            triage.insert("user".to_owned(), ctx.user.username.as_str().into());
            triage.insert("time".to_owned(), ctx.now.as_str().into());
            fields::set(signal, "status.triage", triage);
        }
    }

    fn validate(
        &self,
        signal: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let is_archived = fields::text(signal, "status.triage.state") == ARCHIVED;
        if is_archived && fields::text(signal, "status.triage.reason").is_empty() {
            let detail = format!("an archived signal needs one of: {}", REASONS.join(", "));
            return vec![FieldError::required("status.triage.reason", &detail)];
        }
        if !is_archived && !fields::text(signal, "status.triage.reason").is_empty() {
            let detail =
                "only an archived signal has a reason: set the state to archived, or use note";
            return vec![FieldError::forbidden("status.triage.reason", detail)];
        }
        Vec::new()
    }
}
