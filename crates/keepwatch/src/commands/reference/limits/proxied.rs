//! The limits of `keepwatch proxy`, beside those of the API server.

use apiserver::limits;

use super::{Row, bytes, time};

pub(super) fn proxied() -> Vec<Row> {
    vec![
        (
            "Size of a forwarded response that is recorded completely, and sent after its event; of a \
             longer one, length and digest are recorded",
            bytes(limits::FORWARDED_RECORDED_BYTES_MAX),
        ),
        ("The same, at levels without response bodies", bytes(limits::FORWARDED_STATUS_BYTES_MAX)),
        (
            "Size of all forwarded responses that wait for their events; a quarter of it for one user",
            bytes(limits::FORWARDED_BYTES_MAX),
        ),
        (
            "Time after which a forwarded response is sent while it arrives",
            time(limits::FORWARDED_COLLECT_TIME_MAX),
        ),
        (
            "Pause of the API server behind the proxy within a response that is not a watch",
            time(limits::FORWARDED_PAUSE_MAX),
        ),
        (
            "Size of a body that is recorded before the API server has authorized its request; of a longer \
             one, length and digest",
            bytes(limits::FORWARDED_EARLY_BYTES_MAX),
        ),
        (
            "Forwarded requests that last as long as the client wants, except watches; three quarters of \
             them for one user",
            limits::LONG_RUNNING_MAX.to_string(),
        ),
        (
            "Outcomes that wait because the journal refused them; the next start records more",
            limits::LATE_OUTCOMES_MAX.to_string(),
        ),
        (
            "Size of their events; beyond it, an event says that the outcome is unknown",
            bytes(limits::LATE_OUTCOMES_BYTES_MAX),
        ),
        ("Shortest pause before they are tried again", time(limits::LATE_PAUSE_MIN)),
        ("Longest pause before they are tried again", time(limits::LATE_PAUSE_MAX)),
        ("Time to establish a connection to it, with TLS", time(proxy::CONNECTION_TIME_MAX)),
        ("Idle connections to it", proxy::IDLE_CONNECTIONS_MAX.to_string()),
        ("Time after which changed credentials for it are used", time(proxy::RELOAD_PERIOD)),
    ]
}
