//! Installs Python and Node packages, pinned by hash.
//!
//! They are installed once for each version of the list of hashes, into the same cache folder as
//! the programs. A missing pip or npm is an error, like a missing Go toolchain.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::{cache_root, fingerprint};

/// Python, which runs [`moto`] and [`readers`].
pub fn python() -> PathBuf {
    PathBuf::from("python3")
}

/// Node, which runs [`azurite`], [`kusto`] and [`grammars`].
pub fn node() -> PathBuf {
    PathBuf::from("node")
}

/// A folder with the Python packages of moto, an AWS emulator: exactly those whose hashes are in
/// `moto/requirements.txt`.
pub fn moto() -> anyhow::Result<PathBuf> {
    python_packages("moto")
}

/// A folder with the Python packages that parse exported rules: exactly those whose hashes are in
/// `readers/requirements.txt`.
pub fn readers() -> anyhow::Result<PathBuf> {
    python_packages("readers")
}

fn python_packages(name: &str) -> anyhow::Result<PathBuf> {
    install(name, "requirements.txt", |source, target| {
        let mut pip = Command::new(python());
        pip.args(["-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"])
            .args(["--require-hashes", "--only-binary", ":all:", "--target"])
            .arg(target)
            .arg("--requirement")
            .arg(source.join("requirements.txt"));
        Ok(pip)
    })
}

/// A folder with the Node packages of Azurite, Microsoft's emulator of Blob Storage: exactly those
/// whose hashes are in `azurite/package-lock.json`.
pub fn azurite() -> anyhow::Result<PathBuf> {
    node_packages("azurite")
}

/// A folder with Microsoft's parser of the Kusto Query Language: exactly the packages whose hashes
/// are in `kusto/package-lock.json`.
pub fn kusto() -> anyhow::Result<PathBuf> {
    node_packages("kusto")
}

/// A folder with public grammars of the query languages of Loki, Prometheus and Lucene: exactly the
/// packages whose hashes are in `grammars/package-lock.json`.
pub fn grammars() -> anyhow::Result<PathBuf> {
    node_packages("grammars")
}

fn node_packages(name: &str) -> anyhow::Result<PathBuf> {
    install(name, "package-lock.json", |source, target| {
        fs::create_dir_all(target)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), target.join(file))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .stdout(io::stderr())
            .current_dir(target);
        Ok(npm)
    })
}

/// The folder of the packages in `list`, a file in the folder with that name beside this crate.
/// Installs missing ones.
fn install(
    name: &str,
    list: &str,
    command: impl FnOnce(&Path, &Path) -> anyhow::Result<Command>,
) -> anyhow::Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let folder = cache_root()?.join(format!("{name}-{}", fingerprint(&[source.join(list)])?));
    let packages = folder.join("packages");
    if packages.is_dir() {
        return Ok(packages);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let lock = File::create(folder.join(".lock")).context("cannot create the lock file")?;
    lock.lock().context("cannot lock the cache folder")?;
    if packages.is_dir() {
        return Ok(packages);
    }
    writeln!(io::stderr(), "installing {name} into {}", folder.display())?;
    let staging = folder.join(".staging");
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    let mut command = command(&source, &staging)?;
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{name} cannot be installed ({status}); see its messages above");
    }
    fs::rename(&staging, &packages)?;
    Ok(packages)
}
