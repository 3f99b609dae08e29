//! Writes YAML in the style of Sigma rules: mappings, lists, texts and numbers.

/// A mapping; members are written in the order in which they are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    lines: Vec<String>,
}

impl Mapping {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a text, unless it is empty.
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

    /// Adds a list of texts, unless it is empty.
    pub(super) fn texts(&mut self, key: &str, texts: &[String]) {
        let quoted: Vec<String> = texts.iter().map(|text| self::quoted(text)).collect();
        self.values(key, &quoted);
    }

    /// Adds a number.
    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.lines.push(format!("{}: {number}", quoted(key)));
    }

    /// Adds values that are already encoded: one, or a list.
    pub(super) fn value(&mut self, key: &str, values: &[String]) {
        match values {
            [value] => self.lines.push(format!("{}: {value}", quoted(key))),
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

    /// Adds a nested mapping.
    pub(super) fn mapping(&mut self, key: &str, inner: Self) {
        self.lines.push(format!("{}:", quoted(key)));
        self.lines.extend(inner.lines.into_iter().map(|line| match line.as_str() {
            "" => line,
            _ => format!("  {line}"),
        }));
    }

    /// The YAML text.
    pub(super) fn finish(self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

/// A YAML string: in JSON's double quotes, unless a plain scalar is safe.
pub(super) fn quoted(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '|');
    let mut chars = text.chars();
    let begins = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let is_word = WORDS.contains(&text.to_ascii_lowercase().as_str());
    if begins && !is_word && chars.all(|c| is_plain(c) || c == ' ') && !text.ends_with(' ') {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}
