//! An error in one line, for logs and statuses.

use std::error::Error;

/// An error with all that is behind it; nothing is said twice in a row.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(source) = behind {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        behind = source.source();
    }
    text
}
