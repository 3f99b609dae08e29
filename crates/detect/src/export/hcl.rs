//! Writes blocks of Terraform's configuration language in the format of `terraform fmt`.

/// A block: attributes, then nested blocks.
pub(super) struct Block {
    head: String,
    attributes: Vec<(String, String)>,
    inner: Vec<Self>,
}

impl Block {
    /// `resource "kind" "name"`
    pub(super) fn resource(kind: &str, name: &str) -> Self {
        Self::of(format!("resource {} {}", text(kind), text(name)))
    }

    const fn of(head: String) -> Self {
        Self { head, attributes: Vec::new(), inner: Vec::new() }
    }

    /// Sets an attribute to an expression.
    pub(super) fn set(&mut self, name: &str, expression: String) {
        self.attributes.push((name.to_owned(), expression));
    }

    /// Sets an attribute to a multi-line text, which is not reformatted.
    pub(super) fn long_text(&mut self, name: &str, value: &str) {
        let end = "END";
        let is_free = !value.lines().any(|line| line.trim() == end);
        let expression = if is_free {
            format!("<<{end}\n{}\n{end}", without_templates(value))
        } else {
            text(value)
        };
        self.set(name, expression);
    }

    /// Appends a nested block.
    pub(super) fn inner(&mut self, name: &str) -> &mut Self {
        self.inner.push(Self::of(name.to_owned()));
        let last = self.inner.len() - 1;
        &mut self.inner[last]
    }

    /// The text of the block.
    pub(super) fn finish(&self) -> String {
        let mut written = String::new();
        self.write(0, &mut written);
        written
    }

    fn write(&self, depth: usize, to: &mut String) {
        let indent = "  ".repeat(depth);
        to.extend([&indent, self.head.as_str(), " {\n"]);
        // Align the equal signs of consecutive lines.
        for run in self.attributes.chunk_by(|left, right| is_short(left) && is_short(right)) {
            let width = run.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            for (name, expression) in run {
                let blanks = " ".repeat(width - name.len());
                to.extend([&indent, "  ", name, &blanks, " = ", expression, "\n"]);
            }
        }
        for (index, block) in self.inner.iter().enumerate() {
            if index > 0 || !self.attributes.is_empty() {
                to.push('\n');
            }
            block.write(depth + 1, to);
        }
        to.extend([&indent, "}\n"]);
    }
}

fn is_short((_, expression): &(String, String)) -> bool {
    !expression.contains('\n')
}

/// A quoted text.
pub(super) fn text(value: impl AsRef<str>) -> String {
    let mut quoted = String::from("\"");
    for char in without_templates(value.as_ref()).chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of texts.
pub(super) fn list(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(text).collect();
    format!("[{}]", quoted.join(", "))
}

/// Escapes the start of template sequences by doubling it.
fn without_templates(value: &str) -> String {
    value.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_written_as_terraform_formats_them() {
        let mut block = Block::resource("kind", "name");
        block.set("a", text("one \"${x}\" \\"));
        block.set("long", list(&["x".to_owned(), "y".to_owned()]));
        block.long_text("message", "first\n%{if}");
        block.inner("inner").set("z", "1".to_owned());
        let expected = "resource \"kind\" \"name\" {\n  a    = \"one \\\"$${x}\\\" \\\\\"\n  long = \
                        [\"x\", \"y\"]\n  message = <<END\nfirst\n%%{if}\nEND\n\n  inner {\n    z = \
                        1\n  }\n}\n";
        assert_eq!(block.finish(), expected);
    }
}
