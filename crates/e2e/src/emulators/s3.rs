//! versitygw, an S3 server, and curl as an independent client of it.
//!
//! Buckets are folders and objects are files, so that tests can read objects directly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::archive;
use crate::fixtures::curl::curl;
use crate::fixtures::process::{Process, free_port, output};
use crate::fixtures::wait::until;

/// The access key ID of the root account.
pub const ACCESS_KEY: &str = "AKIAKEEPWATCH";
/// The secret key of the root account.
pub const SECRET_KEY: &str = "canary-of-the-s3-server";

/// The curl arguments of a request without a body.
const EMPTY: &str =
    "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The folders of objects, object versions and accounts.
const DATA: &str = "data";
const VERSIONS: &str = "versions";
const USERS: &str = "users";

/// A running server.
pub struct S3Server {
    process: Process,
    folder: tempfile::TempDir,
    port: u16,
    /// Whether the server uses TLS.
    is_secure: bool,
}

impl S3Server {
    /// Starts it. `tls` is the files of certificate and key.
    pub fn start(tls: Option<(&Path, &Path)>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        for part in [DATA, VERSIONS, USERS] {
            std::fs::create_dir(folder.path().join(part))?;
        }
        let port = free_port()?;
        let process = start_process(folder.path(), port, tls)?;
        let mut server = Self { process, folder, port, is_secure: tls.is_some() };
        server.wait()?;
        Ok(server)
    }

    /// Kills it, which closes its port.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again after a kill, on the same port and with its objects.
    pub fn restart(&mut self, tls: Option<(&Path, &Path)>) -> anyhow::Result<()> {
        self.process = start_process(self.folder.path(), self.port, tls)?;
        self.is_secure = tls.is_some();
        self.wait()
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        until("the S3 server answers", || {
            self.process.check()?;
            Ok(self.curl(&["-o", "/dev/null", &format!("{}/", self.endpoint())]).ok())
        })
        .map(drop)
    }

    /// Creates an account that may write to every bucket.
    pub fn create_user(&self, id: &str, secret: &str) -> anyhow::Result<()> {
        self.admin_command(&["create-user", "-a", id, "-s", secret, "-r", "admin"])
    }

    /// Revokes the account's key.
    pub fn delete_user(&self, id: &str) -> anyhow::Result<()> {
        self.admin_command(&["delete-user", "-a", id])
    }

    fn admin_command(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut versitygw = Command::new(assets::server(assets::Program::Versitygw)?);
        versitygw
            .args(["admin", "--allow-insecure", "--access", ACCESS_KEY, "--secret", SECRET_KEY])
            .args(["--endpoint-url", &self.endpoint()])
            .args(arguments);
        output(&mut versitygw).map(drop)
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Creates a bucket, with Object Lock if `lock`.
    pub fn create_bucket(&self, name: &str, lock: bool) -> anyhow::Result<()> {
        let lock = format!("x-amz-bucket-object-lock-enabled: {lock}");
        self.curl(&["-X", "PUT", "-H", &lock, &format!("{}/{name}", self.endpoint())]).map(drop)
    }

    /// The response to a request about one object, for example HEAD.
    pub fn curl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let user = format!("{ACCESS_KEY}:{SECRET_KEY}");
        let signed = ["-k", "--aws-sigv4", "aws:amz:us-east-1:s3", "-H", EMPTY, "--user", &user];
        let response = curl(&[&signed, arguments].concat())?;
        Ok(String::from_utf8_lossy(&response).into_owned())
    }

    /// The objects of a bucket, by key.
    pub fn objects(&self, bucket: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        archive::files(&self.folder.path().join(DATA).join(bucket))
    }

    /// The folder of its data.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

fn start_process(folder: &Path, port: u16, tls: Option<(&Path, &Path)>) -> anyhow::Result<Process> {
    let program = assets::server(assets::Program::Versitygw)?;
    let path = |part: &str| folder.join(part).display().to_string();
    let mut arguments = vec![format!("--access={ACCESS_KEY}"), format!("--secret={SECRET_KEY}")];
    arguments.extend([format!("--port=127.0.0.1:{port}"), "--quiet".to_owned()]);
    // A deleted account must be rejected at once.
    arguments.extend([format!("--iam-dir={}", path(USERS)), "--iam-cache-disable".to_owned()]);
    if let Some((certificate, key)) = tls {
        arguments.push(format!("--cert={}", certificate.display()));
        arguments.push(format!("--key={}", key.display()));
    }
    arguments.extend(["posix".to_owned(), "--versioning-dir".to_owned()]);
    arguments.extend([path(VERSIONS), path(DATA)]);
    Process::start("versitygw", &program, &arguments, folder)
}
