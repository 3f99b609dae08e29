//! The limits of `keepwatch doctor`.

use doctor::objects::{FLAGS_MAX, TEXT_BYTES_MAX};

use super::{Row, bytes, time};
use crate::args::doctor::{REQUEST_TIME, TOTAL_TIME};
use crate::commands::doctor::{BODY_BYTES_MAX, PAGE, PAGES_MAX};

/// The rows of the page.
pub(super) fn rows() -> Vec<Row> {
    vec![
        ("Default time for one request to the cluster", time(REQUEST_TIME)),
        ("Default time for all requests to the cluster", time(TOTAL_TIME)),
        ("Objects of one kind that are read", (PAGE * PAGES_MAX).to_string()),
        ("Objects in one response", PAGE.to_string()),
        ("Size of one response", bytes(BODY_BYTES_MAX)),
        ("Length of a text that is kept from an object", bytes(TEXT_BYTES_MAX)),
        ("Flags and groups that are kept from an object", FLAGS_MAX.to_string()),
    ]
}
