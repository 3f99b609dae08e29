//! Refusals in words for people who can put them right: what is wrong, and what is to be changed.
//!
//! Of an answer only the status and the store's word for it get here, never its text.

use http::StatusCode;

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
            Provider::S3 { region, .. } => self.explain_s3(seen, doing, region),
            Provider::Gcs { .. } => self.explain_gcs(seen, doing),
            Provider::Azure { .. } => self.explain_azure(seen, doing),
            Provider::File { .. } => None,
        };
        said.unwrap_or_else(|| self.explain_plainly(seen, doing))
    }

    fn explain_s3(&self, seen: &Seen, doing: &Doing, region: &str) -> Option<String> {
        let (place, bucket) = (self.place(), self.destination.bucket.as_str());
        let region = if region.is_empty() { "us-east-1" } else { region };
        let key = match &self.destination.credentials {
            Credentials::AwsKeys { access_key_id, .. } => key_text(access_key_id),
            _ => key_text(""),
        };
        Some(match (seen.status, seen.code.as_str()) {
            (_, "NoSuchBucket") => format!("bucket `{bucket}` does not exist in region `{region}`"),
            // The second is versitygw's word for it.
            (_, "InvalidAccessKeyId" | "XAdminUserNotFound") => {
                format!("{key} does not exist: check the profile's Secret")
            }
            (_, "SignatureDoesNotMatch") => {
                format!("the secret key does not belong to {key}: check the profile's Secret")
            }
            (_, "ExpiredToken" | "InvalidToken") => {
                "the session token has expired: renew the profile's Secret".to_owned()
            }
            (Some(StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT), _)
            | (
                _,
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
            ) => {
                let there = if seen.region.is_empty() {
                    "another region".to_owned()
                } else {
                    format!("region `{}`", seen.region)
                };
                format!(
                    "bucket `{bucket}` is not in region `{region}` but in {there}: correct the profile's region"
                )
            }
            (Some(StatusCode::FORBIDDEN), _) => self.denied(seen, doing, doing.s3),
            (Some(StatusCode::NOT_FOUND), "") => {
                format!("bucket `{bucket}` does not exist in region `{region}`")
            }
            (Some(StatusCode::NOT_IMPLEMENTED), _) => format!(
                "the store at {place} does not know what every upload says: a checksum \
                 (x-amz-checksum-sha256){}; use one that does",
                if self.destination.retention.is_some() { " and Object Lock" } else { "" }
            ),
            _ => return None,
        })
    }

    fn explain_gcs(&self, seen: &Seen, doing: &Doing) -> Option<String> {
        let bucket = self.destination.bucket.as_str();
        Some(match seen.status? {
            StatusCode::NOT_FOUND => format!("bucket `{bucket}` does not exist"),
            StatusCode::UNAUTHORIZED => format!(
                "the service account's key is not accepted{}: check the profile's Secret",
                in_brackets(&seen.code)
            ),
            StatusCode::FORBIDDEN => self.denied(seen, doing, doing.gcs),
            _ => return None,
        })
    }

    fn explain_azure(&self, seen: &Seen, doing: &Doing) -> Option<String> {
        let container = self.destination.bucket.as_str();
        let account = match &self.destination.credentials {
            Credentials::AzureKey { account, .. } | Credentials::AzureAmbient { account } => {
                account
            }
            _ => "",
        };
        Some(match (seen.status?, seen.code.as_str()) {
            (_, "ContainerNotFound") => {
                format!("container `{container}` does not exist in storage account `{account}`")
            }
            // The second is said by a firewall of the account, too.
            (_, "AuthenticationFailed" | "AuthorizationFailure") => format!(
                "the key does not belong to storage account `{account}` ({}): check the profile's \
                 Secret, and whether the account lets this network in",
                seen.code
            ),
            (StatusCode::FORBIDDEN, _) => self.denied(seen, doing, "Storage Blob Data Contributor"),
            (StatusCode::NOT_FOUND, "ResourceNotFound") => {
                format!("storage account `{account}` does not exist: check the profile's Secret")
            }
            _ => return None,
        })
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
}
