//! sample-apiserver, Kubernetes' own extension API server: the peer.
//!
//! It proves the control plane and the set-up of the aggregation independently of Keepwatch, and
//! is what benchmarks compare with.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use assets::Program;
use testkit::pki;

use crate::audit_log::AuditLog;
use crate::control_plane::ControlPlane;
use crate::extension::Extension;
use crate::process::{Process, free_port};

/// A running sample-apiserver.
#[derive(Debug)]
pub struct SampleApiserver {
    /// How the cluster knows it.
    pub extension: Extension,
    /// The server.
    pub process: Process,
    /// Its own audit log.
    pub audit_log: AuditLog,
    /// Where it listens.
    pub address: SocketAddr,
}

impl SampleApiserver {
    /// Starts it with this audit policy, registers it and waits until it is available.
    pub fn start(plane: &ControlPlane, audit_policy: &str) -> anyhow::Result<Self> {
        let groups =
            ["v1alpha1", "v1beta1"].map(|version| ("wardle.example.com".to_owned(), version));
        let extension = Extension::new("wardle", "api", &groups);
        let folder = plane.folder().join("sample-apiserver");
        fs::create_dir_all(&folder)?;
        let (certificate, key) = extension.serving_identity().write(&folder, "serving");
        pki::replace(&folder.join("audit-policy.yaml"), audit_policy);
        let kubeconfig = plane.admin().kubeconfig.display().to_string();
        let port = free_port()?;
        let arguments = [
            format!("--etcd-servers={}", plane.etcd_url()),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--tls-cert-file={}", certificate.display()),
            format!("--tls-private-key-file={}", key.display()),
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            format!("--audit-policy-file={}", folder.join("audit-policy.yaml").display()),
            format!("--audit-log-path={}", folder.join("audit.log").display()),
        ];
        let program = plane.assets().path(Program::SampleApiserver);
        let process = Process::start("sample-apiserver", &program, &arguments, &folder)?;
        extension.register(plane, port)?;
        extension.wait_available(plane)?;
        Ok(Self {
            extension,
            process,
            audit_log: AuditLog::new(folder.join("audit.log")),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        })
    }
}
