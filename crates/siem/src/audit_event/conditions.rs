//! The parsed field selector of a list of audit events.

use std::ops::ControlFlow;

use apimachinery::ApiError;
use apimachinery::selector::field_selector::FieldTerm;
use event::term::{Term, TermField};
use event::{EventRef, Timestamp};

/// The fields that a field selector can use.
pub(super) const SELECTABLE: &[&str] = &[
    "user",
    "verb",
    "group",
    "resource",
    "subresource",
    "namespace",
    "name",
    "code",
    "sourceIP",
    "auditID",
    "stage",
    "source",
    "since",
    "until",
    "order",
];

/// A field of an event that is compared with a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventField {
    /// Name of the user or of the impersonated user. Either one can match.
    User,
    /// Verb of the request.
    Verb,
    /// API group of the object.
    Group,
    /// Plural of the object's resource.
    Resource,
    /// Subresource of the object.
    Subresource,
    /// Namespace of the object.
    Namespace,
    /// Name of the object.
    Name,
    /// HTTP status code of the response.
    Code,
    /// One of the source IPs of the request.
    SourceIp,
    /// Audit ID of the request.
    AuditId,
    /// Stage at which the event was generated.
    Stage,
    /// Event source that sent the event, or this server.
    Source,
}

/// The result of looking up a condition in the index of events.
enum Indexed {
    /// Only events with this term can satisfy it.
    Term(Term),
    /// No event can satisfy it.
    Impossible,
    /// The field is not indexed.
    Nothing,
}

impl EventField {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "user" => Self::User,
            "verb" => Self::Verb,
            "group" => Self::Group,
            "resource" => Self::Resource,
            "subresource" => Self::Subresource,
            "namespace" => Self::Namespace,
            "name" => Self::Name,
            "code" => Self::Code,
            "sourceIP" => Self::SourceIp,
            "auditID" => Self::AuditId,
            "stage" => Self::Stage,
            "source" => Self::Source,
            _ => return None,
        })
    }
}

/// A comparison of a field with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The field.
    pub field: EventField,
    /// The value to compare with.
    pub value: String,
    /// `true` for `=`, `false` for `!=`.
    pub is_equal: bool,
}

/// The order of a list of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest record first.
    #[default]
    Oldest,
    /// Newest record first.
    Newest,
}

/// A parsed field selector. An event must satisfy all its conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Conditions on fields.
    pub fields: Vec<Condition>,
    /// Minimum stage timestamp, inclusive.
    pub since: Option<Timestamp>,
    /// Maximum stage timestamp, exclusive.
    pub until: Option<Timestamp>,
    /// The order of the list.
    pub order: Order,
    /// The sequence number that `metadata.name` selects; 0 if no event can match.
    pub(super) seq: Option<u64>,
}

impl Conditions {
    /// Parses the terms of a field selector.
    pub fn parse(terms: &[FieldTerm]) -> Result<Self, ApiError> {
        let mut conditions = Self::default();
        for (index, term) in terms.iter().enumerate() {
            let FieldTerm { path, value, is_equal } = term;
            if let Some(field) = EventField::parse(path) {
                if field == EventField::Code && !value.is_empty() && value.parse::<u16>().is_err() {
                    let message = format!("code={value:?} is not a status code: use a number");
                    return Err(ApiError::bad_request(message));
                }
                let value = value.clone();
                conditions.fields.push(Condition { field, value, is_equal: *is_equal });
                continue;
            }
            if !is_equal {
                let message = format!("the field selector {path}!= is not supported: use {path}=");
                return Err(ApiError::bad_request(message));
            }
            let is_given = terms.iter().take(index).any(|other| other.path == *path);
            if is_given && ["since", "until", "order"].contains(&path.as_str()) {
                let message = format!("the field selector has {path} twice: set it once");
                return Err(ApiError::bad_request(message));
            }
            match path.as_str() {
                "since" => conditions.since = Some(parse_time(path, value)?),
                "until" => conditions.until = Some(parse_time(path, value)?),
                "order" => conditions.order = order(value)?,
                "metadata.name" => {
                    conditions.seq = Some(super::seq_of_name(value).unwrap_or_default());
                }
                // The resource is cluster-scoped, so its objects have an empty namespace.
                _ if value.is_empty() => {}
                _ => conditions.seq = Some(0),
            }
        }
        Ok(conditions)
    }

    /// The index terms that every selected event has; `None` if no event can match.
    pub fn terms(&self) -> Option<Vec<Term>> {
        let equal = self.fields.iter().filter(|condition| condition.is_equal);
        let terms = equal.filter_map(|condition| match condition.indexed() {
            Indexed::Term(term) => Some(Some(term)),
            Indexed::Impossible => Some(None),
            Indexed::Nothing => None,
        });
        terms.collect()
    }

    /// Whether an event satisfies the conditions on fields and time.
    pub fn matches(&self, event: &EventRef<'_>) -> bool {
        let time = event.stage_timestamp();
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && self.fields.iter().all(|condition| condition.holds(event) == condition.is_equal)
    }
}

impl Condition {
    /// The information in the index about events whose field has the value.
    fn indexed(&self) -> Indexed {
        let field = match self.field {
            EventField::User => TermField::User,
            EventField::Verb => TermField::Verb,
            EventField::Group => TermField::Group,
            EventField::Resource => TermField::Resource,
            EventField::Subresource => TermField::Subresource,
            EventField::Namespace => TermField::Namespace,
            EventField::Name => TermField::Name,
            EventField::Code => {
                let code = self.value.parse().ok();
                return code.map_or(Indexed::Impossible, |code| Indexed::Term(Term::code(code)));
            }
            EventField::Source => return Indexed::Nothing,
            EventField::SourceIp => TermField::SourceIp,
            EventField::AuditId => TermField::AuditId,
            EventField::Stage => TermField::Stage,
        };
        Indexed::Term(Term::new(field, self.value.as_bytes()))
    }

    /// Whether the field has the value.
    fn holds(&self, event: &EventRef<'_>) -> bool {
        let value = self.value.as_str();
        let object = event.object_ref();
        let of_object = |text: Option<&str>| text.unwrap_or_default() == value;
        match self.field {
            EventField::User => {
                let impersonated = event.impersonated_user();
                event.user().username() == value
                    || impersonated.is_some_and(|user| user.username() == value)
            }
            EventField::Verb => event.verb() == value,
            EventField::Group => of_object(object.map(|object| object.api_group)),
            EventField::Resource => of_object(object.map(|object| object.resource)),
            EventField::Subresource => of_object(object.map(|object| object.subresource)),
            EventField::Namespace => of_object(object.map(|object| object.namespace)),
            EventField::Name => of_object(object.map(|object| object.name)),
            EventField::Code => {
                let code = event.response_status().map_or(0, |status| status.code());
                value.parse() == Ok(code)
            }
            EventField::SourceIp => {
                let mut is_found = false;
                event.for_each_source_ip(|address| {
                    is_found |= address == value;
                    if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                is_found
            }
            EventField::AuditId => event.audit_id() == value,
            EventField::Stage => event.stage().as_str() == value,
            EventField::Source => super::source(event) == value,
        }
    }
}

fn parse_time(path: &str, value: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse(value).map_err(|_| {
        ApiError::bad_request(format!(
            "the field selector {path}={value} is not an RFC 3339 time such as 2026-11-23T09:30:00Z"
        ))
    })
}

fn order(value: &str) -> Result<Order, ApiError> {
    match value {
        "oldest" => Ok(Order::Oldest),
        "newest" => Ok(Order::Newest),
        other => Err(ApiError::bad_request(format!(
            "the field selector order={other} is not supported: use order=oldest or \
             order=newest"
        ))),
    }
}
