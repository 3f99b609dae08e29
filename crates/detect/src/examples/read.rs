//! Parses an events file. Each error is reported with its line number.

use std::error::Error as _;

use event::{Timestamp, line};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Example, ExampleError, Expected, Step};

/// Maximum number of events and clock steps in a file, including repetitions.
pub const EVENTS_MAX: usize = 100_000;

/// The first line of an example.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    example: String,
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    expect: Vec<Expected>,
}

/// A line that advances the clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    clock: Timestamp,
}

/// A line that repeats an event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    #[serde(rename = "repeat")]
    times: usize,
    /// Time between two repetitions, for example `30s`.
    every: String,
    /// The maximum of `{k}`, which then starts again at 1.
    of: Option<usize>,
    event: Map<String, Value>,
}

/// Parses the examples of an events file.
pub fn read(text: &str) -> Result<Vec<Example>, Vec<ExampleError>> {
    let mut reader = Reader::default();
    let mut errors = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        if let Err(message) = reader.take(line, text) {
            errors.push(ExampleError { line, message });
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut examples = reader.examples;
    for example in &mut examples {
        example.steps.sort_by_key(Step::time);
    }
    Ok(examples)
}

#[derive(Default)]
struct Reader {
    examples: Vec<Example>,
    events: usize,
}

impl Reader {
    fn take(&mut self, line: usize, text: &str) -> Result<(), String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let has = |key: &str| value.get(key).is_some();
        if has("example") {
            let Begin { example: name, cluster, expect: expected } = typed(value)?;
            self.examples.push(Example { name, line, cluster, steps: Vec::new(), expected });
            return Ok(());
        }
        let steps = if has("clock") {
            let Clock { clock } = typed(value)?;
            vec![Step::Clock(clock)]
        } else if has("repeat") {
            repeated(&typed(value)?)?
        } else {
            vec![event(&value)?]
        };
        self.events = self.events.saturating_add(steps.len());
        if self.events > EVENTS_MAX {
            return Err(format!("the file has more than {EVENTS_MAX} events"));
        }
        let Some(example) = self.examples.last_mut() else {
            return Err("it belongs to no example: begin with {\"example\": \"…\"}".to_owned());
        };
        example.steps.extend(steps);
        Ok(())
    }
}

fn typed<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn event(value: &Value) -> Result<Step, String> {
    let event = line::read(value.to_string().as_bytes()).map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })?;
    if event.event.stage_timestamp == Timestamp::UNSET {
        return Err("the event has no stage timestamp".to_owned());
    }
    Ok(Step::Event(Box::new(event.event)))
}

/// The events of a `repeat` line. Their audit IDs end with the number of the repetition.
fn repeated(line: &Repeat) -> Result<Vec<Step>, String> {
    if line.times > EVENTS_MAX {
        return Err(format!("`repeat` is at most {EVENTS_MAX}"));
    }
    let every = period(&line.every)
        .ok_or_else(|| format!("`every` is {:?}: write it as 500ms, 30s, 5m or 1h", line.every))?;
    let of = line.of.unwrap_or(line.times).max(1);
    let mut steps = Vec::with_capacity(line.times);
    let mut later = 0_i64;
    for n in 0..line.times {
        let (n, k) = ((n + 1).to_string(), (n % of + 1).to_string());
        let filled = fill(&Value::Object(line.event.clone()), &n, &k);
        let Step::Event(mut event) = event(&filled)? else { continue };
        event.audit_id = format!("{}-{n}", event.audit_id);
        for time in [&mut event.stage_timestamp, &mut event.request_received_timestamp] {
            *time = Timestamp::from_micros(time.as_micros().saturating_add(later));
        }
        steps.push(Step::Event(event));
        later = later.saturating_add(every);
    }
    Ok(steps)
}

/// Parses a duration such as `30s`. Returns microseconds.
fn period(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

/// Replaces `{n}` and `{k}` in all strings of a value.
fn fill(value: &Value, n: &str, k: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("{n}", n).replace("{k}", k)),
        Value::Array(items) => Value::Array(items.iter().map(|item| fill(item, n, k)).collect()),
        Value::Object(members) => Value::Object(
            members.iter().map(|(key, value)| (key.clone(), fill(value, n, k))).collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"level":"Metadata","auditID":"a","stage":"ResponseComplete","verb":"get","user":{"username":"u{n}-{k}"},"stageTimestamp":"2026-11-23T09:00:00.000000Z"}"#;

    fn check_error(text: &str, expected: &str) {
        let errors = read(text).unwrap_err();
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(messages.join("\n"), expected);
    }

    #[test]
    fn repeated_events_have_increasing_times_and_numbers() {
        let text = format!(
            "{{\"example\":\"e\"}}\n{{\"repeat\":3,\"every\":\"30s\",\"of\":2,\"event\":{EVENT}}}"
        );
        let examples = read(&text).unwrap();
        let steps = examples[0].steps.iter().map(|step| match step {
            Step::Event(event) => {
                format!("{} {} {}", event.audit_id, event.user.username, event.stage_timestamp)
            }
            Step::Clock(time) => time.to_string(),
        });
        let expected = [
            "a-1 u1-1 2026-11-23T09:00:00.000000Z",
            "a-2 u2-2 2026-11-23T09:00:30.000000Z",
            "a-3 u3-1 2026-11-23T09:01:00.000000Z",
        ];
        assert_eq!(steps.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn steps_are_sorted_by_time() {
        let text =
            format!("{{\"example\":\"e\"}}\n{{\"clock\":\"2026-11-23T10:00:00Z\"}}\n{EVENT}\n");
        let examples = read(&text).unwrap();
        assert!(matches!(examples[0].steps[..], [Step::Event(_), Step::Clock(_)]));
    }

    #[test]
    fn errors_are_reported_with_their_lines() {
        check_error(EVENT, "line 1: it belongs to no example: begin with {\"example\": \"…\"}");
        check_error(
            "{\"example\":\"e\"}\n\n{",
            "line 3: it is not JSON: EOF while parsing an object at line 1 column 1",
        );
        check_error(
            "{\"example\":\"e\",\"expects\":[]}",
            "line 1: unknown field `expects`, expected one of `example`, `cluster`, `expect`",
        );
        check_error(
            &format!(
                "{{\"example\":\"e\"}}\n{{\"repeat\":3,\"every\":\"soon\",\"event\":{EVENT}}}"
            ),
            "line 2: `every` is \"soon\": write it as 500ms, 30s, 5m or 1h",
        );
    }
}
