//! The corridor from the journal to the sinks: cursors, batches, retry, lag.
