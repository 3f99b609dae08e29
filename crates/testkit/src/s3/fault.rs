//! The faults that the S3 server injects.

/// A fault of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error with this status; nothing is stored.
    Error(u16, &'static str),
    /// An error with this status; the object is stored.
    StoreThenError(u16, &'static str),
    /// A redirect with this status; nothing is stored.
    Redirect(u16, &'static str),
    /// Closes the connection before reading the body.
    CloseBeforeBody,
    /// Closes the connection within the body.
    CloseInBody,
    /// Resets the connection within the body.
    ResetInBody,
    /// Closes the connection after the body; the object is stored.
    StoreThenClose,
    /// Resets the connection after the body; the object is stored.
    StoreThenReset,
    /// No response until the client gives up; nothing is stored.
    NoResponse,
    /// No response until the client gives up; the object is stored.
    StoreThenNoResponse,
    /// A slow success response in parts; the object is stored.
    StoreThenSlowResponse,
    /// Half of the head of a success response; the object is stored.
    StoreThenPartialHead,
    /// A success response with a wrong `ETag`; the object is stored.
    StoreThenWrongEtag,
    /// A success response with a wrong checksum; nothing is stored.
    WrongChecksum,
    /// A success status with an error in the body; nothing is stored.
    ErrorInSuccessBody,
    /// An error with a truncated body.
    PartialError,
    /// An error with truncated XML in a complete body.
    TruncatedXml,
    /// Bytes that are not HTTP.
    InvalidHttp,
}

/// A path on the same server where no upload may ever arrive.
pub const REDIRECT_TARGET: &str = "/elsewhere/object";

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 34] = [
        Self::Error(500, "InternalError"),
        Self::Error(502, "BadGateway"),
        Self::Error(503, "SlowDown"),
        Self::Error(504, "GatewayTimeout"),
        Self::Error(429, "TooManyRequests"),
        Self::Error(401, "Unauthorized"),
        Self::Error(403, "AccessDenied"),
        Self::Error(400, "ExpiredToken"),
        Self::Error(400, "RequestTimeout"),
        Self::Error(400, "BadDigest"),
        Self::Error(403, "RequestTimeTooSkewed"),
        Self::Error(409, "ConditionalRequestConflict"),
        Self::Error(404, "NoSuchBucket"),
        Self::StoreThenError(409, "OperationAborted"),
        Self::StoreThenError(412, "PreconditionFailed"),
        Self::StoreThenError(500, "InternalError"),
        Self::StoreThenError(503, "SlowDown"),
        Self::Redirect(301, REDIRECT_TARGET),
        Self::Redirect(307, REDIRECT_TARGET),
        Self::CloseBeforeBody,
        Self::CloseInBody,
        Self::ResetInBody,
        Self::StoreThenClose,
        Self::StoreThenReset,
        Self::NoResponse,
        Self::StoreThenNoResponse,
        Self::StoreThenSlowResponse,
        Self::StoreThenPartialHead,
        Self::StoreThenWrongEtag,
        Self::WrongChecksum,
        Self::ErrorInSuccessBody,
        Self::PartialError,
        Self::TruncatedXml,
        Self::InvalidHttp,
    ];

    pub(super) fn stores_object(self) -> bool {
        matches!(
            self,
            Self::StoreThenError(..)
                | Self::StoreThenClose
                | Self::StoreThenReset
                | Self::StoreThenNoResponse
                | Self::StoreThenSlowResponse
                | Self::StoreThenPartialHead
                | Self::StoreThenWrongEtag
        )
    }

    /// Number of bytes of the body that are read.
    pub(super) fn body_bytes_read(self, length: usize) -> usize {
        match self {
            Self::CloseBeforeBody => 0,
            Self::CloseInBody | Self::ResetInBody => length / 2,
            _ => length,
        }
    }

    pub(super) fn resets(self) -> bool {
        matches!(self, Self::ResetInBody | Self::StoreThenReset)
    }
}

/// Selects the fault of the request with this number.
pub type FaultPlan = Box<dyn FnMut(u64) -> Option<Fault> + Send>;
