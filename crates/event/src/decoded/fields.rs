//! The fields of each type and their keys, in both encodings.
//!
//! Source: `audit.k8s.io/v1` and the internal type of Kubernetes 1.37. [`decode`](super::decode)
//! decodes the values.

use serde::de::{Deserializer, MapAccess};

use super::decode::{Context, Decode, Destination, Fields, FieldsVisitor};
use super::{
    Authentication, Cause, Decoded, Details, ListMeta, Outcome, Reference, ShardInfo, User,
};

/// Defines the fields of a type: the key in `audit.k8s.io/v1`, the key in K10's encoding, and the
/// field. A macro, because no function can name fields.
macro_rules! fields {
    ($type:ident { $($v1:literal $kasten:literal $field:ident,)+ }) => {
        impl<'de> Fields<'de> for $type {
            fn field<A: MapAccess<'de>>(
                &mut self,
                key: &str,
                context: &mut Context<'_>,
                members: &mut A,
            ) -> Result<bool, A::Error> {
                $(if key == context.name($v1, $kasten) {
                    context.path.push(context.name($v1, $kasten));
                    members.next_value_seed(Destination(&mut self.$field, context))?;
                    context.path.pop();
                    return Ok(true);
                })+
                Ok(false)
            }
        }

        impl<'de> Decode<'de> for $type {
            fn value<D: Deserializer<'de>>(
                &mut self,
                context: &mut Context<'_>,
                from: D,
            ) -> Result<(), D::Error> {
                from.deserialize_map(FieldsVisitor(self, context))
            }
        }
    };
    ($type:ident { $($key:literal $field:ident,)+ }) => {
        fields!($type { $($key $key $field,)+ });
    };
}

fields!(Decoded {
    "kind" "kind" kind,
    "apiVersion" "apiVersion" api_version,
    "level" "Level" level,
    "auditID" "AuditID" audit_id,
    "stage" "Stage" stage,
    "requestURI" "RequestURI" request_uri,
    "verb" "Verb" verb,
    "user" "User" user,
    "impersonatedUser" "ImpersonatedUser" impersonated_user,
    "authenticationMetadata" "AuthenticationMetadata" authentication_metadata,
    "sourceIPs" "SourceIPs" source_ips,
    "userAgent" "UserAgent" user_agent,
    "objectRef" "ObjectRef" object_ref,
    "responseStatus" "ResponseStatus" response_status,
    "requestObject" "RequestObject" request_object,
    "responseObject" "ResponseObject" response_object,
    "requestReceivedTimestamp" "RequestReceivedTimestamp" request_received_timestamp,
    "stageTimestamp" "StageTimestamp" stage_timestamp,
    "annotations" "Annotations" annotations,
});

fields!(User { "username" username, "uid" uid, "groups" groups, "extra" extra, });

fields!(Authentication {
    "impersonationConstraint" "ImpersonationConstraint" impersonation_constraint,
});

fields!(Reference {
    "resource" "Resource" resource,
    "namespace" "Namespace" namespace,
    "name" "Name" name,
    "uid" "UID" uid,
    "apiGroup" "APIGroup" api_group,
    "apiVersion" "APIVersion" api_version,
    "resourceVersion" "ResourceVersion" resource_version,
    "subresource" "Subresource" subresource,
});

fields!(Outcome {
    "kind" kind,
    "apiVersion" api_version,
    "metadata" metadata,
    "status" status,
    "message" message,
    "reason" reason,
    "details" details,
    "code" code,
});

fields!(ListMeta {
    "selfLink" self_link,
    "resourceVersion" resource_version,
    "continue" continue_token,
    "remainingItemCount" remaining_item_count,
    "shardInfo" shard_info,
});

fields!(ShardInfo { "selector" selector, });

fields!(Details {
    "name" name,
    "group" group,
    "kind" kind,
    "uid" uid,
    "causes" causes,
    "retryAfterSeconds" retry_after_seconds,
});

fields!(Cause { "reason" reason, "message" message, "field" field, });
