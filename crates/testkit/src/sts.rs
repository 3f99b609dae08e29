//! A token service that lends keys for a token (STS, `AssumeRoleWithWebIdentity`), as far as a client
//! needs it.
//!
//! Which token is good, and which keys it is worth, is decided by whoever starts it. One request on a
//! connection; signatures are not looked for, as the real one does not.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Keys that are lent.
#[derive(Clone, Debug)]
pub struct Lent {
    /// Names the key.
    pub id: String,
    /// The key.
    pub secret: String,
    /// What goes with it.
    pub session_token: String,
    /// When it ends, such as `2026-11-25T00:00:00Z`.
    pub expires: String,
}

/// What a token is worth; nothing if it is no good.
pub type Bank = Box<dyn Fn(&str) -> Option<Lent> + Send + Sync>;

/// A running service. It ends when this is dropped.
pub struct StsDouble {
    address: SocketAddr,
    _running: JoinSet<()>,
}

impl StsDouble {
    /// Listens on loopback.
    pub async fn start(bank: Bank) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let bank = Arc::new(bank);
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let bank = Arc::clone(&bank);
                // Whoever hangs up gets nothing.
                connections.spawn(async move { serve(&mut stream, &bank).await.unwrap_or(()) });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, _running: running })
    }

    /// Where it is, as an endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(stream: &mut TcpStream, bank: &Bank) -> std::io::Result<()> {
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
    let field = |name: &str| form.split('&').find_map(|field| field.strip_prefix(name)).map(plain);
    let token = field("WebIdentityToken=").unwrap_or_default();
    let (status, body) = match bank(&token) {
        Some(lent) => ("200 OK", credentials(&lent)),
        None => (
            "400 Bad Request",
            "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>"
                .to_owned(),
        ),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await
}

fn content_length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

/// A field of a form without its escapes.
fn plain(field: &str) -> String {
    let mut parts = field.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        text.push(u8::from_str_radix(code, 16).map_or('?', char::from));
        text.push_str(rest);
    }
    text
}

fn credentials(lent: &Lent) -> String {
    let Lent { id, secret, session_token, expires } = lent;
    format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{session_token}</SessionToken><Expiration>{expires}</Expiration>\
         </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
}
