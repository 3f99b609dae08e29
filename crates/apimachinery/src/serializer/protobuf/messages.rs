//! The supported message types, as in `generated.proto` of `k8s.io/api` and `k8s.io/apimachinery`.

use super::Shape::{
    BytesByName, Json, Messages, MicroTime, Number, OptionalBool, OptionalMessage, OptionalNumber,
    OptionalText, Text, Texts, TextsByName, Time,
};
use super::{Field, Message, Shape};

/// The message type of a kind.
pub(super) fn find(api_version: &str, kind: &str) -> Option<&'static Message> {
    Some(match (api_version, kind) {
        // Any group is valid.
        (_, "DeleteOptions") => &DELETE_OPTIONS,
        ("v1", "Event") => &EVENT,
        ("v1", "Namespace") => &NAMESPACE,
        ("v1", "Secret") => &SECRET,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => &ACCESS_REVIEW,
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => &RULES_REVIEW,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => &SUBJECT_REVIEW,
        _ => return None,
    })
}

/// The envelope of each object. The object itself is decoded separately, by its kind.
pub(super) static ENVELOPE: Message = Message(&[Field(1, "typeMeta", Shape::Message(&TYPE_META))]);

static TYPE_META: Message = Message(&[Field(1, "apiVersion", Text), Field(2, "kind", Text)]);

static OBJECT_META: Message = Message(&[
    Field(1, "name", Text),
    Field(2, "generateName", Text),
    Field(3, "namespace", Text),
    Field(4, "selfLink", Text),
    Field(5, "uid", Text),
    Field(6, "resourceVersion", Text),
    Field(7, "generation", Number),
    Field(8, "creationTimestamp", Time),
    Field(9, "deletionTimestamp", Time),
    Field(10, "deletionGracePeriodSeconds", OptionalNumber),
    Field(11, "labels", TextsByName),
    Field(12, "annotations", TextsByName),
    Field(13, "ownerReferences", Messages(&OWNER_REFERENCE)),
    Field(14, "finalizers", Texts),
    Field(17, "managedFields", Messages(&MANAGED_FIELDS)),
]);

static OWNER_REFERENCE: Message = Message(&[
    Field(5, "apiVersion", Text),
    Field(1, "kind", Text),
    Field(3, "name", Text),
    Field(4, "uid", Text),
    Field(6, "controller", OptionalBool),
    Field(7, "blockOwnerDeletion", OptionalBool),
]);

static MANAGED_FIELDS: Message = Message(&[
    Field(1, "manager", Text),
    Field(2, "operation", Text),
    Field(3, "apiVersion", Text),
    Field(4, "time", Time),
    Field(6, "fieldsType", Text),
    Field(7, "fieldsV1", Json),
    Field(8, "subresource", Text),
]);

static DELETE_OPTIONS: Message = Message(&[
    Field(1, "gracePeriodSeconds", OptionalNumber),
    Field(2, "preconditions", OptionalMessage(&PRECONDITIONS)),
    Field(3, "orphanDependents", OptionalBool),
    Field(4, "propagationPolicy", OptionalText),
    Field(5, "dryRun", Texts),
    Field(6, "ignoreStoreReadErrorWithClusterBreakingPotential", OptionalBool),
]);

static PRECONDITIONS: Message =
    Message(&[Field(1, "uid", OptionalText), Field(2, "resourceVersion", OptionalText)]);

static SECRET: Message = Message(&[
    Field(1, "metadata", OptionalMessage(&OBJECT_META)),
    Field(5, "immutable", OptionalBool),
    Field(2, "data", BytesByName),
    Field(4, "stringData", TextsByName),
    Field(3, "type", Text),
]);

static NAMESPACE: Message = Message(&[
    Field(1, "metadata", OptionalMessage(&OBJECT_META)),
    Field(2, "spec", Shape::Message(&NAMESPACE_SPEC)),
    Field(3, "status", Shape::Message(&NAMESPACE_STATUS)),
]);

static NAMESPACE_SPEC: Message = Message(&[Field(1, "finalizers", Texts)]);

static NAMESPACE_STATUS: Message =
    Message(&[Field(1, "phase", Text), Field(2, "conditions", Messages(&NAMESPACE_CONDITION))]);

static NAMESPACE_CONDITION: Message = Message(&[
    Field(1, "type", Text),
    Field(2, "status", Text),
    Field(4, "lastTransitionTime", Time),
    Field(5, "reason", Text),
    Field(6, "message", Text),
]);

static EVENT: Message = Message(&[
    Field(1, "metadata", OptionalMessage(&OBJECT_META)),
    Field(2, "involvedObject", Shape::Message(&OBJECT_REFERENCE)),
    Field(3, "reason", Text),
    Field(4, "message", Text),
    Field(5, "source", Shape::Message(&EVENT_SOURCE)),
    Field(6, "firstTimestamp", Time),
    Field(7, "lastTimestamp", Time),
    Field(8, "count", Number),
    Field(9, "type", Text),
    Field(10, "eventTime", MicroTime),
    Field(11, "series", OptionalMessage(&EVENT_SERIES)),
    Field(12, "action", Text),
    Field(13, "related", OptionalMessage(&OBJECT_REFERENCE)),
    Field(14, "reportingComponent", Text),
    Field(15, "reportingInstance", Text),
]);

static OBJECT_REFERENCE: Message = Message(&[
    Field(1, "kind", Text),
    Field(2, "namespace", Text),
    Field(3, "name", Text),
    Field(4, "uid", Text),
    Field(5, "apiVersion", Text),
    Field(6, "resourceVersion", Text),
    Field(7, "fieldPath", Text),
]);

static EVENT_SOURCE: Message = Message(&[Field(1, "component", Text), Field(2, "host", Text)]);

static EVENT_SERIES: Message =
    Message(&[Field(1, "count", Number), Field(2, "lastObservedTime", MicroTime)]);

// Only the spec of a review is decoded: the server sets the status.

static ACCESS_REVIEW: Message = Message(&[
    Field(1, "metadata", OptionalMessage(&OBJECT_META)),
    Field(2, "spec", OptionalMessage(&ACCESS_REVIEW_SPEC)),
]);

static ACCESS_REVIEW_SPEC: Message = Message(&[
    Field(1, "resourceAttributes", OptionalMessage(&RESOURCE_ATTRIBUTES)),
    Field(2, "nonResourceAttributes", OptionalMessage(&NON_RESOURCE_ATTRIBUTES)),
]);

static RESOURCE_ATTRIBUTES: Message = Message(&[
    Field(1, "namespace", Text),
    Field(2, "verb", Text),
    Field(3, "group", Text),
    Field(4, "version", Text),
    Field(5, "resource", Text),
    Field(6, "subresource", Text),
    Field(7, "name", Text),
    Field(8, "fieldSelector", OptionalMessage(&SELECTOR)),
    Field(9, "labelSelector", OptionalMessage(&SELECTOR)),
]);

static SELECTOR: Message =
    Message(&[Field(1, "rawSelector", Text), Field(2, "requirements", Messages(&REQUIREMENT))]);

static REQUIREMENT: Message =
    Message(&[Field(1, "key", Text), Field(2, "operator", Text), Field(3, "values", Texts)]);

static NON_RESOURCE_ATTRIBUTES: Message =
    Message(&[Field(1, "path", Text), Field(2, "verb", Text)]);

static RULES_REVIEW: Message = Message(&[
    Field(1, "metadata", OptionalMessage(&OBJECT_META)),
    Field(2, "spec", OptionalMessage(&RULES_REVIEW_SPEC)),
]);

static RULES_REVIEW_SPEC: Message = Message(&[Field(1, "namespace", Text)]);

static SUBJECT_REVIEW: Message = Message(&[Field(1, "metadata", OptionalMessage(&OBJECT_META))]);
