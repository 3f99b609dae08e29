//! The instance metadata service of AWS EC2 (IMDS): amazon-ec2-metadata-mock, which AWS publishes.

use std::net::Ipv4Addr;

use assets::Program;
use serde_json::json;

use crate::fixtures::process::{Process, free_port};

/// A running service.
pub struct Metadata {
    _process: Process,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Metadata {
    /// Starts a service that returns these keys to clients with a session token (`IMDSv2`).
    pub fn start([id, secret, token]: &[String; 3]) -> anyhow::Result<Self> {
        let program = assets::server(Program::MetadataMock)?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config.json");
        let issued = json!({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": id,
            "SecretAccessKey": secret, "Token": token, "Expiration": "2099-01-01T00:00:00Z"});
        let values = json!({"iam-security-credentials": issued});
        std::fs::write(&config, json!({"metadata": {"values": values}}).to_string())?;
        let port = free_port()?;
        let arguments = [
            "--hostname=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--imdsv2".to_owned(),
            format!("--config-file={}", config.display()),
        ];
        let mut process = Process::start("metadata", &program, &arguments, folder.path())?;
        process.wait_listening((Ipv4Addr::LOCALHOST, port).into())?;
        Ok(Self { _process: process, _folder: folder, port })
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
