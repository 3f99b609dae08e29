//! Request bodies in, response bodies out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::limits::{BODY_BYTES_MAX, BODY_PAUSE_MAX};
use crate::listen::Busy;
use crate::watch_body::WatchBody;
use crate::{ApiError, refusal};

/// The whole body, if it is short enough and comes in time.
pub(crate) async fn read(mut body: Incoming) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(refusal::too_large(BODY_BYTES_MAX));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while !body.is_end_stream() {
        let frame = match tokio::time::timeout(BODY_PAUSE_MAX, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err(ApiError::bad_request("the request body ended too early"));
            }
            Err(_) => return Err(refusal::timeout("the request body did not arrive in time")),
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(refusal::too_large(BODY_BYTES_MAX));
        }
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// What goes out: bytes that are there, or a watch.
pub(crate) struct ResponseBody {
    content: Content,
    /// Tells the connection that it is not idle.
    busy: Option<Busy>,
}

enum Content {
    /// All of it; empty when it has been sent.
    Whole(Bytes),
    /// Frames as they come.
    Watch(Box<WatchBody>),
}

impl ResponseBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(bytes), busy: None }
    }

    pub(crate) fn watch(watch: WatchBody) -> Self {
        Self { content: Content::Watch(Box::new(watch)), busy: None }
    }

    /// Holds `busy` until the body has been sent.
    pub(crate) fn keeping(mut self, busy: Busy) -> Self {
        self.busy = Some(busy);
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.get_mut().content {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Watch(watch) => {
                watch.poll_bytes(context).map(|next| next.map(Frame::data).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Watch(_) => SizeHint::default(),
        }
    }
}
