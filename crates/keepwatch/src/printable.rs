//! Escapes text from clients for terminals and HTML.
//!
//! Clients choose the names, user agents and messages in audit events. Nothing in them
//! may move a cursor, change the direction of text, or become markup.

use std::fmt::Write as _;

/// Characters that control a terminal or the direction of text are written as `\u{…}`.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            plain.push(c);
        } else {
            // Writing to a string does not fail.
            write!(plain, "\\u{{{:x}}}", u32::from(c)).unwrap_or_default();
        }
    }
    plain
}

/// [`plain`] text, truncated to `max` characters.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    let plain = plain(text);
    match plain.char_indices().nth(max) {
        None => plain,
        Some(_) => plain.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// [`plain`] text, escaped for HTML text and quoted attributes.
pub(crate) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whether a character is printed unchanged.
fn is_plain(c: char) -> bool {
    let changes_direction = matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !c.is_control() && !changes_direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_clients_cannot_control_the_terminal_or_become_markup() {
        assert_eq!(plain("alice\u{1b}[2J"), "alice\\u{1b}[2J");
        assert_eq!(plain("\u{202e}ecila"), "\\u{202e}ecila");
        assert_eq!(plain("Zoë 金"), "Zoë 金");
        assert_eq!(html("<b onclick='x'>\"&"), "&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;");
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("abcd", 4), "abcd");
    }
}
