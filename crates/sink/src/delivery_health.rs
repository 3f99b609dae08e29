//! The health of the delivery to one destination, as operators see it.

/// The health of the delivery to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryHealth {
    /// Records are delivered as they arrive.
    Delivering,
    /// The last attempts failed.
    Failing {
        /// The last error.
        reason: String,
        /// Number of consecutive attempts that failed with a response.
        attempts: u32,
    },
    /// The destination has not responded for so long that it may be reported.
    NoResponse {
        /// The error. It does not contain the cause of the missing response.
        reason: String,
    },
    /// The destination is closed, such as a closed pipe. Delivery is not retried before a restart.
    Closed,
    /// The task may no longer move its cursor, because another task has taken it over or it was
    /// removed. The task has stopped.
    CursorLost {
        /// The error of the store.
        reason: String,
    },
}
