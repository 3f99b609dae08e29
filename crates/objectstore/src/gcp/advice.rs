//! The error codes of Google Cloud Storage.

use crate::advice::{Advice, advice};

pub(crate) static ADVICE: &[Advice] = &[
    advice(&["NoSuchBucket"], "bucket `{bucket}` does not exist"),
    advice(
        &["UserProjectMissing", "Required", "RequesterPays"],
        "bucket `{bucket}` has Requester Pays enabled and requires a project to bill ({code}), \
         which Keepwatch does not name: switch \"requester pays\" off",
    ),
    advice(
        &[
            "UserProject*",
            "AccountProblem",
            "AccountDisabled",
            "BillingDisabled",
            "BillingNotEnabled",
            "AccountClosed",
        ],
        "the project of bucket `{bucket}` has no billing account that works ({code}): its owner \
         has to correct it",
    ),
    advice(
        &[
            "VpcServiceControls",
            "SecurityPolicyViolated",
            "OrgPolicyConstraintFailed",
            "OrgInternalUseOnly",
        ],
        "a policy of the organization denies this server access to bucket `{bucket}` ({code}): \
         allow it (VPC Service Controls, organization policies)",
    ),
    advice(
        &[
            "ExpiredToken",
            "InvalidToken",
            "AuthError",
            "InvalidCredentials",
            "AuthenticationRequired",
        ],
        "the service account's key is not accepted ({code}): check {identity}",
    ),
    advice(&["InvalidBucketName"], "`{bucket}` is not the name of a bucket: correct the profile"),
    advice(
        &["AccessNotConfigured", "SERVICE_DISABLED"],
        "the Cloud Storage API is switched off in the project of bucket `{bucket}` ({code})",
    ),
    advice(
        &["RetentionPolicyNotMet", "ObjectUnderActiveHold"],
        "an object of bucket `{bucket}` is retained and cannot be overwritten ({code})",
    ),
    advice(&["QuotaExceeded"], "{destination} is over its quota ({code}): raise it"),
];
