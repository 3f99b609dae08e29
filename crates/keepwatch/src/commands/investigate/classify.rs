//! Classifies requests: reading, creating and changing, destroying, or security-relevant.

use event::Event;

/// Classes of requests, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Concerns credentials, permissions, identities, or the configuration of auditing and
    /// detection.
    Security,
    /// Deletes something.
    Destructive,
    /// Creates or changes something.
    Change,
    /// Changes nothing.
    Read,
}

impl Class {
    /// All classes.
    pub(crate) const ALL: [Self; 4] = [Self::Security, Self::Destructive, Self::Change, Self::Read];

    /// The name in JSON and in the page's styles.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Destructive => "destructive",
            Self::Change => "create",
            Self::Read => "read",
        }
    }

    /// The name for the heading of a column.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Security => "Security",
            Self::Destructive => "Destructive",
            Self::Change => "Create",
            Self::Read => "Read",
        }
    }

    /// The name in text for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Security => "Security-relevant",
            Self::Destructive => "Destructive",
            Self::Change => "Create and change",
            Self::Read => "Read",
        }
    }
}

/// Resources whose content is secret, so that reading them is security-relevant.
const SECRETS: [&str; 2] = ["passkeys", "secrets"];
/// Subresources that give access to a pod or node, or a credential.
const ACCESS: [&str; 6] =
    ["attach", "ephemeralcontainers", "exec", "portforward", "proxy", "token"];
/// Creating one of these is destructive: it cancels a running action or retires a backup.
const RETIRING: [&str; 2] = ["cancelactions", "retireactions"];
/// Resources that configure auditing, detection, delivery and retention.
const OVERSIGHT: [&str; 9] = [
    "apiservices",
    "auditconfigs",
    "certificatesigningrequests",
    "detectionrules",
    "mutatingwebhookconfigurations",
    "notifiers",
    "profiles",
    "suppressions",
    "validatingwebhookconfigurations",
];
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// The class of the request that an event records.
pub(crate) fn class_of(event: &Event) -> Class {
    let verb = event.verb.as_str();
    let is_read = matches!(verb, "get" | "list" | "watch" | "head" | "options");
    let reference = event.object_ref.as_ref();
    let text = |read: fn(&event::ObjectReference) -> &str| reference.map_or("", read);
    let resource = text(|reference| &reference.resource);
    let subresource = text(|reference| &reference.subresource);
    let is_oversight =
        text(|reference| &reference.api_group) == RBAC_GROUP || OVERSIGHT.contains(&resource);
    if ACCESS.contains(&subresource) || matches!(verb, "impersonate" | "skip" | "rewind") {
        return Class::Security;
    }
    if is_read {
        return if SECRETS.contains(&resource) { Class::Security } else { Class::Read };
    }
    if is_oversight {
        return Class::Security;
    }
    if matches!(verb, "delete" | "deletecollection")
        || (verb == "create" && RETIRING.contains(&resource))
    {
        return Class::Destructive;
    }
    if SECRETS.contains(&resource) || event.impersonated_user.is_some() {
        return Class::Security;
    }
    Class::Change
}

#[cfg(test)]
mod tests {
    use event::{ObjectReference, Stage, Timestamp};

    use super::*;

    #[test]
    fn requests_are_classified_by_verb_and_resource() {
        for (verb, resource, expected) in [
            ("list", "restorepoints", Class::Read),
            ("get", "", Class::Read),
            ("get", "passkeys", Class::Security),
            ("delete", "passkeys", Class::Destructive),
            ("update", "passkeys", Class::Security),
            ("delete", "restorepoints", Class::Destructive),
            ("deletecollection", "configmaps", Class::Destructive),
            ("create", "retireactions", Class::Destructive),
            ("create", "backupactions", Class::Change),
            ("patch", "policies", Class::Change),
            ("delete", "auditconfigs", Class::Security),
            ("create", "pods/exec", Class::Security),
            ("get", "pods/exec", Class::Security),
        ] {
            let mut event =
                Event::internal(Stage::ResponseComplete, verb, Timestamp::from_micros(0));
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            event.object_ref = Some(ObjectReference {
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                ..ObjectReference::default()
            });
            assert_eq!(class_of(&event), expected, "{verb} {resource}");
        }
    }
}
