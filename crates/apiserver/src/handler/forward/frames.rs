//! The parts of an upstream's response, and the digest of what was passed on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use event::Json;
use event::limit;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, Sleep};

use super::recorded::is_json;
use crate::handler::body::Aborted;
use crate::handler::budget::Reservation;
use crate::handler::watch_body::Frames;
use crate::limits::FORWARDED_PAUSE_MAX;

/// A response of an upstream that is sent while it arrives.
pub(super) struct UpstreamFrames {
    /// Parts that have arrived.
    ready: VecDeque<Bytes>,
    /// The rest; `None` after an error.
    body: Option<Incoming>,
    /// Why the response ends after the parts that have arrived.
    failure: Option<Aborted>,
    /// Counts the parts that have arrived.
    reservation: Option<Reservation>,
    /// The time limit of the next part; `None` if the response may last as long as the client wants.
    pause: Option<Pin<Box<Sleep>>>,
    copy: Option<Copy>,
}

/// What is known of the bytes that were passed on.
pub(super) struct Copy {
    digest: digest::Context,
    bytes: u64,
    media_type: String,
}

impl Copy {
    pub(super) fn new(media_type: &str) -> Self {
        let (digest, media_type) = (digest::Context::new(&SHA256), media_type.to_owned());
        Self { digest, bytes: 0, media_type }
    }

    fn add(&mut self, part: &[u8]) {
        self.digest.update(part);
        self.bytes = self.bytes.saturating_add(part.len() as u64);
    }

    fn mark(self) -> Json {
        let digest = limit::hex(self.digest.finish().as_ref());
        if is_json(&self.media_type) {
            limit::cut_mark(self.bytes, &digest)
        } else {
            limit::opaque_mark(self.bytes, &digest, &self.media_type)
        }
    }
}

/// What has arrived of a response.
#[derive(Default)]
pub(super) struct Arrived {
    pub(super) parts: VecDeque<Bytes>,
    pub(super) failure: Option<Aborted>,
    pub(super) reservation: Option<Reservation>,
}

impl UpstreamFrames {
    /// `copy` is `None` if nothing of the body is recorded.
    pub(super) fn new(
        arrived: Arrived,
        body: Incoming,
        is_open_ended: bool,
        copy: Option<Copy>,
    ) -> Self {
        let Arrived { parts, failure, reservation } = arrived;
        let body = failure.is_none().then_some(body);
        let pause = (!is_open_ended).then(|| Box::pin(tokio::time::sleep(FORWARDED_PAUSE_MAX)));
        Self { ready: parts, body, failure, reservation, pause, copy }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        loop {
            let Some(body) = &mut self.body else {
                return Poll::Ready(self.failure.take().map(Err));
            };
            match Pin::new(body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(pause) = &mut self.pause {
                        pause.as_mut().reset(Instant::now() + FORWARDED_PAUSE_MAX);
                    }
                    match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                        _ => {}
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(Aborted::Upstream(error.to_string()))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let pause = self.pause.as_mut();
                    if pause.is_some_and(|pause| pause.as_mut().poll(context).is_ready()) {
                        self.body = None;
                        return Poll::Ready(Some(Err(Aborted::UpstreamPause)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Frames for UpstreamFrames {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        let next = if let Some(part) = self.ready.pop_front() {
            Poll::Ready(Some(Ok(part)))
        } else {
            self.reservation = None;
            self.poll_body(context)
        };
        if let (Poll::Ready(Some(Ok(part))), Some(copy)) = (&next, &mut self.copy) {
            copy.add(part);
        }
        next
    }

    fn is_open_ended(&self) -> bool {
        self.pause.is_none()
    }

    fn recorded(&mut self) -> Option<Json> {
        self.copy.take().map(Copy::mark)
    }
}
