//! Watches over WebSocket, as browsers and some libraries request them: one text message per event.
//!
//! The handshake is that of upstream's watch: at most one subprotocol, which is returned unchanged.
//! The connection switches protocols after the 101 response has been sent. The request handler then
//! leaves the session in a [`Slot`], and the task of the connection runs it, so that it counts as a
//! connection until its end. Of the frames that a client sends, only ping and close have an effect.
//! Only watches are available over WebSocket.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apimachinery::ApiError;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::handler::watch_body::WatchBody;
use crate::limits::{RESPONSE_PAUSE_MAX, RESPONSE_PIECE_BYTES};
use frames::{Incoming, Opcode, ReceiveError, Received};

mod frames;

/// The supported protocol version.
const VERSION: &str = "13";
/// GUID of RFC 6455 that is appended to the client's key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Maximum length of a client's key, in bytes; a valid key has 24.
const KEY_BYTES_MAX: usize = 128;
/// Time limit for sending the response to the handshake.
pub(crate) const SWITCH_TIME_MAX: Duration = Duration::from_secs(30);
/// Close code of a normal end.
const NORMAL: u16 = 1000;

/// Whether the client requests an upgrade to WebSocket.
pub(crate) fn is_requested(headers: &HeaderMap) -> bool {
    let names = |name: HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    names(UPGRADE, "websocket") && names(CONNECTION, "upgrade")
}

/// Subprotocols that the client offers.
pub(crate) fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|protocol| !protocol.is_empty())
}

/// Returns the headers of the handshake response, or an error if the handshake is rejected.
fn handshake(headers: &HeaderMap) -> Result<HeaderMap, ApiError> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        let message =
            format!("missing or bad WebSocket version: this server supports version {VERSION}");
        return Err(ApiError::bad_request(message));
    }
    let key = text(SEC_WEBSOCKET_KEY).filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let key = key.ok_or_else(|| ApiError::bad_request("challenge/response error: no key"))?;
    // As in upstream. Browsers send this header; OpenShift's console, Headlamp and fabric8 set it.
    if !text(ORIGIN).is_some_and(is_origin) {
        let message = "a WebSocket needs the header Origin, and its value must be a URL";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "Forbidden", message));
    }
    let mut offered = protocols(headers);
    let protocol = offered.next();
    if offered.next().is_some() {
        let message = "more than one WebSocket subprotocol: a watch accepts any one, or none";
        return Err(ApiError::bad_request(message));
    }
    let mut answer = HeaderMap::new();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.extend(header(SEC_WEBSOCKET_ACCEPT, &accept(key)));
    answer.extend(protocol.and_then(|protocol| header(SEC_WEBSOCKET_PROTOCOL, protocol)));
    Ok(answer)
}

fn header(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::from_str(value).ok()?))
}

fn accept(key: &str) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    STANDARD.encode(digest)
}

/// Whether Go's `url.ParseRequestURI` accepts it: a scheme with a nonempty rest, or an absolute
/// path.
fn is_origin(origin: &str) -> bool {
    let has_scheme = origin.split_once(':').is_some_and(|(scheme, rest)| {
        let is_in_scheme =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let begins = scheme.bytes().next().is_some_and(|first| first.is_ascii_alphabetic());
        begins && scheme.bytes().all(is_in_scheme) && !rest.is_empty()
    });
    (has_scheme || origin.starts_with('/')) && origin.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The task of a connection after it has switched protocols.
type UpgradedSession = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Passes a session from the request handler to the task of the connection.
#[derive(Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<UpgradedSession>>>);

impl Slot {
    /// Takes the session, if there is one.
    pub(crate) fn take(&self) -> Option<UpgradedSession> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, session: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(session));
    }
}

/// A possible upgrade of a request's connection to WebSocket.
pub(crate) struct Upgrade {
    on: OnUpgrade,
    slot: Slot,
    headers: HeaderMap,
}

impl Upgrade {
    /// Takes the upgrade from the request extensions; `None` if the connection cannot switch
    /// protocols.
    pub(crate) fn take(extensions: &mut http::Extensions) -> Option<Self> {
        let (on, slot) = (extensions.remove()?, extensions.remove()?);
        Some(Self { on, slot, headers: HeaderMap::new() })
    }

    /// Checks the handshake and keeps the response headers.
    pub(crate) fn handshake(&mut self, headers: &HeaderMap) -> Result<(), ApiError> {
        self.headers = handshake(headers)?;
        Ok(())
    }

    /// Whether the handshake has been accepted.
    pub(crate) fn is_accepted(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Leaves the watch to the connection task and returns the response headers.
    pub(crate) fn start(self, watch: WatchBody) -> HeaderMap {
        self.slot.put(Session { on: self.on, watch }.run());
        self.headers
    }

    /// Leaves a session of another protocol to the connection task.
    pub(crate) fn switch<S>(self, session: impl FnOnce(OnUpgrade) -> S)
    where
        S: Future<Output = ()> + Send + 'static,
    {
        self.slot.put(session(self.on));
    }
}

/// A watch over WebSocket. If it is dropped before its end, it is recorded as a watch whose client
/// disconnected.
struct Session {
    on: OnUpgrade,
    watch: WatchBody,
}

impl Session {
    /// Sends events until the watch or the client ends the session.
    async fn run(self) {
        let Self { on, mut watch } = self;
        let Ok(Ok(stream)) = timeout(SWITCH_TIME_MAX, on).await else { return };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(stream));
        let mut incoming = Incoming::default();
        loop {
            let close = |code: u16| (Opcode::Close, Bytes::copy_from_slice(&code.to_be_bytes()));
            let (opcode, payload) = tokio::select! {
                received = incoming.next(&mut reader) => match received {
                    Ok(Received::Ping(payload)) => (Opcode::Pong, payload),
                    Ok(Received::Close(code)) | Err(ReceiveError::ProtocolViolation(code)) => close(code),
                    Err(ReceiveError::Disconnected) => return,
                },
                event = poll_fn(|context| watch.poll_bytes(context)) => match event {
                    Some(Ok(event)) => (Opcode::Text, event),
                    Some(Err(_)) | None => close(NORMAL),
                },
            };
            // The payload is not copied: other watches may share it.
            let head = frames::head(opcode, &payload);
            if !(send(&mut writer, head).await && send(&mut writer, payload).await) {
                return;
            }
            if matches!(opcode, Opcode::Close) {
                // The client may have disconnected already.
                let _closed = timeout(RESPONSE_PAUSE_MAX, writer.shutdown()).await;
                return;
            }
        }
    }
}

/// Writes all bytes. Returns false if a write fails or stalls.
async fn send(writer: &mut (impl AsyncWrite + Unpin), mut message: Bytes) -> bool {
    while !message.is_empty() {
        let piece = message.split_to(message.len().min(RESPONSE_PIECE_BYTES));
        let sent = async {
            writer.write_all(&piece).await?;
            Pin::new(&mut *writer).flush().await
        };
        if !matches!(timeout(RESPONSE_PAUSE_MAX, sent).await, Ok(Ok(()))) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn websocket_requests_are_recognized() {
        for (connection, upgrade, expected) in [
            ("Upgrade", "websocket", true),
            ("keep-alive, upgrade", "WebSocket", true),
            ("keep-alive", "websocket", false),
            ("Upgrade", "SPDY/3.1", false),
            ("Upgrade", "h2c", false),
        ] {
            let headers = headers(&[("connection", connection), ("upgrade", upgrade)]);
            assert_eq!(is_requested(&headers), expected, "{connection} {upgrade}");
        }
        assert!(!is_requested(&HeaderMap::new()));
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const V13: (&str, &str) = ("sec-websocket-version", "13");

    #[track_caller]
    fn check(pairs: &[(&'static str, &'static str)], expected: Result<Option<&str>, u16>) {
        let response = handshake(&headers(pairs));
        if let Ok(headers) = &response {
            assert_eq!(headers[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        }
        let response = response.map(|headers| {
            let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL);
            protocol.map(|value| value.to_str().unwrap().to_owned())
        });
        let expected = expected.map(|protocol| protocol.map(str::to_owned));
        assert_eq!(response.map_err(|error| error.status.code), expected, "{pairs:?}");
    }

    #[test]
    fn handshakes_are_those_of_upstream() {
        let origin = ("origin", "https://console.example.com:8443");
        check(&[KEY, V13, origin], Ok(None));
        let binary = ("sec-websocket-protocol", "base64.binary.k8s.io");
        check(&[KEY, V13, origin, binary], Ok(Some("base64.binary.k8s.io")));
        check(&[KEY, V13, origin, ("sec-websocket-protocol", "v4.other")], Ok(Some("v4.other")));
        check(&[KEY, V13, origin, binary, ("sec-websocket-protocol", "another")], Err(400));
        check(&[KEY, V13, origin, ("sec-websocket-protocol", "one, another")], Err(400));
        check(&[KEY, ("sec-websocket-version", "8"), origin], Err(400));
        check(&[KEY, origin], Err(400));
        check(&[V13, origin], Err(400));
    }

    /// A web page must not be able to bypass the check by omitting `Origin`. As in upstream, all
    /// other clients without it are also rejected.
    #[test]
    fn an_origin_is_required_and_parsed_as_a_url_by_go() {
        check(&[KEY, V13], Err(403));
        for (origin, expected) in [
            ("https://console.example.com", Ok(None)),
            ("https://[::1]:6443", Ok(None)),
            ("http://localhost", Ok(None)),
            ("file://", Ok(None)),
            ("chrome-extension://abc", Ok(None)),
            ("", Err(403)),
            ("null", Err(403)),
            ("nonsense", Err(403)),
            ("10.0.0.1:443", Err(403)),
            ("://x", Err(403)),
            ("https://a b", Err(403)),
        ] {
            check(&[KEY, V13, ("origin", origin)], expected);
        }
    }
}
