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
        let id = match &self.destination.credentials {
            Credentials::AwsKeys { access_key_id, .. } => access_key_id.as_str(),
            _ => "",
        };
        Some(match (seen.status, seen.code.as_str()) {
            (_, "NoSuchBucket") => format!("bucket `{bucket}` does not exist in region `{region}`"),
            // The second is versitygw's word for it.
            (_, "InvalidAccessKeyId" | "XAdminUserNotFound") => {
                format!("access key `{id}` does not exist: check the profile's Secret")
            }
            (_, "SignatureDoesNotMatch") => format!(
                "the secret key does not belong to access key `{id}`: check the profile's Secret"
            ),
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

fn in_brackets(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}
