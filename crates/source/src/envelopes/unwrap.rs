//! Unwraps the containers in which audit events are delivered, and says what is none.
//!
//! An element is a container if it has the members of one; its name, its order of members and the
//! key of its object do not matter. Containers can be in others. An element that is not a known
//! container is returned as it is: whether it is an event is decided by the decoder.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use event::{Timestamp, USER, k10, line, v1};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::values::Head;
use super::{aks, cut, gke, openshift};
use crate::limits::{CONTAINERS_MAX, INNER_ITEMS_MAX};
use crate::splitter::{DIGEST_LEN, Digest, Fault, Item};

/// The beginning of the name of the log streams in which Amazon EKS writes audit events.
const EKS_AUDIT: &str = "kube-apiserver-audit-";
/// The type of the messages by which Amazon CloudWatch tests whether a destination can be reached.
const CONTROL_MESSAGE: &str = "CONTROL_MESSAGE";

/// What an element is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The text must be decoded as an event.
    Event,
    /// A record of another kind that belongs there: of another log, or about the delivery.
    Other,
    /// It is not an event, for this reason, which has no text of the sender.
    Unknown(String),
}

/// The members by which containers are recognized. The rest is ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Members<'a> {
    /// Amazon CloudWatch.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, rename = "logEvents")]
    log_events: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "logStream")]
    log_stream: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "messageType")]
    message_type: Option<Cow<'a, str>>,
    /// Azure.
    #[serde(borrow)]
    records: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    category: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    /// Google Cloud.
    #[serde(borrow, rename = "protoPayload")]
    proto_payload: Option<&'a RawValue>,
    #[serde(borrow, rename = "logName")]
    log_name: Option<&'a RawValue>,
    /// OpenShift.
    #[serde(borrow)]
    structured: Option<&'a RawValue>,
    #[serde(borrow)]
    log_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    log_source: Option<Cow<'a, str>>,
    /// Keepwatch's line about a signal.
    #[serde(borrow)]
    signal: Option<&'a RawValue>,
}

/// A text that may be a container.
struct Candidate {
    text: Vec<u8>,
    depth: usize,
    is_inner: bool,
    head: Option<Arc<Head>>,
}

/// Unwraps elements.
#[derive(Debug)]
pub(super) struct Unwrapper {
    /// The beginning of what the identities of events are computed from.
    seed: Sha256,
}

type Records = Vec<(Item, Meaning)>;

impl Unwrapper {
    pub(super) fn new(seed: Sha256) -> Self {
        Self { seed }
    }

    /// The records in an element, at least one. `time` is that of the line on which it is.
    pub(super) fn unwrap(
        &self,
        item: Item,
        head: Option<&Arc<Head>>,
        time: Option<Timestamp>,
    ) -> Records {
        if let Some(fault) = item.fault {
            return vec![salvaged(item, fault, time)];
        }
        if is_plain_event(&item.text) {
            let meaning = meaning_of(&item.text);
            return vec![(item, meaning)];
        }
        let mut records = Records::new();
        let mut waiting = VecDeque::new();
        waiting.push_back(Candidate {
            text: item.text.clone(),
            depth: 0,
            is_inner: false,
            head: head.cloned(),
        });
        while let Some(candidate) = waiting.pop_front() {
            let unwrapped = self.unwrap_one(candidate, &mut waiting);
            records.extend(unwrapped.map(|(inner, meaning)| match inner {
                Some(inner) => (inner, meaning),
                None => (Item { ..item.clone() }, meaning),
            }));
        }
        if records.is_empty() {
            records.push((item, Meaning::Other));
        }
        records
    }

    /// Examines one text. Returns a record, without its item if that is the element itself, or adds
    /// what is in it.
    fn unwrap_one(
        &self,
        candidate: Candidate,
        waiting: &mut VecDeque<Candidate>,
    ) -> Option<(Option<Item>, Meaning)> {
        let Candidate { text, depth, is_inner, head } = candidate;
        let own = |text: Vec<u8>| is_inner.then(|| self.item(text));
        let Ok(members) = serde_json::from_slice::<Members<'_>>(&text) else {
            return Some((own(text), Meaning::Event));
        };
        if depth >= CONTAINERS_MAX {
            let reason = format!("a container in {CONTAINERS_MAX} others");
            return Some((own(text), Meaning::Unknown(reason)));
        }
        let head = members.log_stream.as_ref().map_or(head, |stream| {
            let message_type = members.message_type.as_deref().unwrap_or_default().to_owned();
            Some(Arc::new(Head { message_type, log_stream: stream.clone().into_owned() }))
        });
        let list = members.log_events.as_ref().or(members.records.as_ref());
        if let Some(list) = list {
            if waiting.len().saturating_add(list.len()) > INNER_ITEMS_MAX {
                let reason = format!("its containers have more than {INNER_ITEMS_MAX} items");
                return Some((own(text), Meaning::Unknown(reason)));
            }
            waiting.extend(list.iter().map(|inner| Candidate {
                text: inner.get().as_bytes().to_vec(),
                depth: depth + 1,
                is_inner: true,
                head: head.clone(),
            }));
            return None;
        }
        if let Some(inner) = members.structured {
            let text = inner.get().as_bytes().to_vec();
            waiting.push_back(Candidate { text, depth: depth + 1, is_inner: true, head });
            return None;
        }
        match leaf(&members, &text, head.as_deref()) {
            Leaf::Event(inner) => {
                let meaning = meaning_of(&inner);
                Some((Some(self.item(inner)), meaning))
            }
            Leaf::Itself => {
                let meaning = meaning_of(&text);
                Some((own(text), meaning))
            }
            Leaf::Other => Some((own(text), Meaning::Other)),
            Leaf::Unknown(reason) => Some((own(text), Meaning::Unknown(reason))),
        }
    }

    fn item(&self, text: Vec<u8>) -> Item {
        let hash = self.seed.clone().chain_update(&text).finalize();
        let mut digest = Digest::default();
        digest.copy_from_slice(&hash[..DIGEST_LEN]);
        Item { len: text.len() as u64, text, digest, ..Item::default() }
    }
}

/// The event of a line that was cut, if enough of it is left.
fn salvaged(item: Item, fault: Fault, time: Option<Timestamp>) -> (Item, Meaning) {
    let is_cut = matches!(fault, Fault::LineEnds | Fault::ContentEnds);
    // It may be cut within a character.
    let chunk = item.text.utf8_chunks().next().filter(|_| is_cut);
    let text = chunk.map(|chunk| chunk.valid());
    match text.and_then(|text| cut::salvage(text.trim(), time)) {
        Some(text) => {
            let meaning = meaning_of(&text);
            (Item { text, fault: None, ..item }, meaning)
        }
        None => (item, Meaning::Unknown(fault.to_string())),
    }
}

/// What a text is that contains no list.
fn leaf(members: &Members<'_>, text: &[u8], head: Option<&Head>) -> Leaf {
    if let Some(payload) = members.proto_payload {
        return gke::leaf(text, payload.get());
    }
    if let Some(properties) = members.properties {
        return aks::leaf(
            properties.get(),
            members.category.as_deref().unwrap_or_default(),
            members.time.as_deref(),
        );
    }
    if let Some(log_type) = &members.log_type {
        return openshift::leaf(text, log_type, members.log_source.as_deref());
    }
    match members.message {
        Some(message) if head.is_some() => {
            log_event(message.get(), members.timestamp.map(RawValue::get), head)
        }
        // An entry of Google Cloud without an audit record.
        _ if members.log_name.is_some() || members.signal.is_some() => Leaf::Other,
        _ => Leaf::Itself,
    }
}

/// Whether a text is an event that can be recorded: Keepwatch's events about itself are those of
/// another Keepwatch, which only that one may record.
fn meaning_of(text: &[u8]) -> Meaning {
    if memmem::find(text, USER.as_bytes()).is_none() {
        return Meaning::Event;
    }
    let event = match line::encoding_of(text) {
        Some(line::Encoding::Kasten) => k10::read(text).ok(),
        _ => v1::read(text).ok(),
    };
    let is_internal = event.is_some_and(|event| event.internal_kind().is_some());
    if is_internal { Meaning::Other } else { Meaning::Event }
}

/// What a text is that contains no list.
pub(super) enum Leaf {
    /// The text of an event, which is in it.
    Event(Vec<u8>),
    /// It must be decoded as an event.
    Itself,
    Other,
    Unknown(String),
}

/// Keys of containers that can have the keys of an event too.
const MIXED: [&[u8]; 3] = [b"\"log_type\"", b"\"properties\"", b"\"structured\""];

/// Whether a text is an event in one of the encodings, and surely no container.
fn is_plain_event(text: &[u8]) -> bool {
    line::encoding_of(text).is_some() && MIXED.iter().all(|key| memmem::find(text, key).is_none())
}

/// An event of a log stream of Amazon EKS.
fn log_event(message: &str, timestamp: Option<&str>, head: Option<&Head>) -> Leaf {
    let Some(head) = head else { return Leaf::Itself };
    if head.message_type == CONTROL_MESSAGE {
        return Leaf::Other;
    }
    let is_audit = head.log_stream.starts_with(EKS_AUDIT);
    if !is_audit && !head.log_stream.is_empty() {
        return Leaf::Other;
    }
    let Ok(message) = serde_json::from_str::<String>(message) else {
        return Leaf::Unknown(Fault::NotAnObject.to_string());
    };
    let millis = timestamp.and_then(|millis| millis.parse::<i64>().ok());
    let time = millis.map(|millis| Timestamp::from_micros(millis.saturating_mul(1000)));
    event_or_cut(&message, time)
}

/// The text of an event that is a string in its container, as a whole or cut.
pub(super) fn event_or_cut(message: &str, time: Option<Timestamp>) -> Leaf {
    let message = message.trim();
    if !message.starts_with('{') {
        return Leaf::Unknown(Fault::NotAnObject.to_string());
    }
    if message.ends_with('}') && serde_json::from_str::<&RawValue>(message).is_ok() {
        return Leaf::Event(message.as_bytes().to_vec());
    }
    match cut::salvage(message, time) {
        Some(event) => Leaf::Event(event),
        None => Leaf::Unknown("it is cut before its stage, or its time is not known".to_owned()),
    }
}
