//! Decides which hosts may receive the server's own cloud credentials: the provider's own, and those
//! that the operator lists. The author of a profile must not get them by naming another host.

use objectstore::{Credentials, Provider};

use super::endpoint::split;
use crate::settings::Settings;

/// The domains of Azure's stores. A host is the name of an account with one of them.
const AZURE_DOMAINS: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.cloudapi.de",
];
/// AWS's domains. A host in them may belong to a customer, so its form is checked too.
const AWS_DOMAINS: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// Why the endpoint must not receive the credentials, `None` if it may.
pub(super) fn denial(
    provider: &Provider,
    credentials: &Credentials,
    skip_tls_verify: bool,
    settings: &Settings,
) -> Option<String> {
    let is_own = matches!(
        credentials,
        Credentials::AwsDefaultChain { .. }
            | Credentials::GcpMetadataServer
            | Credentials::AzureManagedIdentity { .. }
    );
    if !is_own {
        return None;
    }
    let (endpoint, is_provider): (_, fn(&str) -> bool) = match provider {
        Provider::S3 { endpoint, .. } => (endpoint, is_s3),
        Provider::Gcs { endpoint } => (endpoint, is_google),
        Provider::Azure { endpoint } => (endpoint, is_azure),
        Provider::File { .. } => return None,
    };
    let is_plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    if skip_tls_verify && !is_plain {
        return Some(
            "spec.locationSpec.objectStore.skipSSLVerify may not be true where the server's own \
             cloud credentials are used: any server that answers would get them"
                .to_owned(),
        );
    }
    let authority = endpoint.as_ref()?.split_once("://")?.1;
    let (name, port) = split(authority);
    let name = name.unwrap_or_default();
    let is_listed = settings.own_credentials_endpoints.iter().any(|listed| {
        let listed = listed.to_ascii_lowercase();
        listed == authority || listed == name
    });
    let host = name.strip_suffix('.').unwrap_or(name);
    if is_listed || (!is_plain && port.is_none_or(|port| port == "443") && is_provider(host)) {
        return None;
    }
    Some(format!(
        "spec.locationSpec.objectStore.endpoint {authority:?} is not the provider's own, and the \
         server's own cloud credentials go to no other: name a Secret, or have the operator list it \
         in --audit-own-credentials-endpoints"
    ))
}

/// The hosts that AWS documents for S3. A name such as `ec2-….compute.amazonaws.com` or
/// `….execute-api.….amazonaws.com` is a customer's.
fn is_s3(host: &str) -> bool {
    let Some(rest) = AWS_DOMAINS.iter().find_map(|domain| host.strip_suffix(domain)) else {
        return false;
    };
    let labels: Vec<&str> = rest.split('.').collect();
    match labels.as_slice() {
        ["s3" | "s3-external-1"] => true,
        ["s3" | "s3-fips", region]
        | ["s3" | "s3-fips", "dualstack", region]
        | [.., "s3", region, "vpce"] => is_region(region),
        _ => false,
    }
}

fn is_region(label: &str) -> bool {
    label.contains('-') && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_google(host: &str) -> bool {
    let regional =
        host.strip_prefix("storage.").and_then(|rest| rest.strip_suffix(".rep.googleapis.com"));
    host == "storage.googleapis.com" || regional.is_some_and(is_region)
}

fn is_azure(host: &str) -> bool {
    let account = AZURE_DOMAINS.iter().find_map(|domain| host.strip_suffix(domain));
    account.is_some_and(|account| {
        !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(provider: &Provider, credentials: &Credentials, skip: bool, listed: &[&str]) -> bool {
        let own_credentials_endpoints = listed.iter().map(|host| (*host).to_owned()).collect();
        let settings = Settings { own_credentials_endpoints, ..Settings::default() };
        denial(provider, credentials, skip, &settings).is_none()
    }

    /// The token of the pod's identity went to any host that a profile named.
    #[test]
    fn the_servers_own_credentials_go_to_the_provider_and_to_listed_hosts_only() {
        let s3 = |endpoint: &str| {
            let endpoint = Some(endpoint.to_owned()).filter(|endpoint| !endpoint.is_empty());
            Provider::S3 { path_style: endpoint.is_some(), endpoint, region: String::new() }
        };
        let gcs = |endpoint: &str| Provider::Gcs { endpoint: Some(endpoint.to_owned()) };
        let azure = |endpoint: &str| Provider::Azure { endpoint: Some(endpoint.to_owned()) };
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
            assert!(may(&s3(endpoint), &aws, false, &[]), "{endpoint}");
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
            assert!(!may(&s3(endpoint), &aws, false, &[]), "{endpoint}");
        }
        assert!(may(&gcs("https://storage.googleapis.com"), &google, false, &[]));
        assert!(may(&gcs("https://storage.europe-west3.rep.googleapis.com"), &google, false, &[]));
        assert!(!may(&gcs("https://x.storage.googleapis.com"), &google, false, &[]));
        assert!(!may(&gcs("https://storage.evil.com"), &google, false, &[]));
        assert!(may(&azure("https://acc1.blob.core.windows.net"), &microsoft, false, &[]));
        assert!(!may(&azure("https://a.b.blob.core.windows.net"), &microsoft, false, &[]));
        assert!(!may(&azure("https://blob.core.windows.net.evil.com"), &microsoft, false, &[]));

        let minio = s3("https://minio.corp:9000");
        assert!(!may(&minio, &aws, false, &[]));
        assert!(may(&minio, &aws, false, &["minio.corp"]));
        assert!(may(&minio, &aws, false, &["MINIO.corp:9000"]));
        assert!(!may(&minio, &aws, false, &["minio.corp:9001", "corp", "o.corp:9000"]));
        assert!(!may(&minio, &aws, true, &["minio.corp"]), "any server that answers would");
        assert!(!may(&s3(""), &aws, true, &[]));
        assert!(may(&minio, &Credentials::None, true, &[]));
    }
}
