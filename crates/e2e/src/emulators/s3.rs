//! A real server of objects (versitygw), and curl as a client of it that is not ours.
//!
//! It keeps buckets as folders and objects as files, so that what it holds can be read without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::archive;
use crate::fixtures::curl::curl;
use crate::fixtures::process::{Process, free_port, output};
use crate::fixtures::wait::until;

/// The key it knows.
pub const ACCESS_KEY: &str = "AKIAKEEPWATCH";
/// What goes with it.
pub const SECRET_KEY: &str = "canary-of-the-s3-server";

/// What curl has to say of a request without a body.
const EMPTY: &str =
    "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Its folders: objects, their versions, and its accounts.
const DATA: &str = "data";
const VERSIONS: &str = "versions";
const USERS: &str = "users";

/// A running server.
pub struct S3Server {
    process: Process,
    folder: tempfile::TempDir,
    port: u16,
    /// It speaks TLS.
    is_secure: bool,
}

impl S3Server {
    /// Starts one; `tls` is the files with certificate and key.
    pub fn start(tls: Option<(&Path, &Path)>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        for part in [DATA, VERSIONS, USERS] {
            std::fs::create_dir(folder.path().join(part))?;
        }
        let port = free_port()?;
        let process = launch(folder.path(), port, tls)?;
        let mut server = Self { process, folder, port, is_secure: tls.is_some() };
        server.wait()?;
        Ok(server)
    }

    /// Ends it at once: nobody listens any more.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again on the same port, with what it held, once it was killed.
    pub fn start_again(&mut self, tls: Option<(&Path, &Path)>) -> anyhow::Result<()> {
        self.process = launch(self.folder.path(), self.port, tls)?;
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

    /// Makes an account that may write everywhere.
    pub fn make_user(&self, id: &str, secret: &str) -> anyhow::Result<()> {
        self.administer(&["create-user", "-a", id, "-s", secret, "-r", "admin"])
    }

    /// The account's key is no good any more.
    pub fn delete_user(&self, id: &str) -> anyhow::Result<()> {
        self.administer(&["delete-user", "-a", id])
    }

    fn administer(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut versitygw = Command::new(assets::server(assets::Program::Versitygw)?);
        versitygw
            .args(["admin", "--allow-insecure", "--access", ACCESS_KEY, "--secret", SECRET_KEY])
            .args(["--endpoint-url", &self.endpoint()])
            .args(arguments);
        output(&mut versitygw).map(drop)
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket; with `lock`, one whose objects can be retained.
    pub fn make_bucket(&self, name: &str, lock: bool) -> anyhow::Result<()> {
        let lock = format!("x-amz-bucket-object-lock-enabled: {lock}");
        self.curl(&["-X", "PUT", "-H", &lock, &format!("{}/{name}", self.endpoint())]).map(drop)
    }

    /// The answer to a request about one object, such as its head.
    pub fn curl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let user = format!("{ACCESS_KEY}:{SECRET_KEY}");
        let signed = ["-k", "--aws-sigv4", "aws:amz:us-east-1:s3", "-H", EMPTY, "--user", &user];
        let answer = curl(&[&signed, arguments].concat())?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// What a bucket holds, by key.
    pub fn objects(&self, bucket: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        archive::files(&self.folder.path().join(DATA).join(bucket))
    }

    /// The folder it keeps everything in.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

fn launch(folder: &Path, port: u16, tls: Option<(&Path, &Path)>) -> anyhow::Result<Process> {
    let program = assets::server(assets::Program::Versitygw)?;
    let path = |part: &str| folder.join(part).display().to_string();
    let mut arguments = vec![format!("--access={ACCESS_KEY}"), format!("--secret={SECRET_KEY}")];
    arguments.extend([format!("--port=127.0.0.1:{port}"), "--quiet".to_owned()]);
    // An account that is gone is to be gone at once.
    arguments.extend([format!("--iam-dir={}", path(USERS)), "--iam-cache-disable".to_owned()]);
    if let Some((certificate, key)) = tls {
        arguments.push(format!("--cert={}", certificate.display()));
        arguments.push(format!("--key={}", key.display()));
    }
    arguments.extend(["posix".to_owned(), "--versioning-dir".to_owned()]);
    arguments.extend([path(VERSIONS), path(DATA)]);
    Process::start("versitygw", &program, &arguments, folder)
}
