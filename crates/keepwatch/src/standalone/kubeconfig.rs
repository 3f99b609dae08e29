//! The kubeconfig of a standalone server: one cluster, a context for each user.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::pki::Identity;

/// Name of the cluster in the kubeconfig.
pub(crate) const CLUSTER: &str = "keepwatch";
/// The comment at the top of the file.
pub(crate) const HEAD: &str = "\
# Written by `keepwatch up` at each start. Contexts:
# admin    may do everything
# alice    a developer, with K10's role for users
# mallory  a developer who may also tidy up old backups
# kasten   K10's own service account, system:serviceaccount:kasten-io:k10-k10
";

/// The text of a kubeconfig. The first user's context is the current one.
pub(crate) fn text(server: &str, ca: &str, users: &[(&str, Identity)]) -> String {
    let encoded = |pem: &str| STANDARD.encode(pem);
    let mut text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {CLUSTER}\n  cluster:\n    \
         server: {server}\n    certificate-authority-data: {}\nusers:\n",
        encoded(ca)
    );
    // Writing to a `String` cannot fail.
    for (name, identity) in users {
        write!(
            text,
            "- name: {name}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
            encoded(&identity.certificate),
            encoded(&identity.key)
        )
        .unwrap_or_default();
    }
    text.push_str("contexts:\n");
    for (name, _) in users {
        write!(
            text,
            "- name: {name}\n  context:\n    cluster: {CLUSTER}\n    user: {name}\n    \
             namespace: default\n"
        )
        .unwrap_or_default();
    }
    if let Some((first, _)) = users.first() {
        writeln!(text, "current-context: {first}").unwrap_or_default();
    }
    text
}

/// A client that acts as the user of `context`.
pub(crate) async fn client(kubeconfig: &str, context: &str) -> Result<kube::Client> {
    connect(config(kubeconfig, context).await?, context)
}

/// A client of a controller. As in kube-controller-manager, its user agent ends with the name of the
/// controller, by which detection rules recognize it.
pub(crate) async fn controller_client(kubeconfig: &str, context: &str) -> Result<kube::Client> {
    let mut config = config(kubeconfig, context).await?;
    let agent = format!("keepwatch/{} {context}", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::try_from(agent)?));
    connect(config, context)
}

fn connect(config: kube::Config, context: &str) -> Result<kube::Client> {
    kube::Client::try_from(config).with_context(|| format!("cannot create a client for {context}"))
}

async fn config(kubeconfig: &str, context: &str) -> Result<kube::Config> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).context("cannot read the kubeconfig")?;
    let options =
        KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .with_context(|| format!("cannot use context {context}"))?;
    // The server is this process: ignore a proxy in the environment.
    config.proxy_url = None;
    Ok(config)
}
