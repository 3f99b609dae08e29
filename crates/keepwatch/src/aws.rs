//! The AWS environment variables, as AWS's SDKs read them.
//!
//! No other module reads them. Nothing here uses the network.

use objectstore::{ContainerCredentials, Credentials, WebIdentity, WorkloadIdentity};

/// The endpoint of the ECS credentials agent.
const CONTAINER_AGENT: &str = "http://169.254.170.2";
/// The endpoint of the EC2 instance metadata service.
const METADATA: &str = "http://169.254.169.254";

/// The value of an environment variable, unless it is unset or empty.
#[expect(clippy::disallowed_methods, reason = "the one place where AWS's variables are read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The credentials of the pod, the task or the instance.
pub(crate) fn workload_identity(sts_endpoint: Option<&str>) -> WorkloadIdentity {
    let web_identity = variable("AWS_WEB_IDENTITY_TOKEN_FILE").zip(variable("AWS_ROLE_ARN")).map(
        |(file, role_arn)| WebIdentity {
            token_file: file.into(),
            role_arn,
            sts_endpoint: sts_endpoint.map(str::to_owned),
        },
    );
    let uri = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").or_else(|| {
        let path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?;
        Some(format!("{CONTAINER_AGENT}{path}"))
    });
    let token_file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(Into::into);
    WorkloadIdentity {
        web_identity,
        container: uri.map(|uri| ContainerCredentials { uri, token_file }),
        instance: variable("AWS_EC2_METADATA_DISABLED")
            .is_none_or(|value| value != "true")
            .then(|| variable("AWS_EC2_METADATA_SERVICE_ENDPOINT"))
            .map(|endpoint| endpoint.unwrap_or_else(|| METADATA.to_owned())),
    }
}

/// The named key, or else the workload's identity.
pub(crate) fn credentials() -> Credentials {
    match variable("AWS_ACCESS_KEY_ID").zip(variable("AWS_SECRET_ACCESS_KEY")) {
        Some((access_key_id, secret)) => Credentials::AwsAccessKey {
            access_key_id,
            secret_access_key: secret.into(),
            session_token: variable("AWS_SESSION_TOKEN").map(Into::into),
            role: None,
        },
        None => Credentials::AwsDefaultChain { role: None },
    }
}

/// Endpoint of S3, if it is not AWS.
pub(crate) fn s3_endpoint() -> Option<String> {
    variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"))
}

/// The region.
pub(crate) fn region() -> Option<String> {
    variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"))
}
