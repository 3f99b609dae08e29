//! The part of an event that windows keep for signals, in one allocation, because there may be a
//! million windows.
//!
//! Texts are truncated here, once, so that a client cannot make the state large.

use std::ops::ControlFlow;
use std::sync::Arc;

use event::annotations::TRUNCATED;
use event::fields::service_account;
use event::{Event, EventRef, Level, ObjectReference, limit, v1};

use super::codec::{CheckpointError, Decoder, Saved, save_bytes, saved_struct};
use super::settings::EVIDENCE_EVENT_LEN_MAX;

/// Maximum length of a text, in bytes.
const TEXT_LEN_MAX: usize = 256;
/// Maximum number of groups of a user.
const GROUPS_MAX: usize = 16;
/// Maximum number of addresses of an event.
const SOURCE_IPS_MAX: usize = 8;
/// Key of the credential ID in the user's extra and in annotations.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The summary of an event that signals contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventSummary {
    pub(crate) audit_id: String,
    pub(crate) verb: String,
    pub(crate) code: u16,
    pub(crate) username: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    pub(crate) impersonated_by: String,
    pub(crate) credential_id: String,
    pub(crate) source_ips: Vec<String>,
    pub(crate) user_agent: String,
    pub(crate) api_group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

saved_struct!(EventSummary {
    audit_id,
    verb,
    code,
    username,
    uid,
    groups,
    impersonated_by,
    credential_id,
    source_ips,
    user_agent,
    api_group,
    resource,
    subresource,
    namespace,
    name,
});

impl EventSummary {
    pub(crate) fn of(event: &EventRef<'_>) -> Self {
        let user = event.user();
        let effective = event.impersonated_user().unwrap_or_else(|| event.user());
        let mut summary = Self {
            audit_id: truncated(event.audit_id()),
            verb: truncated(event.verb()),
            code: event.response_status().map_or(0, |status| status.code()),
            username: truncated(effective.username()),
            uid: truncated(effective.uid()),
            user_agent: truncated(event.user_agent()),
            ..Self::default()
        };
        effective.for_each_group(|group| push(&mut summary.groups, group, GROUPS_MAX));
        if event.impersonated_user().is_some() {
            summary.impersonated_by = truncated(user.username());
        }
        user.for_each_extra(CREDENTIAL_ID, |value| {
            summary.credential_id = truncated(value);
            ControlFlow::Break(())
        });
        if summary.credential_id.is_empty() {
            summary.credential_id =
                event.annotation(CREDENTIAL_ID).map(truncated).unwrap_or_default();
        }
        event.for_each_source_ip(|ip| push(&mut summary.source_ips, ip, SOURCE_IPS_MAX));
        if let Some(reference) = event.object_ref() {
            summary.api_group = truncated(reference.api_group);
            summary.resource = truncated(reference.resource);
            summary.subresource = truncated(reference.subresource);
            summary.namespace = truncated(reference.namespace);
            summary.name = truncated(reference.name);
        }
        summary
    }

    /// Namespace and name of the service account; `None` for other users.
    pub(crate) fn service_account(&self) -> Option<(&str, &str)> {
        service_account(&self.username)
    }

    /// The user responsible for the request, as in the fields of `actor`: K10's own accounts act
    /// for the users that they impersonate.
    pub(crate) fn responsible(&self, k10_namespace: &str) -> &str {
        let is_k10 = |username: &str| {
            service_account(username).is_some_and(|(namespace, _)| namespace == k10_namespace)
        };
        let impersonator = self.impersonated_by.as_str();
        if impersonator.is_empty() || (is_k10(impersonator) && !is_k10(&self.username)) {
            &self.username
        } else {
            impersonator
        }
    }
}

fn push(list: &mut Vec<String>, text: &str, len_max: usize) -> ControlFlow<()> {
    list.push(truncated(text));
    if list.len() < len_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn truncated(text: &str) -> String {
    text.get(..text.floor_char_boundary(TEXT_LEN_MAX)).unwrap_or_default().to_owned()
}

/// [`EventSummary`] and the event as evidence, in one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed(Arc<[u8]>);

impl Packed {
    /// Packs an event.
    pub(crate) fn of(event: &EventRef<'_>) -> Self {
        Self::pack(&EventSummary::of(event), &evidence(event))
    }

    pub(crate) fn pack(summary: &EventSummary, evidence: &[u8]) -> Self {
        let mut packed = Vec::with_capacity(256 + evidence.len());
        summary.save(&mut packed);
        packed.extend_from_slice(evidence);
        Self(Arc::from(packed))
    }

    /// An event without a summary.
    pub(crate) fn empty() -> Self {
        Self(Arc::from([]))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The summary and the event in JSON, which is empty if it was not kept. `None` for an event
    /// without a summary.
    pub(crate) fn unpack(&self) -> Option<(EventSummary, &str)> {
        // The summary has the same encoding in all versions of checkpoints.
        let mut from = Decoder::current(&self.0);
        let summary = EventSummary::load(&mut from).ok()?;
        Some((summary, std::str::from_utf8(from.rest).unwrap_or_default()))
    }

    /// A copy without the event.
    pub(crate) fn without_evidence(&self) -> Self {
        match self.unpack() {
            Some((summary, evidence)) if !evidence.is_empty() => Self::pack(&summary, &[]),
            _ => self.clone(),
        }
    }
}

impl Saved for Packed {
    fn save(&self, to: &mut Vec<u8>) {
        save_bytes(&self.0, to);
    }

    fn load(from: &mut Decoder<'_>) -> Result<Self, CheckpointError> {
        super::codec::bytes(from).map(|bytes| Self(Arc::from(bytes)))
    }
}

/// The event in the encoding `audit.k8s.io/v1`, on one line; without bodies if it is too long, and
/// with shorter texts if it is still too long.
fn evidence(event: &EventRef<'_>) -> Vec<u8> {
    let bodies = [event.request_object(), event.response_object()];
    let bodies_len: usize = bodies.into_iter().flatten().map(<[u8]>::len).sum();
    let mut line = Vec::new();
    if bodies_len < EVIDENCE_EVENT_LEN_MAX {
        v1::write(event, &mut line);
        if line.len() <= EVIDENCE_EVENT_LEN_MAX {
            return line;
        }
    }
    let mut short = Event::from(event);
    short.request_object = None;
    short.response_object = None;
    short.level = short.level.min(Level::Metadata);
    let steps: [fn(&mut Event); 2] = [|_| {}, shorten];
    for step in steps {
        step(&mut short);
        line.clear();
        v1::write(&EventRef::from(&short), &mut line);
        if line.len() <= EVIDENCE_EVENT_LEN_MAX {
            return line;
        }
    }
    // The event is dropped only if nearly all characters need an escape sequence. The summary
    // remains.
    line.clear();
    line
}

/// Shortens all texts that a client can make long. A shortened text contains its length and digest.
fn shorten(event: &mut Event) {
    let text = |text: &mut String| limit::text(text, TEXT_LEN_MAX);
    for long in [&mut event.request_uri, &mut event.user_agent] {
        limit::text(long, 4 * TEXT_LEN_MAX);
    }
    text(&mut event.verb);
    let users = std::iter::once(&mut event.user).chain(&mut event.impersonated_user);
    for user in users {
        text(&mut user.username);
        text(&mut user.uid);
        user.groups.truncate(GROUPS_MAX);
        user.groups.iter_mut().for_each(text);
        user.extra.retain(|key, _| key == CREDENTIAL_ID);
        user.extra.values_mut().flatten().for_each(text);
    }
    event.source_ips.truncate(SOURCE_IPS_MAX);
    event.source_ips.iter_mut().for_each(text);
    if let Some(reference) = &mut event.object_ref {
        let ObjectReference { resource, namespace, name, uid, api_group, subresource, .. } =
            reference;
        for long in [resource, namespace, name, uid, api_group, subresource] {
            text(long);
        }
    }
    if let Some(status) = &mut event.response_status {
        limit::text(&mut status.message, 4 * TEXT_LEN_MAX);
        status.details = None;
    }
    event.annotations.retain(|key, value| key.len() + value.len() <= TEXT_LEN_MAX);
    while event.annotations.len() > GROUPS_MAX {
        event.annotations.pop_last();
    }
    event.annotations.insert(TRUNCATED.to_owned(), "fields".to_owned());
}
