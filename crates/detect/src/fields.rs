//! The values of an event, by field.
//!
//! Values are read lazily, without copies. A body is scanned, not parsed into a tree, so that its
//! size costs time only if a rule reads one of its fields, and never memory.
//!
//! An empty text is absent, as in the `v1` encoding, which omits it. In a body or in a list it is a
//! value, because both encodings contain it.

pub(crate) mod body;
mod dry_run;
mod writes;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use event::annotations::{ADMISSION, OLD_OBJECT};
use event::fields::{ObjectRefFields, UserFields};
use event::{EventRef, Stage, Timestamp};

use crate::field::{Field, Path, RefPath, StatusPath, UserPath};
use crate::ruleset::K10_NAMESPACE;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    /// A text, or a number or boolean in its JSON form.
    Text(&'a str),
    /// An object: it exists, and equals nothing.
    Object,
}

/// A typed view of one event.
pub struct Fields<'a> {
    event: &'a EventRef<'a>,
    cluster: &'a str,
    /// `None` for the default namespace.
    k10_namespace: Option<Arc<str>>,
    object_ref: Option<ObjectRefFields<'a>>,
    is_dry_run: OnceCell<bool>,
}

impl<'a> Fields<'a> {
    /// Creates a view of an event of an unnamed cluster.
    pub fn new(event: &'a EventRef<'a>) -> Self {
        Self {
            event,
            cluster: "",
            k10_namespace: None,
            object_ref: event.object_ref(),
            is_dry_run: OnceCell::new(),
        }
    }

    /// Sets the namespace of K10's own service accounts, for the fields of `actor`.
    #[must_use]
    pub fn with_k10_namespace(self, k10_namespace: Arc<str>) -> Self {
        Self { k10_namespace: Some(k10_namespace), ..self }
    }

    /// Sets the cluster name, for the field `cluster`.
    #[must_use]
    pub fn with_cluster(self, cluster: &'a str) -> Self {
        Self { cluster, ..self }
    }

    /// The event.
    pub fn event(&self) -> &'a EventRef<'a> {
        self.event
    }

    /// The object reference of the request.
    pub fn object_ref(&self) -> Option<&ObjectRefFields<'a>> {
        self.object_ref.as_ref()
    }

    /// Whether the request is a dry run.
    pub fn is_dry_run(&self) -> bool {
        *self.is_dry_run.get_or_init(|| dry_run::is_dry_run(self.event))
    }

    /// Whether the response is a success (2xx), or the request was allowed up to its admission and
    /// its response is unknown.
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.code()) || self.is_admission()
    }

    /// Whether the event is from the admission webhook: recorded before the request was executed.
    pub fn is_admission(&self) -> bool {
        self.event.stage() == Stage::RequestReceived && self.event.annotation(ADMISSION).is_some()
    }

    /// Whether the event counts for rules that do not select stages: it is the last event of its
    /// request from its source.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self.event.stage(), Stage::ResponseComplete | Stage::Panic) || self.is_admission()
    }

    /// Whether authentication or authorization failed (401, 403).
    pub fn refused(&self) -> bool {
        matches!(self.code(), 401 | 403)
    }

    fn code(&self) -> u16 {
        self.event.response_status().map_or(0, |status| status.code())
    }

    /// The first value of a field; `None` if it is absent, null or an object.
    pub fn text(&self, field: &Field) -> Option<Cow<'_, str>> {
        // Fields that the record stores as text need no copy.
        if let Some(text) = self.borrowed(field.path()) {
            return (!text.is_empty()).then_some(Cow::Borrowed(text));
        }
        let mut first = None;
        self.values(field.path(), &mut |value| match value {
            Value::Text(text) => {
                first = Some(Cow::Owned(text.to_owned()));
                ControlFlow::Break(())
            }
            Value::Null | Value::Object => ControlFlow::Continue(()),
        });
        first
    }

    /// Calls `each` with each value of a field: several for a list, none if it is absent.
    pub fn for_each_value(&self, field: &Field, mut each: impl FnMut(&str)) {
        self.values(field.path(), &mut |value| {
            if let Value::Text(text) = value {
                each(text);
            }
            ControlFlow::Continue(())
        });
    }

    fn borrowed(&self, path: &Path) -> Option<&'a str> {
        let event = self.event;
        Some(match path {
            Path::Level => event.level().as_str(),
            Path::Stage => event.stage().as_str(),
            Path::AuditId => event.audit_id(),
            Path::RequestUri => event.request_uri(),
            Path::Verb => event.verb(),
            Path::UserAgent => event.user_agent(),
            Path::Cluster => self.cluster,
            Path::ImpersonationConstraint => event.impersonation_constraint().unwrap_or_default(),
            Path::Annotation(key) => event.annotation(key).unwrap_or_default(),
            Path::ObjectRef(path) => self.reference(*path),
            Path::User(path) => user_text(event.user(), path)?,
            Path::ImpersonatedUser(path) => match event.impersonated_user() {
                Some(user) => user_text(user, path)?,
                None => "",
            },
            Path::EffectiveUser(path) => user_text(self.effective_user(), path)?,
            Path::Actor(path) => user_text(self.actor(), path)?,
            _ => return None,
        })
    }

    fn effective_user(&self) -> UserFields<'_, 'a> {
        self.event.impersonated_user().unwrap_or_else(|| self.event.user())
    }

    /// The name of the [actor](Self::actor).
    pub(crate) fn actor_name(&self) -> &str {
        self.actor().username()
    }

    /// K10's console impersonates its users, so the actor of its requests is the impersonated user.
    /// The actor of a request that impersonates K10 is the user who sends it.
    fn actor(&self) -> UserFields<'_, 'a> {
        let user = self.event.user();
        let k10_namespace = self.k10_namespace.as_deref().unwrap_or(K10_NAMESPACE);
        let is_k10 = |user: UserFields<'_, 'a>| {
            user.service_account().is_some_and(|(namespace, _)| namespace == k10_namespace)
        };
        match self.event.impersonated_user() {
            Some(other) if is_k10(user) && !is_k10(other) => other,
            _ => user,
        }
    }

    fn reference(&self, path: RefPath) -> &'a str {
        let Some(reference) = &self.object_ref else {
            return "";
        };
        match path {
            RefPath::Resource => reference.resource,
            RefPath::Namespace => reference.namespace,
            RefPath::Name => reference.name,
            RefPath::Uid => reference.uid,
            RefPath::ApiGroup => reference.api_group,
            RefPath::ApiVersion => reference.api_version,
            RefPath::ResourceVersion => reference.resource_version,
            RefPath::Subresource => reference.subresource,
        }
    }

    /// Calls `each` with each value until it breaks.
    pub(crate) fn values(&self, path: &Path, each: &mut dyn FnMut(Value<'_>) -> ControlFlow<()>) {
        if let Some(text) = self.borrowed(path) {
            single(text, each);
            return;
        }
        let event = self.event;
        let all = |text: &str| each(Value::Text(text));
        match path {
            Path::SourceIps => event.for_each_source_ip(all),
            Path::User(path) => user_values(event.user(), path, each),
            Path::ImpersonatedUser(path) => {
                if let Some(user) = event.impersonated_user() {
                    user_values(user, path, each);
                }
            }
            Path::EffectiveUser(path) => user_values(self.effective_user(), path, each),
            Path::Actor(path) => user_values(self.actor(), path, each),
            Path::Status(path) => self.status(*path, each),
            Path::RequestReceivedTimestamp => time(event.request_received_timestamp(), each),
            Path::StageTimestamp => time(event.stage_timestamp(), each),
            Path::RequestObject(keys) => body::values(event.request_object(), keys, each),
            Path::ResponseObject(keys) => body::values(event.response_object(), keys, each),
            Path::OldObject(keys) => {
                body::values(event.annotation(OLD_OBJECT).map(str::as_bytes), keys, each);
            }
            Path::Writes(keys) => {
                let before = event.annotation(OLD_OBJECT).filter(|_| self.is_admission());
                if let Some(is_written) = writes::is_written(event, before, keys) {
                    boolean(is_written, each);
                }
            }
            Path::DryRun => boolean(self.is_dry_run(), each),
            Path::Succeeded => boolean(self.succeeded(), each),
            Path::Refused => boolean(self.refused(), each),
            Path::Admission => boolean(self.is_admission(), each),
            _ => {}
        }
    }

    /// The recorded body that contains the field, and the keys of the field in it.
    pub(crate) fn body<'p>(&self, path: &'p Path) -> Option<(&[u8], &'p [String])> {
        let (body, keys) = match path {
            Path::RequestObject(keys) => (self.event.request_object(), keys),
            Path::ResponseObject(keys) => (self.event.response_object(), keys),
            Path::OldObject(keys) => (self.event.annotation(OLD_OBJECT).map(str::as_bytes), keys),
            _ => return None,
        };
        Some((body?, keys))
    }

    fn status(&self, path: StatusPath, each: &mut dyn FnMut(Value<'_>) -> ControlFlow<()>) {
        let Some(status) = self.event.response_status() else {
            return;
        };
        let mut number = |number: u32| {
            if number != 0 {
                // At most ten digits.
                single(&number.to_string(), each);
            }
        };
        match path {
            StatusPath::Code => return code(status.code(), each),
            StatusPath::RetryAfterSeconds => return number(status.retry_after_seconds()),
            StatusPath::Status => return single(status.status(), each),
            StatusPath::Message => return single(status.message(), each),
            StatusPath::Reason => return single(status.reason(), each),
            _ => {}
        }
        let mut is_over = false;
        let mut cause = |index: usize| {
            status.for_each_cause(|texts| {
                let text = texts.get(index).copied().unwrap_or_default();
                is_over = is_over || (!text.is_empty() && each(Value::Text(text)).is_break());
            });
        };
        match path {
            StatusPath::CauseReason => cause(0),
            StatusPath::CauseMessage => cause(1),
            StatusPath::CauseField => cause(2),
            _ => {
                if let Some([name, group, kind, uid]) = status.details() {
                    let text = match path {
                        StatusPath::DetailsName => name,
                        StatusPath::DetailsGroup => group,
                        StatusPath::DetailsKind => kind,
                        _ => uid,
                    };
                    single(text, each);
                }
            }
        }
    }
}

/// A user field with a single text; `None` for the other fields.
fn user_text<'a>(user: UserFields<'_, 'a>, path: &UserPath) -> Option<&'a str> {
    match path {
        UserPath::Username => Some(user.username()),
        UserPath::Uid => Some(user.uid()),
        UserPath::IsServiceAccount => {
            Some(if user.service_account().is_some() { "true" } else { "false" })
        }
        UserPath::ServiceAccountNamespace => Some(user.service_account().unwrap_or_default().0),
        UserPath::ServiceAccountName => Some(user.service_account().unwrap_or_default().1),
        UserPath::Groups | UserPath::Extra(_) => None,
    }
}

fn user_values(
    user: UserFields<'_, '_>,
    path: &UserPath,
    each: &mut dyn FnMut(Value<'_>) -> ControlFlow<()>,
) {
    match path {
        UserPath::Groups => user.for_each_group(|group| each(Value::Text(group))),
        UserPath::Extra(key) => user.for_each_extra(key, |value| each(Value::Text(value))),
        _ => {}
    }
}

fn single(text: &str, each: &mut dyn FnMut(Value<'_>) -> ControlFlow<()>) {
    if !text.is_empty() {
        // The result is ignored: there is no second value.
        each(Value::Text(text)).is_break();
    }
}

fn boolean(is: bool, each: &mut dyn FnMut(Value<'_>) -> ControlFlow<()>) {
    single(if is { "true" } else { "false" }, each);
}

fn time(time: Timestamp, each: &mut dyn FnMut(Value<'_>) -> ControlFlow<()>) {
    if time != Timestamp::UNSET {
        single(&time.to_string(), each);
    }
}

/// Formats a status code without an allocation: nearly every rule reads it.
fn code(code: u16, each: &mut dyn FnMut(Value<'_>) -> ControlFlow<()>) {
    if (100..1000).contains(&code) {
        let digit = |number: u16| u8::try_from(number % 10).map_or(b'0', |digit| b'0' + digit);
        let digits = [digit(code / 100), digit(code / 10), digit(code)];
        single(std::str::from_utf8(&digits).unwrap_or_default(), each);
    }
}
