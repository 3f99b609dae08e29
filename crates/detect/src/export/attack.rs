//! MITRE ATT&CK tags in the version that a target supports.
//!
//! The rules use version 19, which split the tactic Defense Evasion and moved the technique T1562.
//! Most targets support an older version.

use event::signal::Attack;

/// A version of ATT&CK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Version 18 and older.
    Before19,
    /// Version 19.
    V19,
}

/// Techniques of version 19 with their older ids.
const MOVED: [(&str, &str); 9] = [
    ("T1685", "T1562.001"),
    ("T1685.001", "T1562.002"),
    ("T1685.002", "T1562.008"),
    ("T1685.004", "T1562.012"),
    ("T1686", "T1562.004"),
    ("T1686.001", "T1562.007"),
    ("T1686.003", "T1562.004"),
    ("T1689", "T1562.010"),
    ("TA0112", "TA0005"),
];

/// Tactics: id, name of version 19, name before.
const TACTICS: [(&str, &str, &str); 15] = [
    ("TA0043", "Reconnaissance", "Reconnaissance"),
    ("TA0042", "Resource Development", "Resource Development"),
    ("TA0001", "Initial Access", "Initial Access"),
    ("TA0002", "Execution", "Execution"),
    ("TA0003", "Persistence", "Persistence"),
    ("TA0004", "Privilege Escalation", "Privilege Escalation"),
    ("TA0005", "Stealth", "Defense Evasion"),
    ("TA0112", "Defense Impairment", "Defense Evasion"),
    ("TA0006", "Credential Access", "Credential Access"),
    ("TA0007", "Discovery", "Discovery"),
    ("TA0008", "Lateral Movement", "Lateral Movement"),
    ("TA0009", "Collection", "Collection"),
    ("TA0011", "Command and Control", "Command and Control"),
    ("TA0010", "Exfiltration", "Exfiltration"),
    ("TA0040", "Impact", "Impact"),
];

/// Ids and names of the techniques in the rules, including those of other versions.
const TECHNIQUES: [(&str, &str); 25] = [
    ("T1069", "Permission Groups Discovery"),
    ("T1078", "Valid Accounts"),
    ("T1078.004", "Cloud Accounts"),
    ("T1098.006", "Additional Container Cluster Roles"),
    ("T1134", "Access Token Manipulation"),
    ("T1213", "Data from Information Repositories"),
    ("T1485", "Data Destruction"),
    ("T1486", "Data Encrypted for Impact"),
    ("T1489", "Service Stop"),
    ("T1490", "Inhibit System Recovery"),
    ("T1530", "Data from Cloud Storage"),
    ("T1537", "Transfer Data to Cloud Account"),
    ("T1552", "Unsecured Credentials"),
    ("T1552.007", "Container API"),
    ("T1562", "Impair Defenses"),
    ("T1562.001", "Disable or Modify Tools"),
    ("T1562.002", "Disable Windows Event Logging"),
    ("T1562.004", "Disable or Modify System Firewall"),
    ("T1562.007", "Disable or Modify Cloud Firewall"),
    ("T1562.008", "Disable or Modify Cloud Logs"),
    ("T1565", "Data Manipulation"),
    ("T1565.001", "Stored Data Manipulation"),
    ("T1685", "Disable or Modify Tools"),
    ("T1685.002", "Disable or Modify Cloud Logs"),
    ("T1686", "Disable or Modify System Firewall"),
];

/// Converts tactics and techniques to a version, in order, without duplicates.
#[must_use]
pub fn in_version(attack: &Attack, version: Version) -> Attack {
    let moved = |ids: &[String]| {
        let mut converted: Vec<String> = Vec::new();
        for id in ids {
            let old = MOVED.iter().find(|(new, _)| new == id).map(|(_, old)| *old);
            let id = match (version, old) {
                (Version::Before19, Some(old)) => old.to_owned(),
                _ => id.clone(),
            };
            if !converted.contains(&id) {
                converted.push(id);
            }
        }
        converted
    };
    Attack { tactics: moved(&attack.tactics), techniques: moved(&attack.techniques) }
}

/// Name of a tactic.
pub fn tactic(id: &str, version: Version) -> Option<&'static str> {
    let (_, new, old) = TACTICS.iter().find(|(known, ..)| *known == id)?;
    Some(if version == Version::V19 { new } else { old })
}

/// Name of a technique or sub-technique that the rules use.
pub fn technique(id: &str) -> Option<&'static str> {
    TECHNIQUES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}
