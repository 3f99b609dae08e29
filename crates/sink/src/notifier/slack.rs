//! Sends signals to an incoming webhook of Slack, or of a chat that accepts the same messages.
//!
//! An attacker can choose parts of a signal, for example names of users and objects. So its text is
//! escaped, it cannot create links or mention a channel, and it is truncated to the limits of
//! Slack.

use std::time::Duration;

use async_trait::async_trait;
use event::signal::Severity;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};

use super::client::Client;
use super::text::truncate;
use super::{
    Event, Notification, Notifier, NotifyError, OpenError, Renderer, Settings, authorization,
};

/// The maximum length of a line in bytes. Slack accepts 3,000 characters in a section.
const LINE_BYTES_MAX: usize = 300;
/// The maximum length of a message in bytes.
const MESSAGE_BYTES_MAX: usize = 2800;
/// Words that some chats treat as a mention of all members of a channel.
const MENTIONS: [&str; 4] = ["channel", "here", "all", "everyone"];
/// An invisible character that separates a word from the preceding text.
const WORD_JOINER: char = '\u{2060}';
/// Slack's error codes; no other part of a response is shown to users.
const ERROR_CODES: [&str; 14] = [
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_blocks",
    "invalid_payload",
    "invalid_token",
    "no_active_hooks",
    "no_service",
    "no_service_id",
    "no_team",
    "no_text",
    "posting_to_general_channel_denied",
    "team_disabled",
    "user_not_found",
];

/// An incoming webhook, which posts to one channel.
pub(super) struct Slack {
    client: Client,
    authorization: Option<HeaderValue>,
    renderer: Option<Renderer>,
}

impl Slack {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        Ok(Self {
            client: Client::new(settings, "")?,
            authorization: settings.secret.as_ref().map(authorization::header).transpose()?,
            renderer: settings.renderer.clone(),
        })
    }

    fn body(&self, notification: &Notification) -> Value {
        let spec = &notification.signal.spec;
        let heading = format!(
            "{} *{}* {}",
            emoji(spec.severity),
            spec.severity,
            match notification.event {
                Event::Opened => "signal",
                Event::Updated => "signal, updated",
                Event::Closed => "signal, closed",
            }
        );
        let title = escaped(&spec.title, LINE_BYTES_MAX);
        let message = match &self.renderer {
            // The text of the template itself may use all of Slack's markup.
            Some(renderer) => {
                let lookup = |name: &str| {
                    let value = notification.variable(name)?;
                    Some(escaped(&value, MESSAGE_BYTES_MAX))
                };
                truncate(&renderer.render(&lookup), MESSAGE_BYTES_MAX)
            }
            None => mrkdwn(&escaped(&spec.message, MESSAGE_BYTES_MAX)),
        };
        let mut context_parts = vec![
            format!("rule {}", escaped(&spec.rule.id, LINE_BYTES_MAX)),
            format!("events {}", spec.count),
            format!("signal {}", escaped(&notification.signal.id, LINE_BYTES_MAX)),
        ];
        if !spec.cluster.is_empty() {
            context_parts.insert(0, format!("cluster {}", escaped(&spec.cluster, LINE_BYTES_MAX)));
        }
        let text = |text: &str| json!({"type": "mrkdwn", "text": text, "verbatim": true});
        let mut blocks =
            vec![json!({"type": "section", "text": text(&format!("{heading}\n{title}"))})];
        if !message.is_empty() {
            blocks.push(json!({"type": "section", "text": text(&message)}));
        }
        blocks.push(json!({"type": "context", "elements": [text(&context_parts.join(" · "))]}));
        json!({"text": format!("{heading}: {title}"), "blocks": blocks})
    }
}

fn emoji(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => ":rotating_light:",
        Severity::Medium => ":warning:",
        Severity::Low | Severity::Informational => ":information_source:",
    }
}

/// Text that a chat shows as it is, of at most `bytes_max` bytes.
fn escaped(text: &str, bytes_max: usize) -> String {
    let mut escaped = String::new();
    for (index, character) in text.char_indices() {
        let previous_len = escaped.len();
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' => {
                escaped.push('@');
                let rest = text.get(index + 1..).unwrap_or_default();
                if MENTIONS.iter().any(|word| rest.starts_with(word)) {
                    escaped.push(WORD_JOINER);
                }
            }
            other => escaped.push(other),
        }
        if escaped.len() > bytes_max {
            escaped.truncate(previous_len);
            while escaped.len() + "…".len() > bytes_max && !escaped.is_empty() {
                pop_character(&mut escaped);
            }
            escaped.push('…');
            break;
        }
    }
    escaped
}

/// Removes the last character, including all of an escape such as `&amp;`.
fn pop_character(text: &mut String) {
    if text.pop() == Some(';')
        && let Some(start) = text.rfind('&')
    {
        text.truncate(start);
    }
}

/// Converts the Markdown that messages of rules use to Slack's format.
fn mrkdwn(text: &str) -> String {
    let line = |line: &str| {
        let heading = line.trim_start_matches('#');
        if heading.len() < line.len() && heading.starts_with(' ') {
            return format!("*{}*", heading.trim());
        }
        line.replace("**", "*")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[async_trait]
impl Notifier for Slack {
    async fn send(&self, notification: &Notification) -> Result<(), NotifyError> {
        let body = self.body(notification).to_string().into_bytes();
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        self.client.post(headers, body, &ERROR_CODES).await
    }

    fn origin(&self) -> &str {
        self.client.origin()
    }

    fn no_response_delay(&self) -> Duration {
        self.client.no_response_delay()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_an_attacker_chose_is_shown_literally() {
        for (text, bytes_max, expected) in [
            ("<!channel> & <https://evil|x>", 99, "&lt;!channel&gt; &amp; &lt;https://evil|x&gt;"),
            ("@here alice@example.com", 99, "@\u{2060}here alice@example.com"),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc…"),
            ("ab&&&&", 9, "ab…"),
            ("&;&;&;", 12, "&amp;;…"),
        ] {
            let actual = escaped(text, bytes_max);
            assert_eq!(actual, expected, "{text}");
            assert!(actual.len() <= bytes_max);
        }
        let long = escaped(&"<".repeat(100_000), MESSAGE_BYTES_MAX);
        assert!(long.len() <= MESSAGE_BYTES_MAX && long.ends_with("&lt;…"));
    }

    #[test]
    fn headings_and_bold_words_are_bold() {
        assert_eq!(mrkdwn("# Goal\n**12** deletions\n#tag"), "*Goal*\n*12* deletions\n#tag");
    }
}
