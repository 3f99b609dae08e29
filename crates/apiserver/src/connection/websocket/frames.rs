//! WebSocket frames (RFC 6455): parses client frames, discarding data, and encodes server frames.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::limits::WEBSOCKET_FRAME_BYTES_MAX;

/// Maximum payload of a control frame, in bytes (RFC 6455).
const CONTROL_BYTES_MAX: u64 = 125;
/// Minimum space for a read, in bytes.
const READ_BYTES: usize = 1024;

/// Close code of a protocol violation by the client.
const PROTOCOL_ERROR: u16 = 1002;
/// Close code of a frame that is too long.
const TOO_BIG: u16 = 1009;

/// Opcode of a server frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Opcode {
    Text = 1,
    Close = 8,
    Pong = 10,
}

/// A frame that needs a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Ping(Bytes),
    /// Close code of the client; [`super::NORMAL`] if it sent none.
    Close(u16),
}

/// Why no further frame can be received.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReceiveError {
    /// The client disconnected.
    Disconnected,
    /// The client violated the protocol. Contains the close code for it.
    ProtocolViolation(u16),
}

/// Parser of client frames. Dropping a future of [`Incoming::next`] loses no data.
#[derive(Default)]
pub(super) struct Incoming {
    buffer: BytesMut,
    /// Bytes of a data frame that remain to be discarded.
    skip: u64,
}

impl Incoming {
    /// Returns the next frame that needs a response.
    pub(super) async fn next(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> Result<Received, ReceiveError> {
        loop {
            if let Some(received) = self.parse()? {
                return Ok(received);
            }
            self.buffer.reserve(READ_BYTES);
            match reader.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(ReceiveError::Disconnected),
                Ok(_) => {}
            }
        }
    }

    /// Parses the next complete frame in the buffer. The buffer stays small: control frames are
    /// short, and data is discarded.
    fn parse(&mut self) -> Result<Option<Received>, ReceiveError> {
        loop {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.advance(skipped);
            self.skip -= skipped as u64;
            if self.skip > 0 {
                return Ok(None);
            }
            let Some(head) = Head::parse(&self.buffer)? else { return Ok(None) };
            if !head.is_control {
                self.buffer.advance(head.len);
                self.skip = head.payload;
                continue;
            }
            let payload_len = usize::try_from(head.payload).unwrap_or_default();
            if self.buffer.len() < head.len + payload_len {
                return Ok(None);
            }
            self.buffer.advance(head.len);
            let mut payload = self.buffer.split_to(payload_len);
            for (byte, mask) in payload.iter_mut().zip(head.mask.iter().cycle()) {
                *byte ^= mask;
            }
            match head.opcode {
                9 => return Ok(Some(Received::Ping(payload.freeze()))),
                8 => {
                    let code = payload.first_chunk().map_or(super::NORMAL, |code| {
                        // A code that must not be sent on the wire is not returned.
                        Some(u16::from_be_bytes(*code))
                            .filter(|code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999))
                            .unwrap_or(PROTOCOL_ERROR)
                    });
                    return Ok(Some(Received::Close(code)));
                }
                _ => {}
            }
        }
    }
}

/// Header of a frame.
struct Head {
    opcode: u8,
    is_control: bool,
    mask: [u8; 4],
    /// Length of the header, in bytes.
    len: usize,
    payload: u64,
}

impl Head {
    /// Parses a frame header; `None` if it is incomplete.
    fn parse(mut bytes: &[u8]) -> Result<Option<Self>, ReceiveError> {
        let available = bytes.len();
        if available < 2 {
            return Ok(None);
        }
        let (first, second) = (bytes.get_u8(), bytes.get_u8());
        let (opcode, is_final) = (first & 0x0f, first & 0x80 != 0);
        let is_control = opcode >= 8;
        let is_known = matches!(opcode, 0..=2 | 8..=10);
        // Reserved bits belong to extensions, and none is offered; client frames must be masked.
        if !is_known || first & 0x70 != 0 || second & 0x80 == 0 || (is_control && !is_final) {
            return Err(ReceiveError::ProtocolViolation(PROTOCOL_ERROR));
        }
        let payload = match second & 0x7f {
            126 => bytes.try_get_u16().map(u64::from),
            127 => bytes.try_get_u64(),
            short => Ok(short.into()),
        };
        let Ok(payload) = payload else { return Ok(None) };
        if is_control && payload > CONTROL_BYTES_MAX {
            return Err(ReceiveError::ProtocolViolation(PROTOCOL_ERROR));
        }
        if payload > WEBSOCKET_FRAME_BYTES_MAX as u64 {
            return Err(ReceiveError::ProtocolViolation(TOO_BIG));
        }
        let Some(mask) = bytes.first_chunk().copied() else { return Ok(None) };
        let len = available - bytes.len() + mask.len();
        Ok(Some(Self { opcode, is_control, mask, len, payload }))
    }
}

/// Encodes the header of an unfragmented server frame.
pub(super) fn head(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(10);
    out.put_u8(0x80 | opcode as u8);
    match u16::try_from(payload.len()) {
        Ok(len) if len < 126 => out.put_u8(u8::try_from(len).unwrap_or_default()),
        Ok(len) => {
            out.put_u8(126);
            out.put_u16(len);
        }
        Err(_) => {
            out.put_u8(127);
            out.put_u64(payload.len() as u64);
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = vec![first];
        match payload.len() {
            len @ 0..126 => out.push(0x80 | u8::try_from(len).unwrap()),
            len => {
                out.push(0xfe);
                out.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
        }
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    /// Checks the received frames for every split of the bytes.
    async fn check(sent: &[Vec<u8>], expected: &[Result<Received, ReceiveError>]) {
        let sent = sent.concat();
        for step in [1, 2, 7, sent.len().max(1)] {
            let mut pieces = Pieces(&sent, step);
            let mut incoming = Incoming::default();
            for expected in expected {
                assert_eq!(incoming.next(&mut pieces).await, *expected, "{step} at a time");
                assert!(incoming.buffer.capacity() < 4 * READ_BYTES);
            }
        }
    }

    /// A reader that returns a fixed number of bytes at a time.
    struct Pieces<'b>(&'b [u8], usize);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let len = self.0.len().min(self.1).min(buffer.remaining());
            let (piece, rest) = self.0.split_at(len);
            buffer.put_slice(piece);
            self.0 = rest;
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn pings_and_closes_are_handled_and_data_is_ignored() {
        let ping = || Ok(Received::Ping(Bytes::from_static(b"are you there")));
        let sent = [
            masked(0x81, b"hello"),
            masked(0x89, b"are you there"),
            masked(0x01, &[7; 5000]),
            masked(0x89, b"are you there"),
            masked(0x80, b""),
            masked(0x8a, b"pong"),
            masked(0x88, &1001_u16.to_be_bytes()),
        ];
        check(&sent, &[ping(), ping(), Ok(Received::Close(1001)), Err(ReceiveError::Disconnected)])
            .await;
        check(&[masked(0x88, b"")], &[Ok(Received::Close(1000))]).await;
        check(&[masked(0x88, &7_u16.to_be_bytes())], &[Ok(Received::Close(1002))]).await;
    }

    #[tokio::test]
    async fn protocol_errors_are_reported_to_the_client() {
        let unmasked = vec![0x81, 0];
        let reserved = masked(0xc1, b"");
        let unknown = masked(0x83, b"");
        let fragmented_ping = masked(0x09, b"");
        let long_ping = masked(0x89, &[0; 126]);
        for sent in [unmasked, reserved, unknown, fragmented_ping, long_ping] {
            check(&[sent], &[Err(ReceiveError::ProtocolViolation(1002))]).await;
        }
        let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes()].concat();
        check(&[huge], &[Err(ReceiveError::ProtocolViolation(1009))]).await;
    }

    #[test]
    fn frames_contain_their_length() {
        for (len, head) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 255, 255]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(super::head(Opcode::Text, &vec![7; len]), head);
        }
        assert_eq!(super::head(Opcode::Close, &1000_u16.to_be_bytes())[..], [0x88, 2]);
    }
}
