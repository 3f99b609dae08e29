//! One HTTPS request, exactly as written: for what kubectl would never send.
//!
//! No redirects, no connection reuse, no retries.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use testkit::pki::Identity;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Where a request goes and as whom.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// The server's address.
    pub address: SocketAddr,
    /// The name its certificate must have.
    pub name: &'a str,
    /// The authority that must have signed it, as PEM.
    pub authority: &'a str,
    /// The client certificate, if any.
    pub identity: Option<&'a Identity>,
    /// The address the request comes from, if it matters.
    pub source: Option<IpAddr>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub code: u16,
    /// The header lines, as sent.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
}

impl Response {
    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {}", self.body))
    }
}

/// Sends `<method> <path>` with `headers` and `body` over HTTP/1.1 and reads the answer.
pub fn request(
    target: &Target<'_>,
    start: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<Response> {
    let connection =
        ClientConnection::new(config(target)?, ServerName::try_from(target.name.to_owned())?)?;
    let mut stream = StreamOwned::new(connection, connect(target)?);
    let mut text = format!("{start} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", target.name);
    for (name, value) in headers {
        text.push_str(&format_header(name, value));
    }
    if !body.is_empty() {
        text.push_str(&format_header("Content-Length", &body.len().to_string()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    stream.write_all(text.as_bytes()).context("cannot send the request")?;
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer)
        // A server that closes without TLS's farewell has still answered.
        && error.kind() != std::io::ErrorKind::UnexpectedEof
    {
        return Err(error).context("cannot read the answer");
    }
    parse(&String::from_utf8_lossy(&answer))
}

fn format_header(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

fn config(target: &Target<'_>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(target.authority.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match target.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?,
        )?,
    };
    Ok(Arc::new(config))
}

fn connect(target: &Target<'_>) -> anyhow::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target.address), Type::STREAM, None)?;
    if let Some(source) = target.source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&target.address.into(), TIMEOUT)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn parse(answer: &str) -> anyhow::Result<Response> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split_whitespace().nth(1));
    let code = status.context("the answer has no status line")?.parse()?;
    let headers: Vec<String> = lines.map(str::to_owned).collect();
    let mut response = Response { code, headers, body: body.to_owned() };
    if response.header("Transfer-Encoding").is_some_and(|value| value == "chunked") {
        response.body = unchunk(body);
    }
    Ok(response)
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let (Some(chunk), Some(after)) = (rest.get(..size), rest.get(size..)) else { break };
        if size == 0 {
            break;
        }
        whole.push_str(chunk);
        body = after.trim_start_matches("\r\n");
    }
    whole
}
