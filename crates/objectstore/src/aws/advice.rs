//! The error codes of S3 and of stores that speak its protocol.

use crate::advice::{Advice, advice};

pub(crate) static ADVICE: &[Advice] = &[
    advice(&["NoSuchBucket"], "bucket `{bucket}` does not exist in region `{region}`"),
    // The second is the code of versitygw, the third that of AWS's token service.
    advice(
        &["InvalidAccessKeyId", "XAdminUserNotFound", "InvalidClientTokenId", "InvalidObjectKeyId"],
        "the access key does not exist: check {identity}",
    ),
    advice(
        &["SignatureDoesNotMatch"],
        "the secret key does not belong to the access key: check {identity}",
    ),
    advice(
        &["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"],
        "the session token has expired: renew {identity}",
    ),
    advice(
        &["InvalidToken", "InvalidSecurity"],
        "the session token is not valid, or no longer: renew {identity}",
    ),
    advice(
        &[
            "PermanentRedirect",
            "TemporaryRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "InvalidLocationConstraint",
        ],
        "bucket `{bucket}` is not in region `{region}` but in {actual_region}: correct the \
         profile's region",
    ),
    advice(
        &[
            "AccountProblem",
            "UserSuspended",
            "AccountSuspended",
            "UserDisable",
            "UserDisabled",
            "InArrearOrInsufficientBalance",
        ],
        "the account of {destination} is suspended, closed or unpaid ({code}): its owner has to \
         ask the provider",
    ),
    advice(
        &["NotSignedUp", "OptInRequired", "SubscriptionRequired", "NotSuchService"],
        "the account of {destination} has not signed up for this service or region ({code})",
    ),
    advice(
        &["AllAccessDisabled", "InvalidPayer"],
        "the provider has disabled all access to bucket `{bucket}` ({code}): ask the provider for \
         the reason",
    ),
    advice(
        &["InvalidObjectState"],
        "an object in {destination} is in a storage class that cannot be read at once ({code}): \
         let the bucket's lifecycle rules move objects there after a day or later",
    ),
    advice(
        &["KeyTooLongError", "KeyTooLong"],
        "{destination} does not take keys as long as those of the uploads ({code}): shorten the \
         destination's prefix or --cluster-name",
    ),
    advice(
        &["EntityTooLarge", "MaxMessageLengthExceeded"],
        "{destination} does not accept objects as large as the uploads ({code}): raise its limit, \
         or lower --audit-seal-size",
    ),
    advice(
        &["InvalidTag", "MetadataTooLarge"],
        "the store at {destination} refuses tags or metadata ({code}), and Keepwatch sends none: \
         check what a proxy in front of it, or a rule of the bucket, adds",
    ),
    advice(
        &["InvalidBucketName"],
        "`{bucket}` is not the name of a bucket at {destination}: correct the profile",
    ),
    advice(
        &[
            "QuotaExceeded",
            "XMinioAdminBucketQuotaExceeded",
            "XMinioStorageFull",
            "InsufficientStorage",
            "StorageQuotaExceeded",
            "InsufficientStorageSpace",
        ],
        "{destination} is full ({code}): free space, or raise the quota",
    ),
    advice(
        &[
            "SecondLevelDomainForbidden",
            "PathStyleDomainForbidden",
            "VirtualHostDomainRequired",
            "InvalidDNSBucketName",
            "PathStyleRequestForbidden",
        ],
        "the store at {destination} accepts the name of a bucket only as a part of the host name \
         (virtual-hosted style, {code}), and Keepwatch sends it in the path: this store cannot be \
         used",
    ),
    advice(
        &["InvalidStorageClass"],
        "{destination} does not have the storage class of the uploads ({code})",
    ),
    advice(
        &["ObjectLockConfigurationNotFoundError", "InvalidRetentionPeriod"],
        "bucket `{bucket}` has no Object Lock: create a bucket with Object Lock, or remove the \
         retention",
    ),
    advice(
        &["MissingSecurityHeader", "CredentialsNotSupported", "AuthorizationQueryParametersError"],
        "the store at {destination} requires another form of signature ({code}): it needs AWS \
         Signature Version 4 in headers",
    ),
    advice(
        &["RequesterPays", "AccessDeniedRequesterPays"],
        "bucket `{bucket}` has Requester Pays enabled, which Keepwatch does not support: disable \
         it",
    ),
];
