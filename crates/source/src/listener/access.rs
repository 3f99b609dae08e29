//! Which senders are accepted, and for which clusters: those with a token or a client certificate.
//!
//! Tokens in the folder, and certificates if their names are listed, are valid for their clusters
//! only; every other accepted sender may send the events of all clusters.
//!
//! The files are reloaded one by one, so that a file with an error does not keep a credential in
//! another one valid.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apiserver::trust::{CaBundle, TrustError, common_name};
use arc_swap::ArcSwapOption;
use event::Timestamp;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use rustls::pki_types::{CertificateDer, UnixTime};

use super::refusals::Refusal;
use super::tokens::{TokenError, TokenFile, bearer};

/// Why a credential file cannot be used. Never contains a token.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A token file cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The CA file cannot be used.
    #[error(transparent)]
    Ca(#[from] TrustError),
}

/// Where the credentials are, and what they are valid for.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// File with bearer tokens for all clusters, one a line.
    pub token_file: Option<PathBuf>,
    /// Folder with a file of bearer tokens for each cluster, which has the cluster's name.
    pub token_folder: Option<PathBuf>,
    /// CA certificates for client certificates.
    pub client_ca_file: Option<PathBuf>,
    /// Names of clusters, each with a common name of a client certificate that is valid for it. If
    /// there is none, each certificate of the CA is valid for all clusters.
    pub client_names: Vec<(String, String)>,
}

/// Why the credentials of a request are not accepted.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    /// The error, without a text of the sender.
    pub(crate) detail: String,
}

/// The clusters whose events a sender may send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    All,
    Only(Vec<String>),
}

/// The credentials that are accepted.
pub(crate) struct Access {
    credentials: Credentials,
    shared: Option<TokenFile>,
    /// The tokens of each cluster.
    bound: Vec<(String, TokenFile)>,
    client_ca: ArcSwapOption<CaBundle>,
}

impl Grant {
    /// Whether the sender may send events of this cluster.
    pub(crate) fn covers(&self, cluster: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(clusters) => clusters.iter().any(|name| name == cluster),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(clusters), Self::Only(other)) => Self::Only([clusters, other].concat()),
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }
}

impl Credentials {
    /// Whether a client certificate can be valid for a cluster.
    fn names(&self, cluster: &str) -> bool {
        let names = &self.client_names;
        names.is_empty() || names.iter().any(|(listed, _)| listed == cluster)
    }
}

impl Access {
    /// Loads the files. Without any file, no sender is accepted.
    ///
    /// A cluster without a file in the folder is an error unless another credential is valid for
    /// it.
    pub(super) fn open(credentials: Credentials, clusters: &[String]) -> Result<Self, AccessError> {
        let shared = credentials.token_file.clone().map(TokenFile::open).transpose()?;
        let ca = credentials.client_ca_file.as_deref().map(CaBundle::from_file).transpose()?;
        let mut bound = Vec::new();
        for cluster in clusters {
            let Some(folder) = &credentials.token_folder else { break };
            let file = folder.join(cluster);
            let has_other = shared.is_some() || ca.is_some() && credentials.names(cluster);
            let tokens = if !has_other || file.exists() {
                TokenFile::open(file)?
            } else {
                TokenFile::empty(file)
            };
            bound.push((cluster.clone(), tokens));
        }
        let client_ca = ArcSwapOption::from(ca.map(Arc::new));
        Ok(Self { credentials, shared, bound, client_ca })
    }

    /// Loads the files again, and returns the errors. A CA file with an error keeps its old
    /// content; of a token file, the valid tokens are used.
    pub(super) fn reload(&self) -> Vec<AccessError> {
        let files = self.shared.iter().chain(self.bound.iter().map(|(_, tokens)| tokens));
        let mut errors: Vec<AccessError> =
            files.filter_map(|file| file.reload().err()).map(AccessError::from).collect();
        match self.credentials.client_ca_file.as_deref().map(CaBundle::from_file).transpose() {
            Ok(ca) => self.client_ca.store(ca.map(Arc::new)),
            Err(error) => errors.push(error.into()),
        }
        errors
    }

    /// Checks the credentials of a request. `chain` is the client's certificate chain, leaf first.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Grant, Refused> {
        let header = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let by_token = header.and_then(bearer).and_then(|token| self.token_grant(token));
        let by_certificate = self.certificate_grant(chain, now);
        match (by_token, by_certificate) {
            (Some(access), Ok(other)) => Ok(access.and(other)),
            (Some(grant), Err(_)) | (None, Ok(grant)) => Ok(grant),
            (None, Err(_)) if header.is_some() => Err(Refused::new(Refusal::Token, "")),
            (None, Err(_)) if chain.is_empty() => Err(Refused::new(Refusal::NoCredentials, "")),
            (None, Err(error)) => Err(Refused::new(Refusal::Certificate, &error)),
        }
    }

    /// Checks a token.
    pub(super) fn check_token(&self, token: &[u8]) -> Result<Grant, Refused> {
        self.token_grant(token).ok_or_else(|| Refused::new(Refusal::Token, ""))
    }

    /// What a token is valid for; `None` if it is not accepted.
    fn token_grant(&self, token: &[u8]) -> Option<Grant> {
        if self.shared.as_ref().is_some_and(|tokens| tokens.contains(token)) {
            return Some(Grant::All);
        }
        let of_cluster = self.bound.iter().filter(|(_, tokens)| tokens.contains(token));
        let clusters: Vec<String> = of_cluster.map(|(cluster, _)| cluster.clone()).collect();
        (!clusters.is_empty()).then_some(Grant::Only(clusters))
    }

    /// What a client certificate is valid for. The error contains no text of the certificate.
    fn certificate_grant(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Grant, String> {
        let client_ca = self.client_ca.load_full();
        let client_ca = client_ca.ok_or_else(|| "there is no CA for clients".to_owned())?;
        let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or_default();
        client_ca.verify(chain, UnixTime::since_unix_epoch(Duration::from_secs(seconds)))?;
        let names = &self.credentials.client_names;
        if names.is_empty() {
            return Ok(Grant::All);
        }
        let name = chain.first().and_then(common_name);
        let of_name = names.iter().filter(|(_, listed)| Some(listed) == name.as_ref());
        let clusters: Vec<String> = of_name.map(|(cluster, _)| cluster.clone()).collect();
        if clusters.is_empty() {
            return Err("its common name is not listed for any cluster".to_owned());
        }
        Ok(Grant::Only(clusters))
    }
}

impl Refused {
    fn new(refusal: Refusal, detail: &str) -> Self {
        Self { refusal, detail: detail.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn tokens_of(folder: &Path) -> Access {
        let (token_file, token_folder) = (folder.join("shared"), folder.join("bound"));
        fs::create_dir(&token_folder).unwrap();
        fs::write(&token_file, "0123456789abcdef\nfedcba9876543210\n").unwrap();
        fs::write(token_folder.join("prod"), "token-of-the-cluster-prod\nused-in-two-clusters\n")
            .unwrap();
        fs::write(token_folder.join("test"), "used-in-two-clusters\n").unwrap();
        let credentials = Credentials {
            token_file: Some(token_file),
            token_folder: Some(token_folder),
            ..Credentials::default()
        };
        Access::open(credentials, &["prod", "test", "other"].map(str::to_owned)).unwrap()
    }

    /// The clusters that a header may send events of, or why it is not accepted.
    fn check(access: &Access, value: Option<&str>) -> Result<String, Refusal> {
        let headers =
            value.map(|value| (AUTHORIZATION, value.parse().unwrap())).into_iter().collect();
        let grant = access.check(&headers, &[], Timestamp::default());
        let grant = grant.map_err(|refused| refused.refusal)?;
        let covered = ["prod", "test", "other"].into_iter().filter(|name| grant.covers(name));
        Ok(covered.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn only_a_whole_token_is_accepted_and_only_for_its_clusters() {
        let folder = tempfile::tempdir().unwrap();
        let access = tokens_of(folder.path());
        for (value, expected) in [
            ("Bearer 0123456789abcdef", Ok("prod test other")),
            ("bearer  fedcba9876543210 ", Ok("prod test other")),
            ("Bearer token-of-the-cluster-prod", Ok("prod")),
            ("Bearer used-in-two-clusters", Ok("prod test")),
            ("Bearer 0123456789abcde", Err(Refusal::Token)),
            ("Bearer 0123456789abcdef0", Err(Refusal::Token)),
            ("Bearer ", Err(Refusal::Token)),
            ("Bearer", Err(Refusal::Token)),
            ("Basic 0123456789abcdef", Err(Refusal::Token)),
        ] {
            assert_eq!(check(&access, Some(value)), expected.map(str::to_owned), "{value:?}");
        }
        assert_eq!(check(&access, None), Err(Refusal::NoCredentials));
    }

    #[test]
    fn an_invalid_file_does_not_keep_a_token_of_another_file_or_line_valid() {
        let folder = tempfile::tempdir().unwrap();
        let mut access = tokens_of(folder.path());
        let ca = folder.path().join("ca.crt");
        fs::write(&ca, "no certificate").unwrap();
        access.credentials.client_ca_file = Some(ca);
        fs::write(folder.path().join("shared"), "fedcba9876543210\nshort\n").unwrap();
        fs::remove_file(folder.path().join("bound/prod")).unwrap();
        assert_eq!(access.reload().len(), 2);
        assert_eq!(check(&access, Some("Bearer 0123456789abcdef")), Err(Refusal::Token));
        assert!(check(&access, Some("Bearer fedcba9876543210")).is_ok());
        assert_eq!(check(&access, Some("Bearer token-of-the-cluster-prod")), Err(Refusal::Token));
        assert_eq!(check(&access, Some("Bearer used-in-two-clusters")), Ok("test".to_owned()));
        fs::write(folder.path().join("bound/other"), "a-token-that-is-added").unwrap();
        access.reload();
        assert_eq!(check(&access, Some("Bearer a-token-that-is-added")), Ok("other".to_owned()));
    }

    #[test]
    fn each_cluster_needs_a_file_if_there_is_no_other_credential() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("prod"), "token-of-the-cluster-prod").unwrap();
        let credentials =
            Credentials { token_folder: Some(folder.path().to_owned()), ..Credentials::default() };
        let open = |clusters: &[&str]| {
            let clusters: Vec<String> = clusters.iter().map(|name| (*name).to_owned()).collect();
            Access::open(credentials.clone(), &clusters).err().map(|error| error.to_string())
        };
        assert_eq!(open(&["prod"]), None);
        let error = open(&["prod", "test"]).unwrap();
        assert!(error.contains(&folder.path().join("test").display().to_string()), "{error}");
    }
}
