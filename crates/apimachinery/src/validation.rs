//! Validation of names, labels and annotations, with Kubernetes' error messages.
//!
//! Rules and messages are those of `k8s.io/apimachinery/pkg/util/validation`.

use std::fmt::Write;

/// Maximum length of a DNS subdomain, and so of an object name.
const SUBDOMAIN_MAX: usize = 253;
/// Maximum length of a DNS label, and so of a namespace name, a label value and the name part of a
/// label key.
const LABEL_MAX: usize = 63;
const SUBDOMAIN_MESSAGE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_MESSAGE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_NAME_MESSAGE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_MESSAGE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Validates an object name. Returns error messages; empty if the name is valid.
pub fn dns1123_subdomain(name: &str) -> Vec<String> {
    let mut errors = too_long(name, SUBDOMAIN_MAX);
    if !name.split('.').all(is_label) {
        errors.push(SUBDOMAIN_MESSAGE.to_owned());
    }
    errors
}

/// Validates a namespace name. Returns error messages; empty if the name is valid.
pub fn dns1123_label(name: &str) -> Vec<String> {
    let mut errors = too_long(name, LABEL_MAX);
    if !is_label(name) {
        errors.push(LABEL_MESSAGE.to_owned());
    }
    errors
}

/// Validates a label key, annotation key or finalizer. Returns error messages; empty if it is
/// valid.
pub fn qualified_name(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            return vec![
                "a qualified name ".to_owned()
                    + QUALIFIED_NAME_MESSAGE.trim_start_matches("name part ")
                    + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
            ];
        }
        Some(("", name)) => {
            errors.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            errors.extend(
                dns1123_subdomain(prefix).into_iter().map(|error| format!("prefix part {error}")),
            );
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        errors.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !is_label_word(name) {
        errors.push(QUALIFIED_NAME_MESSAGE.to_owned());
    }
    errors
}

/// Validates a label value. Returns error messages; empty if it is valid.
pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = too_long(value, LABEL_MAX);
    if !value.is_empty() && !is_label_word(value) {
        errors.push(LABEL_VALUE_MESSAGE.to_owned());
    }
    errors
}

/// Formats strings as Go prints a `[]string`, for error messages.
pub fn go_strings(texts: &[&str]) -> String {
    let mut out = "[]string{".to_owned();
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        // Writing to a string cannot fail.
        let _written = write!(out, "{text:?}");
    }
    out.push('}');
    out
}

fn too_long(text: &str, max: usize) -> Vec<String> {
    if text.len() > max { vec![format!("must be no more than {max} bytes")] } else { Vec::new() }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

fn is_label_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_rfc_1123() {
        for valid in ["a", "a-b.c", "0", "x".repeat(63).as_str(), &"ab.".repeat(84).add_x()] {
            assert_eq!(dns1123_subdomain(valid), Vec::<String>::new(), "{valid}");
        }
        for invalid in ["", "A", "-a", "a-", "a..b", "a_b", ".a", "ä", &"x".repeat(254)] {
            assert!(!dns1123_subdomain(invalid).is_empty(), "{invalid}");
        }
        assert_eq!(dns1123_label("a.b"), [LABEL_MESSAGE]);
        assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    }

    #[test]
    fn label_keys_and_values() {
        for valid in ["a", "A_b.c-d", "example.com/x", "k10.kasten.io/appName"] {
            assert_eq!(qualified_name(valid), Vec::<String>::new(), "{valid}");
        }
        for invalid in ["", "/a", "a/", "a/b/c", "A.com/x", "-a", "a b", "ä"] {
            assert!(!qualified_name(invalid).is_empty(), "{invalid}");
        }
        assert_eq!(label_value(""), Vec::<String>::new());
        assert_eq!(label_value("a b"), [LABEL_VALUE_MESSAGE]);
    }

    trait AddX {
        fn add_x(self) -> String;
    }

    impl AddX for String {
        fn add_x(self) -> String {
            self + "x"
        }
    }
}
