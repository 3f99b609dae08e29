//! The latency annotations of a request, as Kubernetes writes them.
//!
//! Only slow requests are annotated, with the total and the latency of each layer. Some annotations
//! of upstream do not exist here: a response is recorded before its first byte is written
//! (`response-write`), stored objects are sent without being decoded (`decode-response-object`),
//! and there are no webhooks and no request queue.

/// A part of request handling whose latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Authentication of the user.
    Authentication,
    /// Resolution and authorization of the impersonated user.
    Impersonation,
    /// Authorization of the request.
    Authorization,
    /// The wait until the store starts the change, or the reading of the objects of a list.
    /// Upstream's name for storage is `etcd`.
    Storage,
    /// Conversion of the objects of a list into table rows or partial metadata.
    Transformation,
    /// Encoding of the objects of a list without conversion.
    Serialization,
}

impl Layer {
    pub(crate) const ALL: [Self; 6] = [
        Self::Authentication,
        Self::Impersonation,
        Self::Authorization,
        Self::Storage,
        Self::Transformation,
        Self::Serialization,
    ];

    pub(crate) const fn annotation(self) -> &'static str {
        match self {
            Self::Authentication => "apiserver.latency.k8s.io/authentication",
            Self::Impersonation => "apiserver.latency.k8s.io/impersonation",
            Self::Authorization => "apiserver.latency.k8s.io/authorization",
            Self::Storage => "apiserver.latency.k8s.io/etcd",
            Self::Transformation => "apiserver.latency.k8s.io/transform-response-object",
            Self::Serialization => "apiserver.latency.k8s.io/serialize-response-object",
        }
    }
}

/// The annotation for the time from `RequestReceived` to `ResponseComplete`.
pub(crate) const TOTAL: &str = "apiserver.latency.k8s.io/total";
/// Requests that take at most this long are not annotated, in microseconds.
pub(crate) const THRESHOLD_MICROS: i64 = 500_000;

/// Formats a duration as Go does, such as `12µs`, `512.3ms`, `1.5s` or `1m0.25s`.
pub(crate) fn text(micros: i64) -> String {
    if micros < 1_000 {
        return format!("{micros}µs");
    }
    if micros < 1_000_000 {
        return format!("{}ms", decimal(micros, 1_000));
    }
    let (minutes, rest) = (micros / 60_000_000, micros % 60_000_000);
    let seconds = decimal(rest, 1_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Formats `amount / unit` without trailing zeros.
fn decimal(amount: i64, unit: i64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", amount / unit, amount % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn durations_are_formatted_as_in_go() {
        for (micros, expected) in [
            (12, "12µs"),
            (1_000, "1ms"),
            (500_001, "500.001ms"),
            (512_300, "512.3ms"),
            (1_000_000, "1s"),
            (1_500_000, "1.5s"),
            (10_000_001, "10.000001s"),
            (60_000_000, "1m0s"),
            (60_250_000, "1m0.25s"),
            (3_661_000_000, "1h1m1s"),
        ] {
            assert_eq!(text(micros), expected);
        }
    }
}
