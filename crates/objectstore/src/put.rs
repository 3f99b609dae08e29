//! Uploads an object exactly once.
//!
//! An object is uploaded only if its key is free. If the key exists, the upload has succeeded
//! before: a key is a function of its object's content. A store that rejects the condition or the
//! checksum gets uploads without it. Without the condition, each upload is preceded by a check of
//! the key. Overwriting an object writes the same bytes.
//!
//! Other failures can be retried; the variant of the error determines the delay. Before an error is
//! returned, rejected credentials are refreshed and clock skew is corrected.

use ::http::{HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use object_store::path::Path;
use object_store::{Error, GetOptions, PutOptions, PutPayload};
use sink::{DeliverError, drop_page_cache, error_chain};

use crate::advice;
use crate::bucket::Bucket;
use crate::diagnose::Operation;
use crate::http::{
    RequestError, ResponseInfo, ResponseSlot, UploadChecksum, extensions, response_info,
};
use crate::local::Folder;
use crate::object::Object;
use crate::provider::Provider;
use crate::upload_mode::{Checksum, UploadMode, may_reject_header};

/// The result of a successful upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// This upload created the object.
    Created,
    /// An earlier upload created it.
    AlreadyExists,
}

impl Bucket {
    /// Uploads an object unless its key exists.
    ///
    /// # Errors
    ///
    /// The object may or may not have been created; calling again is safe.
    pub async fn put(&self, object: &Object) -> Result<PutOutcome, DeliverError> {
        if self.lacks_conditional_put() && self.exists(&object.key).await? {
            return Ok(PutOutcome::AlreadyExists);
        }
        let mut is_refreshed = false;
        loop {
            match self.put_once(&object.key, object.body.iter().cloned().collect()).await {
                Ok(put) => {
                    self.drop_page_cache(&object.key).await;
                    return Ok(put);
                }
                Err(response) if !is_refreshed && self.can_refresh(&response).await => {
                    is_refreshed = true;
                }
                Err(response) => return Err(self.error(&response)),
            }
        }
    }

    /// Drops an object in a folder from the page cache.
    async fn drop_page_cache(&self, key: &str) {
        let Provider::File(store) = &self.destination.provider else { return };
        let (folder, key) = (Folder::new(&store.root, &store.path), key.to_owned());
        let open = tokio::task::spawn_blocking(move || folder.file(&key)).await;
        if let Ok(Ok(file)) = open {
            drop_page_cache(&file, 0, None);
        }
    }

    /// Whether an object with this key exists.
    ///
    /// S3 answers 403 instead of 404 to callers that may not list the bucket;
    /// [`check`](Self::check) tells that from a missing permission.
    pub async fn exists(&self, key: &str) -> Result<bool, DeliverError> {
        let path = path(key)?;
        let mut exists = self.head(&path).await;
        if let Err(response) = &exists
            && self.can_refresh(response).await
        {
            exists = self.head(&path).await;
        }
        match exists {
            Err(response)
                if response.status == Some(StatusCode::FORBIDDEN) && self.check().await.is_ok() =>
            {
                Ok(false)
            }
            other => other.map_err(|response| self.error(&response)),
        }
    }

    async fn head(&self, path: &Path) -> Result<bool, ResponseInfo> {
        let slot = ResponseSlot::default();
        let options = GetOptions { head: true, ..Default::default() };
        let options = options.with_extensions(extensions(&slot));
        match self.store.get_opts(path, options).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) if slot.info().code != "NoSuchBucket" => Ok(false),
            Err(error) => Err(response_info(&slot, &error)),
        }
    }

    /// Uploads in the current mode. If the store may refuse a header of it, the other modes are
    /// tried.
    pub(crate) async fn put_once(
        &self,
        key: &str,
        payload: PutPayload,
    ) -> Result<PutOutcome, ResponseInfo> {
        let current = self.mode.get();
        let rejection = match self.upload(key, payload.clone(), current).await {
            Err(response)
                if self.destination.provider.get().negotiates_headers()
                    && may_reject_header(&response) =>
            {
                response
            }
            other => return other,
        };
        let alternatives = self.mode.alternatives();
        // The failure may have been transient: repeat the upload before another mode is tried.
        if !alternatives.is_empty()
            && let Ok(put) = self.upload(key, payload.clone(), current).await
        {
            return Ok(put);
        }
        for mode in alternatives {
            match self.upload(key, payload.clone(), mode).await {
                Ok(put) => {
                    self.mode.set(mode);
                    tracing::warn!(
                        destination = %self.destination,
                        checksum = ?mode.checksum,
                        if_none_match = !mode.lacks_conditional_put,
                        code = rejection.code,
                        "the store rejects a header of uploads; it is omitted from now on"
                    );
                    return Ok(put);
                }
                Err(response) if may_reject_header(&response) => {}
                Err(response) => return Err(response),
            }
        }
        self.mode.set_exhausted(true);
        Err(rejection)
    }

    /// Whether the store was found not to support `If-None-Match`.
    pub(crate) fn lacks_conditional_put(&self) -> bool {
        self.mode.get().lacks_conditional_put
    }

    async fn upload(
        &self,
        key: &str,
        payload: PutPayload,
        mode: UploadMode,
    ) -> Result<PutOutcome, ResponseInfo> {
        let slot = ResponseSlot::default();
        let path = path(key).map_err(|error| ResponseInfo {
            failure: error_chain(&error),
            ..ResponseInfo::default()
        })?;
        let mut extensions = extensions(&slot);
        if let Some(checksum) = self.checksum(&payload, mode.checksum) {
            extensions.insert(checksum);
        }
        let options = PutOptions { mode: mode.put_mode(), extensions, ..Default::default() };
        match self.store.put_opts(&path, payload, options).await {
            Ok(_) => Ok(PutOutcome::Created),
            Err(error) => {
                let response = response_info(&slot, &error);
                let exists = match (response.status, &error) {
                    (Some(StatusCode::PRECONDITION_FAILED), _) => true,
                    // Azure's code for it. In other stores, 409 means a concurrent upload.
                    (Some(StatusCode::CONFLICT), _) => response.code == "BlobAlreadyExists",
                    (None, Error::AlreadyExists { .. }) => {
                        response.failure.is_empty() || self.is_folder()
                    }
                    _ => false,
                };
                if exists { Ok(PutOutcome::AlreadyExists) } else { Err(response) }
            }
        }
    }

    /// The checksum to send instead of `object_store`'s, which is SHA-256 if it sends any.
    fn checksum(&self, payload: &PutPayload, checksum: Checksum) -> Option<UploadChecksum> {
        let md5 = || {
            let mut hash = Md5::new();
            payload.iter().for_each(|part| hash.update(part));
            HeaderValue::from_str(&BASE64.encode(hash.finalize())).ok().map(UploadChecksum::Md5)
        };
        match self.destination.provider.get().checksum(checksum) {
            Checksum::Sha256 => None,
            Checksum::Md5 => md5(),
            Checksum::None => Some(UploadChecksum::None),
        }
    }

    fn is_folder(&self) -> bool {
        matches!(self.destination.provider, Provider::File(_))
    }

    /// Whether the same request may succeed immediately: with new credentials, or after a clock
    /// correction.
    pub(crate) async fn can_refresh(&self, response: &ResponseInfo) -> bool {
        let Some(signer) = &self.signer else { return false };
        match response.code.as_str() {
            "RequestTimeTooSkewed" => true,
            "ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired" => {
                signer.refresh().await
            }
            _ if matches!(
                response.status,
                Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED)
            ) =>
            {
                signer.refresh().await
            }
            _ => false,
        }
    }

    /// The error that tells the caller when to try again.
    pub(crate) fn error(&self, response: &ResponseInfo) -> DeliverError {
        if response.is_no_response() {
            let source =
                Box::new(RequestError::NoResponse(self.diagnose(response, Operation::Write)));
            let is_connect_error = response.is_connect_error;
            return DeliverError::NoResponse { is_connect_error, source };
        }
        let source = Box::new(response.to_error());
        match response.status.map(|status| status.as_u16()) {
            Some(400) if advice::is_transient(&response.code) => {
                DeliverError::Retry { after: response.retry_after, source }
            }
            // Permissions, bucket or region: the owner has to change something.
            Some(301 | 307 | 308 | 400 | 401 | 403 | 404 | 405 | 501) => {
                DeliverError::Misconfigured { source }
            }
            _ => DeliverError::Retry { after: response.retry_after, source },
        }
    }
}

/// The key as a path of `object_store`.
pub(crate) fn path(key: &str) -> Result<Path, DeliverError> {
    Path::parse(key).map_err(|error| DeliverError::Misconfigured { source: error.into() })
}
