//! Where a kubeconfig of `keepwatch up` leads, and as whom.
//!
//! Only what is written there: PEM or files with PEM. No tokens, no commands, no environment.

use std::path::Path;

use anyhow::Context;
use base64::Engine;
use kube::config::{AuthInfo, Cluster, Kubeconfig};

use crate::load::Endpoint;

/// A kubeconfig that has been read.
pub(crate) struct Known(Kubeconfig);

/// Reads the kubeconfig below `home`, the folder of `keepwatch up`.
pub(crate) fn read(home: &Path) -> anyhow::Result<Known> {
    Ok(Known(Kubeconfig::read_from(home.join("kubeconfig"))?))
}

impl Known {
    /// The server, as the user of a context.
    pub(crate) fn endpoint(&self, context: &str) -> anyhow::Result<Endpoint> {
        let (cluster, user) = self.parts(context).context("no such context, cluster or user")?;
        let server: http::Uri = cluster.server.as_deref().context("no server")?.parse()?;
        let host = server.host().context("no host")?;
        let address = format!("{host}:{}", server.port_u16().context("no port")?).parse()?;
        let authority = pem(
            cluster.certificate_authority_data.as_deref(),
            cluster.certificate_authority.as_deref(),
        )?;
        let certificate =
            pem(user.client_certificate_data.as_deref(), user.client_certificate.as_deref())?;
        let key = user.client_key_data.as_ref().map(secrecy::ExposeSecret::expose_secret);
        let key = pem(key, user.client_key.as_deref())?;
        Endpoint::new(address, host, &authority, &certificate, &key)
    }

    fn parts(&self, context: &str) -> Option<(&Cluster, &AuthInfo)> {
        let Self(config) = self;
        let context =
            config.contexts.iter().find(|named| named.name == context)?.context.as_ref()?;
        let cluster = config.clusters.iter().find(|named| named.name == context.cluster)?;
        let user =
            config.auth_infos.iter().find(|named| Some(&named.name) == context.user.as_ref())?;
        Some((cluster.cluster.as_ref()?, user.auth_info.as_ref()?))
    }
}

/// PEM from the kubeconfig itself or from the file it names.
fn pem(data: Option<&str>, file: Option<&str>) -> anyhow::Result<String> {
    if let Some(data) = data {
        let bytes = base64::engine::general_purpose::STANDARD.decode(data)?;
        return Ok(String::from_utf8(bytes)?);
    }
    Ok(std::fs::read_to_string(file.context("neither data nor file")?)?)
}
