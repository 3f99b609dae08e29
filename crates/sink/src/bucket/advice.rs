//! The codes with which stores refuse, and what people can do about each.
//!
//! Sources: the error references of Amazon S3, Google Cloud Storage and Azure Blob Storage, and of the
//! stores that speak S3 (`MinIO`, Ceph, Alibaba OSS, Tencent COS, Huawei OBS, versitygw). A code that is
//! not here is told as it came. Which words stand in `{}` is said by [`explain`](super::explain).

/// What is said about some codes. Codes are compared without their case; one that ends in `*` is a
/// beginning.
pub(super) struct Advice {
    codes: &'static [&'static str],
    /// With `{bucket}`, `{region}`, `{key}`, `{account}`, `{identity}`, `{place}` and `{code}`.
    pub(super) words: &'static str,
}

impl Advice {
    fn fits(&self, code: &str) -> bool {
        self.codes.iter().any(|known| match known.strip_suffix('*') {
            Some(start) => {
                code.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
            }
            None => code.eq_ignore_ascii_case(known),
        })
    }
}

/// The words for a code, unless it is not known.
pub(super) fn find(table: &'static [Advice], code: &str) -> Option<&'static str> {
    [table, COMMON].into_iter().flatten().find(|it| it.fits(code)).map(|it| it.words)
}

const fn advice(codes: &'static [&'static str], words: &'static str) -> Advice {
    Advice { codes, words }
}

/// What all of them say.
static COMMON: &[Advice] = &[
    advice(
        &["RequestTimeTooSkewed", "RequestExpired", "RequestTimestampTooSkewed"],
        "the clocks of this server and of the store at {place} differ by more than 15 minutes \
         ({code}): set this server's clock (NTP)",
    ),
    advice(
        &["KMS*", "KeyVault*", "InvalidEncryptionKey", "CloudKms*"],
        "the key that encrypts {place} cannot be used ({code}): enable it, and let {identity} \
         encrypt and decrypt with it (AWS: kms:GenerateDataKey and kms:Decrypt)",
    ),
    advice(
        &["ServiceUnavailable", "SlowDown", "ServerBusy"],
        "the store at {place} is overloaded ({code}): it is asked again later",
    ),
];

pub(super) static S3: &[Advice] = &[
    advice(&["NoSuchBucket"], "bucket `{bucket}` does not exist in region `{region}`"),
    // The second is versitygw's word for it, the third that of AWS's token service.
    advice(
        &["InvalidAccessKeyId", "XAdminUserNotFound", "InvalidClientTokenId", "InvalidObjectKeyId"],
        "{key} does not exist: check {identity}",
    ),
    advice(&["SignatureDoesNotMatch"], "the secret key does not belong to {key}: check {identity}"),
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
        "bucket `{bucket}` is not in region `{region}` but in {there}: correct the profile's region",
    ),
    advice(
        &[
            "AccountProblem",
            "UserSuspended",
            "AccountSuspended",
            "UserDisable",
            "InArrearOrInsufficientBalance",
        ],
        "the account of {place} is suspended, closed or unpaid ({code}): its owner has to ask the \
         provider",
    ),
    advice(
        &["NotSignedUp", "OptInRequired", "SubscriptionRequired", "NotSuchService"],
        "the account of {place} has not signed up for this service or region ({code})",
    ),
    advice(
        &["AllAccessDisabled"],
        "the provider has disabled all access to bucket `{bucket}`: ask it why",
    ),
    advice(
        &["InvalidBucketName"],
        "`{bucket}` is not the name of a bucket at {place}: correct the profile",
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
        "{place} is full ({code}): make room, or raise the quota",
    ),
    advice(
        &[
            "SecondLevelDomainForbidden",
            "PathStyleDomainForbidden",
            "VirtualHostDomainRequired",
            "InvalidDNSBucketName",
            "PathStyleRequestForbidden",
        ],
        "the store at {place} takes the name of a bucket only in that of the host (virtual-hosted \
         style, {code}), and Keepwatch sends it in the path: this store cannot be used",
    ),
    advice(
        &["InvalidStorageClass"],
        "{place} does not have the storage class that uploads ask for ({code})",
    ),
    advice(
        &["ObjectLockConfigurationNotFoundError", "InvalidRetentionPeriod"],
        "bucket `{bucket}` has no Object Lock: make one that has, or leave the retention out",
    ),
    advice(
        &["MissingSecurityHeader", "CredentialsNotSupported", "AuthorizationQueryParametersError"],
        "the store at {place} wants another form of signature ({code}): it needs AWS Signature \
         Version 4 in headers",
    ),
    advice(
        &["RequesterPays", "AccessDeniedRequesterPays"],
        "bucket `{bucket}` lets requesters pay, which Keepwatch does not offer: switch that off",
    ),
];

pub(super) static GCS: &[Advice] = &[
    advice(&["NoSuchBucket"], "bucket `{bucket}` does not exist"),
    advice(
        &["UserProjectMissing", "Required", "RequesterPays"],
        "bucket `{bucket}` lets requesters pay and wants a project to bill ({code}), which Keepwatch \
         does not name: switch \"requester pays\" off",
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
        "the project of bucket `{bucket}` has no billing account that works ({code}): its owner has \
         to mend that",
    ),
    advice(
        &[
            "VpcServiceControls",
            "SecurityPolicyViolated",
            "OrgPolicyConstraintFailed",
            "OrgInternalUseOnly",
        ],
        "a policy of the organization keeps this server away from bucket `{bucket}` ({code}): let it \
         in (VPC Service Controls, organization policies)",
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
        "an object of bucket `{bucket}` is retained and may not be written over ({code})",
    ),
    advice(&["QuotaExceeded"], "{place} is over its quota ({code}): raise it"),
];

pub(super) static AZURE: &[Advice] = &[
    advice(
        &["ContainerNotFound"],
        "container `{bucket}` does not exist in storage account `{account}`",
    ),
    advice(
        &["ContainerDisabled", "ContainerBeingDeleted", "ContainerBeingDisabled"],
        "container `{bucket}` of storage account `{account}` is being deleted or is disabled ({code})",
    ),
    advice(
        &["AuthenticationFailed"],
        "the key does not belong to storage account `{account}`, or this server's clock is more than \
         15 minutes wrong ({code}): check {identity} and the clock",
    ),
    advice(
        &[
            "AuthorizationFailure",
            "AuthorizationSourceIPMismatch",
            "IpAuthorizationSourceIPMismatch",
        ],
        "the key does not belong to storage account `{account}`, or the account does not let this network \
         in ({code}): check {identity}, then the account's firewall",
    ),
    advice(
        &["AuthorizationPermissionMismatch", "InsufficientAccountPermissions"],
        "{identity} may not write to container `{bucket}` ({code}): assign the role Storage Blob Data \
         Contributor at the container or storage account `{account}`",
    ),
    advice(
        &["KeyBasedAuthenticationNotPermitted"],
        "storage account `{account}` does not permit keys ({code}): switch \"Allow storage account key \
         access\" on, or leave the key out and use a workload identity",
    ),
    advice(
        &["PublicAccessNotPermitted", "NoAuthenticationInformation"],
        "storage account `{account}` permits no access without credentials ({code}): name a Secret in \
         the profile",
    ),
    advice(
        &["AccountIsDisabled", "AccountBeingCreated"],
        "storage account `{account}` is disabled or not ready ({code}): its owner has to mend that",
    ),
    advice(
        &["AuthorizationProtocolMismatch", "AccountRequiresHttps"],
        "storage account `{account}` wants https ({code}): correct the profile's endpoint",
    ),
    advice(
        &["AuthorizationResourceTypeMismatch", "AuthorizationServiceMismatch"],
        "the credentials of storage account `{account}` are for another service ({code}): check \
         {identity}",
    ),
    advice(
        &["InvalidAuthenticationInfo", "AuthenticationTypeNotSupported"],
        "storage account `{account}` does not take credentials of this form ({code}): check {identity}",
    ),
    advice(
        &["ResourceNotFound", "AccountNotFound"],
        "storage account `{account}` does not exist: check {identity}",
    ),
    advice(
        &["InvalidResourceName"],
        "`{bucket}` is not the name of a container: correct the profile",
    ),
    advice(
        &["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"],
        "an object of container `{bucket}` is immutable and may not be written over ({code})",
    ),
    advice(
        &[
            "BlobTypeNotSupported*",
            "BlobAccessTierNotSupported*",
            "FeatureNotSupported*",
            "UnsupportedHeader",
            "FeatureVersionMismatch",
        ],
        "storage account `{account}` is of a kind that takes no block blobs as Keepwatch writes them \
         ({code}): use a general-purpose v2 account",
    ),
];
