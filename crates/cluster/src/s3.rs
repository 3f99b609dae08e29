//! A real server of objects (versitygw), and curl as a client of it that is not ours.
//!
//! It keeps buckets as folders and objects as files, so that what it holds can be read without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::process::{Process, free_port};
use crate::wait::until;
use crate::{archive, assets};

/// The key it knows.
pub const ACCESS_KEY: &str = "AKIAKEEPWATCH";
/// What goes with it.
pub const SECRET_KEY: &str = "canary-of-the-s3-server";

/// What curl has to say of a request without a body.
const EMPTY: &str =
    "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A running server.
pub struct S3Server {
    process: Process,
    folder: tempfile::TempDir,
    endpoint: String,
}

impl S3Server {
    /// Starts one; `tls` is the files with certificate and key.
    pub fn start(tls: Option<(&Path, &Path)>) -> anyhow::Result<Self> {
        let program = assets::versitygw()?;
        let folder = tempfile::tempdir()?;
        let (data, versions) = (folder.path().join("data"), folder.path().join("versions"));
        std::fs::create_dir(&data)?;
        std::fs::create_dir(&versions)?;
        let port = free_port()?;
        let mut arguments =
            vec![format!("--access={ACCESS_KEY}"), format!("--secret={SECRET_KEY}")];
        arguments.extend([format!("--port=127.0.0.1:{port}"), "--quiet".to_owned()]);
        if let Some((certificate, key)) = tls {
            arguments.push(format!("--cert={}", certificate.display()));
            arguments.push(format!("--key={}", key.display()));
        }
        arguments.extend(["posix".to_owned(), "--versioning-dir".to_owned()]);
        arguments.extend([versions.display().to_string(), data.display().to_string()]);
        let process = Process::start("versitygw", &program, &arguments, folder.path())?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://127.0.0.1:{port}");
        let mut server = Self { process, folder, endpoint };
        until("the S3 server answers", || {
            server.process.check()?;
            Ok(server.curl(&["-o", "/dev/null", &format!("{}/", server.endpoint)]).ok())
        })?;
        Ok(server)
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes a bucket; with `lock`, one whose objects can be retained.
    pub fn make_bucket(&self, name: &str, lock: bool) -> anyhow::Result<()> {
        let lock = format!("x-amz-bucket-object-lock-enabled: {lock}");
        self.curl(&["-X", "PUT", "-H", &lock, &format!("{}/{name}", self.endpoint)]).map(drop)
    }

    /// The answer to a request about one object, such as its head.
    pub fn curl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let answer = Command::new("curl")
            .args(["-sS", "--fail-with-body", "-k", "--aws-sigv4", "aws:amz:us-east-1:s3"])
            .args(["-H", EMPTY, "--user"])
            .arg(format!("{ACCESS_KEY}:{SECRET_KEY}"))
            .args(arguments)
            .output()
            .context("cannot start curl")?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        if !answer.status.success() {
            bail!("curl: {text} {}", String::from_utf8_lossy(&answer.stderr));
        }
        Ok(text)
    }

    /// What a bucket holds, by key.
    pub fn objects(&self, bucket: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        archive::files(&self.folder.path().join("data").join(bucket))
    }

    /// The folder it keeps everything in.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}
