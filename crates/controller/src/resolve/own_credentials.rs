//! Decides which hosts may receive the server's own cloud credentials: the provider's own, and
//! those that the operator lists. The author of a profile must not obtain them with another host.

use objectstore::Credentials;

use super::endpoint::split_host_port;
use super::providers::ProfileProvider;
use crate::settings::Settings;

/// Why the endpoint must not receive the credentials, `None` if it may.
pub(super) fn denial(
    provider: &ProfileProvider,
    endpoint: Option<&str>,
    credentials: &Credentials,
    skip_tls_verify: bool,
    settings: &Settings,
) -> Option<String> {
    if !credentials.are_own() {
        return None;
    }
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    if skip_tls_verify && !is_plain {
        return Some(
            "spec.locationSpec.objectStore.skipSSLVerify may not be true where the server's own \
             cloud credentials are used: any server that answers would get them"
                .to_owned(),
        );
    }
    let authority = endpoint?.split_once("://")?.1;
    let (name, port) = split_host_port(authority);
    let name = name.unwrap_or_default();
    let is_listed = settings.own_credentials_endpoints.iter().any(|listed| {
        let listed = listed.to_ascii_lowercase();
        listed == authority || listed == name
    });
    let host = name.strip_suffix('.').unwrap_or(name);
    if is_listed
        || (!is_plain && port.is_none_or(|port| port == "443") && (provider.is_own_host)(host))
    {
        return None;
    }
    Some(format!(
        "spec.locationSpec.objectStore.endpoint {authority:?} is not the provider's own, and the \
         server's own cloud credentials go to no other: name a Secret, or have the operator list it \
         in --audit-own-credentials-endpoints"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::providers;
    use super::*;

    fn is_allowed(
        (provider, endpoint): (&str, &str),
        credentials: &Credentials,
        skip_tls_verify: bool,
        listed: &[&str],
    ) -> bool {
        let own_credentials_endpoints = listed.iter().map(|host| (*host).to_owned()).collect();
        let settings = Settings { own_credentials_endpoints, ..Settings::default() };
        let endpoint = Some(endpoint).filter(|endpoint| !endpoint.is_empty());
        let provider = providers::find(provider).unwrap();
        denial(provider, endpoint, credentials, skip_tls_verify, &settings).is_none()
    }

    /// Regression: the token of the pod's identity was sent to any host that a profile named.
    #[test]
    fn the_servers_own_credentials_are_sent_only_to_the_provider_and_listed_hosts() {
        let aws = Credentials::AwsDefaultChain { role: None };
        let (google, account) = (Credentials::GcpMetadataServer, "account".to_owned());
        let microsoft = Credentials::AzureManagedIdentity { account };
        for endpoint in [
            "",
            "https://s3.amazonaws.com",
            "https://s3.eu-west-1.amazonaws.com:443",
            "https://s3.dualstack.eu-west-1.amazonaws.com",
            "https://s3-fips.us-gov-west-1.amazonaws.com.",
            "https://s3.cn-north-1.amazonaws.com.cn",
            "https://bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com",
        ] {
            assert!(is_allowed(("S3", endpoint), &aws, false, &[]), "{endpoint}");
        }
        for endpoint in [
            "https://attacker.example.com",
            "https://s3.amazonaws.com.attacker.example.com",
            "https://s3.amazonaws.com:8443",
            "http://s3.amazonaws.com",
            "https://amazonaws.com",
            "https://ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
            "https://abc.execute-api.eu-west-1.amazonaws.com",
            "https://vpce-1-2.vpce-svc-3.us-east-1.vpce.amazonaws.com",
            "https://s3-website-us-east-1.amazonaws.com",
            "https://s3.evil.amazonaws.com",
            "https://xs3.amazonaws.com",
            "https://storage.googleapis.com",
            "https://192.0.2.1",
        ] {
            assert!(!is_allowed(("S3", endpoint), &aws, false, &[]), "{endpoint}");
        }
        assert!(is_allowed(("GCS", "https://storage.googleapis.com"), &google, false, &[]));
        assert!(is_allowed(
            ("GCS", "https://storage.europe-west3.rep.googleapis.com"),
            &google,
            false,
            &[]
        ));
        assert!(!is_allowed(("GCS", "https://x.storage.googleapis.com"), &google, false, &[]));
        assert!(!is_allowed(("GCS", "https://storage.evil.com"), &google, false, &[]));
        assert!(is_allowed(
            ("Azure", "https://acc1.blob.core.windows.net"),
            &microsoft,
            false,
            &[]
        ));
        assert!(!is_allowed(
            ("Azure", "https://a.b.blob.core.windows.net"),
            &microsoft,
            false,
            &[]
        ));
        assert!(!is_allowed(
            ("Azure", "https://blob.core.windows.net.evil.com"),
            &microsoft,
            false,
            &[]
        ));

        let minio = ("S3", "https://minio.corp:9000");
        assert!(!is_allowed(minio, &aws, false, &[]));
        assert!(is_allowed(minio, &aws, false, &["minio.corp"]));
        assert!(is_allowed(minio, &aws, false, &["MINIO.corp:9000"]));
        assert!(!is_allowed(minio, &aws, false, &["minio.corp:9001", "corp", "o.corp:9000"]));
        assert!(!is_allowed(minio, &aws, true, &["minio.corp"]), "any server that answers would");
        assert!(!is_allowed(("S3", ""), &aws, true, &[]));
        assert!(is_allowed(minio, &Credentials::None, true, &[]));
    }
}
