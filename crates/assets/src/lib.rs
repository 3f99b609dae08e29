//! Other people's programs that tests run against: where they are, and how they get there.
//!
//! [`ensure`] builds the control plane from the Go module beside this crate, once for each version of
//! its `go.sum`, into a cache folder that outlives the checkout. A program found in the folder named
//! by `KUBEBUILDER_ASSETS` is taken from there instead. [`all`] is for whoever has the time before
//! they are needed.
//!
//! What is no Go is in [`packages`]. How a program is started is none of this crate's business.
//!
//! A missing Go toolchain or a failed build is an error: no caller may go on without them.

pub mod packages;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

/// A program the suite runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// Kubernetes' store.
    Etcd,
    /// The aggregator, and the API everything else lives in.
    KubeApiserver,
    /// Namespace deletion and garbage collection.
    KubeControllerManager,
    /// The client people use.
    Kubectl,
    /// Kubernetes' own extension API server, the peer we measure ourselves against.
    SampleApiserver,
    /// Kubernetes' own audit policy checker and event codec.
    Oracle,
    /// Informers and other clients of client-go.
    Clientcheck,
    /// Renders and checks the chart; see [`helm`].
    Helm,
    /// Keeps objects, by the protocol of S3; see [`server`].
    Versitygw,
    /// Keeps objects, by Google's protocol.
    Gcs,
    /// Lends keys as the metadata service of an instance of AWS does.
    MetadataMock,
    /// Takes alerts; see [`alertmanager`].
    Alertmanager,
    /// Reads dashboards by Grafana's schema; see [`dashboard_reader`].
    DashboardReader,
}

impl Program {
    /// The programs that come with Kubernetes; they take minutes to build.
    const STOCK: [Self; 5] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::Kubectl,
        Self::SampleApiserver,
    ];
    /// The programs written here; they take seconds once the others are built.
    const OWN: [Self; 2] = [Self::Oracle, Self::Clientcheck];
    /// The servers that are no part of Kubernetes.
    const SERVERS: [Self; 3] = [Self::Versitygw, Self::Gcs, Self::MetadataMock];

    /// The name of the binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::SampleApiserver => "sample-apiserver",
            Self::Oracle => "oracle",
            Self::Clientcheck => "clientcheck",
            Self::Helm => "helm",
            Self::Versitygw => "versitygw",
            Self::Gcs => "gcs",
            Self::MetadataMock => "ec2-metadata-mock",
            Self::Alertmanager => "alertmanager",
            Self::DashboardReader => "read-dashboards",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Etcd => "./cmd/etcd",
            Self::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::SampleApiserver => "k8s.io/sample-apiserver",
            Self::Oracle => "./cmd/oracle",
            Self::Clientcheck => "./cmd/clientcheck",
            Self::Helm => "helm.sh/helm/v3/cmd/helm",
            Self::Versitygw => "github.com/versity/versitygw/cmd/versitygw",
            Self::Gcs => "./cmd/gcs",
            Self::MetadataMock => "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock",
            Self::Alertmanager => "github.com/prometheus/alertmanager/cmd/alertmanager",
            Self::DashboardReader => "./cmd/read-dashboards",
        }
    }
}

/// Where the programs are. Each of them exists.
#[derive(Clone, Debug)]
pub struct Assets {
    folders: Vec<PathBuf>,
}

impl Assets {
    /// The program's file.
    pub fn path(&self, program: Program) -> PathBuf {
        let mut candidates = self.folders.iter().map(|folder| folder.join(program.name()));
        let found = candidates.find(|path| path.is_file());
        found.unwrap_or_else(|| PathBuf::from(program.name()))
    }
}

/// Every program, built if it is not there yet.
pub fn ensure() -> anyhow::Result<Assets> {
    let given = environment("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let module = GoModule::open()?;
    let stock_folder = cache_root()?.join(format!("{}-{}", module.version, module.sums));
    let own_folder = stock_folder.join(format!("own-{}", module.sources));

    let given_has = |program: &Program| {
        given.as_ref().is_some_and(|folder| folder.join(program.name()).is_file())
    };
    let missing: Vec<Program> =
        Program::STOCK.into_iter().filter(|program| !given_has(program)).collect();
    module.build_into(&stock_folder, &missing)?;
    module.build_into(&own_folder, &Program::OWN)?;
    Ok(Assets { folders: given.into_iter().chain([stock_folder, own_folder]).collect() })
}

/// Builds and installs everything that is not there yet.
pub fn all() -> anyhow::Result<()> {
    packages::moto()?;
    packages::readers()?;
    packages::azurite()?;
    packages::kusto()?;
    packages::grammars()?;
    ensure()?;
    helm()?;
    servers(&Program::SERVERS)?;
    alertmanager()?;
    dashboard_reader()?;
    Ok(())
}

/// Helm, built if it is not there yet.
///
/// From a Go module of its own: Helm and Kubernetes want different versions of the same modules.
pub fn helm() -> anyhow::Result<PathBuf> {
    let module = GoModule::of_helm()?;
    let folder = cache_root()?.join(format!("helm-{}-{}", module.version, module.sums));
    module.build_into(&folder, &[Program::Helm])?;
    Ok(folder.join(Program::Helm.name()))
}

/// Alertmanager, built if it is not there yet. From a Go module of its own, as Helm is.
pub fn alertmanager() -> anyhow::Result<PathBuf> {
    let module = GoModule::of_alertmanager()?;
    let folder = cache_root()?.join(format!("alertmanager-{}-{}", module.version, module.sums));
    module.build_into(&folder, &[Program::Alertmanager])?;
    Ok(folder.join(Program::Alertmanager.name()))
}

/// A program of ours that reads Grafana's dashboards, built if it is not there yet. Its schema is the one
/// that Grafana's own builders of dashboards are made from.
pub fn dashboard_reader() -> anyhow::Result<PathBuf> {
    let module = GoModule::of_grafana()?;
    let folder = cache_root()?.join(format!("grafana-{}-{}", module.sums, module.sources));
    module.build_into(&folder, &[Program::DashboardReader])?;
    Ok(folder.join(Program::DashboardReader.name()))
}

/// A server that a destination or its credentials come from, built if it is not there yet.
pub fn server(program: Program) -> anyhow::Result<PathBuf> {
    Ok(servers(&[program])?.join(program.name()))
}

/// The folder in which these are.
fn servers(programs: &[Program]) -> anyhow::Result<PathBuf> {
    let module = GoModule::of_servers()?;
    let folder = cache_root()?.join(format!("servers-{}-{}", module.sums, module.sources));
    module.build_into(&folder, programs)?;
    Ok(folder)
}

/// A Go module that pins what is built.
struct GoModule {
    folder: PathBuf,
    /// Of Kubernetes or Helm, such as `v1.37.2`.
    version: String,
    /// Names the exact versions of all modules.
    sums: String,
    /// Names the sources of our own programs, if there are any.
    sources: String,
    /// What the linker writes into the programs.
    linker_flags: String,
}

impl GoModule {
    fn open() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let version = required(&folder, "k8s.io/kubernetes")?;
        let sums = fingerprint(&[folder.join("go.sum")])?;
        let mut files = Vec::new();
        for command in ["oracle", "clientcheck"] {
            for entry in fs::read_dir(folder.join("cmd").join(command))? {
                files.push(entry?.path());
            }
        }
        files.sort();
        let sources = fingerprint(&files)?;
        let linker_flags = kubernetes_flags(&version);
        Ok(Self { folder, version, sums, sources, linker_flags })
    }

    fn of_helm() -> anyhow::Result<Self> {
        let kubernetes = Self::open()?.version;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm");
        let version = required(&folder, "helm.sh/helm/v3")?;
        let sums = fingerprint(&[folder.join("go.sum")])?;
        let linker_flags = helm_flags(&version, &kubernetes);
        Ok(Self { folder, version, sums, sources: String::new(), linker_flags })
    }

    fn of_alertmanager() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("alertmanager");
        let version = required(&folder, "github.com/prometheus/alertmanager")?;
        let sums = fingerprint(&[folder.join("go.sum")])?;
        let linker_flags = "-s -w".to_owned();
        Ok(Self { folder, version, sums, sources: String::new(), linker_flags })
    }

    fn of_servers() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers");
        let version = required(&folder, "github.com/versity/versitygw")?;
        let sums = fingerprint(&[folder.join("go.sum")])?;
        let sources = fingerprint(&[folder.join("cmd/gcs/main.go")])?;
        let linker_flags = "-s -w".to_owned();
        Ok(Self { folder, version, sums, sources, linker_flags })
    }

    fn of_grafana() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana");
        let version = required(&folder, "github.com/grafana/grafana-foundation-sdk/go")?;
        let sums = fingerprint(&[folder.join("go.sum")])?;
        let sources = fingerprint(&[folder.join("cmd/read-dashboards/main.go")])?;
        let linker_flags = "-s -w".to_owned();
        Ok(Self { folder, version, sums, sources, linker_flags })
    }

    /// Builds what is not in `target` yet. Of two callers the second waits for the first.
    fn build_into(&self, target: &Path, programs: &[Program]) -> anyhow::Result<()> {
        let present = |program: &Program| target.join(program.name()).is_file();
        if programs.iter().all(present) {
            return Ok(());
        }
        fs::create_dir_all(target)
            .with_context(|| format!("cannot create {}", target.display()))?;
        let lock = File::create(target.join(".lock")).context("cannot create the lock file")?;
        lock.lock().context("cannot lock the cache folder")?;

        let wanted: Vec<Program> =
            programs.iter().copied().filter(|program| !present(program)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = wanted.iter().map(|program| program.name()).collect();
        writeln!(io::stderr(), "building {} into {}", names.join(", "), target.display())?;

        // Build beside and move, so that no process starts a half-written binary.
        let staging = target.join(".staging");
        fs::create_dir_all(&staging)?;
        self.build(&staging, &wanted)?;
        for program in wanted {
            fs::rename(staging.join(program.name()), target.join(program.name()))?;
        }
        Ok(())
    }

    fn build(&self, target: &Path, programs: &[Program]) -> anyhow::Result<()> {
        let status = Command::new("go")
            .args(["build", "-trimpath", "-ldflags", &self.linker_flags])
            // The linker leaves it out anyway.
            .args(["-gcflags=all=-dwarf=false", "-o"])
            .arg(target)
            .args(programs.iter().map(|program| program.package()))
            .env("CGO_ENABLED", "0")
            .current_dir(&self.folder)
            .status()
            .context("the control plane is built with Go, which cannot be started")?;
        if !status.success() {
            bail!("go build of the control plane failed ({status}); see its messages above");
        }
        Ok(())
    }
}

/// The version of a module that the `go.mod` in `folder` requires.
fn required(folder: &Path, module: &str) -> anyhow::Result<String> {
    let manifest = fs::read_to_string(folder.join("go.mod")).context("cannot read go.mod")?;
    let found = manifest
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix(module))
        .filter_map(|rest| rest.strip_prefix(' '))
        .find_map(|rest| rest.split_whitespace().next());
    Ok(found.with_context(|| format!("go.mod does not require {module}"))?.to_owned())
}

/// Major and minor of `v1.37.2`.
fn numbers(version: &str) -> (&str, &str) {
    let mut numbers = version.trim_start_matches('v').split('.');
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

/// Without the version, `kubectl version` and `/version` say v0.0.0.
fn kubernetes_flags(version: &str) -> String {
    let (major, minor) = numbers(version);
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor}"
    )
}

/// Without the version of Kubernetes, charts are rendered for one of long ago.
fn helm_flags(version: &str, kubernetes: &str) -> String {
    let (major, minor) = numbers(kubernetes);
    let package = "helm.sh/helm/v3";
    let mut flags = format!("-s -w -X {package}/internal/version.version={version}");
    for place in ["pkg/chartutil", "pkg/lint/rules"] {
        let place = format!("{package}/{place}.k8sVersion");
        // Writing to a string does not fail.
        write!(flags, " -X {place}Major={major} -X {place}Minor={minor}").ok();
    }
    flags
}

pub(crate) fn fingerprint(files: &[PathBuf]) -> anyhow::Result<String> {
    let mut digest = Sha256::new();
    for file in files {
        let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        digest.update(content);
    }
    let mut digits = format!("{:x}", digest.finalize());
    digits.truncate(12);
    Ok(digits)
}

pub(crate) fn cache_root() -> anyhow::Result<PathBuf> {
    let cache = match (environment("XDG_CACHE_HOME"), environment("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME is set: no place for a cache"),
    };
    Ok(cache.join("keepwatch").join("assets"))
}

/// A variable that is set and not empty.
pub fn environment(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
