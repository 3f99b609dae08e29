//! MITRE ATT&CK tactics and techniques of a rule, from Sigma tags: `attack.impact`,
//! `attack.ta0040`, `attack.t1490`.

use event::signal::Attack;

/// Tactics of ATT&CK 19 by Sigma's names, and the name of an older version that is still in use.
const TACTICS: [(&str, &str); 16] = [
    ("reconnaissance", "TA0043"),
    ("resource-development", "TA0042"),
    ("initial-access", "TA0001"),
    ("execution", "TA0002"),
    ("persistence", "TA0003"),
    ("privilege-escalation", "TA0004"),
    ("stealth", "TA0005"),
    ("defense-evasion", "TA0005"),
    ("defense-impairment", "TA0112"),
    ("credential-access", "TA0006"),
    ("discovery", "TA0007"),
    ("lateral-movement", "TA0008"),
    ("collection", "TA0009"),
    ("command-and-control", "TA0011"),
    ("exfiltration", "TA0010"),
    ("impact", "TA0040"),
];

/// The tactics and techniques of the tags, in their order, without duplicates.
pub(crate) fn of_tags(tags: &[String]) -> Attack {
    let mut attack = Attack::default();
    for tag in tags {
        let tag = tag.to_ascii_lowercase().replace('_', "-");
        let Some(name) = tag.strip_prefix("attack.") else {
            continue;
        };
        let is_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        let (list, id) = if name.strip_prefix("ta").is_some_and(is_number) {
            (&mut attack.tactics, name.to_ascii_uppercase())
        } else if name.strip_prefix('t').is_some_and(is_number) {
            (&mut attack.techniques, name.to_ascii_uppercase())
        } else if let Some((_, id)) = TACTICS.iter().find(|(known, _)| *known == name) {
            (&mut attack.tactics, (*id).to_owned())
        } else {
            continue;
        };
        if !list.contains(&id) {
            list.push(id);
        }
    }
    attack
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tactics_and_techniques_come_from_tags() {
        let tags =
            ["attack.impact", "attack.TA0040", "attack.t1562.008", "cve.2026.1", "attack.s0002"];
        let attack = of_tags(&tags.map(str::to_owned));
        assert_eq!(attack.tactics, ["TA0040"]);
        assert_eq!(attack.techniques, ["T1562.008"]);
    }
}
