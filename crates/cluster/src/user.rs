//! Somebody who works with the cluster: a client certificate, a kubeconfig, stock kubectl.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use testkit::pki::{self, Identity};

/// A user with a kubeconfig.
#[derive(Clone, Debug)]
pub struct User {
    /// The name in the certificate.
    pub name: String,
    /// The certificate.
    pub identity: Identity,
    /// A kubeconfig that uses it.
    pub kubeconfig: PathBuf,
    kubectl: PathBuf,
    /// kubectl's discovery cache: of this control plane, not of the person who runs the tests.
    cache: PathBuf,
}

/// What kubectl said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether it ended with code 0.
    pub success: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl User {
    /// Writes the kubeconfig, and the certificate beside it, into `folder`.
    pub(crate) fn new(
        name: &str,
        identity: Identity,
        server: &Server<'_>,
        folder: &Path,
        kubectl: PathBuf,
    ) -> Self {
        let stem: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let kubeconfig = folder.join(format!("{stem}.kubeconfig"));
        let (certificate, key) = identity.write(folder, &stem);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {
                "server": server.url, "certificate-authority": server.authority}}],
            "users": [{"name": "it", "user": {
                "client-certificate": certificate, "client-key": key}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        pki::replace(&kubeconfig, &config.to_string());
        let cache = folder.join("kubectl-cache");
        Self { name: name.to_owned(), identity, kubeconfig, kubectl, cache }
    }

    /// What kubectl prints. `line` is split at blanks; a failure is an error.
    pub fn kubectl(&self, line: &str) -> anyhow::Result<String> {
        self.kubectl_with(line, "")
    }

    /// Like [`Self::kubectl`], with a manifest on standard input.
    pub fn kubectl_with(&self, line: &str, input: &str) -> anyhow::Result<String> {
        let answer = self.try_kubectl_with(line, input)?;
        if !answer.success {
            bail!("kubectl {line} as {}: {}", self.name, answer.err.trim());
        }
        Ok(answer.out)
    }

    /// What kubectl prints with `-o json`.
    pub fn json(&self, line: &str) -> anyhow::Result<Value> {
        let out = self.kubectl(&format!("{line} -o json"))?;
        serde_json::from_str(&out).with_context(|| format!("kubectl {line} printed no JSON"))
    }

    /// What kubectl says, success or not.
    pub fn try_kubectl(&self, line: &str) -> anyhow::Result<Answer> {
        self.try_kubectl_with(line, "")
    }

    /// Like [`Self::try_kubectl`], with a manifest on standard input.
    pub fn try_kubectl_with(&self, line: &str, input: &str) -> anyhow::Result<Answer> {
        let mut child = self.start_kubectl(line)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        Ok(Answer {
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// kubectl left running, for `get --watch`. The caller ends it.
    pub fn start_kubectl(&self, line: &str) -> anyhow::Result<Child> {
        Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(line.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")
    }
}

/// Where a user's kubeconfig points.
pub(crate) struct Server<'a> {
    pub(crate) url: String,
    pub(crate) authority: &'a Path,
}
