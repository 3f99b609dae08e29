//! The binary under test, behind the aggregator.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use assets::environment;
use testkit::pki::{self, Identity};

use crate::audit_log::AuditLog;
use crate::control_plane::ControlPlane;
use crate::extension::Extension;
use crate::https::Target;
use crate::process::{Process, free_port};
use crate::user::User;

/// The namespace K10 lives in, unless it lives elsewhere.
const NAMESPACE: &str = "kasten-io";
/// The domain that its aggregated groups end in, unless they end in another.
const DOMAIN: &str = "kio.kasten.io";
/// The Service that K10's APIServices point at.
const SERVICE: &str = "aggregatedapis-svc";
const GROUPS: [&str; 5] = ["actions", "apps", "repositories", "vault", "dr"];
const VERSION: &str = "v1alpha1";
/// The group of signals, which is Keepwatch's own wherever K10 is.
const SIEM: &str = "siem.keepwatch.io";

/// `keepwatch serve`, registered for K10's groups.
#[derive(Debug)]
pub struct Keepwatch {
    /// How the cluster knows it.
    pub extension: Extension,
    /// The server's process; [`Keepwatch::start_again`] replaces it.
    pub process: Process,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    /// Where store and audit log are.
    data_folder: PathBuf,
    port: u16,
}

/// What it is given beyond the usual.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// Flags.
    pub(crate) arguments: Vec<String>,
    /// Variables of its environment.
    pub(crate) environment: Vec<(String, String)>,
}

impl Keepwatch {
    /// Starts it with this audit policy, registers it and waits until every group is available.
    pub fn start(plane: &ControlPlane, audit_policy: &str) -> anyhow::Result<Self> {
        Self::start_with(plane, audit_policy, More::default())
    }

    /// The same with more flags and variables.
    pub(crate) fn start_with(
        plane: &ControlPlane,
        audit_policy: &str,
        more: More,
    ) -> anyhow::Result<Self> {
        Self::start_at(plane, audit_policy, (DOMAIN, NAMESPACE), more)
    }

    /// The same for a K10 whose groups end in another domain, in another namespace. Only one can be
    /// registered for a domain, and a control plane has room for one account of a server.
    pub fn start_elsewhere(
        plane: &ControlPlane,
        audit_policy: &str,
        domain: &str,
        namespace: &'static str,
    ) -> anyhow::Result<Self> {
        let flags = [format!("--k10-api-domain={domain}"), format!("--k10-namespace={namespace}")];
        let more = More { arguments: flags.to_vec(), ..More::default() };
        Self::start_at(plane, audit_policy, (domain, namespace), more)
    }

    fn start_at(
        plane: &ControlPlane,
        audit_policy: &str,
        (domain, namespace): (&str, &'static str),
        more: More,
    ) -> anyhow::Result<Self> {
        let mut groups = GROUPS.map(|group| (format!("{group}.{domain}"), VERSION)).to_vec();
        groups.push((SIEM.to_owned(), VERSION));
        let extension = Extension::new(namespace, SERVICE, &groups);
        let port = free_port()?;
        extension.register(plane, port)?;
        plane.apply(&include_str!("../tests/data/account.yaml").replace(NAMESPACE, namespace))?;

        let folder = plane.folder().join("keepwatch");
        fs::create_dir_all(&folder)?;
        extension.serving_identity().write(&folder, "serving");
        pki::replace(&folder.join("audit-policy.yaml"), audit_policy);
        let name = format!("system:serviceaccount:{namespace}:{SERVICE}");
        let account = plane.user(&name, None);
        let mut arguments = arguments(&folder, port, &account);
        arguments.extend(more.arguments);
        let (binary, environment) = (binary()?, more.environment);
        let process = Process::start_in("keepwatch", &binary, &arguments, &folder, &environment)?;
        let mut keepwatch = Self {
            extension,
            process,
            binary,
            arguments,
            environment,
            data_folder: folder.clone(),
            folder,
            port,
        };
        keepwatch.wait_available(plane)?;
        Ok(keepwatch)
    }

    /// Waits until the server listens and the aggregator reaches it.
    pub fn wait_available(&mut self, plane: &ControlPlane) -> anyhow::Result<()> {
        self.wait_listening()?;
        self.extension.wait_available(plane)
    }

    /// Waits until the server accepts connections.
    pub fn wait_listening(&mut self) -> anyhow::Result<()> {
        let address = self.address();
        self.process.wait_listening(address)
    }

    /// Starts it again, after it was stopped, on the same folder and port.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let (binary, arguments) = (&self.binary, &self.arguments);
        self.process =
            Process::start_in("keepwatch", binary, arguments, &self.folder, &self.environment)?;
        self.wait_listening()
    }

    /// Stops it and starts it with another store and audit log, which are in `folder`.
    pub fn move_to(&mut self, folder: &Path) -> anyhow::Result<()> {
        ensure!(self.process.stop()?.success(), "it did not end in order");
        fs::create_dir_all(folder)?;
        let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
        self.arguments.retain(|argument| {
            !["--data-dir=", "--audit-log-file="].iter().any(|flag| argument.starts_with(flag))
        });
        self.arguments.push(file("data-dir", "data"));
        self.arguments.push(file("audit-log-file", "audit.log"));
        folder.clone_into(&mut self.data_folder);
        self.start_again()
    }

    /// The folder with its store and audit log.
    pub fn data_folder(&self) -> &Path {
        &self.data_folder
    }

    /// The binary itself, for its other commands.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its own audit log.
    pub fn audit_log(&self) -> AuditLog {
        AuditLog::new(self.data_folder.join("audit.log"))
    }

    /// The folder with its store.
    pub(crate) fn data(&self) -> PathBuf {
        self.data_folder.join("data")
    }

    /// The folder that stands for a mounted volume, made if it is not there.
    pub fn volume(&self, claim: &str) -> anyhow::Result<PathBuf> {
        let volume = self.folder.join("volumes").join(claim);
        fs::create_dir_all(&volume)?;
        Ok(volume)
    }

    /// A request past the aggregator, with this client certificate or none.
    pub fn target<'a>(&'a self, identity: Option<&'a Identity>) -> Target<'a> {
        let authority = self.extension.authority();
        Target { address: self.address(), name: "localhost", authority, identity, source: None }
    }
}

fn arguments(folder: &Path, port: u16, account: &User) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let kubeconfig = |flag: &str| format!("--{flag}={}", account.kubeconfig.display());
    vec![
        "serve".to_owned(),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        file("tls-cert-file", "serving.crt"),
        file("tls-private-key-file", "serving.key"),
        kubeconfig("kubeconfig"),
        kubeconfig("authentication-kubeconfig"),
        kubeconfig("authorization-kubeconfig"),
        file("audit-policy-file", "audit-policy.yaml"),
        file("audit-log-file", "audit.log"),
        file("data-dir", "data"),
        "--enable-k10-audit-cloud-aws-s3=true".to_owned(),
        "--audit-seal-age=1s".to_owned(),
        // Receivers of notifications are on this machine.
        "--audit-allowed-networks=127.0.0.0/8".to_owned(),
        file("audit-volumes", "volumes"),
    ]
}

/// The binary named by `KEEPWATCH_BIN`, else the one cargo builds in its development profile.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(binary) = environment("KEEPWATCH_BIN") {
        return Ok(PathBuf::from(binary));
    }
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", "keepwatch", "--bin", "keepwatch"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo cannot build keepwatch; its messages stand above");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.pointer("/executable")?.as_str().map(PathBuf::from))
        .next_back()
        .context("cargo did not say where keepwatch is")
}
