//! Google Cloud Storage: fake-gcs-server, behind the proxy of `servers/cmd/gcs`.
//!
//! fake-gcs-server stores the objects and verifies conditions and checksums. The proxy, which is
//! ours, accepts uploads through the XML API and verifies the signatures of tokens.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use assets::Program;
use serde_json::{Value, json};

use crate::fixtures::curl::curl;
use crate::fixtures::process::{Process, free_port, output};
use crate::fixtures::wait::until;

/// A running server.
pub struct Gcs {
    _process: Process,
    folder: tempfile::TempDir,
    endpoint: String,
}

impl Gcs {
    /// Starts it with this bucket.
    pub fn start(bucket: &str) -> anyhow::Result<Self> {
        let program = assets::server(Program::Gcs)?;
        let folder = tempfile::tempdir()?;
        let public = folder.path().join("public.pem");
        let private = new_key(&folder.path().join("key.pem"))?;
        openssl(&["pkey", "-in", &private, "-pubout", "-out", &public.display().to_string()])?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let arguments = [
            format!("--listen={address}"),
            format!("--bucket={bucket}"),
            format!("--public-key={}", public.display()),
        ];
        let mut process = Process::start("gcs", &program, &arguments, folder.path())?;
        let endpoint = format!("http://{address}");
        until("the server of Google's objects answers", || {
            process.check()?;
            Ok(curl(&[&format!("{endpoint}/storage/v1/b")]).ok().map(drop))
        })?;
        Ok(Self { _process: process, folder, endpoint })
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The JSON key of a service account that it accepts.
    pub fn account(&self) -> anyhow::Result<String> {
        account(&self.folder.path().join("key.pem"))
    }

    /// The JSON key of a service account that it rejects.
    pub fn other_account(&self) -> anyhow::Result<String> {
        let file = self.folder.path().join("other.pem");
        new_key(&file)?;
        account(&file)
    }

    /// The objects of a bucket, by key.
    pub fn objects(&self, bucket: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let url = format!("{}/storage/v1/b/{bucket}/o", self.endpoint);
        let list: Value = serde_json::from_slice(&curl(&[&url])?)?;
        ensure!(list["nextPageToken"].is_null(), "too many objects for one page");
        let keys = list["items"].as_array().into_iter().flatten();
        keys.map(|item| {
            let key = item["name"].as_str().context("an object without a name")?;
            let path = key.replace('/', "%2F").replace('=', "%3D");
            Ok((key.to_owned(), curl(&[&format!("{url}/{path}?alt=media")])?))
        })
        .collect()
    }
}

fn account(key: &Path) -> anyhow::Result<String> {
    Ok(json!({
        "type": "service_account",
        "project_id": "audit",
        "private_key_id": "1",
        "private_key": std::fs::read_to_string(key)?,
        "client_email": "audit-writer@audit.iam.gserviceaccount.com",
    })
    .to_string())
}

fn new_key(file: &Path) -> anyhow::Result<String> {
    let path = file.display().to_string();
    openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &path])?;
    Ok(path)
}

fn openssl(arguments: &[&str]) -> anyhow::Result<()> {
    output(Command::new("openssl").args(arguments)).map(drop)
}
