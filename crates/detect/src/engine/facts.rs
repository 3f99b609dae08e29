//! The part of an event that windows keep for signals: packed, because there may be a million
//! windows.
//!
//! Texts are truncated here, once, so that a client cannot make the state large.

use std::ops::ControlFlow;
use std::sync::Arc;

use event::{Event, EventRef, Level, v1};

use super::codec::{CheckpointError, Saved, save_bytes, saved_struct};
use super::settings::EVIDENCE_EVENT_LEN_MAX;

/// Maximum length of a text, in bytes.
const TEXT_LEN_MAX: usize = 256;
/// Maximum number of groups of a user.
const GROUPS_MAX: usize = 16;
/// Maximum number of addresses of an event.
const SOURCE_IPS_MAX: usize = 8;
/// Key of the credential ID in the user's extra and in annotations.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The facts of an event that signals contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
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

saved_struct!(Facts {
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

impl Facts {
    pub(crate) fn of(event: &EventRef<'_>) -> Self {
        let user = event.user();
        let effective = event.impersonated_user().unwrap_or_else(|| event.user());
        let mut facts = Self {
            audit_id: cut(event.audit_id()),
            verb: cut(event.verb()),
            code: event.response_status().map_or(0, |status| status.code()),
            username: cut(effective.username()),
            uid: cut(effective.uid()),
            user_agent: cut(event.user_agent()),
            ..Self::default()
        };
        effective.for_each_group(|group| push(&mut facts.groups, group, GROUPS_MAX));
        if event.impersonated_user().is_some() {
            facts.impersonated_by = cut(user.username());
        }
        user.for_each_extra(CREDENTIAL_ID, |value| {
            facts.credential_id = cut(value);
            ControlFlow::Break(())
        });
        if facts.credential_id.is_empty() {
            facts.credential_id = event.annotation(CREDENTIAL_ID).map(cut).unwrap_or_default();
        }
        event.for_each_source_ip(|ip| push(&mut facts.source_ips, ip, SOURCE_IPS_MAX));
        if let Some(reference) = event.object_ref() {
            facts.api_group = cut(reference.api_group);
            facts.resource = cut(reference.resource);
            facts.subresource = cut(reference.subresource);
            facts.namespace = cut(reference.namespace);
            facts.name = cut(reference.name);
        }
        facts
    }

    /// Namespace and name of the service account; `None` for other users.
    pub(crate) fn service_account(&self) -> Option<(&str, &str)> {
        self.username.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

fn push(list: &mut Vec<String>, text: &str, len_max: usize) -> ControlFlow<()> {
    list.push(cut(text));
    if list.len() < len_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(TEXT_LEN_MAX)).unwrap_or_default().to_owned()
}

/// [`Facts`] and the event as evidence, in one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed(Arc<[u8]>);

impl Packed {
    /// Packs an event.
    pub(crate) fn of(event: &EventRef<'_>) -> Self {
        Self::pack(&Facts::of(event), &evidence(event))
    }

    pub(crate) fn pack(facts: &Facts, evidence: &[u8]) -> Self {
        let mut packed = Vec::with_capacity(256 + evidence.len());
        facts.save(&mut packed);
        packed.extend_from_slice(evidence);
        Self(Arc::from(packed))
    }

    /// An event without facts.
    pub(crate) fn nothing() -> Self {
        Self(Arc::from([]))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The facts and the event in JSON, which is empty if it was not kept. `None` for an event
    /// without facts.
    pub(crate) fn unpack(&self) -> Option<(Facts, &str)> {
        let mut rest = &*self.0;
        let facts = Facts::load(&mut rest).ok()?;
        Some((facts, std::str::from_utf8(rest).unwrap_or_default()))
    }

    /// A copy without the event.
    pub(crate) fn without_evidence(&self) -> Self {
        match self.unpack() {
            Some((facts, evidence)) if !evidence.is_empty() => Self::pack(&facts, &[]),
            _ => self.clone(),
        }
    }
}

impl Saved for Packed {
    fn save(&self, to: &mut Vec<u8>) {
        save_bytes(&self.0, to);
    }

    fn load(from: &mut &[u8]) -> Result<Self, CheckpointError> {
        super::codec::bytes(from).map(|bytes| Self(Arc::from(bytes)))
    }
}

/// The event in the encoding `audit.k8s.io/v1`, on one line; without bodies if it is too long.
fn evidence(event: &EventRef<'_>) -> Vec<u8> {
    let bodies = [event.request_object(), event.response_object()];
    let bodies_len: usize = bodies.into_iter().flatten().map(<[u8]>::len).sum();
    let mut line = Vec::new();
    if bodies_len < EVIDENCE_EVENT_LEN_MAX {
        v1::write(event, &mut line);
        if line.len() <= EVIDENCE_EVENT_LEN_MAX {
            return line;
        }
        line.clear();
    }
    let mut short = Event::from(event);
    short.request_object = None;
    short.response_object = None;
    short.level = short.level.min(Level::Metadata);
    v1::write(&EventRef::from(&short), &mut line);
    if line.len() > EVIDENCE_EVENT_LEN_MAX {
        line.clear();
    }
    line
}
