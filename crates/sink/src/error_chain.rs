//! An error and its sources in one line, for logs and statuses.

use std::error::Error;

/// The text of an error and of each of its sources, joined by `: `.
///
/// A source whose text already ends the line is not repeated.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let message = source.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        next = source.source();
    }
    text
}
