//! Prometheus' Alertmanager, which takes alerts.
//!
//! By itself, with a route to nowhere: what it knows is read from its API.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::curl::curl;
use crate::process::{Process, free_port};

const CONFIG: &str = "route: {receiver: none}\nreceivers: [{name: none}]\n";

/// A running Alertmanager.
pub struct Alertmanager {
    _process: Process,
    port: u16,
}

impl Alertmanager {
    /// Starts it, with everything it keeps in `folder`.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let program = assets::alertmanager()?;
        let config = folder.join("alertmanager.yaml");
        std::fs::write(&config, CONFIG)?;
        let port = free_port()?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", folder.join("alertmanager").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            // No peers.
            "--cluster.listen-address=".to_owned(),
        ];
        let mut process = Process::start("alertmanager", &program, &arguments, folder)?;
        process.wait_listening((Ipv4Addr::LOCALHOST, port).into())?;
        Ok(Self { _process: process, port })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The alerts that have not ended.
    pub fn alerts(&self) -> anyhow::Result<Vec<Value>> {
        let answer = curl(&[&format!("{}/api/v2/alerts", self.url())])?;
        serde_json::from_slice(&answer).context("no alerts")
    }
}
