//! Does a destination work? One small object is written and read back.
//!
//! It holds an empty line, so that whoever reads the bucket takes nothing from it. Its key is one per
//! day and credentials: checking again leaves nothing more behind, checking with others writes anew.

use std::time::Duration;

use http::StatusCode;
use object_store::PutPayload;
use ring::digest::{SHA256, digest};
use secrecy::ExposeSecret as _;

use super::put::{self, path};
use super::sigv4::hex;
use super::transport::{Note, SILENCE, Seen};
use super::{Bucket, Credentials, Provider, Stream, prefix};

/// Time for a check.
const CHECK_TIME_MAX: Duration = Duration::from_secs(20);
/// An empty line.
const CONTENT: &[u8] = b"\n";

/// Why a destination does not work, for people who can change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(String);

/// A destination that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whether it keeps an object from being written over when it is asked to.
    pub knows_conditions: bool,
}

impl Bucket {
    /// Writes and reads.
    pub async fn check(&self) -> Result<Checked, CheckError> {
        let late = |_| {
            let (place, limit) = (self.place(), CHECK_TIME_MAX.as_secs());
            tracing::warn!(place, "a destination gives no answer within {limit} s");
            let seen = Seen { failure: SILENCE.to_owned(), ..Seen::default() };
            CheckError(self.explain(&seen, "written", "s3:PutObject"))
        };
        tokio::time::timeout(CHECK_TIME_MAX, self.write_and_read()).await.map_err(late)??;
        Ok(Checked { knows_conditions: !self.is_unconditional() })
    }

    async fn write_and_read(&self) -> Result<(), CheckError> {
        let key = self.check_key();
        let mut written = self.put_once(&key, PutPayload::from_static(CONTENT)).await;
        if let Err(seen) = &written
            && self.can_renew(seen).await
        {
            written = self.put_once(&key, PutPayload::from_static(CONTENT)).await;
        }
        written.map_err(|seen| CheckError(self.explain(&seen, "written", "s3:PutObject")))?;
        let note = Note::default();
        let options = object_store::GetOptions::default().with_extensions(put::extensions(&note));
        let unreadable = |error: &object_store::Error| {
            CheckError(self.explain(&put::seen(&note, error), "read back", "s3:GetObject"))
        };
        let path = path(&key).map_err(|error| CheckError(error.to_string()))?;
        let found =
            self.store.get_opts(&path, options).await.map_err(|error| unreadable(&error))?;
        let found = found.bytes().await.map_err(|error| unreadable(&error))?;
        if found == CONTENT {
            return Ok(());
        }
        Err(CheckError(format!("{} does not give back what was written to it", self.place())))
    }

    fn check_key(&self) -> String {
        let identity = match &self.destination.credentials {
            Credentials::None | Credentials::GcpAmbient => String::new(),
            Credentials::AwsKeys { access_key_id, secret_access_key, role, .. } => {
                format!("{access_key_id}\n{}\n{role:?}", secret_access_key.expose_secret())
            }
            Credentials::AwsAmbient { role } => format!("{role:?}"),
            Credentials::GcpServiceAccount { json } => json.expose_secret().to_owned(),
            Credentials::AzureKey { account, key } => format!("{account}\n{}", key.expose_secret()),
            Credentials::AzureAmbient { account } => account.clone(),
        };
        let folder =
            prefix::folder(&self.destination.prefix, &Stream::of(&self.parts.cluster, "check"));
        let time = self.now().to_string();
        let day = time.get(..10).unwrap_or_default();
        let hash = hex(digest(&SHA256, format!("{day}\n{identity}").as_bytes()).as_ref());
        format!("{folder}{day}-{}.txt", hash.get(..16).unwrap_or_default())
    }

    /// What to do about a refusal.
    fn explain(&self, seen: &Seen, what: &str, right: &str) -> String {
        let (place, bucket) = (self.place(), self.destination.bucket.as_str());
        let Provider::S3 { region, endpoint, .. } = &self.destination.provider else {
            return self.explain_plainly(seen, what);
        };
        let region = if region.is_empty() { "us-east-1" } else { region };
        let id = match &self.destination.credentials {
            Credentials::AwsKeys { access_key_id, .. } => access_key_id.as_str(),
            _ => "",
        };
        match (seen.status, seen.code.as_str()) {
            (_, "NoSuchBucket") => format!("bucket `{bucket}` does not exist in region `{region}`"),
            // The second is versitygw's word for it.
            (_, "InvalidAccessKeyId" | "XAdminUserNotFound") => {
                format!("access key `{id}` does not exist: check the profile's Secret")
            }
            (_, "SignatureDoesNotMatch") => {
                format!(
                    "the secret key does not belong to access key `{id}`: check the profile's Secret"
                )
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
            (Some(StatusCode::FORBIDDEN), _) => format!(
                "an object could not be {what} in {place}: access denied{}; allow {right} below `{}`",
                in_brackets(&seen.code),
                self.destination.prefix
            ),
            (Some(StatusCode::NOT_FOUND), "") => {
                format!("bucket `{bucket}` does not exist in region `{region}`")
            }
            (None, _) => {
                let endpoint = endpoint.as_deref().unwrap_or("of AWS");
                format!("endpoint {endpoint} cannot be reached: {}{}", seen.failure, hint(seen))
            }
            (Some(StatusCode::NOT_IMPLEMENTED), _) => format!(
                "the store at {place} does not know what every upload says: a checksum \
                 (x-amz-checksum-sha256){}; use one that does",
                if self.destination.retention.is_some() { " and Object Lock" } else { "" }
            ),
            _ => self.explain_plainly(seen, what),
        }
    }

    fn explain_plainly(&self, seen: &Seen, what: &str) -> String {
        let (place, refused, hint) = (self.place(), put::refused(seen), hint(seen));
        format!("an object could not be {what} in {place}: {refused}{hint}")
    }
}

/// What may be looked at where nobody answers.
fn hint(seen: &Seen) -> &'static str {
    if seen.status.is_none() && seen.failure == SILENCE {
        "; check its name, port and certificate, and the log of keepwatch, which says more"
    } else {
        ""
    }
}

fn in_brackets(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}
