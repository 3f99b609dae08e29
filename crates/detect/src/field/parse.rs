//! Parses field paths, with hints for unknown fields.

use super::names::{self, Open};
use super::{Path, UserPath};
use crate::nearest;

/// Maximum length of a path, in bytes.
const LEN_MAX: usize = 1024;
/// Maximum number of keys in a path.
const SEGMENTS_MAX: usize = 64;

/// Why a string is not a field path of an audit event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    /// Description of the error.
    pub message: String,
    /// Suggested replacement, if one is known.
    pub hint: Option<String>,
}

impl FieldError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }
}

/// One key of a path, and whether it was written in brackets.
struct Segment {
    key: String,
    is_quoted: bool,
}

pub(super) fn path(text: &str) -> Result<Path, FieldError> {
    if text.len() > LEN_MAX {
        return Err(FieldError::new("a field path this long", "at most 1024 bytes"));
    }
    let segments = segments(text)?;
    let keys: Vec<&str> = segments.iter().map(|segment| segment.key.as_str()).collect();
    for (prefix, open) in &names::OPEN {
        if keys.len() > prefix.len()
            && keys.starts_with(prefix)
            && let Some(rest) = segments.get(prefix.len()..)
        {
            return free(*open, rest);
        }
    }
    names::all()
        .find(|known| has_keys(known.v1, known.k10, &keys))
        .map(|known| known.path.clone())
        .ok_or_else(|| unknown(text, &keys))
}

/// Whether the keys are the path of a field. Each key can have either of its spellings.
fn has_keys(v1: &str, k10: &str, keys: &[&str]) -> bool {
    let mut spellings = v1.split('.').zip(k10.split('.'));
    keys.iter().all(|key| {
        spellings.next().is_some_and(|(v1_key, k10_key)| *key == v1_key || *key == k10_key)
    }) && spellings.next().is_none()
}

/// Parses the keys after a prefix that allows any key, for example `annotations`.
fn free(open: Open, rest: &[Segment]) -> Result<Path, FieldError> {
    let user = |of: fn(UserPath) -> Path| of(UserPath::Extra(joined(rest)));
    Ok(match open {
        Open::Annotation => Path::Annotation(joined(rest)),
        Open::UserExtra => user(Path::User),
        Open::ImpersonatedUserExtra => user(Path::ImpersonatedUser),
        Open::EffectiveUserExtra => user(Path::EffectiveUser),
        Open::ActorExtra => user(Path::Actor),
        Open::RequestObject => Path::RequestObject(body(rest)?),
        Open::ResponseObject => Path::ResponseObject(body(rest)?),
        Open::OldObject => Path::OldObject(body(rest)?),
        Open::Writes => Path::Writes(body(rest)?),
    })
}

/// Joins segments into one key. In a flat map, the dots are part of the key.
fn joined(rest: &[Segment]) -> String {
    let keys: Vec<&str> = rest.iter().map(|segment| segment.key.as_str()).collect();
    keys.join(".")
}

/// The keys of a path into a body. `labels`, `annotations` and `matchLabels` are flat maps: the
/// segments after them are one key.
fn body(rest: &[Segment]) -> Result<Vec<String>, FieldError> {
    let flat = rest.windows(2).position(|pair| match pair {
        [outer, inner] => {
            matches!(outer.key.as_str(), "metadata" | "selector")
                && matches!(inner.key.as_str(), "labels" | "annotations" | "matchLabels")
        }
        _ => false,
    });
    let (nested, flat) = match flat {
        Some(at) if at + 2 < rest.len() => rest.split_at(at + 2),
        _ => (rest, &[][..]),
    };
    if let Some(unquoted) =
        nested.iter().find(|segment| !segment.is_quoted && segment.key.contains('/'))
    {
        return Err(FieldError::new(
            format!(
                "the key `{}` contains a slash, so the dots before it are part of the key",
                unquoted.key
            ),
            "write the whole key in brackets, as in metadata.labels[\"k10.kasten.io/policyName\"]",
        ));
    }
    let mut keys: Vec<String> = nested.iter().map(|segment| segment.key.clone()).collect();
    if !flat.is_empty() {
        keys.push(joined(flat));
    }
    Ok(keys)
}

/// Splits a path at its dots and brackets.
fn segments(text: &str) -> Result<Vec<Segment>, FieldError> {
    let syntax = |what: &str| {
        FieldError::new(
            format!("`{text}` is not a field path: {what}"),
            "separate keys by dots, and write a key that contains dots as [\"a.b/c\"]",
        )
    };
    let mut segments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if segments.len() == SEGMENTS_MAX {
            return Err(syntax("it has too many keys"));
        }
        if let Some(inside) = rest.strip_prefix("[\"").or_else(|| rest.strip_prefix("['")) {
            let close = if rest.starts_with("[\"") { "\"]" } else { "']" };
            let (key, remaining) =
                inside.split_once(close).ok_or_else(|| syntax("a bracket does not end"))?;
            segments.push(Segment { key: key.to_owned(), is_quoted: true });
            rest = remaining;
        } else if rest.starts_with('[') {
            return Err(syntax("all items of a list are searched: remove the index"));
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, remaining) = rest.split_at(end);
            segments.push(Segment { key: key.to_owned(), is_quoted: false });
            rest = remaining;
        }
        if let Some(remaining) = rest.strip_prefix('.') {
            if remaining.is_empty() {
                return Err(syntax("it ends with a dot"));
            }
            rest = remaining;
        }
    }
    if segments.is_empty() || segments.iter().any(|segment| segment.key.is_empty()) {
        return Err(syntax("a key is empty"));
    }
    Ok(segments)
}

/// Field names that users often write, and a hint at the actual path.
const HINTS: [(&str, &str); 17] = [
    ("hostPath", "it is in the body: requestObject.spec.volumes.hostPath.path"),
    (
        "capabilities",
        "it is in the body: requestObject.spec.containers.securityContext.capabilities.add",
    ),
    ("apiGroup", "it is objectRef.apiGroup"),
    ("resource", "it is objectRef.resource"),
    ("namespace", "it is objectRef.namespace"),
    ("name", "it is objectRef.name"),
    ("subresource", "it is objectRef.subresource"),
    ("username", "it is user.username"),
    ("groups", "it is user.groups"),
    ("code", "it is responseStatus.code"),
    ("timestamp", "it is requestReceivedTimestamp or stageTimestamp"),
    ("user", "name one of its fields, such as user.username"),
    ("objectRef", "name one of its fields, such as objectRef.resource"),
    ("responseStatus", "name one of its fields, such as responseStatus.code"),
    ("writes", "name a field of the object, as in writes.spec.paused"),
    ("annotations", "name one by its key: annotations[\"authorization.k8s.io/decision\"]"),
    (
        "user.extra",
        "name one by its key: user.extra[\"authentication.kubernetes.io/credential-id\"]",
    ),
];

/// A hint that lists the fields with the same first key.
fn siblings(keys: &[&str]) -> Option<String> {
    let first = keys.first()?;
    let all = names::all().flat_map(|known| [known.v1, known.k10]);
    let siblings: Vec<&str> =
        all.filter(|name| name.split_once('.').is_some_and(|(key, _)| key == *first)).collect();
    (!siblings.is_empty()).then(|| format!("there are {}", siblings.join(", ")))
}

fn unknown(text: &str, keys: &[&str]) -> FieldError {
    let message = format!("no audit event has a field `{text}`");
    let hint = HINTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let hint = hint.map(|(_, hint)| (*hint).to_owned()).or_else(|| {
        let joined = keys.join(".");
        let all = names::all().flat_map(|known| [known.v1, known.k10]);
        let known = nearest::of(&joined, all)?;
        Some(format!("did you mean `{known}`?"))
    });
    let hint = hint.or_else(|| siblings(keys)).unwrap_or_else(|| {
        "fields of the body begin with requestObject or responseObject".to_owned()
    });
    FieldError { message, hint: Some(hint) }
}
