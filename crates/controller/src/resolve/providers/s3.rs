//! S3 in profiles.

use objectstore::{Credentials, Provider, Role};

use super::{ProfileProvider, StoreSpec, is_region};
use crate::resolve::credentials::SecretReader;
use crate::settings::Settings;

const ID: &str = "aws_access_key_id";
const KEY: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";
const ROLE: &str = "role";

/// AWS's domains. A host in them may belong to a customer, so its form is checked too.
const DOMAINS: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

pub(super) static S3: ProfileProvider = ProfileProvider {
    object_store_type: "S3",
    secret_type: "AwsAccessKey",
    provider,
    credentials,
    is_own_host,
};

fn provider(StoreSpec { endpoint, region, .. }: StoreSpec<'_>) -> Provider {
    Provider::S3(objectstore::S3 { path_style: endpoint.is_some(), endpoint, region })
}

fn credentials(secret: &mut SecretReader<'_>, settings: &Settings) -> Credentials {
    secret.check_keys(&[ID, KEY, TOKEN, ROLE]);
    let role = secret.text(ROLE).map(|arn| {
        if !arn.starts_with("arn:") {
            secret.error(format!("key {ROLE} is not the ARN of a role"));
        }
        Role { arn, external_id: None, sts_endpoint: settings.sts_endpoint.clone() }
    });
    let (id, key) = (secret.text(ID), secret.secret(KEY));
    match (id, key) {
        (Some(access_key_id), Some(secret_access_key)) => Credentials::AwsAccessKey {
            access_key_id,
            secret_access_key,
            session_token: secret.secret(TOKEN),
            role,
        },
        (None, None) => Credentials::AwsDefaultChain { role },
        (Some(_), None) => secret.missing(KEY),
        (None, Some(_)) => secret.missing(ID),
    }
}

/// The hosts that AWS documents for S3. A name such as `ec2-….compute.amazonaws.com` or
/// `….execute-api.….amazonaws.com` is a customer's.
fn is_own_host(host: &str) -> bool {
    let Some(rest) = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain)) else {
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
