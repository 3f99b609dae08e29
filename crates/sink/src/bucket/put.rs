//! An object gets to its place, once.
//!
//! It is uploaded only if its key is free. "There already" is success, since a key tells its content.
//! A store that does not take this condition, or the checksum, is found out by its answer and written to
//! without; in place of the condition it is asked before each upload. Writing over an object writes
//! what is there.
//! Whatever else happens is to be tried again: the variant of the error says how soon that makes
//! sense. Refused keys are renewed, and a clock that is wrong corrected, before anybody hears of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderValue, StatusCode};
use md5::{Digest as _, Md5};
use object_store::path::Path;
use object_store::{Error, PutOptions, PutPayload};

use super::explain::WRITING;
use super::folder::Folder;
use super::manner::{Checksum, Manner, may_be_about_headers};
use super::transport::{Note, Seen, UploadSum};
use super::{Bucket, Object, Provider};
use crate::{DeliverError, chain, page_cache};

/// How an object came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// By this upload.
    Stored,
    /// By an earlier one.
    AlreadyThere,
}

/// What a store said, without what it said in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// An answer.
    #[error("the store answered {status}{}{code}", if code.is_empty() { "" } else { " " })]
    Answer { status: u16, code: String },
    /// None.
    #[error("{0}")]
    Silence(String),
}

impl Bucket {
    /// Uploads an object unless it is there.
    pub async fn put(&self, object: &Object) -> Result<Put, DeliverError> {
        if self.is_unconditional() && self.holds(&object.key).await? {
            return Ok(Put::AlreadyThere);
        }
        let mut renewed = false;
        loop {
            match self.put_once(&object.key, object.body.iter().cloned().collect()).await {
                Ok(put) => {
                    self.let_go(&object.key).await;
                    return Ok(put);
                }
                Err(seen) if !renewed && self.can_renew(&seen).await => renewed = true,
                Err(seen) => return Err(self.error(&seen)),
            }
        }
    }

    /// What is on the disk of a folder does not stay in the system's memory as well.
    async fn let_go(&self, key: &str) {
        let Provider::File { root, path } = &self.destination.provider else { return };
        let (folder, key) = (Folder::new(root, path), key.to_owned());
        let open = tokio::task::spawn_blocking(move || folder.file(&key)).await;
        if let Ok(Ok(file)) = open {
            page_cache::let_go(&file, 0, None);
        }
    }

    /// Whether there is an object under a key.
    ///
    /// S3 says 403 of what is not there to whoever may not list the bucket. Whether that is it, or a
    /// right is missing, the check finds out.
    pub async fn holds(&self, key: &str) -> Result<bool, DeliverError> {
        let path = path(key)?;
        let mut found = self.find(&path).await;
        if let Err(seen) = &found
            && self.can_renew(seen).await
        {
            found = self.find(&path).await;
        }
        match found {
            Err(seen)
                if seen.status == Some(StatusCode::FORBIDDEN) && self.check().await.is_ok() =>
            {
                Ok(false)
            }
            other => other.map_err(|seen| self.error(&seen)),
        }
    }

    async fn find(&self, path: &Path) -> Result<bool, Seen> {
        let note = Note::default();
        let options = object_store::GetOptions { head: true, ..Default::default() };
        let options = options.with_extensions(extensions(&note));
        match self.store.get_opts(path, options).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) if note.seen().code != "NoSuchBucket" => Ok(false),
            Err(other) => Err(seen(&note, &other)),
        }
    }

    /// One attempt; further ones with less, where a header may be all that the store does not take.
    pub(super) async fn put_once(&self, key: &str, payload: PutPayload) -> Result<Put, Seen> {
        let present = self.manner.manner();
        let refused = match self.upload(key, payload.clone(), present).await {
            Err(seen) if self.is_s3() && may_be_about_headers(&seen) => seen,
            other => return other,
        };
        let others = self.manner.others();
        // It may have been an accident: a store is not thought less of for one.
        if !others.is_empty()
            && let Ok(put) = self.upload(key, payload.clone(), present).await
        {
            return Ok(put);
        }
        for manner in others {
            match self.upload(key, payload.clone(), manner).await {
                Ok(put) => {
                    self.manner.keep(manner);
                    let place = self.place();
                    tracing::warn!(
                        place,
                        checksum = ?manner.checksum,
                        if_none_match = !manner.is_unconditional,
                        code = refused.code,
                        "the store refuses a header of uploads: they go without it"
                    );
                    return Ok(put);
                }
                Err(seen) if may_be_about_headers(&seen) => {}
                Err(seen) => return Err(seen),
            }
        }
        self.manner.set_hopeless(true);
        Err(refused)
    }

    /// Whether the store was found not to know `If-None-Match`.
    pub(super) fn is_unconditional(&self) -> bool {
        self.manner.manner().is_unconditional
    }

    fn is_s3(&self) -> bool {
        matches!(self.destination.provider, Provider::S3 { .. })
    }

    async fn upload(&self, key: &str, payload: PutPayload, manner: Manner) -> Result<Put, Seen> {
        let note = Note::default();
        let path = path(key).map_err(|error| Seen { failure: chain(&error), ..Seen::default() })?;
        let mut extensions = extensions(&note);
        if let Some(sum) = self.checksum(&payload, manner.checksum) {
            extensions.insert(sum);
        }
        let options = PutOptions { mode: manner.mode(), extensions, ..Default::default() };
        match self.store.put_opts(&path, payload, options).await {
            Ok(_) => Ok(Put::Stored),
            Err(error) => {
                let seen = seen(&note, &error);
                let is_there = match (seen.status, &error) {
                    (Some(StatusCode::PRECONDITION_FAILED), _) => true,
                    // Azure's word for it; elsewhere 409 is a concurrent attempt.
                    (Some(StatusCode::CONFLICT), _) => seen.code == "BlobAlreadyExists",
                    (None, Error::AlreadyExists { .. }) => {
                        seen.failure.is_empty() || self.is_folder()
                    }
                    _ => false,
                };
                if is_there { Ok(Put::AlreadyThere) } else { Err(seen) }
            }
        }
    }

    /// S3 has a checksum of its own, where it takes it; Google and Azure check the other.
    fn checksum(&self, payload: &PutPayload, checksum: Checksum) -> Option<UploadSum> {
        let md5 = || {
            let mut sum = Md5::new();
            payload.iter().for_each(|part| sum.update(part));
            HeaderValue::from_str(&BASE64.encode(sum.finalize())).ok().map(UploadSum::Md5)
        };
        match (&self.destination.provider, checksum) {
            (Provider::S3 { .. }, Checksum::Sha256) | (Provider::File { .. }, _) => None,
            (Provider::S3 { .. }, Checksum::None) => Some(UploadSum::None),
            (Provider::S3 { .. }, Checksum::Md5)
            | (Provider::Gcs { .. } | Provider::Azure { .. }, _) => md5(),
        }
    }

    fn is_folder(&self) -> bool {
        matches!(self.destination.provider, Provider::File { .. })
    }

    /// Whether the same request may fare better at once: with other keys, or with the right time.
    pub(super) async fn can_renew(&self, seen: &Seen) -> bool {
        let Some(signer) = &self.signer else { return false };
        match seen.code.as_str() {
            "RequestTimeTooSkewed" => true,
            "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired" => {
                signer.renew().await
            }
            _ if matches!(seen.status, Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED)) => {
                signer.renew().await
            }
            _ => false,
        }
    }

    /// What is to be done about it.
    fn error(&self, seen: &Seen) -> DeliverError {
        if seen.is_silence() {
            let source = Box::new(Refused::Silence(self.explain(seen, &WRITING)));
            return DeliverError::Silent { is_unreached: seen.is_unreached, source };
        }
        let source = Box::new(refused(seen));
        match seen.status.map(|status| status.as_u16()) {
            // Rights, bucket, region: somebody has to act, or to finish acting.
            Some(301 | 307 | 308 | 400 | 401 | 403 | 404 | 405 | 501) => {
                DeliverError::Misconfigured { source }
            }
            _ => DeliverError::Retry { after: seen.retry_after, source },
        }
    }
}

pub(super) fn refused(seen: &Seen) -> Refused {
    match seen.status {
        Some(status) => Refused::Answer { status: status.as_u16(), code: seen.code.clone() },
        None => Refused::Silence(seen.failure.clone()),
    }
}

/// What came back; what `object_store` says itself only where nothing went over a network.
pub(super) fn seen(note: &Note, error: &Error) -> Seen {
    let mut seen = note.seen();
    if seen.status.is_none() && seen.failure.is_empty() {
        seen.failure = chain(error);
    }
    seen
}

pub(super) fn extensions(note: &Note) -> object_store::Extensions {
    let mut extensions = object_store::Extensions::default();
    extensions.insert(note.clone());
    extensions
}

pub(super) fn path(key: &str) -> Result<Path, DeliverError> {
    Path::parse(key).map_err(|error| DeliverError::Misconfigured { source: error.into() })
}
