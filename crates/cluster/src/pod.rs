//! One pod on this machine: the work of a kubelet, as far as the chart's pod needs it.
//!
//! The container's root holds the binary, the C library and the volumes of the manifest, is
//! read-only but for the volumes, and everything runs as the user of the manifest. Volumes are
//! what the cluster holds at the start: nothing is refreshed. Probes, limits and the image are
//! not looked at.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::process::Process;

/// Folders of the machine that the dynamically linked binary needs.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];
/// Where the binary is in the container.
const BINARY: &str = "/keepwatch";

/// A running pod.
#[derive(Debug)]
pub struct Pod {
    /// The process of its one container.
    pub process: Process,
    /// Where its volumes are, a folder each; they outlive the pod.
    pub volumes: PathBuf,
}

impl Pod {
    /// Runs the one container of the manifest, with the manifest's arguments.
    pub fn start(
        plane: &ControlPlane,
        name: &str,
        pod: &Value,
        binary: &Path,
    ) -> anyhow::Result<Self> {
        let folder = plane.folder().join(name);
        let user = pod.pointer("/spec/securityContext/runAsUser").and_then(Value::as_u64);
        let user = u32::try_from(user.context("the pod has no user")?)?;
        let root = folder.join("root");
        let volumes = folder.join("volumes");
        let container = pod.pointer("/spec/containers/0").context("no container")?;

        let mut script = Script::new(&root, binary)?;
        for volume in list(pod, "/spec/volumes") {
            let content = volumes.join(text(volume, "/name"));
            fs::create_dir_all(&content)?;
            fill(plane, pod, volume, &content)?;
            give(&content, user)?;
        }
        for mount in list(container, "/volumeMounts") {
            let volume = volumes.join(text(mount, "/name"));
            script.mount(&volume.join(text(mount, "/subPath")), text(mount, "/mountPath"))?;
        }
        let arguments: Vec<String> =
            list(container, "/args").filter_map(Value::as_str).map(str::to_owned).collect();
        let process = script.run(plane, name, &folder, user, &arguments)?;
        Ok(Self { process, volumes })
    }
}

/// What a volume holds.
fn fill(plane: &ControlPlane, pod: &Value, volume: &Value, folder: &Path) -> anyhow::Result<()> {
    for kind in ["emptyDir", "persistentVolumeClaim"] {
        if volume.get(kind).is_some() {
            return Ok(());
        }
    }
    if volume.get("configMap").is_some() {
        return config_map(plane, pod, text(volume, "/configMap/name"), folder);
    }
    if volume.get("secret").is_some() {
        return secret(plane, pod, text(volume, "/secret/secretName"), folder);
    }
    for source in list(volume, "/projected/sources") {
        project(plane, pod, source, folder)?;
    }
    Ok(())
}

fn project(plane: &ControlPlane, pod: &Value, source: &Value, folder: &Path) -> anyhow::Result<()> {
    let namespace = text(pod, "/metadata/namespace");
    if let Some(token) = source.get("serviceAccountToken") {
        let account = text(pod, "/spec/serviceAccountName");
        let seconds = token.get("expirationSeconds").and_then(Value::as_u64).unwrap_or(3607);
        let line = format!("create token {account} -n {namespace} --duration={seconds}s");
        let token_text = plane.admin().kubectl(&line)?;
        return Ok(fs::write(folder.join(text(token, "/path")), token_text.trim())?);
    }
    if source.get("configMap").is_some() {
        return config_map(plane, pod, text(source, "/configMap/name"), folder);
    }
    for item in list(source, "/downwardAPI/items") {
        let path = text(item, "/fieldRef/fieldPath").replace('.', "/");
        fs::write(folder.join(text(item, "/path")), text(pod, &format!("/{path}")))?;
    }
    Ok(())
}

fn config_map(plane: &ControlPlane, pod: &Value, name: &str, folder: &Path) -> anyhow::Result<()> {
    let object = get(plane, pod, "configmap", name)?;
    for (key, value) in object.pointer("/data").and_then(Value::as_object).into_iter().flatten() {
        fs::write(folder.join(key), value.as_str().unwrap_or_default())?;
    }
    Ok(())
}

fn secret(plane: &ControlPlane, pod: &Value, name: &str, folder: &Path) -> anyhow::Result<()> {
    let object = get(plane, pod, "secret", name)?;
    for (key, value) in object.pointer("/data").and_then(Value::as_object).into_iter().flatten() {
        fs::write(folder.join(key), STANDARD.decode(value.as_str().unwrap_or_default())?)?;
    }
    Ok(())
}

fn get(plane: &ControlPlane, pod: &Value, kind: &str, name: &str) -> anyhow::Result<Value> {
    plane.admin().json(&format!("get {kind} {name} -n {}", text(pod, "/metadata/namespace")))
}

/// To the pod's user, as `fsGroup` would.
fn give(folder: &Path, user: u32) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    chown(folder, Some(user), Some(user))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            give(&path, user)?;
        } else {
            chown(path, Some(user), Some(user))?;
        }
    }
    Ok(())
}

/// The shell's part: a mount namespace with the container's root.
struct Script {
    root: PathBuf,
    lines: Vec<String>,
}

impl Script {
    fn new(root: &Path, binary: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(root)?;
        let own = root.display();
        let lines = vec![
            "set -eu".to_owned(),
            "mount --make-rprivate /".to_owned(),
            format!("mount --bind '{own}' '{own}'"),
        ];
        let mut script = Self { root: root.to_owned(), lines };
        for library in LIBRARIES.map(Path::new).into_iter().filter(|library| library.is_dir()) {
            script.mount(library, &library.display().to_string())?;
        }
        script.mount(binary, BINARY)?;
        Ok(script)
    }

    /// Puts a folder or a file of the machine into the container.
    fn mount(&mut self, source: &Path, inside: &str) -> anyhow::Result<()> {
        let target = self.root.join(inside.trim_start_matches('/'));
        if source.is_dir() {
            fs::create_dir_all(&target)?;
        } else if source.is_file() {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&target, "")?;
        } else {
            bail!("{} is not there to be mounted", source.display());
        }
        self.lines.push(format!("mount --bind '{}' '{}'", source.display(), target.display()));
        Ok(())
    }

    fn run(
        mut self,
        plane: &ControlPlane,
        name: &str,
        folder: &Path,
        user: u32,
        arguments: &[String],
    ) -> anyhow::Result<Process> {
        // Whoever the container runs as must get to its root.
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o755))?;
        let root = self.root.display().to_string();
        self.lines.push(format!("mount -o remount,bind,ro '{root}'"));
        let address = plane.address();
        self.lines.push(format!(
            "exec env -i KUBERNETES_SERVICE_HOST={} KUBERNETES_SERVICE_PORT={} \\\n  \
             \"$(command -v chroot)\" $as '{root}' {BINARY} \"$@\"",
            address.ip(),
            address.port()
        ));
        // Without the right to become somebody else, the one user there is plays root and pod.
        let (namespaces, become_user) = if rustix::process::geteuid().is_root() {
            (vec!["--mount"], format!("as=--userspec={user}:{user}"))
        } else {
            (vec!["--mount", "--map-root-user"], "as=".to_owned())
        };
        let script = folder.join("start.sh");
        fs::write(&script, format!("{become_user}\n{}\n", self.lines.join("\n")))?;
        let mut all: Vec<String> = namespaces.into_iter().map(str::to_owned).collect();
        all.extend(["sh".to_owned(), script.display().to_string()]);
        all.extend(arguments.iter().cloned());
        Process::start(name, Path::new("unshare"), &all, folder)
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
