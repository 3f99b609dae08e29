//! `keepwatch source`: connects sources of events.
//!
//! `webhook-config` prints a kubeconfig, and `admission-config` a `ValidatingWebhookConfiguration`. Both
//! are written as JSON, which is YAML too, so no name or token can change their structure.

mod admission_config;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde_json::{Map, Value, json};
use source::audit_webhook::PATH;

use crate::args::source::{SourceCommand, WebhookConfigArgs};
use crate::usage_error::UsageError;

/// Name of the cluster, the user and the context in the kubeconfig.
const NAME: &str = "keepwatch";

/// Runs the command.
pub(crate) fn run(command: &SourceCommand) -> Result<ExitCode> {
    let config = match command {
        SourceCommand::WebhookConfig(args) => webhook_config(args)?,
        SourceCommand::AdmissionConfig(args) => admission_config::configuration(args)?,
    };
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&config)?)?;
    Ok(ExitCode::SUCCESS)
}

fn webhook_config(args: &WebhookConfigArgs) -> Result<Value> {
    let mut cluster = Map::new();
    cluster.insert("server".to_owned(), server(args)?.into());
    cluster.insert("certificate-authority-data".to_owned(), encoded(&args.ca)?.into());
    if let Some(name) = &args.tls_server_name {
        cluster.insert("tls-server-name".to_owned(), name.as_str().into());
    }
    let mut user = Map::new();
    if let Some(file) = &args.token_file {
        user.insert("token".to_owned(), token(file)?.into());
    }
    for (key, file) in [
        ("client-certificate-data", &args.client_certificate),
        ("client-key-data", &args.client_key),
    ] {
        if let Some(file) = file {
            user.insert(key.to_owned(), encoded(file)?.into());
        }
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": NAME, "user": user}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    }))
}

/// The URL of the endpoint.
fn server(args: &WebhookConfigArgs) -> Result<String> {
    Ok(format!("{}{PATH}{}", origin(&args.url)?, args.cluster))
}

/// A URL of `--url` without the slash at its end.
fn origin(text: &str) -> Result<&str> {
    let url: Option<Uri> = text.parse().ok();
    let is_origin = |url: &Uri| {
        url.scheme_str() == Some("https")
            && url.authority().is_some()
            && url.query().is_none()
            && matches!(url.path(), "" | "/")
    };
    if !url.as_ref().is_some_and(is_origin) {
        let message = format!("--url={text} is not a URL such as https://10.0.0.1:10251");
        return Err(UsageError(vec![message]).into());
    }
    Ok(text.trim_end_matches('/'))
}

fn encoded(file: &Path) -> Result<String> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(STANDARD.encode(content))
}

/// The first token of a file.
fn token(file: &Path) -> Result<String> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let token = text.lines().map(str::trim).find(|line| !line.is_empty());
    let token = token.with_context(|| format!("{} contains no token", file.display()))?;
    Ok(token.to_owned())
}
