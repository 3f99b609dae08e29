//! Builds and locates the third-party programs that tests run against.
//!
//! [`ensure`] builds the control plane from the Go module beside this crate, once for each version
//! of its `go.sum`, into a cache folder that outlives the checkout. A program in the folder
//! `KUBEBUILDER_ASSETS` is used instead. [`all`] builds everything in advance.
//!
//! The module [`packages`] installs Python and Node packages, and [`definitions`] downloads those of
//! backup tools. The callers start the programs.
//!
//! A missing Go toolchain or a failed build is an error: no caller may continue without the
//! programs.

mod definitions;
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

pub use definitions::definitions;

/// A third-party program that the test suite runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// Kubernetes' store.
    Etcd,
    /// The API server and aggregator.
    KubeApiserver,
    /// Namespace deletion and garbage collection.
    KubeControllerManager,
    /// Kubernetes' command-line client.
    Kubectl,
    /// Kubernetes' sample extension API server, with which benchmarks compare.
    SampleApiserver,
    /// Kubernetes' own audit policy checker and event codec.
    Oracle,
    /// A program with informers and other clients of client-go.
    Clientcheck,
    /// Uses sample-apiserver in the ways that client-go offers.
    Exerciser,
    /// Renders and checks the chart; see [`helm`].
    Helm,
    /// An object store with the S3 protocol; see [`server`].
    Versitygw,
    /// An object store with Google's protocol.
    Gcs,
    /// Issues credentials like the metadata service of an AWS instance.
    MetadataMock,
    /// Receives alerts; see [`alertmanager`].
    Alertmanager,
    /// Validates dashboards with Grafana's schema; see [`dashboard_reader`].
    DashboardReader,
}

impl Program {
    /// The programs of Kubernetes, which take minutes to build.
    const KUBERNETES: [Self; 5] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::Kubectl,
        Self::SampleApiserver,
    ];
    /// The programs of this repository, which take seconds once the others are built.
    const OWN: [Self; 3] = [Self::Oracle, Self::Clientcheck, Self::Exerciser];
    /// The servers that are not part of Kubernetes.
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
            Self::Exerciser => "exerciser",
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
            Self::Exerciser => "./cmd/exerciser",
            Self::Helm => "helm.sh/helm/v3/cmd/helm",
            Self::Versitygw => "github.com/versity/versitygw/cmd/versitygw",
            Self::Gcs => "./cmd/gcs",
            Self::MetadataMock => "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock",
            Self::Alertmanager => "github.com/prometheus/alertmanager/cmd/alertmanager",
            Self::DashboardReader => "./cmd/read-dashboards",
        }
    }
}

/// The locations of the programs, all of which exist.
#[derive(Clone, Debug)]
pub struct Assets {
    folders: Vec<PathBuf>,
}

impl Assets {
    /// The path of the program's binary.
    pub fn path(&self, program: Program) -> PathBuf {
        let mut candidates = self.folders.iter().map(|folder| folder.join(program.name()));
        let candidate = candidates.find(|path| path.is_file());
        candidate.unwrap_or_else(|| PathBuf::from(program.name()))
    }
}

/// Returns every program, built if missing.
pub fn ensure() -> anyhow::Result<Assets> {
    let configured = environment("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let module = GoModule::open()?;
    let kubernetes_folder = cache_root()?.join(format!("{}-{}", module.version, module.sums));
    let own_folder = kubernetes_folder.join(format!("own-{}", module.sources));

    let is_configured = |program: &Program| {
        configured.as_ref().is_some_and(|folder| folder.join(program.name()).is_file())
    };
    let missing: Vec<Program> =
        Program::KUBERNETES.into_iter().filter(|program| !is_configured(program)).collect();
    module.build_into(&kubernetes_folder, &missing)?;
    module.build_into(&own_folder, &Program::OWN)?;
    Ok(Assets { folders: configured.into_iter().chain([kubernetes_folder, own_folder]).collect() })
}

/// Builds and installs everything that is missing.
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
    definitions()?;
    Ok(())
}

/// Returns Helm, built if missing.
///
/// It has a separate Go module: Helm and Kubernetes require different versions of the same modules.
pub fn helm() -> anyhow::Result<PathBuf> {
    let module = GoModule::of_helm()?;
    let folder = cache_root()?.join(format!("helm-{}-{}", module.version, module.sums));
    module.build_into(&folder, &[Program::Helm])?;
    Ok(folder.join(Program::Helm.name()))
}

/// Returns Alertmanager, built if missing. It has a separate Go module, like Helm.
pub fn alertmanager() -> anyhow::Result<PathBuf> {
    let module = GoModule::of_alertmanager()?;
    let folder = cache_root()?.join(format!("alertmanager-{}-{}", module.version, module.sums));
    module.build_into(&folder, &[Program::Alertmanager])?;
    Ok(folder.join(Program::Alertmanager.name()))
}

/// Returns a program that validates Grafana dashboards, built if missing. It uses the schema from
/// which Grafana generates its own dashboard builders.
pub fn dashboard_reader() -> anyhow::Result<PathBuf> {
    let module = GoModule::of_grafana()?;
    let folder = cache_root()?.join(format!("grafana-{}-{}", module.sums, module.sources));
    module.build_into(&folder, &[Program::DashboardReader])?;
    Ok(folder.join(Program::DashboardReader.name()))
}

/// Returns a server for a destination or its credentials, built if missing.
pub fn server(program: Program) -> anyhow::Result<PathBuf> {
    Ok(servers(&[program])?.join(program.name()))
}

/// The folder of these servers.
fn servers(programs: &[Program]) -> anyhow::Result<PathBuf> {
    let module = GoModule::of_servers()?;
    let folder = cache_root()?.join(format!("servers-{}-{}", module.sums, module.sources));
    module.build_into(&folder, programs)?;
    Ok(folder)
}

/// A Go module that pins the versions of programs.
struct GoModule {
    folder: PathBuf,
    /// Version of Kubernetes or Helm, such as `v1.37.2`.
    version: String,
    /// Digest of the exact versions of all modules.
    sums: String,
    /// Digest of the sources of this repository's programs, if any.
    sources: String,
    /// Linker flags, which set version variables.
    linker_flags: String,
}

impl GoModule {
    fn open() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let version = required(&folder, "k8s.io/kubernetes")?;
        let sums = fingerprint(&[folder.join("go.sum")])?;
        let mut files = Vec::new();
        for program in Program::OWN {
            for entry in fs::read_dir(folder.join("cmd").join(program.name()))? {
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

    /// Builds the programs missing in `target`. A concurrent caller waits.
    fn build_into(&self, target: &Path, programs: &[Program]) -> anyhow::Result<()> {
        let present = |program: &Program| target.join(program.name()).is_file();
        if programs.iter().all(present) {
            return Ok(());
        }
        fs::create_dir_all(target)
            .with_context(|| format!("cannot create {}", target.display()))?;
        let lock = File::create(target.join(".lock")).context("cannot create the lock file")?;
        lock.lock().context("cannot lock the cache folder")?;

        let missing: Vec<Program> =
            programs.iter().copied().filter(|program| !present(program)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = missing.iter().map(|program| program.name()).collect();
        writeln!(io::stderr(), "building {} into {}", names.join(", "), target.display())?;

        // Build in a staging folder and rename, so that no process starts a half-written binary.
        let staging = target.join(".staging");
        fs::create_dir_all(&staging)?;
        self.build(&staging, &missing)?;
        for program in missing {
            fs::rename(staging.join(program.name()), target.join(program.name()))?;
        }
        Ok(())
    }

    fn build(&self, target: &Path, programs: &[Program]) -> anyhow::Result<()> {
        let status = Command::new("go")
            .args(["build", "-trimpath", "-ldflags", &self.linker_flags])
            // The linker omits debug information anyway.
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
    let version = manifest
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix(module))
        .filter_map(|rest| rest.strip_prefix(' '))
        .find_map(|rest| rest.split_whitespace().next());
    Ok(version.with_context(|| format!("go.mod does not require {module}"))?.to_owned())
}

/// Major and minor of `v1.37.2`.
fn numbers(version: &str) -> (&str, &str) {
    let mut numbers = version.trim_start_matches('v').split('.');
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

/// Without these flags, `kubectl version` and `/version` report v0.0.0.
fn kubernetes_flags(version: &str) -> String {
    let (major, minor) = numbers(version);
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor}"
    )
}

/// Without the version of Kubernetes, Helm renders charts for a very old one.
fn helm_flags(version: &str, kubernetes: &str) -> String {
    let (major, minor) = numbers(kubernetes);
    let package = "helm.sh/helm/v3";
    let mut flags = format!("-s -w -X {package}/internal/version.version={version}");
    for package_path in ["pkg/chartutil", "pkg/lint/rules"] {
        let package_path = format!("{package}/{package_path}.k8sVersion");
        // Writing to a string does not fail.
        write!(flags, " -X {package_path}Major={major} -X {package_path}Minor={minor}").ok();
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
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME is set: no folder for the cache"),
    };
    Ok(cache.join("keepwatch").join("assets"))
}

/// An environment variable, if it is set and not empty.
pub fn environment(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
