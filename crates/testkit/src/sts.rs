//! A token service that issues keys for a token (STS, `AssumeRoleWithWebIdentity`).
//!
//! The test decides which tokens are valid and which keys they give. A connection serves one
//! request; like the real service, it requires no signature.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Issued credentials.
#[derive(Clone, Debug)]
pub struct IssuedKeys {
    /// Access key ID.
    pub id: String,
    /// Secret access key.
    pub secret: String,
    /// Session token.
    pub session_token: String,
    /// Time of expiry, such as `2026-11-25T00:00:00Z`.
    pub expires: String,
}

/// Returns the credentials for a token; `None` if the token is invalid.
pub type CredentialSource = Box<dyn Fn(&str) -> Option<IssuedKeys> + Send + Sync>;

/// A running service. Dropping it stops the service.
pub struct StsDouble {
    address: SocketAddr,
    _running: JoinSet<()>,
}

impl StsDouble {
    /// Listens on loopback.
    pub async fn start(credential_source: CredentialSource) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let credential_source = Arc::new(credential_source);
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let credential_source = Arc::clone(&credential_source);
                // A client that disconnects gets no response.
                connections.spawn(async move {
                    serve(&mut stream, &credential_source).await.unwrap_or_default();
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, _running: running })
    }

    /// The endpoint of the service.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(
    stream: &mut TcpStream,
    credential_source: &CredentialSource,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let form = loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= content_length(head)
        {
            break body.to_owned();
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let field = |name: &str| {
        form.split('&').find_map(|field| field.strip_prefix(name)).map(decode_form_field)
    };
    let token = field("WebIdentityToken=").unwrap_or_default();
    let (status, body) = match credential_source(&token) {
        Some(issued) => ("200 OK", credentials_xml(&issued)),
        None => (
            "400 Bad Request",
            "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>"
                .to_owned(),
        ),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await
}

fn content_length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

/// Decodes a form field.
fn decode_form_field(field: &str) -> String {
    let mut parts = field.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        text.push(u8::from_str_radix(code, 16).map_or('?', char::from));
        text.push_str(rest);
    }
    text
}

fn credentials_xml(issued: &IssuedKeys) -> String {
    let IssuedKeys { id, secret, session_token, expires } = issued;
    format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{session_token}</SessionToken><Expiration>{expires}</Expiration>\
         </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
}
