//! The title of an alert, built from the columns of its query.

use super::kql;
use crate::export::fidelity::{Effect, Reason, ReasonKind};
use crate::export::model::RuleModel;
use crate::field::Field;
use crate::template::{Part, Template, Test};

/// The query lines that compute the title.
pub(super) fn lines(model: &RuleModel<'_>, reasons: &mut Vec<Reason>) -> Vec<String> {
    let Some(template) = &model.rule.signal.title else {
        return vec![format!("| extend AlertTitle = {}", kql::text(&model.rule.title))];
    };
    let mut writer = Writer { reasons };
    let parts = writer.parts(template.parts());
    let title = match parts.as_slice() {
        [] => kql::text(&model.rule.title),
        parts => format!("strcat({})", parts.join(", ")),
    };
    vec![format!("| extend AlertTitle = {title}")]
}

/// Removes the variables from a text, for places without variables.
pub(super) fn plain(text: &str) -> String {
    let Ok(template) = Template::parse(text) else { return text.to_owned() };
    let mut plain = String::new();
    let mut open: Vec<&Part> = template.parts().iter().rev().collect();
    while let Some(part) = open.pop() {
        match part {
            Part::Text(text) => plain.push_str(text),
            Part::Variable(name) => {
                plain.push_str(
                    &column(name).map_or_else(|| name.clone(), |column| format!("<{column}>")),
                );
            }
            Part::If(_, inner) => open.extend(inner.iter().rev()),
        }
    }
    plain
}

struct Writer<'w> {
    reasons: &'w mut Vec<Reason>,
}

impl Writer<'_> {
    fn parts(&mut self, parts: &[Part]) -> Vec<String> {
        parts.iter().filter_map(|part| self.part(part)).collect()
    }

    fn part(&mut self, part: &Part) -> Option<String> {
        match part {
            Part::Text(text) => Some(kql::text(text)),
            Part::Variable(name) => self.variable(name),
            Part::If(Test { variable, values, is_exact, expected }, inner) => {
                let column = self.variable(variable)?;
                let inner = self.parts(inner);
                let test = match (values.as_slice(), is_exact) {
                    ([], _) => format!("isnotempty({column})"),
                    (values, is_exact) => {
                        let sign = if *is_exact { "==" } else { "contains_cs" };
                        let tests: Vec<String> = values
                            .iter()
                            .map(|value| format!("{column} {sign} {}", kql::text(value)))
                            .collect();
                        tests.join(" or ")
                    }
                };
                let test = if *expected { test } else { format!("not({test})") };
                Some(format!("iff({test}, strcat({}), \"\")", inner.join(", ")))
            }
        }
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        let known = column(name);
        if known.is_none() {
            let reason = Reason::new(ReasonKind::Variable, Effect::None, name);
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
        known.map(|column| match column {
            "Count" | "Events" | "FirstSeen" | "LastSeen" => format!("tostring({column})"),
            _ => column.to_owned(),
        })
    }
}

/// The column of a variable.
fn column(name: &str) -> Option<&'static str> {
    if let Some(field) = name.strip_prefix('@') {
        let keys = Field::parse(field).ok()?.path().v1_keys().join(".");
        return match keys.as_str() {
            "user.username" | "actor.username" | "effectiveUser.username" => Some("Account"),
            "sourceIPs" => Some("SourceIp"),
            "verb" => Some("Verb"),
            "objectRef.resource" => Some("Resource"),
            "objectRef.namespace" => Some("Namespace"),
            "objectRef.name" => Some("Name"),
            _ => None,
        };
    }
    match name {
        "severity" => Some("AlertSeverity"),
        "events_matched" => Some("Events"),
        "cluster" | "cluster-name" => Some("Cluster"),
        // Of the last event, as a query keeps no lists.
        "users" => Some("Account"),
        "namespaces" => Some("Namespace"),
        "source_ips" => Some("SourceIp"),
        "timestamp" | "last_seen" => Some("LastSeen"),
        "first_seen" => Some("FirstSeen"),
        _ => None,
    }
}
