//! Validates a value against a schema and reports every invalid field.

use serde_json::{Map, Value};

use super::{Bound, Kind, Path, Schema, formats};
use crate::FieldError;
use crate::api_error::FIELD_ERRORS_MAX;

/// 2^53. Above this, floating-point numbers cannot represent every integer.
const FLOAT_INTEGERS_END: f64 = 9_007_199_254_740_992.0;

impl Schema {
    /// Adds the validation errors of `value` to `errors`.
    pub fn validate(&self, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
        if errors.len() >= FIELD_ERRORS_MAX
            || (value.is_null() && (self.nullable || self.kind == Kind::Any))
        {
            return;
        }
        if !self.kind.accepts(value) {
            errors.push(wrong_type(path, self.kind.name(), type_name(value)));
            return;
        }
        self.validate_enum(value, path, errors);
        match value {
            Value::Object(map) => self.validate_map(map, path, errors),
            Value::Array(items) => self.validate_items(items, path, errors),
            Value::String(text) => self.validate_text(text, path, errors),
            Value::Number(number) => {
                self.validate_number(number.as_f64().unwrap_or_default(), value, path, errors);
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// [`validate`](Self::validate) for an object.
    pub fn validate_map(
        &self,
        map: &Map<String, Value>,
        path: Path<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        for key in &self.required {
            if !map.contains_key(key) {
                errors.push(FieldError::required(path.field(key).to_string(), ""));
            }
        }
        if let Some(min) = self.min_properties
            && (map.len() as u64) < min
        {
            let detail = format!("{path} in body should have at least {min} properties");
            errors.push(FieldError::invalid(
                path.to_string(),
                &Value::Object(map.clone()),
                &detail,
            ));
        }
        for (key, value) in map {
            if let Some(schema) = self.property(key) {
                schema.validate(value, path.field(key), errors);
            }
        }
    }

    fn validate_enum(&self, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
        if self.allowed.is_empty() || self.allowed.contains(value) {
            return;
        }
        let words: Vec<&str> = self.allowed.iter().filter_map(Value::as_str).collect();
        errors.push(FieldError::not_supported(path.to_string(), value, &words));
    }

    fn validate_items(&self, items: &[Value], path: Path<'_>, errors: &mut Vec<FieldError>) {
        let len = items.len() as u64;
        if let Some(max) = self.max_items.filter(|max| len > *max) {
            errors.push(FieldError {
                reason: "FieldValueTooMany",
                field: path.to_string(),
                message: format!("Too many: {len}: must have at most {max} items"),
            });
        }
        if let Some(min) = self.min_items.filter(|min| len < *min) {
            let detail = format!("{path} in body should have at least {min} items");
            errors.push(FieldError::invalid(path.to_string(), &len.into(), &detail));
        }
        if let Some(schema) = &self.items {
            for (at, item) in items.iter().enumerate() {
                schema.validate(item, path.item(at), errors);
            }
        }
    }

    fn validate_text(&self, text: &str, path: Path<'_>, errors: &mut Vec<FieldError>) {
        let len = || text.chars().count() as u64;
        if let Some(max) = self.max_length.filter(|max| len() > *max) {
            errors.push(FieldError {
                reason: "FieldValueTooLong",
                field: path.to_string(),
                message: format!("Too long: may not be more than {max} bytes"),
            });
        }
        if let Some(min) = self.min_length.filter(|min| len() < *min) {
            let detail = format!("{path} in body should be at least {min} chars long");
            errors.push(FieldError::invalid(path.to_string(), &text.into(), &detail));
        }
        if !formats::accepts(&self.format, text) {
            let detail = format!("{path} in body must be of type {}: {text:?}", self.format);
            errors.push(FieldError::invalid(path.to_string(), &text.into(), &detail));
        }
    }

    fn validate_number(
        &self,
        number: f64,
        value: &Value,
        path: Path<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        if let Some(Bound { at, is_exclusive }) = self.minimum
            && (number < at || (is_exclusive && number <= at))
        {
            let words = if is_exclusive { "greater than" } else { "greater than or equal to" };
            let detail = format!("{path} in body should be {words} {at}");
            errors.push(FieldError::invalid(path.to_string(), value, &detail));
        }
        if let Some(Bound { at, is_exclusive }) = self.maximum
            && (number > at || (is_exclusive && number >= at))
        {
            let words = if is_exclusive { "less than" } else { "less than or equal to" };
            let detail = format!("{path} in body should be {words} {at}");
            errors.push(FieldError::invalid(path.to_string(), value, &detail));
        }
    }
}

impl Kind {
    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
            Self::String => value.is_string(),
            Self::Integer => is_integer(value),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::IntOrString => value.is_string() || is_integer(value),
        }
    }
}

/// Whether Kubernetes accepts a number as an integer: a 64-bit integer, or a number in fractional
/// notation without a fractional part, up to where a JSON number is exact.
fn is_integer(value: &Value) -> bool {
    let is_whole = |number: f64| number.fract() == 0.0 && number.abs() < FLOAT_INTEGERS_END;
    value.is_i64() || value.as_f64().is_some_and(is_whole)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type(path: Path<'_>, expected: &str, actual: &str) -> FieldError {
    FieldError {
        reason: "FieldValueTypeInvalid",
        field: if path.is_root() { "<nil>".to_owned() } else { path.to_string() },
        message: format!(
            "Invalid value: {actual:?}: {path} in body must be of type {expected}: {actual:?}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::compile(&json!({
            "type": "object",
            "required": ["subject"],
            "properties": {
                "subject": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 5},
                        "kind": {"type": "string", "enum": ["a", "b"]},
                    },
                },
                "count": {"type": "integer", "minimum": 1.0, "maximum": 9},
                "when": {"type": "string", "format": "date-time"},
                "wait": {"type": "string", "format": "duration"},
                "port": {"x-kubernetes-int-or-string": true},
                "note": {"type": "string", "nullable": true},
                "list": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
                "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "mode": {"type": "string", "default": "slow"},
            },
        }))
    }

    #[track_caller]
    fn check(value: &Value, expected: &[&str]) {
        let mut errors = Vec::new();
        schema().validate(value, Path::Root.field("spec"), &mut errors);
        let actual: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        assert_eq!(actual, expected);
    }

    #[test]
    fn invalid_values_have_the_errors_of_custom_resources() {
        check(&json!({"subject": {"name": "x"}, "note": null, "port": 1, "free": {"x": 1}}), &[]);
        check(&json!({"subject": {"name": "x"}, "port": 1e2}), &[]);
        for port in [json!(1_u64 << 63), json!(1e16), json!(1.5)] {
            check(
                &json!({"subject": {"name": "x"}, "port": port}),
                &[
                    "spec.port: Invalid value: \"number\": spec.port in body must be of type integer,string: \"number\"",
                ],
            );
        }
        check(&json!({}), &["spec.subject: Required value"]);
        check(
            &json!({"subject": {"name": 7}}),
            &[
                "spec.subject.name: Invalid value: \"integer\": spec.subject.name in body must be of type string: \"integer\"",
            ],
        );
        check(
            &json!({"subject": {"name": "", "kind": "c"}, "count": 0}),
            &[
                "spec.subject.name: Invalid value: \"\": spec.subject.name in body should be at least 1 chars long",
                "spec.subject.kind: Unsupported value: \"c\": supported values: \"a\", \"b\"",
                "spec.count: Invalid value: 0: spec.count in body should be greater than or equal to 1",
            ],
        );
        check(
            &json!({"subject": {"name": "toolong"}, "when": "noon", "wait": "5 minutes"}),
            &[
                "spec.subject.name: Too long: may not be more than 5 bytes",
                "spec.when: Invalid value: \"noon\": spec.when in body must be of type date-time: \"noon\"",
                "spec.wait: Invalid value: \"5 minutes\": spec.wait in body must be of type duration: \"5 minutes\"",
            ],
        );
        check(
            &json!({"subject": {"name": "x"}, "list": ["a", 1, "c"], "tags": {"a": true}}),
            &[
                "spec.list: Too many: 3: must have at most 2 items",
                "spec.list[1]: Invalid value: \"integer\": spec.list[1] in body must be of type string: \"integer\"",
                "spec.tags.a: Invalid value: \"boolean\": spec.tags.a in body must be of type string: \"boolean\"",
            ],
        );
    }

    #[test]
    fn unknown_fields_are_pruned_and_defaults_are_set() {
        let mut value = json!({
            "subject": {"name": "x", "colour": "red"}, "extra": 1, "free": {"any": {"thing": 1}},
            "tags": {"k": "v"}, "count": null,
        });
        let mut unknown = Vec::new();
        schema().prune(&mut value, Path::Root.field("spec"), &mut unknown);
        assert_eq!(unknown, ["spec.subject.colour", "spec.extra"]);
        assert_eq!(
            value,
            json!({"subject": {"name": "x"}, "free": {"any": {"thing": 1}}, "tags": {"k": "v"}, "mode": "slow"})
        );
    }
}
