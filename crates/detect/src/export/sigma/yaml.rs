//! YAML as people write it in Sigma rules: mappings, lists, texts and numbers.

/// A mapping; its lines are written as they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    lines: Vec<String>,
}

impl Mapping {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A text; an empty one is left out.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        if !text.contains('\n') {
            self.lines.push(format!("{}: {}", quoted(key), quoted(text)));
            return;
        }
        self.lines.push(format!("{}: |-", quoted(key)));
        for line in text.lines() {
            let line = format!("  {}", line.trim_end());
            self.lines.push(line.trim_end().to_owned());
        }
    }

    /// A list of texts; an empty one is left out.
    pub(super) fn texts(&mut self, key: &str, texts: &[String]) {
        let quoted: Vec<String> = texts.iter().map(|text| self::quoted(text)).collect();
        self.values(key, &quoted);
    }

    /// A number.
    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.lines.push(format!("{}: {number}", quoted(key)));
    }

    /// Values as they are written: one, or a list.
    pub(super) fn value(&mut self, key: &str, values: &[String]) {
        match values {
            [one] => self.lines.push(format!("{}: {one}", quoted(key))),
            _ => self.values(key, values),
        }
    }

    fn values(&mut self, key: &str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        self.lines.push(format!("{}:", quoted(key)));
        self.lines.extend(values.iter().map(|value| format!("  - {value}")));
    }

    /// A mapping within.
    pub(super) fn mapping(&mut self, key: &str, inner: Self) {
        self.lines.push(format!("{}:", quoted(key)));
        self.lines.extend(inner.lines.into_iter().map(|line| match line.as_str() {
            "" => line,
            _ => format!("  {line}"),
        }));
    }

    /// Its text.
    pub(super) fn finish(self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

/// A text that reads as a text: in double quotes, which JSON has too, unless it is plain.
pub(super) fn quoted(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain =
        |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '/' | '-' | '|');
    let mut chars = text.chars();
    let begins = chars.next().is_some_and(|it| it.is_ascii_alphabetic() || it == '_');
    let is_word = WORDS.contains(&text.to_ascii_lowercase().as_str());
    if begins && !is_word && chars.all(|it| is_plain(it) || it == ' ') && !text.ends_with(' ') {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}
