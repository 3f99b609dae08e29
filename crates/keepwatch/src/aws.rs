//! What the environment says about AWS, as AWS's own programs read it.
//!
//! The one place where these variables are read. Nothing is asked for over the network here.

use objectstore::{ContainerCredentials, Credentials, WebIdentity, WorkloadIdentity};

/// Where the agent of an ECS task is.
const CONTAINER_AGENT: &str = "http://169.254.170.2";
/// Where every instance of AWS finds its metadata service.
const METADATA: &str = "http://169.254.169.254";

/// A variable of the environment that is set to something.
#[expect(clippy::disallowed_methods, reason = "the one place where AWS's variables are read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The identity of the pod, the task or the instance.
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

/// The key that is named, else the identity of the place where this runs.
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

/// Where S3 listens, if not at AWS.
pub(crate) fn s3_endpoint() -> Option<String> {
    variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"))
}

/// The region.
pub(crate) fn region() -> Option<String> {
    variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"))
}
