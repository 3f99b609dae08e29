//! The table of the fixed keys of an event, for paths and for hints.
//!
//! Deliberately absent: free keys (annotations, extra, bodies).

use super::{Path, RefPath, StatusPath, UserPath};

/// A field with a fixed name: its segments in `audit.k8s.io/v1`, its segments in K10's encoding,
/// and its path.
pub(super) struct Known {
    pub(super) v1: &'static str,
    pub(super) k10: &'static str,
    pub(super) path: Path,
}

const fn known(v1: &'static str, k10: &'static str, path: Path) -> Known {
    Known { v1, k10, path }
}

/// The fields of a user, for each prefix that names a user. A function cannot concatenate constant
/// texts.
macro_rules! user {
    ($v1:literal, $k10:literal, $of:path) => {
        [
            known(concat!($v1, ".username"), concat!($k10, ".username"), $of(UserPath::Username)),
            known(concat!($v1, ".uid"), concat!($k10, ".uid"), $of(UserPath::Uid)),
            known(concat!($v1, ".groups"), concat!($k10, ".groups"), $of(UserPath::Groups)),
            known(
                concat!($v1, ".isServiceAccount"),
                concat!($k10, ".isServiceAccount"),
                $of(UserPath::IsServiceAccount),
            ),
            known(
                concat!($v1, ".serviceAccount.namespace"),
                concat!($k10, ".serviceAccount.namespace"),
                $of(UserPath::ServiceAccountNamespace),
            ),
            known(
                concat!($v1, ".serviceAccount.name"),
                concat!($k10, ".serviceAccount.name"),
                $of(UserPath::ServiceAccountName),
            ),
        ]
    };
}

static USERS: [[Known; 6]; 4] = [
    user!("user", "User", Path::User),
    user!("impersonatedUser", "ImpersonatedUser", Path::ImpersonatedUser),
    user!("effectiveUser", "EffectiveUser", Path::EffectiveUser),
    user!("actor", "Actor", Path::Actor),
];

static OTHERS: [Known; 40] = [
    known("level", "Level", Path::Level),
    known("auditID", "AuditID", Path::AuditId),
    known("stage", "Stage", Path::Stage),
    known("requestURI", "RequestURI", Path::RequestUri),
    known("verb", "Verb", Path::Verb),
    known(
        "authenticationMetadata.impersonationConstraint",
        "AuthenticationMetadata.ImpersonationConstraint",
        Path::ImpersonationConstraint,
    ),
    known("sourceIPs", "SourceIPs", Path::SourceIps),
    known("sourceIP", "SourceIP", Path::SourceIps),
    known("network.ip.list", "network.ip.list", Path::SourceIps),
    known("userAgent", "UserAgent", Path::UserAgent),
    known("objectRef.resource", "ObjectRef.Resource", Path::ObjectRef(RefPath::Resource)),
    known("objectRef.namespace", "ObjectRef.Namespace", Path::ObjectRef(RefPath::Namespace)),
    known("objectRef.name", "ObjectRef.Name", Path::ObjectRef(RefPath::Name)),
    known("objectRef.uid", "ObjectRef.UID", Path::ObjectRef(RefPath::Uid)),
    known("objectRef.apiGroup", "ObjectRef.APIGroup", Path::ObjectRef(RefPath::ApiGroup)),
    known("objectRef.apiVersion", "ObjectRef.APIVersion", Path::ObjectRef(RefPath::ApiVersion)),
    known(
        "objectRef.resourceVersion",
        "ObjectRef.ResourceVersion",
        Path::ObjectRef(RefPath::ResourceVersion),
    ),
    known("objectRef.subresource", "ObjectRef.Subresource", Path::ObjectRef(RefPath::Subresource)),
    status("responseStatus.status", "ResponseStatus.status", StatusPath::Status),
    status("responseStatus.message", "ResponseStatus.message", StatusPath::Message),
    status("responseStatus.reason", "ResponseStatus.reason", StatusPath::Reason),
    status("responseStatus.code", "ResponseStatus.code", StatusPath::Code),
    status("responseStatus.details.name", "ResponseStatus.details.name", StatusPath::DetailsName),
    status(
        "responseStatus.details.group",
        "ResponseStatus.details.group",
        StatusPath::DetailsGroup,
    ),
    status("responseStatus.details.kind", "ResponseStatus.details.kind", StatusPath::DetailsKind),
    status("responseStatus.details.uid", "ResponseStatus.details.uid", StatusPath::DetailsUid),
    status(
        "responseStatus.details.retryAfterSeconds",
        "ResponseStatus.details.retryAfterSeconds",
        StatusPath::RetryAfterSeconds,
    ),
    status(
        "responseStatus.details.causes.reason",
        "ResponseStatus.details.causes.reason",
        StatusPath::CauseReason,
    ),
    status(
        "responseStatus.details.causes.message",
        "ResponseStatus.details.causes.message",
        StatusPath::CauseMessage,
    ),
    status(
        "responseStatus.details.causes.field",
        "ResponseStatus.details.causes.field",
        StatusPath::CauseField,
    ),
    known("requestReceivedTimestamp", "RequestReceivedTimestamp", Path::RequestReceivedTimestamp),
    known("stageTimestamp", "StageTimestamp", Path::StageTimestamp),
    known("requestObject", "RequestObject", Path::RequestObject(Vec::new())),
    known("responseObject", "ResponseObject", Path::ResponseObject(Vec::new())),
    known("oldObject", "OldObject", Path::OldObject(Vec::new())),
    known("dryRun", "DryRun", Path::DryRun),
    known("succeeded", "Succeeded", Path::Succeeded),
    known("refused", "Refused", Path::Refused),
    known("admission", "Admission", Path::Admission),
    known("cluster", "Cluster", Path::Cluster),
];

const fn status(v1: &'static str, k10: &'static str, path: StatusPath) -> Known {
    known(v1, k10, Path::Status(path))
}

/// All fields with a fixed name.
pub(super) fn all() -> impl Iterator<Item = &'static Known> {
    OTHERS.iter().chain(USERS.iter().flatten())
}

/// The kind of free keys after a prefix.
#[derive(Clone, Copy)]
pub(super) enum Open {
    Annotation,
    UserExtra,
    ImpersonatedUserExtra,
    EffectiveUserExtra,
    ActorExtra,
    RequestObject,
    ResponseObject,
    OldObject,
    Writes,
}

/// Prefixes that free keys follow, in both spellings.
pub(super) const OPEN: [(&[&str], Open); 18] = [
    (&["annotations"], Open::Annotation),
    (&["Annotations"], Open::Annotation),
    (&["user", "extra"], Open::UserExtra),
    (&["User", "extra"], Open::UserExtra),
    (&["impersonatedUser", "extra"], Open::ImpersonatedUserExtra),
    (&["ImpersonatedUser", "extra"], Open::ImpersonatedUserExtra),
    (&["effectiveUser", "extra"], Open::EffectiveUserExtra),
    (&["EffectiveUser", "extra"], Open::EffectiveUserExtra),
    (&["actor", "extra"], Open::ActorExtra),
    (&["Actor", "extra"], Open::ActorExtra),
    (&["requestObject"], Open::RequestObject),
    (&["RequestObject"], Open::RequestObject),
    (&["responseObject"], Open::ResponseObject),
    (&["ResponseObject"], Open::ResponseObject),
    (&["oldObject"], Open::OldObject),
    (&["OldObject"], Open::OldObject),
    (&["writes"], Open::Writes),
    (&["Writes"], Open::Writes),
];
