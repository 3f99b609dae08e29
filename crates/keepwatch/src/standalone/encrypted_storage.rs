//! Encryption at rest: a storage that encrypts some objects on writes and decrypts them on reads.
//!
//! As in kube-apiserver with a local key, each version of an object is encrypted with AES-256-GCM
//! under a fresh nonce. The object's key in the store is authenticated too, so that encrypted
//! objects cannot be swapped. The encryption key is in a file that only its owner can read, created
//! at the first start. Names of objects and the journal are not encrypted; the journal contains no
//! bodies of these kinds.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::zeroize::Zeroizing;
use store::{
    Change, Health, ListOptions, Object, Page, PendingCommit, ReadError, Sqlite, Storage,
    Transaction, TransactionFn, Watch, WatchStream,
};

use super::pki::write_private;

/// First byte of an encrypted object; no JSON begins with it.
const ENCRYPTED_MARKER: u8 = 0x01;
/// Bytes of a key.
const KEY_LEN: usize = 32;

/// A storage that encrypts the objects under one prefix.
pub(crate) struct EncryptedStorage {
    inner: Sqlite,
    encryption: Arc<Encryption>,
}

/// The encryption key, and the prefix to which it applies.
struct Encryption {
    key: LessSafeKey,
    random: SystemRandom,
    prefix: &'static str,
}

impl EncryptedStorage {
    /// Uses the key in `file`, or creates one. Fails if the key does not decrypt the existing
    /// objects, because the Secrets would be lost one by one.
    pub(crate) async fn open(inner: Sqlite, file: &Path, prefix: &'static str) -> Result<Self> {
        let stored = inner.list(prefix, ListOptions::default()).await;
        let stored = stored.context("cannot read the store")?.items;
        if !file.exists() {
            if !stored.is_empty() {
                bail!(
                    "{} is missing, and without it the stored Secrets cannot be decrypted",
                    file.display()
                );
            }
            let mut key = [0_u8; KEY_LEN];
            SystemRandom::new().fill(&mut key).ok().context("no random numbers")?;
            write_private(file, &STANDARD.encode(key))?;
        }
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let key = STANDARD.decode(text.trim()).unwrap_or_default();
        let key = UnboundKey::new(&AES_256_GCM, &key).ok();
        let key = key.with_context(|| format!("{} contains no valid key", file.display()))?;
        let encryption =
            Encryption { key: LessSafeKey::new(key), random: SystemRandom::new(), prefix };
        if stored.iter().any(|object| encryption.decrypt(&object.key, &object.body).is_none()) {
            bail!(
                "{} does not contain the key that the stored Secrets are encrypted with",
                file.display()
            );
        }
        Ok(Self { inner, encryption: Arc::new(encryption) })
    }
}

impl Encryption {
    fn covers(&self, key: &str) -> bool {
        key.starts_with(self.prefix)
    }

    fn encrypt(&self, key: &str, body: &[u8]) -> Option<Bytes> {
        let mut nonce = [0_u8; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut encrypted = body.to_vec();
        let bound = Aad::from(key.as_bytes());
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce_used, bound, &mut encrypted).ok()?;
        Some(Bytes::from([&[ENCRYPTED_MARKER], nonce.as_slice(), &encrypted].concat()))
    }

    fn decrypt(&self, key: &str, body: &[u8]) -> Option<Bytes> {
        let (nonce, encrypted) =
            body.strip_prefix(&[ENCRYPTED_MARKER])?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        // Zeroized when the last reader drops it.
        let mut plain = Zeroizing::new(encrypted.to_vec());
        let len = self.key.open_in_place(nonce, Aad::from(key.as_bytes()), &mut plain).ok()?.len();
        plain.truncate(len);
        Some(Bytes::from_owner(plain))
    }

    /// The decrypted object. An object that cannot be decrypted is returned unchanged, so that its
    /// reader finds it damaged.
    fn decrypted(&self, object: Arc<Object>) -> Arc<Object> {
        if !self.covers(&object.key) {
            return object;
        }
        match self.decrypt(&object.key, &object.body) {
            Some(body) => {
                Arc::new(Object { key: Arc::clone(&object.key), revision: object.revision, body })
            }
            None => object,
        }
    }

    fn decrypted_change(&self, change: Change) -> Change {
        Change {
            object: self.decrypted(change.object),
            previous: change.previous.map(|previous| self.decrypted(previous)),
            ..change
        }
    }
}

#[async_trait]
impl Storage for EncryptedStorage {
    async fn get(&self, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        Ok(self.inner.get(key).await?.map(|object| self.encryption.decrypted(object)))
    }

    async fn newest_revision(&self) -> Result<u64, ReadError> {
        self.inner.newest_revision().await
    }

    fn observed_revision(&self) -> u64 {
        self.inner.observed_revision()
    }

    async fn wait_for_revision(&self, revision: u64) -> Result<(), ReadError> {
        self.inner.wait_for_revision(revision).await
    }

    fn oldest_revision(&self) -> u64 {
        self.inner.oldest_revision()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Page, ReadError> {
        let page = self.inner.list(prefix, options).await?;
        let items =
            page.items.into_iter().map(|object| self.encryption.decrypted(object)).collect();
        Ok(Page { items, ..page })
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Watch, ReadError> {
        let inner = self.inner.watch(prefix, after).await?;
        Ok(Box::new(DecryptingWatch { inner, encryption: Arc::clone(&self.encryption) }))
    }

    fn submit(&self, work: TransactionFn) -> PendingCommit {
        let encryption = Arc::clone(&self.encryption);
        self.inner.submit(Box::new(move |inner| {
            work(&mut EncryptingTransaction { inner, encryption: &encryption });
        }))
    }

    fn append(&self, record: Bytes) -> PendingCommit {
        self.inner.append(record)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn take_rejected(&self) -> u64 {
        self.inner.take_rejected()
    }
}

/// A watch that decrypts objects.
struct DecryptingWatch {
    inner: Watch,
    encryption: Arc<Encryption>,
}

#[async_trait]
impl WatchStream for DecryptingWatch {
    async fn next(&mut self) -> Result<Vec<Change>, ReadError> {
        let changes = self.inner.next().await?;
        Ok(changes.into_iter().map(|change| self.encryption.decrypted_change(change)).collect())
    }

    async fn next_committed(&mut self) -> Result<Vec<Change>, ReadError> {
        let changes = self.inner.next_committed().await?;
        Ok(changes.into_iter().map(|change| self.encryption.decrypted_change(change)).collect())
    }

    fn progress(&mut self) -> u64 {
        self.inner.progress()
    }
}

/// A transaction that encrypts objects.
struct EncryptingTransaction<'tx> {
    inner: &'tx mut dyn Transaction,
    encryption: &'tx Encryption,
}

impl EncryptingTransaction<'_> {
    /// If no random nonce can be generated, an empty object is stored instead of the plain Secret.
    fn encrypted(&self, key: &str, body: Bytes) -> Bytes {
        if self.encryption.covers(key) {
            self.encryption.encrypt(key, &body).unwrap_or_default()
        } else {
            body
        }
    }
}

impl Transaction for EncryptingTransaction<'_> {
    fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.inner.get(key).map(|object| self.encryption.decrypted(object))
    }

    fn scan(&self, prefix: &str) -> Vec<Arc<Object>> {
        let objects = self.inner.scan(prefix);
        objects.into_iter().map(|object| self.encryption.decrypted(object)).collect()
    }

    fn next_revision(&mut self) -> u64 {
        self.inner.next_revision()
    }

    fn put(&mut self, key: &str, revision: u64, body: Bytes) {
        let body = self.encrypted(key, body);
        self.inner.put(key, revision, body);
    }

    fn delete(&mut self, key: &str, revision: u64, last_state: Bytes) {
        let last_state = self.encrypted(key, last_state);
        self.inner.delete(key, revision, last_state);
    }

    fn append(&mut self, record: Bytes) {
        self.inner.append(record);
    }

    fn save_checkpoint(&mut self, reader: &str, seq: u64, chunks: Vec<Bytes>) {
        self.inner.save_checkpoint(reader, seq, chunks);
    }

    fn advance(&mut self, reader: &str, seq: u64, state: &str) {
        self.inner.advance(reader, seq, state);
    }

    fn rollback(&mut self) {
        self.inner.rollback();
    }
}
