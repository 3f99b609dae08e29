//! Refusals in words for people who can put them right: what is wrong, and what is to be changed.
//!
//! Of an answer only the status and the store's word for it get here, never its text.

use http::StatusCode;

use super::advice::{self, Advice};
use super::transport::Seen;
use super::{Bucket, Credentials, Provider, put};

/// What a check was about, and the right it takes.
pub(super) struct Doing {
    done: &'static str,
    s3: &'static str,
    gcs: &'static str,
}

pub(super) const WRITING: Doing =
    Doing { done: "written", s3: "s3:PutObject", gcs: "storage.objects.create" };
pub(super) const READING: Doing =
    Doing { done: "read back", s3: "s3:GetObject", gcs: "storage.objects.get" };

impl Bucket {
    /// What to do about a refusal.
    pub(super) fn explain(&self, seen: &Seen, doing: &Doing) -> String {
        if seen.status.is_none() {
            return self.explain_no_answer(seen, doing);
        }
        let said = match &self.destination.provider {
            Provider::S3 { .. } => self.explain_s3(seen, doing),
            Provider::Gcs { .. } => self.explain_gcs(seen, doing),
            Provider::Azure { .. } => self.explain_azure(seen, doing),
            Provider::File { .. } => None,
        };
        said.unwrap_or_else(|| self.explain_plainly(seen, doing))
    }

    /// The words for the code that the store gave, by its table; else those for the status.
    fn explain_by(
        &self,
        table: &'static [Advice],
        seen: &Seen,
        doing: &Doing,
        right: &str,
    ) -> Option<String> {
        if let Some(words) = advice::find(table, &seen.code) {
            return Some(self.fill(words, seen));
        }
        match seen.status? {
            StatusCode::FORBIDDEN => Some(self.denied(seen, doing, right)),
            StatusCode::NOT_FOUND if seen.code.is_empty() => {
                Some(self.fill(&format!("{} does not exist", self.bucket_words()), seen))
            }
            _ => None,
        }
    }

    fn explain_s3(&self, seen: &Seen, doing: &Doing) -> Option<String> {
        let is_retained = self.destination.retention.is_some();
        let refuses_upload =
            matches!(seen.status, Some(StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED));
        let is_redirect = matches!(
            seen.status,
            Some(StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT)
        );
        if is_redirect {
            let words = advice::find(advice::S3, "PermanentRedirect")?;
            return Some(self.fill(words, seen));
        }
        let said = self.explain_by(advice::S3, seen, doing, doing.s3);
        said.or_else(|| {
            refuses_upload.then(|| {
                let lock =
                    if is_retained { ", and Object Lock, which the bucket must have" } else { "" };
                let code = in_brackets(&seen.code);
                let place = self.place();
                format!(
                    "the store at {place} does not take an upload as it is{code}: with \
                     x-amz-checksum-sha256, with Content-MD5 and without a checksum, with \
                     If-None-Match and without it{lock}; use one that does"
                )
            })
        })
    }

    fn explain_gcs(&self, seen: &Seen, doing: &Doing) -> Option<String> {
        let said = self.explain_by(advice::GCS, seen, doing, doing.gcs);
        said.or_else(|| {
            (seen.status? == StatusCode::UNAUTHORIZED).then(|| {
                let code = in_brackets(&seen.code);
                let identity = self.identity();
                format!("the service account's key is not accepted{code}: check {identity}")
            })
        })
    }

    fn explain_azure(&self, seen: &Seen, doing: &Doing) -> Option<String> {
        self.explain_by(advice::AZURE, seen, doing, "Storage Blob Data Contributor")
    }

    /// Advice with the names of this destination.
    fn fill(&self, words: &str, seen: &Seen) -> String {
        let region = match &self.destination.provider {
            Provider::S3 { region, .. } if !region.is_empty() => region,
            _ => "us-east-1",
        };
        let key = match &self.destination.credentials {
            Credentials::AwsKeys { access_key_id, .. } => key_text(access_key_id),
            _ => key_text(""),
        };
        let account = match &self.destination.credentials {
            Credentials::AzureKey { account, .. } | Credentials::AzureAmbient { account } => {
                account
            }
            _ => "",
        };
        let there = match seen.region.as_str() {
            "" => "another region".to_owned(),
            region => format!("region `{region}`"),
        };
        let code = if seen.code.is_empty() { "no code" } else { &seen.code };
        words
            .replace("{bucket}", &self.destination.bucket)
            .replace("{region}", region)
            .replace("{key}", &key)
            .replace("{account}", account)
            .replace("{identity}", self.identity())
            .replace("{there}", &there)
            .replace("{place}", &self.place())
            .replace("{code}", code)
    }

    /// Where the credentials come from, for people.
    fn identity(&self) -> &'static str {
        match &self.destination.credentials {
            Credentials::AwsAmbient { .. }
            | Credentials::GcpAmbient
            | Credentials::AzureAmbient { .. } => "the identity that this server runs with",
            Credentials::AwsKeys { .. }
            | Credentials::GcpServiceAccount { .. }
            | Credentials::AzureKey { .. }
            | Credentials::None => "the profile's Secret",
        }
    }

    fn bucket_words(&self) -> &'static str {
        match &self.destination.provider {
            Provider::S3 { .. } => "bucket `{bucket}` in region `{region}`",
            Provider::Azure { .. } => "container `{bucket}` in storage account `{account}`",
            Provider::Gcs { .. } | Provider::File { .. } => "bucket `{bucket}`",
        }
    }

    fn denied(&self, seen: &Seen, doing: &Doing, right: &str) -> String {
        format!(
            "an object could not be {} in {}: access denied{}; allow {right} below `{}`",
            doing.done,
            self.place(),
            in_brackets(&seen.code),
            self.destination.prefix
        )
    }

    fn explain_no_answer(&self, seen: &Seen, doing: &Doing) -> String {
        let (endpoint, whose) = match &self.destination.provider {
            Provider::S3 { endpoint, .. } => (endpoint, "of AWS"),
            Provider::Gcs { endpoint } => (endpoint, "of Google"),
            Provider::Azure { endpoint } => (endpoint, "of Azure"),
            Provider::File { .. } => return self.explain_plainly(seen, doing),
        };
        let endpoint = endpoint.as_deref().unwrap_or(whose);
        if !seen.is_silence() {
            return format!("endpoint {endpoint} is not asked: {}", seen.failure);
        }
        format!(
            "endpoint {endpoint} cannot be reached: {}; check its name, port and certificate, and the \
             log of keepwatch, which says more",
            seen.failure
        )
    }

    fn explain_plainly(&self, seen: &Seen, doing: &Doing) -> String {
        let (place, refused, done) = (self.place(), put::refused(seen), doing.done);
        format!("an object could not be {done} in {place}: {refused}")
    }
}

/// An access key by its id, if that can be nothing else: ids and secrets are mixed up in Secrets, and a
/// status must not tell a secret. AWS's ids are upper-case letters and digits, its secrets have others.
fn key_text(id: &str) -> String {
    let is_id = (4..=32).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if is_id { format!("access key `{id}`") } else { "the access key".to_owned() }
}

fn in_brackets(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::Timestamp;

    use super::*;
    use crate::Encoding;
    use crate::bucket::{Ambient, Destination, Limits, Parts, Prefix, Reach};

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
        let parts = Parts {
            cluster: "prod".to_owned(),
            encoding: Encoding::V1,
            reach: Reach::default(),
            ambient: Ambient::default(),
            clock: Arc::new(Timestamp::default),
        };
        Bucket::open(&destination, parts).map_err(|error| error.to_string())
    }

    /// A status quoted what was in the Secret under another name than it should have.
    #[test]
    fn no_value_of_a_secret_is_told_whichever_key_it_is_under() {
        let refused = |status: StatusCode, code: &str| Seen {
            status: Some(status),
            code: code.to_owned(),
            ..Seen::default()
        };
        let s3 = |id: &str| {
            let provider =
                Provider::S3 { endpoint: None, region: String::new(), path_style: false };
            let credentials = Credentials::AwsKeys {
                access_key_id: id.to_owned(),
                secret_access_key: CANARY.to_owned().into(),
                session_token: None,
                role: None,
            };
            open(provider, credentials).unwrap()
        };
        for code in ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Other"] {
            for status in [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST] {
                let text = s3(CANARY).explain(&refused(status, code), &WRITING);
                assert!(!text.contains("wJalr"), "{text}");
            }
        }
        let text = s3("AKIAEXAMPLE")
            .explain(&refused(StatusCode::FORBIDDEN, "InvalidAccessKeyId"), &WRITING);
        assert_eq!(text, "access key `AKIAEXAMPLE` does not exist: check the profile's Secret");
        let key = || "a2V5".to_owned().into();
        for account in [CANARY, &"0123456789abcdef".repeat(4), "127.0.0.1:22200/x?", ""] {
            let credentials = Credentials::AzureKey { account: account.to_owned(), key: key() };
            let error = open(Provider::Azure { endpoint: None }, credentials).unwrap_err();
            assert!(account.is_empty() || !error.contains(account), "{error}");
            assert!(error.contains("azure_storage_account_id"), "{error}");
        }
        let json = format!("{{\"private_key\": \"{CANARY}\", \"client_email\": 7}}");
        let google = Credentials::GcpServiceAccount { json: json.into() };
        let error = open(Provider::Gcs { endpoint: None }, google).unwrap_err();
        assert!(!error.contains("wJalr"), "{error}");
    }

    fn refused(status: u16, code: &str) -> Seen {
        let status = StatusCode::from_u16(status).ok();
        Seen { status, code: code.to_owned(), ..Seen::default() }
    }

    fn places() -> [Bucket; 4] {
        let s3 = |endpoint: Option<&str>| Provider::S3 {
            endpoint: endpoint.map(str::to_owned),
            region: "eu-west-1".to_owned(),
            path_style: true,
        };
        let keys = Credentials::AwsKeys {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: CANARY.to_owned().into(),
            session_token: None,
            role: None,
        };
        let azure =
            Credentials::AzureKey { account: "shop".to_owned(), key: "a2V5".to_owned().into() };
        [
            open(s3(None), keys).unwrap(),
            open(s3(None), Credentials::AwsAmbient { role: None }).unwrap(),
            open(Provider::Gcs { endpoint: None }, Credentials::GcpAmbient).unwrap(),
            open(Provider::Azure { endpoint: None }, azure).unwrap(),
        ]
    }

    /// A wrong clock was told as a missing right.
    #[test]
    fn each_code_of_a_store_has_its_own_words() {
        let [s3, lent, gcs, azure] = places();
        for (place, status, code, expected) in [
            (
                &s3,
                403,
                "RequestTimeTooSkewed",
                "differ by more than 15 minutes (RequestTimeTooSkewed)",
            ),
            (&s3, 403, "InvalidAccessKeyId", "access key `AKIAEXAMPLE` does not exist"),
            (&s3, 403, "SignatureDoesNotMatch", "the secret key does not belong to access key"),
            (&s3, 400, "ExpiredToken", "has expired: renew the profile's Secret"),
            (
                &lent,
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
            (&s3, 400, "InvalidArgument", "does not take an upload as it is (InvalidArgument)"),
            (&s3, 501, "NotImplemented", "with Content-MD5 and without a checksum"),
            (&s3, 418, "Weird", "the store answered 418 Weird"),
            (&gcs, 400, "userProjectMissing", "lets requesters pay"),
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
                "container `bucket` does not exist in storage account `shop`",
            ),
            (&azure, 404, "ResourceNotFound", "storage account `shop` does not exist"),
            (&azure, 403, "Weird", "access denied (Weird); allow Storage Blob Data Contributor"),
        ] {
            let told = place.explain(&refused(status, code), &WRITING);
            assert!(told.contains(expected) && !told.contains("  "), "{code}: {told}");
        }
    }

    #[test]
    fn no_words_have_a_name_that_is_not_filled_in() {
        let tables = [advice::S3, advice::S3, advice::GCS, advice::AZURE];
        for (place, table) in places().iter().zip(tables) {
            for advice in table {
                let told = place.fill(advice.words, &refused(403, "Code"));
                assert!(!told.contains(['{', '}']), "{told}");
            }
        }
    }
}
