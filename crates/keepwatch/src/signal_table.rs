//! Signals as a table for users.

use serde_json::Value;

use crate::printable::shortened;

/// The columns with their widths; the last one has no limit.
const COLUMNS: [(&str, usize); 6] = [
    ("SEVERITY", 13),
    ("STATE", 7),
    ("FIRST SEEN", 19),
    ("COUNT", 6),
    ("USER", 28),
    ("TITLE", 120),
];

/// The heading.
pub(crate) fn head() -> String {
    line(&COLUMNS.map(|(title, _)| title.to_owned()))
}

/// The row of one signal, as the API serves it.
pub(crate) fn row(signal: &Value) -> String {
    let text = |path: &str| match signal.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let first_seen = text("/spec/firstSeen");
    let user = match text("/spec/actor/username") {
        user if user.is_empty() => "(several)".to_owned(),
        user => user,
    };
    line(&[
        text("/spec/severity"),
        text("/status/state"),
        first_seen.get(..19).unwrap_or(&first_seen).replace('T', " "),
        text("/spec/count"),
        user,
        text("/spec/title"),
    ])
}

fn line(cells: &[String; COLUMNS.len()]) -> String {
    let cells = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| {
        let cell = shortened(cell, width);
        format!("{cell:<width$}")
    });
    let line: Vec<String> = cells.collect();
    line.join(" ").trim_end().to_owned()
}
