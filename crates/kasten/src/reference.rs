//! The reference page on the kinds, made from the kinds.

/// The page, as Markdown.
pub fn reference() -> String {
    String::new()
}
