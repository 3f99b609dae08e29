//! etcd, kube-apiserver and kube-controller-manager on loopback.
//!
//! As in a real cluster there are two authorities: one for users and servers, one for the front
//! proxy, which alone may speak for others. Everything lives in one folder: keys, logs, data.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use assets::{Assets, Program};
use testkit::pki::{self, Authority, Identity};

use crate::audit_log::AuditLog;
use crate::https::{self, Target};
use crate::process::{Process, free_port};
use crate::user::{Server, User};
use crate::wait::until;

/// The name in the front proxy's certificate, the only one that may speak for others.
pub(crate) const FRONT_PROXY: &str = "front-proxy-client";

/// What kube-apiserver records itself: which rights the server under test uses, extension groups as
/// completely as it can, and nothing else.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ['system:serviceaccount:kasten-io:aggregatedapis-svc']
- level: None
  nonResourceURLs: ['*']
- level: None
  resources: [{group: ''}, {group: apiregistration.k8s.io}, {group: authorization.k8s.io},
    {group: authentication.k8s.io}, {group: rbac.authorization.k8s.io},
    {group: coordination.k8s.io}, {group: discovery.k8s.io}]
- level: RequestResponse
";

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    assets: Assets,
    users_authority: Authority,
    /// Its certificate, as PEM.
    users_authority_pem: String,
    front_proxy: Identity,
    admin: User,
    port: u16,
    etcd_port: u16,
    apiserver: Process,
    _controller_manager: Process,
    etcd: Process,
}

impl ControlPlane {
    /// Starts everything in `folder`, which is wiped first, and waits until it works.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let assets = assets::ensure()?;
        if folder.exists() {
            fs::remove_dir_all(folder).context("cannot wipe the folder of an earlier run")?;
        }
        fs::create_dir_all(folder).with_context(|| format!("no folder {}", folder.display()))?;
        let users_authority = Authority::new("users-ca");
        let users_authority_pem = users_authority.pem();
        let front_proxy_authority = Authority::new("front-proxy-ca");
        let front_proxy = front_proxy_authority.client(FRONT_PROXY, &[]);
        pki::replace(&folder.join("users-ca.crt"), &users_authority_pem);
        pki::replace(&folder.join("front-proxy-ca.crt"), &front_proxy_authority.pem());
        front_proxy.write(folder, "front-proxy");
        let names = ["localhost", "127.0.0.1", "kubernetes.default.svc"];
        users_authority.server_of(&names).write(folder, "apiserver");
        pki::write_signing_key(folder, "service-account");
        pki::replace(&folder.join("audit-policy.yaml"), AUDIT_POLICY);

        let port = free_port()?;
        let new_user = |name: &str, group: Option<&str>| {
            let server = Server {
                url: format!("https://127.0.0.1:{port}"),
                authority: &folder.join("users-ca.crt"),
            };
            let identity = users_authority.client(name, group.as_slice());
            User::new(name, identity, &server, folder, assets.path(Program::Kubectl))
        };
        let admin = new_user("admin", Some("system:masters"));
        let controllers = new_user("system:kube-controller-manager", None);

        let etcd_port = free_port()?;
        let etcd = start_etcd(&assets, folder, etcd_port)?;
        let mut apiserver = start_apiserver(&assets, folder, port, etcd_port)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait_ready(&mut apiserver, address, &users_authority_pem, &admin.identity)?;
        let controller_manager = start_controller_manager(&assets, folder, &controllers)?;
        Ok(Self {
            folder: folder.to_owned(),
            assets,
            users_authority,
            users_authority_pem,
            front_proxy,
            admin,
            port,
            etcd_port,
            apiserver,
            _controller_manager: controller_manager,
            etcd,
        })
    }

    /// A member of `system:masters`.
    pub fn admin(&self) -> &User {
        &self.admin
    }

    /// A user with a certificate for this name and group, and no rights but those bound by RBAC.
    pub fn user(&self, name: &str, group: Option<&str>) -> User {
        let server = Server {
            url: format!("https://127.0.0.1:{}", self.port),
            authority: &self.folder.join("users-ca.crt"),
        };
        let identity = self.users_authority.client(name, group.as_slice());
        User::new(name, identity, &server, &self.folder, self.assets.path(Program::Kubectl))
    }

    /// A client certificate for this name and at most two groups, without a kubeconfig.
    pub fn identity(&self, name: &str, groups: &[&str]) -> Identity {
        self.users_authority.client(name, groups)
    }

    /// The authority of kube-apiserver's own certificate and of its users', as PEM.
    pub fn authority(&self) -> &str {
        &self.users_authority_pem
    }

    /// `kubectl apply` as the administrator.
    pub fn apply(&self, manifest: &str) -> anyhow::Result<()> {
        self.admin.kubectl_with("apply -f -", manifest).map(drop)
    }

    /// kube-apiserver's own audit log.
    pub fn audit_log(&self) -> AuditLog {
        AuditLog::new(self.folder.join("audit.log"))
    }

    /// Where everything of this control plane lives.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The programs it runs.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// kube-apiserver's address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// etcd's process.
    pub fn etcd_pid(&self) -> u32 {
        self.etcd.id()
    }

    /// etcd's URL.
    pub fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd_port)
    }

    /// A request to kube-apiserver as `user`, from loopback.
    pub fn target<'a>(&'a self, user: &'a User) -> Target<'a> {
        Target {
            address: self.address(),
            name: "localhost",
            authority: &self.users_authority_pem,
            identity: Some(&user.identity),
            source: None,
        }
    }

    /// The certificate with which kube-apiserver speaks for others, at the moment.
    pub fn front_proxy(&self) -> &Identity {
        &self.front_proxy
    }

    /// Whether kube-apiserver still runs.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.apiserver.check()
    }

    /// Replaces the authorities whom extension servers trust as front proxies.
    ///
    /// kube-apiserver watches the file and publishes it in `extension-apiserver-authentication`.
    pub fn trust_front_proxies(&self, authorities: &[&Authority]) {
        let bundle: Vec<_> = authorities.iter().map(|authority| authority.pem()).collect();
        pki::replace(&self.folder.join("front-proxy-ca.crt"), &bundle.join("\n"));
    }

    /// Replaces kube-apiserver's own front proxy certificate, which it reloads from its file.
    pub fn become_front_proxy(&mut self, identity: Identity) {
        identity.write(&self.folder, "front-proxy");
        self.front_proxy = identity;
    }

    /// Stops kube-apiserver and starts it again with the files as they are now.
    pub fn restart_apiserver(&mut self) -> anyhow::Result<()> {
        self.apiserver.stop()?;
        self.apiserver = start_apiserver(&self.assets, &self.folder, self.port, self.etcd_port)?;
        let (address, authority) = (self.address(), self.users_authority_pem.as_str());
        let admin = &self.admin.identity;
        wait_ready(&mut self.apiserver, address, authority, admin)
    }
}

fn start_etcd(assets: &Assets, folder: &Path, port: u16) -> anyhow::Result<Process> {
    let peer_port = free_port()?;
    let arguments = [
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls=http://127.0.0.1:{port}"),
        format!("--advertise-client-urls=http://127.0.0.1:{port}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer_port}"),
        "--unsafe-no-fsync".to_owned(),
    ];
    Process::start("etcd", &assets.path(Program::Etcd), &arguments, folder)
}

fn start_apiserver(
    assets: &Assets,
    folder: &Path,
    port: u16,
    etcd_port: u16,
) -> anyhow::Result<Process> {
    let arguments = apiserver_arguments(folder, port, etcd_port);
    Process::start("kube-apiserver", &assets.path(Program::KubeApiserver), &arguments, folder)
}

fn wait_ready(
    apiserver: &mut Process,
    address: SocketAddr,
    authority: &str,
    admin: &Identity,
) -> anyhow::Result<()> {
    until("kube-apiserver is ready", || {
        apiserver.check()?;
        let identity = Some(admin);
        let target = Target { address, name: "localhost", authority, identity, source: None };
        let ready = https::request(&target, "GET /readyz", &[], "").ok();
        Ok(ready.filter(|answer| answer.code == 200).map(drop))
    })
}

fn apiserver_arguments(folder: &Path, port: u16, etcd_port: u16) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--secure-port={port}"),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("client-ca-file", "users-ca.crt"),
        file("service-account-key-file", "service-account.pub"),
        file("service-account-signing-key-file", "service-account.key"),
        file("requestheader-client-ca-file", "front-proxy-ca.crt"),
        format!("--requestheader-allowed-names={FRONT_PROXY}"),
        file("proxy-client-cert-file", "front-proxy.crt"),
        file("proxy-client-key-file", "front-proxy.key"),
        file("audit-policy-file", "audit-policy.yaml"),
        file("audit-log-path", "audit.log"),
    ];
    arguments.extend(
        [
            "--bind-address=127.0.0.1",
            // Neither is ever dialled; without them it looks for an address of the machine.
            "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-uid-headers=X-Remote-Uid",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ]
        .map(str::to_owned),
    );
    arguments
}

fn start_controller_manager(
    assets: &Assets,
    folder: &Path,
    user: &User,
) -> anyhow::Result<Process> {
    let arguments = [
        format!("--kubeconfig={}", user.kubeconfig.display()),
        format!(
            "--service-account-private-key-file={}",
            folder.join("service-account.key").display()
        ),
        format!("--root-ca-file={}", folder.join("users-ca.crt").display()),
        // Without it the namespace controller lacks its rights and namespace deletion hangs.
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--controllers=namespace-controller,garbage-collector-controller,\
         serviceaccount-controller,serviceaccount-token-controller,\
         root-ca-certificate-publisher-controller"
            .to_owned(),
    ];
    let program = assets.path(Program::KubeControllerManager);
    Process::start("kube-controller-manager", &program, &arguments, folder)
}
