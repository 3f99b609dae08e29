//! ATT&CK in the format of Kibana's rules: techniques below their tactic, with links.

use event::signal::Attack;
use serde_json::{Value, json};

use crate::export::attack::{self, Version};

/// Kibana uses a version before 19.
const VERSION: Version = Version::Before19;

/// Tactics of the techniques that the rules use.
const TACTICS: [(&str, &[&str]); 18] = [
    ("T1069", &["TA0007"]),
    ("T1078", &["TA0001", "TA0003", "TA0004", "TA0005"]),
    ("T1098", &["TA0003", "TA0004"]),
    ("T1134", &["TA0004", "TA0005"]),
    ("T1213", &["TA0009"]),
    ("T1485", &["TA0040"]),
    ("T1486", &["TA0040"]),
    ("T1489", &["TA0040"]),
    ("T1490", &["TA0040"]),
    ("T1530", &["TA0009"]),
    ("T1537", &["TA0010"]),
    ("T1550", &["TA0005", "TA0008"]),
    ("T1552", &["TA0006"]),
    ("T1555", &["TA0006"]),
    ("T1562", &["TA0005"]),
    ("T1565", &["TA0040"]),
    ("T1611", &["TA0004"]),
    ("T1613", &["TA0007"]),
];

/// The member `threat`.
pub(super) fn threat(attack: &Attack) -> Vec<Value> {
    let attack = attack::in_version(attack, VERSION);
    let mut techniques: Vec<&String> = attack.techniques.iter().collect();
    let mut threat = Vec::new();
    for (index, tactic) in attack.tactics.iter().enumerate() {
        let is_last = index + 1 == attack.tactics.len();
        // A technique without an entry belongs to the last tactic.
        let is_of = |technique: &&String| {
            is_last || tactics(technique).is_some_and(|of| of.contains(&tactic.as_str()))
        };
        let (of_tactic, others) = techniques.into_iter().partition(is_of);
        techniques = others;
        threat.push(json!({
            "framework": "MITRE ATT&CK",
            "tactic": {
                "id": tactic,
                "name": attack::tactic(tactic, VERSION).unwrap_or(tactic),
                "reference": format!("https://attack.mitre.org/tactics/{tactic}/"),
            },
            "technique": below(&of_tactic),
        }));
    }
    threat
}

fn tactics(technique: &str) -> Option<&'static [&'static str]> {
    let parent = technique.split('.').next().unwrap_or(technique);
    TACTICS.iter().find(|(known, _)| *known == parent).map(|(_, tactics)| *tactics)
}

/// Techniques, each with its sub-techniques.
fn below(ids: &[&String]) -> Vec<Value> {
    let mut parents: Vec<&str> = Vec::new();
    for id in ids {
        let parent = id.split('.').next().unwrap_or(id);
        if !parents.contains(&parent) {
            parents.push(parent);
        }
    }
    let technique = |id: &str| {
        let path = id.replace('.', "/");
        json!({
            "id": id,
            "name": attack::technique(id).unwrap_or(id),
            "reference": format!("https://attack.mitre.org/techniques/{path}/"),
        })
    };
    parents
        .into_iter()
        .map(|parent| {
            let start = format!("{parent}.");
            let below = ids.iter().filter(|id| id.starts_with(&start)).map(|id| technique(id));
            let mut json = technique(parent);
            json["subtechnique"] = below.collect();
            json
        })
        .collect()
}
