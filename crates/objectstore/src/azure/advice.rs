//! The error codes of Azure Blob Storage.

use crate::advice::{Advice, advice};

pub(crate) static ADVICE: &[Advice] = &[
    advice(
        &["ContainerNotFound"],
        "container `{bucket}` does not exist in the storage account of {identity}",
    ),
    advice(
        &["ContainerDisabled", "ContainerBeingDeleted", "ContainerBeingDisabled"],
        "container `{bucket}` of the storage account is being deleted or is disabled ({code})",
    ),
    advice(
        &["AuthenticationFailed"],
        "the key does not belong to the storage account, or this server's clock is more than \
         15 minutes wrong ({code}): check {identity} and the clock",
    ),
    advice(
        &[
            "AuthorizationFailure",
            "AuthorizationSourceIPMismatch",
            "IpAuthorizationSourceIPMismatch",
        ],
        "the key does not belong to the storage account, or the account does not let this network \
         in ({code}): check {identity}, then the account's firewall",
    ),
    advice(
        &["AuthorizationPermissionMismatch", "InsufficientAccountPermissions"],
        "{identity} may not write to container `{bucket}` ({code}): assign the role Storage Blob Data \
         Contributor at the container or the storage account",
    ),
    advice(
        &["KeyBasedAuthenticationNotPermitted"],
        "the storage account does not permit keys ({code}): switch \"Allow storage account key \
         access\" on, or leave the key out and use a workload identity",
    ),
    advice(
        &["PublicAccessNotPermitted", "NoAuthenticationInformation"],
        "the storage account permits no access without credentials ({code}): name a Secret in \
         the profile",
    ),
    advice(
        &["AccountIsDisabled", "AccountBeingCreated"],
        "the storage account is disabled or not ready ({code}): contact its owner",
    ),
    advice(
        &["AuthorizationProtocolMismatch", "AccountRequiresHttps"],
        "the storage account requires https ({code}): correct the profile's endpoint",
    ),
    advice(
        &["AuthorizationResourceTypeMismatch", "AuthorizationServiceMismatch"],
        "the credentials of the storage account are for another service ({code}): check \
         {identity}",
    ),
    advice(
        &["InvalidAuthenticationInfo", "AuthenticationTypeNotSupported"],
        "the storage account does not accept credentials of this form ({code}): check {identity}",
    ),
    advice(
        &["ResourceNotFound", "AccountNotFound"],
        "the storage account does not exist: check {identity}",
    ),
    advice(
        &["InvalidResourceName"],
        "`{bucket}` is not the name of a container: correct the profile",
    ),
    advice(
        &["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"],
        "an object of container `{bucket}` is immutable and cannot be overwritten ({code})",
    ),
    advice(
        &[
            "BlobTypeNotSupported*",
            "BlobAccessTierNotSupported*",
            "FeatureNotSupported*",
            "UnsupportedHeader",
            "FeatureVersionMismatch",
        ],
        "the storage account does not support the block blobs that Keepwatch writes \
         ({code}): use a general-purpose v2 account",
    ),
];
