//! Does a destination work? One small object is written and read back.
//!
//! It holds an empty line, so that whoever reads the bucket takes nothing from it. Its key is one per
//! day and credentials: checking again leaves nothing more behind, checking with others writes anew.
//! Silence is told after the same time whatever its reason is, as it is told in the same words.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use object_store::PutPayload;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::explain::{Doing, READING, WRITING};
use super::manner::Checksum;
use super::put::{self, path};
use super::sigv4::hex;
use super::transport::{Note, SILENCE, Seen};
use super::{Bucket, Credentials, Stream, prefix};

/// Time for a check, and the time after which silence is told.
const CHECK_TIME_MAX: Duration = Duration::from_secs(10);
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
    /// The checksum that it takes with an upload.
    pub checksum: Checksum,
}

/// Why a check ended.
struct Objection {
    error: CheckError,
    /// Nobody answered.
    is_silence: bool,
}

impl Objection {
    fn plain(error: String) -> Self {
        Self { error: CheckError(error), is_silence: false }
    }
}

impl Bucket {
    /// Writes and reads.
    pub async fn check(&self) -> Result<Checked, CheckError> {
        let end = Instant::now() + CHECK_TIME_MAX.min(self.parts.reach.patience);
        let late = |_| {
            let (place, limit) = (self.place(), CHECK_TIME_MAX.as_secs());
            tracing::warn!(place, "a destination gives no answer within {limit} s");
            let seen = Seen { failure: SILENCE.to_owned(), ..Seen::default() };
            Err(self.objection(&seen, &WRITING))
        };
        let checked =
            tokio::time::timeout_at(end, self.write_and_read()).await.unwrap_or_else(late);
        match checked {
            Ok(()) => Ok(Checked {
                knows_conditions: !self.is_unconditional(),
                checksum: self.manner.manner().checksum,
            }),
            Err(Objection { error, is_silence }) => {
                if is_silence {
                    // Who refuses at once must not be told from who says nothing by the time it takes.
                    tokio::time::sleep_until(end).await;
                }
                Err(error)
            }
        }
    }

    async fn write_and_read(&self) -> Result<(), Objection> {
        let key = self.check_key();
        self.manner.set_hopeless(false);
        let mut written = self.put_once(&key, PutPayload::from_static(CONTENT)).await;
        if let Err(seen) = &written
            && self.can_renew(seen).await
        {
            written = self.put_once(&key, PutPayload::from_static(CONTENT)).await;
        }
        written.map_err(|seen| self.objection(&seen, &WRITING))?;
        let note = Note::default();
        let options = object_store::GetOptions::default().with_extensions(put::extensions(&note));
        let unreadable =
            |error: &object_store::Error| self.objection(&put::seen(&note, error), &READING);
        let path = path(&key).map_err(|error| Objection::plain(error.to_string()))?;
        let found =
            self.store.get_opts(&path, options).await.map_err(|error| unreadable(&error))?;
        let found = found.bytes().await.map_err(|error| unreadable(&error))?;
        if found == CONTENT {
            return Ok(());
        }
        let place = self.place();
        Err(Objection::plain(format!("{place} does not give back what was written to it")))
    }

    fn objection(&self, seen: &Seen, doing: &Doing) -> Objection {
        let is_silence = seen.is_silence();
        Objection { error: CheckError(self.explain(seen, doing)), is_silence }
    }

    fn check_key(&self) -> String {
        let (identity, secret) = match &self.destination.credentials {
            Credentials::None | Credentials::GcpAmbient => (String::new(), ""),
            Credentials::AwsKeys { access_key_id, secret_access_key, role, .. } => {
                (format!("{access_key_id}\n{role:?}"), secret_access_key.expose_secret())
            }
            Credentials::AwsAmbient { role } => (format!("{role:?}"), ""),
            Credentials::GcpServiceAccount { json } => (String::new(), json.expose_secret()),
            Credentials::AzureKey { account, key } => (account.clone(), key.expose_secret()),
            Credentials::AzureAmbient { account } => (account.clone(), ""),
        };
        let folder =
            prefix::folder(&self.destination.prefix, &Stream::of(&self.parts.cluster, "check"));
        let time = self.now().to_string();
        let day = time.get(..10).unwrap_or_default();
        // Piece by piece, so that there is no other copy of the secret.
        let mut hash = Context::new(&SHA256);
        for part in [day, &identity, secret] {
            hash.update(part.as_bytes());
            hash.update(b"\n");
        }
        let hash = hex(hash.finish().as_ref());
        format!("{folder}{day}-{}.txt", hash.get(..16).unwrap_or_default())
    }
}
