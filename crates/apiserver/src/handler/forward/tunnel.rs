//! A connection that has switched protocols: bytes in both directions until one side ends.
//!
//! Nothing of them is interpreted or recorded. The end of the connection is recorded.

use http::StatusCode;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connection::websocket::SWITCH_TIME_MAX;
use crate::handler::max_in_flight::Seat;
use crate::handler::recorded_end::RecordedEnd;
use crate::metrics::WatchMetrics;

/// A tunnel. If it is dropped before its end, that is recorded too.
pub(super) struct Tunnel {
    end: RecordedEnd,
    code: StatusCode,
    /// Seat among the long-running requests, held until the end.
    _seat: Option<Seat>,
    metrics: WatchMetrics,
    /// Cancelled when the server shuts down.
    closing: CancellationToken,
}

impl Tunnel {
    pub(super) fn new(
        end: RecordedEnd,
        code: StatusCode,
        (seat, metrics): (Option<Seat>, WatchMetrics),
        closing: CancellationToken,
    ) -> Self {
        Self { end, code, _seat: seat, metrics, closing }
    }

    /// Runs until one side ends, or the server shuts down.
    pub(super) async fn run(mut self, client: OnUpgrade, upstream: OnUpgrade) {
        let switched = timeout(SWITCH_TIME_MAX, futures::future::try_join(client, upstream)).await;
        if let Ok(Ok((client, upstream))) = switched {
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            let copied = copy_bidirectional(&mut client, &mut upstream);
            // How a tunnel ends is up to its protocol.
            let _ended = self.closing.run_until_cancelled(copied).await;
        }
        let code = self.code.as_u16();
        if let Some(record) = self.end.write(|audit| audit.stream_complete(code, None)) {
            record.await;
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.metrics.ended();
        let code = self.code.as_u16();
        if let Some(record) = self.end.write(|audit| audit.stream_complete(code, None)) {
            self.end.spawn(record);
        }
    }
}
