//! URLs of prefixes in buckets in flags and arguments, and the buckets that they refer to.
//!
//! `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`,
//! `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX` and the absolute path of a folder.
//! Credentials are those of the environment. They are sent only to the provider, or to the endpoint
//! that the user sets.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use apiserver::Clock as _;
use objectstore::{
    Azure, Bucket, BucketConfig, Credentials, Destination, FileStore, Gcs, Limits, Prefix,
    Provider, S3,
};
use sink::Encoding;
use sink::http::{EgressPolicy, Network};

use crate::args::input::S3Args;
use crate::clock::SystemClock;
use crate::{aws, azure, google};

/// The domains of Azure's storage accounts. A host is the name of an account with one of them.
const AZURE_DOMAINS: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.cloudapi.de",
];

/// A prefix in a bucket, or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketUrl {
    location: Location,
    /// The beginning of the keys.
    pub(crate) prefix: String,
    /// The URL of the bucket, without a slash at its end.
    pub(crate) base: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Location {
    S3 { bucket: String },
    Gcs { bucket: String },
    Azure { account: String, host: String, container: String },
    Folder(PathBuf),
}

impl BucketUrl {
    /// Parses a URL. `None` for other texts, for example a relative path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            let path = text.trim_end_matches('/');
            let location =
                Location::Folder(PathBuf::from(if path.is_empty() { "/" } else { path }));
            return Some(Self { location, prefix: String::new(), base: path.to_owned() });
        }
        let (scheme, rest) = text.split_once("://")?;
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (location, prefix) = match scheme {
            "s3" => (Location::S3 { bucket: name.to_owned() }, path),
            "gs" => (Location::Gcs { bucket: name.to_owned() }, path),
            "https" => {
                let host = name.to_ascii_lowercase();
                let account = AZURE_DOMAINS.iter().find_map(|domain| host.strip_suffix(domain))?;
                let is_account = account.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if account.is_empty() || !is_account {
                    return None;
                }
                let (container, prefix) = path.split_once('/').unwrap_or((path, ""));
                let (account, container) = (account.to_owned(), container.to_owned());
                (Location::Azure { account, host, container }, prefix)
            }
            _ => return None,
        };
        let base = text.strip_suffix(prefix).unwrap_or(text).trim_end_matches('/').to_owned();
        Some(Self { location, prefix: prefix.to_owned(), base })
    }

    /// Whether objects are requested over the network.
    pub(crate) fn is_remote(&self) -> bool {
        !matches!(self.location, Location::Folder(_))
    }

    /// The whole URL.
    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.base, self.prefix)
    }

    /// Why the credentials must not be sent to the endpoint: the server's own credentials are sent
    /// only to the default endpoint of the provider.
    pub(crate) fn denial(&self, args: &S3Args) -> Option<String> {
        let is_s3 = matches!(self.location, Location::S3 { .. });
        let endpoint = args.endpoint.clone().or_else(aws::s3_endpoint).filter(|_| is_s3)?;
        (!args.anonymous && aws::credentials().are_own()).then(|| {
            format!(
                "{} is read at {endpoint}, which is not AWS: the server's own cloud credentials go \
                 to no other host, so set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                self.url()
            )
        })
    }

    /// Prepares to read the bucket, without a request.
    pub(crate) fn open(&self, args: &S3Args) -> Result<Bucket> {
        let destination = self.destination(args)?;
        // The user sets the endpoint with a flag, so no egress policy applies.
        let egress = EgressPolicy {
            allowed: Network::ALL.to_vec(),
            plain_http: true,
            ..EgressPolicy::default()
        };
        let parts = BucketConfig {
            cluster: String::new(),
            encoding: Encoding::V1,
            egress,
            workload_identity: aws::workload_identity(None),
            clock: Arc::new(|| SystemClock.now()),
        };
        Bucket::open(&destination, parts).with_context(|| format!("cannot use {}", self.base))
    }

    fn destination(&self, args: &S3Args) -> Result<Destination> {
        let (provider, bucket, credentials) = match &self.location {
            Location::S3 { bucket } => {
                let endpoint = args.endpoint.clone().or_else(aws::s3_endpoint);
                let region = args.region.clone().or_else(aws::region).unwrap_or_default();
                let path_style = endpoint.is_some();
                let provider = Provider::S3(S3 { region, path_style, endpoint });
                let credentials =
                    if args.anonymous { Credentials::None } else { aws::credentials() };
                (provider, bucket.clone(), credentials)
            }
            Location::Gcs { bucket } => {
                let credentials =
                    if args.anonymous { Credentials::None } else { google::credentials()? };
                (Provider::Gcs(Gcs { endpoint: None }), bucket.clone(), credentials)
            }
            Location::Azure { account, host, container } => {
                let endpoint = Some(format!("https://{host}"));
                let provider = Provider::Azure(Azure { endpoint });
                (provider, container.clone(), azure::credentials(account))
            }
            Location::Folder(root) => {
                let store = FileStore { root: root.clone(), path: PathBuf::new() };
                (Provider::File(store), String::new(), Credentials::None)
            }
        };
        if bucket.is_empty() && self.is_remote() {
            bail!("{} names no bucket", self.url());
        }
        let ca_pem = args.ca_file.as_ref().map(|file| {
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
        });
        Ok(Destination {
            provider,
            bucket,
            prefix: Prefix::default(),
            skip_tls_verify: false,
            ca_pem: ca_pem.transpose()?,
            credentials,
            retention: None,
            limits: Limits::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let parsed = BucketUrl::parse(text);
        let actual = parsed.as_ref().map(|url| (url.base.as_str(), url.prefix.as_str()));
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn urls_of_all_providers_are_parsed() {
        check("s3://audit/k10audit/date=2026", Some(("s3://audit", "k10audit/date=2026")));
        check("s3://audit/", Some(("s3://audit", "")));
        check("s3://audit", Some(("s3://audit", "")));
        check("gs://audit/cloudaudit/", Some(("gs://audit", "cloudaudit/")));
        let azure = "https://acc1.blob.core.windows.net/insights-logs-kube-audit";
        check(azure, Some((azure, "")));
        check(&format!("{azure}/resourceId=/"), Some((azure, "resourceId=/")));
        check("/mnt/audit/", Some(("/mnt/audit", "")));
        for text in ["audit.log", "./s3://x", "ftp://x/y", "https://example.com/x", "-"] {
            check(text, None);
        }
    }

    #[test]
    fn a_host_that_only_resembles_azures_is_no_bucket() {
        for host in [
            "a.b.blob.core.windows.net",
            "blob.core.windows.net",
            "a.blob.core.windows.net.example.com",
            "a@b.blob.core.windows.net",
            "a:1.blob.core.windows.net",
        ] {
            check(&format!("https://{host}/c/"), None);
        }
    }
}
