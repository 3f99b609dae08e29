//! Reads the address and the credentials of the receiving server from a kubeconfig.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};
use sink::event_list::Receiver;
use source::audit_webhook::PATH;

/// Reads the current context of the file. No error contains a token or a key.
pub(super) fn read(path: &Path) -> Result<Receiver> {
    receiver(path).with_context(|| {
        format!("cannot use {} (see `keepwatch source webhook-config`)", path.display())
    })
}

fn receiver(path: &Path) -> Result<Receiver> {
    // The error of the parser may quote the file.
    let config = Kubeconfig::read_from(path).ok();
    let config = config.context("it cannot be read as a kubeconfig")?;
    let current = config.current_context.as_deref().context("it has no current-context")?;
    let context = config.contexts.iter().find(|context| context.name == current);
    let context = context.and_then(|context| context.context.as_ref());
    let context = context.context("its current-context is not among its contexts")?;
    let cluster = config.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|cluster| cluster.cluster.as_ref());
    let cluster = cluster.context("it does not have the cluster of its context")?;
    let user = config.auth_infos.iter().find(|user| Some(&user.name) == context.user.as_ref());
    let user = user.and_then(|user| user.auth_info.as_ref());
    let user = user.context("it does not have the user of its context")?;
    if cluster.insecure_skip_tls_verify == Some(true) {
        bail!("insecure-skip-tls-verify is not supported: set the CA of the receiver");
    }
    let identity = identity(user)?;
    let token = token(user)?;
    if identity.is_none() && token.is_none() {
        bail!("its user has neither a token nor a client certificate");
    }
    Ok(Receiver {
        url: url(cluster)?,
        ca: content(
            "certificate-authority",
            cluster.certificate_authority_data.as_deref(),
            cluster.certificate_authority.as_deref(),
        )?,
        server_name: cluster.tls_server_name.clone(),
        token,
        identity,
    })
}

fn url(cluster: &Cluster) -> Result<Uri> {
    let url: Option<Uri> = cluster.server.as_deref().and_then(|server| server.parse().ok());
    let is_webhook = |url: &Uri| {
        url.scheme_str() == Some("https")
            && url.path().strip_prefix(PATH).is_some_and(|cluster| !cluster.is_empty())
    };
    match url.filter(is_webhook) {
        Some(url) => Ok(url),
        None => bail!("its server is not a URL such as https://10.0.0.1:10251{PATH}prod"),
    }
}

fn token(user: &AuthInfo) -> Result<Option<SecretString>> {
    if user.token.is_some() {
        return Ok(user.token.clone());
    }
    let Some(file) = &user.token_file else { return Ok(None) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    Ok(Some(text.trim().into()))
}

fn identity(user: &AuthInfo) -> Result<Option<(Vec<u8>, SecretString)>> {
    let certificate = content(
        "client-certificate",
        user.client_certificate_data.as_deref(),
        user.client_certificate.as_deref(),
    )?;
    let data = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let key = content("client-key", data, user.client_key.as_deref())?;
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let key = String::from_utf8(key).ok().context("its client-key is not PEM")?;
            Ok(Some((certificate, key.into())))
        }
        _ => {
            bail!("its user has a client certificate without a key, or a key without a certificate")
        }
    }
}

/// The base64 content, or the content of a file.
fn content(name: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Vec<u8>>> {
    match (data, file.map(PathBuf::from)) {
        (Some(data), _) => {
            let content = STANDARD.decode(data.trim()).ok();
            Ok(Some(content.with_context(|| format!("its {name}-data is not base64"))?))
        }
        (None, Some(file)) => {
            let content = std::fs::read(&file);
            Ok(Some(content.with_context(|| format!("cannot read {}", file.display()))?))
        }
        (None, None) => Ok(None),
    }
}
