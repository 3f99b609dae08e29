//! Requests of an attack on backups that the audit policy does not record: logged at start-up, because with
//! such a policy the audit log shows no attack.

use audit::{Attributes, Policy, User};
use event::Level;
use kasten::Installation;

/// A user who attacks backups, as input of the policy.
const ATTACKER: User<'static> = User { name: "someone", groups: GROUPS };
/// The policy compares groups as owned strings.
const GROUPS: &[String] = &[];

/// Requests: a description, the verb, the first label of the group, and the resource with its subresource.
const ACTS: [(&str, &str, &str, &str); 14] = [
    ("listing passkeys", "list", "vault", "passkeys"),
    ("watching passkeys", "watch", "vault", "passkeys"),
    ("reading a passkey", "get", "vault", "passkeys"),
    ("deleting a passkey", "delete", "vault", "passkeys"),
    ("deleting restore points", "delete", "apps", "restorepoints"),
    ("deleting restore point contents", "delete", "apps", "restorepointcontents"),
    ("restoring", "create", "actions", "restoreactions"),
    ("backing up", "create", "actions", "backupactions"),
    ("exporting backups", "create", "actions", "exportactions"),
    ("retiring backups", "create", "actions", "retireactions"),
    ("changing the status of actions", "update", "actions", "runactions/status"),
    ("changing storage repositories", "patch", "repositories", "storagerepositories"),
    ("listing restore points", "list", "apps", "restorepoints"),
    ("deleting signals", "delete", "siem", "signals"),
];

/// Logs a warning about requests that are not recorded.
pub(super) fn warn(policy: &Policy, installation: &Installation) {
    let left_out = left_out(policy, installation.domain());
    if left_out.is_empty() {
        return;
    }
    let (count, of) = (left_out.len(), ACTS.len());
    tracing::warn!(
        left_out = left_out.join(", "),
        "the audit policy does not record {count} of {of} acts of an attack on backups; the built-in \
         policy `extended` does (--audit-policy=extended, or the chart's auditPolicy.name)"
    );
}

/// The requests that leave no event.
fn left_out(policy: &Policy, domain: &str) -> Vec<&'static str> {
    let is_left_out = |(_, verb, group, resource): &&(&str, &str, &str, &str)| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let group = match *group {
            "siem" => siem::GROUP.to_owned(),
            word => format!("{word}.{domain}"),
        };
        let path = format!("/apis/{group}/v1alpha1/{resource}/x");
        let decision = policy.decide(&Attributes {
            user: Some(ATTACKER),
            verb,
            is_resource_request: true,
            namespace: "",
            api_group: &group,
            api_version: "v1alpha1",
            resource,
            subresource,
            name: "x",
            path: &path,
        });
        decision.level == Level::None
    };
    ACTS.iter().filter(is_left_out).map(|(words, ..)| *words).collect()
}

#[cfg(test)]
mod tests {
    use audit::Builtin;

    use super::*;

    #[test]
    fn the_documented_policy_leaves_out_much_of_an_attack_and_the_extended_one_nothing() {
        let domain = Installation::DEFAULT.domain();
        let of = |builtin| left_out(&Policy::builtin(builtin, domain).unwrap(), domain);
        assert_eq!(of(Builtin::Extended), [""; 0]);
        let k10 = of(Builtin::K10);
        assert!(k10.contains(&"listing passkeys"), "{k10:?}");
        assert!(!k10.contains(&"deleting a passkey"), "{k10:?}");
    }
}
