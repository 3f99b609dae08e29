//! Messages for failed requests: the cause, and what the owner of the destination can change.
//!
//! They are built from the status and the code of a response, never from its text. They quote no
//! value of a Secret, not even the ID of a key or the name of an account: a value may be under the
//! wrong key.

use ::http::StatusCode;

use crate::advice::{self, code_suffix};
use crate::bucket::Bucket;
use crate::http::ResponseInfo;

/// The attempted operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Write,
    Read,
}

impl Operation {
    fn participle(self) -> &'static str {
        match self {
            Self::Write => "written",
            Self::Read => "read back",
        }
    }
}

impl Bucket {
    /// The cause of a failed request, and what to do. Contains no secret.
    pub(crate) fn diagnose(&self, response: &ResponseInfo, operation: Operation) -> String {
        let Some(status) = response.status else {
            return self.diagnose_no_response(response, operation);
        };
        let provider = self.destination.provider.get();
        let code = provider.implied_code(response).unwrap_or(&response.code);
        if let Some(message) = advice::find(provider.advice(), code) {
            return self.fill(message, response);
        }
        match status {
            StatusCode::FORBIDDEN => self.diagnose_denied(response, operation),
            StatusCode::NOT_FOUND if response.code.is_empty() => {
                self.fill(&format!("{} does not exist", provider.bucket_text()), response)
            }
            _ => provider
                .diagnose_other(&self.destination, response)
                .unwrap_or_else(|| self.diagnose_other(response, operation)),
        }
    }

    /// Replaces the placeholders of a message.
    fn fill(&self, message: &str, response: &ResponseInfo) -> String {
        let credentials = &self.destination.credentials;
        let actual_region = match response.region.as_str() {
            "" => "another region".to_owned(),
            region => format!("region `{region}`"),
        };
        let code = if response.code.is_empty() { "no code" } else { &response.code };
        message
            .replace("{bucket}", &self.destination.bucket)
            .replace("{region}", self.destination.provider.get().region().unwrap_or_default())
            .replace("{identity}", credentials.origin())
            .replace("{actual_region}", &actual_region)
            .replace("{destination}", &self.destination.to_string())
            .replace("{code}", code)
    }

    fn diagnose_denied(&self, response: &ResponseInfo, operation: Operation) -> String {
        format!(
            "an object could not be {} in {}: access denied{}; allow {} below `{}`",
            operation.participle(),
            self.destination,
            code_suffix(&response.code),
            self.destination.provider.get().permission(operation),
            self.destination.prefix
        )
    }

    fn diagnose_no_response(&self, response: &ResponseInfo, operation: Operation) -> String {
        let provider = self.destination.provider.get();
        let Some(endpoint) = provider.endpoint().or(provider.default_endpoint()) else {
            return self.diagnose_other(response, operation);
        };
        let text = if response.is_no_response() {
            format!(
                "endpoint {endpoint} cannot be reached: {}; check its name, port and certificate, and \
                 the log of keepwatch for details",
                response.failure
            )
        } else {
            format!("endpoint {endpoint} is not used: {}", response.failure)
        };
        self.hide_account(&text)
    }

    /// Replaces the name of the storage account in host names. In Azure's national clouds, the
    /// endpoint contains it.
    fn hide_account(&self, text: &str) -> String {
        match self.destination.credentials.account() {
            "" => text.to_owned(),
            account => text.replace(&format!("//{account}."), "//<storage account>."),
        }
    }

    fn diagnose_other(&self, response: &ResponseInfo, operation: Operation) -> String {
        let (destination, error, participle) =
            (&self.destination, response.to_error(), operation.participle());
        format!("an object could not be {participle} in {destination}: {error}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::Timestamp;

    use sink::http::EgressPolicy;
    use sink::{DeliverError, Encoding};

    use super::*;
    use crate::{
        Azure, BucketConfig, Credentials, Destination, Gcs, Limits, Prefix, Provider, S3,
        WorkloadIdentity,
    };

    const CANARY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn open(provider: Provider, credentials: Credentials) -> Result<Bucket, String> {
        let destination = Destination {
            provider,
            bucket: "bucket".to_owned(),
            prefix: Prefix::default(),
            skip_tls_verify: false,
            ca_pem: None,
            credentials,
            retention: None,
            limits: Limits::default(),
        };
        let config = BucketConfig {
            cluster: "prod".to_owned(),
            encoding: Encoding::V1,
            egress: EgressPolicy::default(),
            workload_identity: WorkloadIdentity::default(),
            clock: Arc::new(Timestamp::default),
        };
        Bucket::open(&destination, config).map_err(|error| error.to_string())
    }

    /// Regression: a status quoted a secret under a wrong key of the Secret, and the ID of an
    /// access key.
    #[test]
    fn no_message_shows_a_value_of_a_secret() {
        let response = |status: StatusCode, code: &str| ResponseInfo {
            status: Some(status),
            code: code.to_owned(),
            ..ResponseInfo::default()
        };
        let s3 = |id: &str| {
            let provider =
                Provider::S3(S3 { endpoint: None, region: String::new(), path_style: false });
            let credentials = Credentials::AwsAccessKey {
                access_key_id: id.to_owned(),
                secret_access_key: CANARY.to_owned().into(),
                session_token: None,
                role: None,
            };
            open(provider, credentials).unwrap()
        };
        for code in ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Other"] {
            for status in [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST] {
                let text = s3(CANARY).diagnose(&response(status, code), Operation::Write);
                assert!(!text.contains("wJalr"), "{text}");
            }
        }
        for code in ["InvalidAccessKeyId", "SignatureDoesNotMatch"] {
            let text = s3("AKIAEXAMPLE")
                .diagnose(&response(StatusCode::FORBIDDEN, code), Operation::Write);
            assert!(!text.contains("AKIA") && text.contains("the profile's Secret"), "{text}");
        }
        let account = "canary1account";
        let azure = |credentials: Credentials| {
            let endpoint = Some(format!("https://{account}.blob.core.chinacloudapi.cn"));
            open(Provider::Azure(Azure { endpoint }), credentials).unwrap()
        };
        for azure in [
            azure(Credentials::AzureManagedIdentity { account: account.to_owned() }),
            azure(Credentials::AzureAccountKey {
                account: account.to_owned(),
                key: "a2V5".to_owned().into(),
            }),
        ] {
            let texts = azure.destination.provider.get().advice().iter().map(|a| a.message);
            let texts = texts.map(|text| azure.fill(text, &response(StatusCode::FORBIDDEN, "")));
            let failures = ["no answer", "other"].map(|failure| {
                let failure = failure.to_owned();
                azure
                    .diagnose(&ResponseInfo { failure, ..ResponseInfo::default() }, Operation::Read)
            });
            assert!(failures[0].contains("//<storage account>.blob.core"), "{}", failures[0]);
            for text in texts.chain(failures) {
                assert!(!text.contains("canary1"), "{text}");
            }
        }
        let key = || "a2V5".to_owned().into();
        for account in [CANARY, &"0123456789abcdef".repeat(4), "127.0.0.1:22200/x?", ""] {
            let credentials =
                Credentials::AzureAccountKey { account: account.to_owned(), key: key() };
            let error = open(Provider::Azure(Azure { endpoint: None }), credentials).unwrap_err();
            assert!(account.is_empty() || !error.contains(account), "{error}");
            assert!(error.contains("azure_storage_account_id"), "{error}");
        }
        let json = format!("{{\"private_key\": \"{CANARY}\", \"client_email\": 7}}");
        let google = Credentials::GcpServiceAccount { json: json.into() };
        let error = open(Provider::Gcs(Gcs { endpoint: None }), google).unwrap_err();
        assert!(!error.contains("wJalr"), "{error}");
    }

    fn response(status: u16, code: &str) -> ResponseInfo {
        let status = StatusCode::from_u16(status).ok();
        ResponseInfo { status, code: code.to_owned(), ..ResponseInfo::default() }
    }

    fn buckets() -> [Bucket; 4] {
        let s3 = |endpoint: Option<&str>| {
            let endpoint = endpoint.map(str::to_owned);
            Provider::S3(S3 { endpoint, region: "eu-west-1".to_owned(), path_style: true })
        };
        let keys = Credentials::AwsAccessKey {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: CANARY.to_owned().into(),
            session_token: None,
            role: None,
        };
        let azure = Credentials::AzureAccountKey {
            account: "shop".to_owned(),
            key: "a2V5".to_owned().into(),
        };
        [
            open(s3(None), keys).unwrap(),
            open(s3(None), Credentials::AwsDefaultChain { role: None }).unwrap(),
            open(Provider::Gcs(Gcs { endpoint: None }), Credentials::GcpMetadataServer).unwrap(),
            open(Provider::Azure(Azure { endpoint: None }), azure).unwrap(),
        ]
    }

    /// Regression: clock skew was reported as a missing permission.
    #[test]
    fn each_code_of_a_store_has_its_own_message() {
        let [s3, role, gcs, azure] = buckets();
        for (bucket, status, code, expected) in [
            (
                &s3,
                403,
                "RequestTimeTooSkewed",
                "differ by more than 15 minutes (RequestTimeTooSkewed)",
            ),
            (&s3, 403, "InvalidAccessKeyId", "the access key does not exist"),
            (&s3, 403, "SignatureDoesNotMatch", "the secret key does not belong to the access key"),
            (&s3, 400, "ExpiredToken", "has expired: renew the profile's Secret"),
            (
                &role,
                400,
                "ExpiredToken",
                "has expired: renew the identity that this server runs with",
            ),
            (&s3, 403, "AccessDenied", "access denied (AccessDenied); allow s3:PutObject below"),
            (&s3, 403, "", "access denied; allow s3:PutObject below"),
            (&s3, 403, "AccountProblem", "suspended, closed or unpaid"),
            (&s3, 403, "NotSignedUp", "has not signed up"),
            (&s3, 403, "AllAccessDisabled", "has disabled all access"),
            (&s3, 403, "QuotaExceeded", "is full (QuotaExceeded)"),
            (&s3, 403, "SecondLevelDomainForbidden", "virtual-hosted style"),
            (&s3, 400, "InvalidBucketName", "is not the name of a bucket"),
            (&s3, 400, "KMS.DisabledException", "kms:GenerateDataKey"),
            (&s3, 400, "KMS.NotFoundException", "(KMS.NotFoundException): enable it"),
            (&s3, 400, "AuthorizationHeaderMalformed", "is not in region `eu-west-1`"),
            (&s3, 301, "", "is not in region `eu-west-1` but in another region"),
            (&s3, 404, "NoSuchBucket", "bucket `bucket` does not exist in region `eu-west-1`"),
            (&s3, 404, "", "bucket `bucket` in region `eu-west-1` does not exist"),
            (&gcs, 400, "userProjectMissing", "has Requester Pays enabled"),
            (&gcs, 403, "UserProjectAccountProblem", "no billing account that works"),
            (&gcs, 403, "accountDisabled", "no billing account that works"),
            (&gcs, 403, "vpcServiceControls", "a policy of the organization"),
            (&gcs, 403, "AccessDenied", "allow storage.objects.create below"),
            (&gcs, 401, "", "the service account's key is not accepted"),
            (&gcs, 404, "NoSuchBucket", "bucket `bucket` does not exist"),
            (
                &azure,
                403,
                "AuthenticationFailed",
                "or this server's clock is more than 15 minutes wrong",
            ),
            (&azure, 403, "AuthorizationFailure", "does not let this network in"),
            (&azure, 403, "AuthorizationPermissionMismatch", "assign the role Storage Blob Data"),
            (&azure, 403, "KeyBasedAuthenticationNotPermitted", "does not permit keys"),
            (&azure, 409, "PublicAccessNotPermitted", "permits no access without credentials"),
            (&azure, 403, "AccountIsDisabled", "is disabled or not ready"),
            (&azure, 403, "KeyVaultEncryptionKeyNotFound", "cannot be used (KeyVault"),
            (
                &azure,
                404,
                "ContainerNotFound",
                "container `bucket` does not exist in the storage account of the profile's Secret",
            ),
            (
                &azure,
                404,
                "ResourceNotFound",
                "the storage account does not exist: check the profile's Secret",
            ),
            (&azure, 403, "Weird", "access denied (Weird); allow Storage Blob Data Contributor"),
        ] {
            let text = bucket.diagnose(&response(status, code), Operation::Write);
            assert!(text.contains(expected) && !text.contains("  "), "{code}: {text}");
        }
    }

    /// Regression: they got the advice about headers or about permissions.
    #[test]
    fn codes_about_one_upload_or_object_have_their_own_messages() {
        let [s3, ..] = buckets();
        for (status, code, expected) in [
            (400, "InvalidArgument", "accepts no form of an upload (InvalidArgument)"),
            (501, "NotImplemented", "with Content-MD5 and without a checksum"),
            (418, "Weird", "the store responded with 418 Weird"),
            (400, "RequestTimeout", "did not reach s3 bucket `bucket`"),
            (400, "IncompleteBody", "(IncompleteBody): it is repeated"),
            (400, "BadDigest", "(BadDigest): it is repeated"),
            (400, "KeyTooLongError", "shorten the destination's prefix or --cluster-name"),
            (400, "EntityTooLarge", "raise its limit, or lower --audit-seal-size"),
            (400, "EntityTooSmall", "the store responded with 400 EntityTooSmall"),
            (400, "InvalidTag", "refuses tags or metadata (InvalidTag)"),
            (400, "MetadataTooLarge", "refuses tags or metadata (MetadataTooLarge)"),
            (403, "InvalidPayer", "disabled all access to bucket `bucket` (InvalidPayer)"),
            (403, "InvalidObjectState", "in a storage class that cannot be read at once"),
            (403, "UserDisabled", "suspended, closed or unpaid (UserDisabled)"),
        ] {
            let text = s3.diagnose(&response(status, code), Operation::Write);
            assert!(text.contains(expected) && !text.contains("  "), "{code}: {text}");
        }
    }

    /// Regression: an interrupted upload stopped its destination like a wrong setting.
    #[test]
    fn an_upload_that_was_cut_off_is_repeated_soon() {
        let [s3, ..] = buckets();
        for (code, is_repeated) in [
            ("RequestTimeout", true),
            ("IncompleteBody", true),
            ("BadDigest", true),
            ("KeyTooLongError", false),
            ("InvalidArgument", false),
        ] {
            let error = s3.error(&response(400, code));
            assert_eq!(matches!(error, DeliverError::Retry { .. }), is_repeated, "{code}: {error}");
        }
    }

    #[test]
    fn every_placeholder_of_a_message_is_replaced() {
        for bucket in buckets() {
            for advice in bucket.destination.provider.get().advice() {
                let text = bucket.fill(advice.message, &response(403, "Code"));
                assert!(!text.contains(['{', '}']), "{text}");
            }
        }
    }
}
