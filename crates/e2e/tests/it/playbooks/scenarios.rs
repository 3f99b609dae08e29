//! The scenarios, and exactly the signals that each raises.
//!
//! Scenarios of an act share a server, so their users, objects and applications differ. Rules that
//! count over all users count over the whole act.

use Availability::{Everywhere, Standalone};

/// The servers that can play a scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Availability {
    Everywhere,
    /// In a cluster, kube-apiserver answers these requests itself.
    Standalone,
}

/// A script and its signals.
pub(super) struct Scenario {
    pub(super) availability: Availability,
    pub(super) script: &'static str,
    /// Severity, rule, user and count, one signal per line; `9x` at the start means nine equal
    /// ones.
    pub(super) signals: &'static str,
}

/// Scenarios that share a server.
pub(super) struct ScenarioGroup {
    pub(super) name: &'static str,
    /// The audit policy of a standalone server.
    pub(super) policy: &'static str,
    pub(super) scenarios: &'static [Scenario],
}

const fn scenario(script: &'static str, signals: &'static str) -> Scenario {
    Scenario { availability: Everywhere, script, signals }
}

/// The signals of the lines, sorted.
pub(super) fn signals(lines: &'static str) -> Vec<&'static str> {
    let mut signals = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (times, line) = match line.split_once("x ") {
            Some((times, line)) if times.parse::<usize>().is_ok() => (times, line),
            _ => ("1", line),
        };
        signals.resize(signals.len() + times.parse::<usize>().unwrap_or(1), line);
    }
    signals.sort_unstable();
    signals
}

const fn standalone(script: &'static str, signals: &'static str) -> Scenario {
    Scenario { availability: Standalone, script, signals }
}

/// Every attack that K10 documents, one request below its threshold. Manual deletions raise their
/// signal from the first one on.
pub(super) const BELOW_THRESHOLD: ScenarioGroup = ScenarioGroup {
    name: "below",
    policy: "k10",
    scenarios: &[
        scenario(
            "4 rp-few delete restorepoints few/rp-{n}",
            "low kasten-restorepoints-manually-deleted rp-few 4",
        ),
        scenario(
            "4 rpc-few delete restorepointcontents /few-{n}",
            "high kasten-restorepointcontents-manually-deleted rpc-few 4",
        ),
        scenario(
            "2 crp-few delete clusterrestorepoints /few-{n}",
            "high kasten-clusterrestorepoints-manually-deleted crp-few 2",
        ),
        scenario("4 cancel-few create cancelactions few-cancelled/run-{n}", ""),
        scenario(
            "2 retire-few create retireactions /few-{n} group=accounts",
            "high kasten-retireaction-created-by-person retire-few 2",
        ),
        scenario(
            "1 key-few update passkeys /few-1 | key-few patch passkeys /few-1 {\"usenow\":true}
             1 key-few delete passkeys /few-2 | key-few get passkeys /few-1",
            "low kasten-passkey-first-reader key-few 1
             medium kasten-passkey-changed key-few 3",
        ),
        scenario("4 forge-few create restorepointcontents /forged-{n} 403", ""),
    ],
};

/// The same attacks at their thresholds.
pub(super) const AT_THRESHOLD: ScenarioGroup = ScenarioGroup {
    name: "excessive",
    policy: "k10",
    scenarios: &[
        scenario(
            "5 rp-five delete restorepoints five/five-{n}",
            "medium kasten-restorepoints-excessive-deletion rp-five 5
             low kasten-restorepoints-manually-deleted rp-five 5",
        ),
        scenario(
            "15 rp-many delete restorepoints many/many-{n}",
            "high kasten-restorepoints-excessive-deletion rp-many 15
             low kasten-restorepoints-manually-deleted rp-many 15",
        ),
        // Denied requests in between do not hide the attack.
        scenario(
            "6 between delete restorepoints between/between-{n} \
             | between create restorepointcontents /between-{n} 403",
            "medium kasten-restorepoints-excessive-deletion between 6
             low kasten-restorepoints-manually-deleted between 6
             medium kasten-refused-attempts between 6",
        ),
        scenario(
            "5 rpc-five delete restorepointcontents /five-{n}",
            "critical kasten-restorepointcontents-excessive-deletion rpc-five 5
             high kasten-restorepointcontents-manually-deleted rpc-five 5",
        ),
        scenario(
            "3 crp-three delete clusterrestorepoints /three-{n}",
            "critical kasten-clusterrestorepoints-excessive-deletion crp-three 3
             high kasten-clusterrestorepoints-manually-deleted crp-three 3",
        ),
        scenario(
            "5 cancel-five create cancelactions five-cancelled/run-{n}",
            "medium kasten-cancelactions-excessive-creation cancel-five 5",
        ),
        scenario(
            "3 retire-three create retireactions /three-{n} group=accounts",
            "critical kasten-retireactions-excessive-creation retire-three 3
             high kasten-retireaction-created-by-person retire-three 3",
        ),
        scenario(
            "2 key-five patch passkeys /five-1 {\"usenow\":true} | key-five get passkeys /five-1
             1 key-five delete passkeys /five-2",
            "high kasten-passkeys-excessive-use key-five 5
             low kasten-passkey-first-reader key-five 1
             medium kasten-passkey-changed key-five 3",
        ),
        scenario(
            "5 forge-five create restorepointcontents /forged-{n} 403",
            "medium kasten-refused-attempts forge-five 5",
        ),
    ],
};

/// K10's own work with the account names of earlier and later releases, dry runs, and reads.
pub(super) const NO_SIGNALS: ScenarioGroup = ScenarioGroup {
    name: "nothing",
    policy: "extended",
    scenarios: &[
        scenario(
            "16 k10 delete restorepoints k10/k10-{n} | k10 delete restorepointcontents /k10-{n} \
             | k10 delete clusterrestorepoints /k10-{n} | k10 create retireactions /k10-{n} \
             | k10 get passkeys /k10 | k10 create cancelactions k10-cancelled/run-{n}",
            "",
        ),
        scenario(
            "16 executor delete restorepoints new/new-{n} \
             | executor delete restorepointcontents /new-{n} \
             | executor delete clusterrestorepoints /new-{n} \
             | executor create retireactions /new-{n}
             6 jobs patch passkeys /jobs {\"usenow\":true} \
             | jobs patch storagerepositories kasten-io/jobs {\"disableMaintenance\":true} \
             | jobs patch restorepointcontents /jobs-{n} {\"expiresAt\":\"2020-01-01T00:00:00Z\"}
             2 jobs delete passkeys /jobs-{n}",
            "",
        ),
        scenario(
            "16 dry delete restorepoints dry/dry-{n} dry | dry delete restorepointcontents /dry-{n} dry \
             | dry delete clusterrestorepoints /dry-{n} dry \
             | dry create retireactions /dry-{n} dry group=accounts
             6 dry patch passkeys /dry {\"usenow\":true} dry | dry delete passkeys /dry dry \
             | dry create restorepointcontents /forged-{n} dry 403 \
             | dry patch storagerepositories kasten-io/dry {\"disableMaintenance\":true} dry",
            "",
        ),
        scenario(
            "9 reader list restorepoints many/ | reader get restorepoints many/read-{n} \
             | reader list restorepointcontents / | reader create backupactions read/run-{n}
             3 reader create restoreactions read/ {\"subject\":{\"kind\":\"RestorePoint\",\"name\":\"own\",\"namespace\":\"read\"}}",
            "",
        ),
    ],
};

/// The same attacks, spread over several users.
pub(super) const SEVERAL_USERS: ScenarioGroup = ScenarioGroup {
    name: "spread",
    policy: "k10",
    scenarios: &[
        scenario(
            "12 rp-{k} delete restorepoints spread/spread-{n} of=4",
            "medium kasten-restorepoints-excessive-deletion-spread several 12
             low kasten-restorepoints-manually-deleted rp-1 3
             low kasten-restorepoints-manually-deleted rp-2 3
             low kasten-restorepoints-manually-deleted rp-3 3
             low kasten-restorepoints-manually-deleted rp-4 3",
        ),
        scenario(
            "5 rpc-{k} delete restorepointcontents /spread-{n} of=2",
            "critical kasten-restorepointcontents-excessive-deletion several 5
             high kasten-restorepointcontents-manually-deleted rpc-1 3
             high kasten-restorepointcontents-manually-deleted rpc-2 2",
        ),
        scenario(
            "3 crp-{n} delete clusterrestorepoints /spread-{n}",
            "critical kasten-clusterrestorepoints-excessive-deletion several 3
             high kasten-clusterrestorepoints-manually-deleted crp-1 1
             high kasten-clusterrestorepoints-manually-deleted crp-2 1
             high kasten-clusterrestorepoints-manually-deleted crp-3 1",
        ),
        scenario(
            "12 cancel-{k} create cancelactions spread-{n}/run-{n} of=4",
            "medium kasten-cancelactions-excessive-creation-spread several 12",
        ),
        scenario(
            "3 retire-{n} create retireactions /spread-{n} group=accounts",
            "critical kasten-retireactions-excessive-creation several 3
             high kasten-retireaction-created-by-person retire-1 1
             high kasten-retireaction-created-by-person retire-2 1
             high kasten-retireaction-created-by-person retire-3 1",
        ),
        scenario(
            "12 key-{k} get passkeys /spread of=3",
            "high kasten-passkeys-excessive-use-spread several 12
             low kasten-passkey-first-reader key-1 1
             low kasten-passkey-first-reader key-2 1
             low kasten-passkey-first-reader key-3 1",
        ),
        scenario(
            "5 forge-{n} create restorepointcontents /forged-{n} 403",
            "medium kasten-refused-attempts-spread several 5",
        ),
    ],
};

/// Requests that accompany the deletion of backups or resemble it.
pub(super) const RELATED_REQUESTS: ScenarioGroup = ScenarioGroup {
    name: "around",
    policy: "extended",
    scenarios: &[
        scenario(
            "1 repository patch storagerepositories kasten-io/r {\"overrideLocation\":{\"name\":\"mine\"}}
             1 maintenance patch storagerepositories kasten-io/m {\"disableMaintenance\":true}
             1 short patch storagerepositories kasten-io/s {\"backgroundProcessTimeout\":\"9m\"}
             1 long patch storagerepositories kasten-io/l {\"backgroundProcessTimeout\":\"10m\"}",
            "high kasten-repository-tampered repository 1
             high kasten-repository-tampered maintenance 1
             high kasten-repository-tampered short 1",
        ),
        scenario(
            "1 thief list passkeys / \
             | thief create restoreactions loot/ {\"subject\":{\"kind\":\"RestorePoint\",\"name\":\"rp\",\"namespace\":\"shop\"}} \
             | thief delete restorepointcontents /stolen",
            "critical kasten-passkey-read-restore-delete thief 3
             low kasten-passkey-first-reader thief 1
             low kasten-restore-into-foreign-namespace thief 1
             high kasten-restorepointcontents-manually-deleted thief 1",
        ),
        // The same requests in another order are not the sequence.
        scenario(
            "1 other delete restorepointcontents /other \
             | other create restoreactions shop/ {\"subject\":{\"kind\":\"RestorePoint\",\"name\":\"rp\",\"namespace\":\"shop\"}} \
             | other list passkeys /",
            "low kasten-passkey-first-reader other 1
             high kasten-restorepointcontents-manually-deleted other 1",
        ),
        scenario(
            "4 expiry patch restorepointcontents /soon-{n} {\"expiresAt\":\"2020-01-01T00:00:00Z\"}
             5 expiry-many patch restorepointcontents /now-{n} {\"expiresAt\":\"2020-01-01T00:00:00Z\"}
             1 expiry-late patch restorepointcontents /late {\"expiresAt\":\"2099-01-01T00:00:00Z\"}",
            "high kasten-backup-expiry-shortened expiry 4
             critical kasten-backup-expiry-shortened expiry-many 5
             low kasten-backup-expiry-shortened-changed expiry-late 1",
        ),
        scenario(
            "1 bulk deletecollection restorepoints shop/ 405",
            "medium kasten-bulk-deletion-attempt bulk 1",
        ),
        scenario(
            "1 retire create retireactions /refused 403",
            "medium kasten-retireaction-created-by-person-attempt retire 1",
        ),
        scenario(
            "4 executor delete clusterrestorepoints /tool-{n} agent=curl/8.5.0",
            "high kasten-account-used-by-person executor-svc 4",
        ),
        scenario(
            "5 k10 delete restorepoints tool/tool-{n} agent=kubectl/v1.33.0",
            "critical kasten-account-used-by-person k10-k10 5",
        ),
        scenario(
            "1 quiet create suppressions /quiet group=masters {\"rules\":[\"kasten-passkey-changed\"],\"match\":{\"own\":{\"user.username\":\"quiet\"},\"condition\":\"own\"},\"reason\":\"maintenance\",\"expiresAt\":\"{soon}\"}
             1 deaf create suppressions /deaf group=masters {\"rules\":[\"*\"],\"match\":{\"own\":{\"user.username\":\"deaf\"},\"condition\":\"own\"},\"reason\":\"exercise\",\"expiresAt\":\"{soon}\"}
             1 off patch detectionrules /kasten-passkey-changed group=masters {\"enabled\":false}
             1 notifier patch notifiers /people group=masters {\"minSeverity\":\"critical\"}",
            "medium keepwatch-suppression-changed quiet 1
             high keepwatch-suppression-changed-of-every-rule deaf 1
             high keepwatch-rule-changed-switched-off off 1
             medium keepwatch-notifier-changed notifier 1",
        ),
        standalone(
            "1 config delete auditconfigs kasten-io/gone \
             | config patch auditconfigs kasten-io/moved {\"profile\":{\"name\":\"mine\"}}
             1 profile patch profiles kasten-io/archive {\"locationSpec\":{\"fileStore\":{\"claimName\":\"mine\"}}}",
            "high kasten-auditconfig-changed config 2
             medium kasten-location-profile-changed profile 1
             medium keepwatch-destination-released keepwatch 1",
        ),
        standalone(
            "5 probe delete restorepoints shop/probe-{n} 403 group=none
             4 probe-few delete restorepoints shop/probe-{n} 403 group=none",
            "medium kasten-refused-attempts probe 5",
        ),
        standalone(
            "3 acting delete clusterrestorepoints /acting-{n} group=masters as=k10",
            "high kasten-account-impersonated k10-k10/acting 3
             critical kasten-clusterrestorepoints-excessive-deletion k10-k10/acting 3
             high kasten-clusterrestorepoints-manually-deleted k10-k10/acting 3",
        ),
    ],
};

/// The acts, in the order in which they are played.
pub(super) const GROUPS: [&ScenarioGroup; 6] = [
    &BELOW_THRESHOLD,
    &AT_THRESHOLD,
    &NO_SIGNALS,
    &SEVERAL_USERS,
    &RELATED_REQUESTS,
    &NAMESPACE_DELETION,
];

/// Namespaces that are deleted with the restore points in them.
pub(super) const NAMESPACE_DELETION: ScenarioGroup = ScenarioGroup {
    name: "namespaces",
    policy: "k10",
    scenarios: &[
        scenario(
            "3 k10 create restorepoints gone/rp-{n}
             1 admin delete namespaces /gone group=masters",
            "low kasten-restorepoints-deleted-with-namespace namespace-controller 3",
        ),
        standalone(
            "29 k10 create restorepoints gone-{n}/rp
             29 admin delete namespaces /gone-{n} group=masters",
            "29x low kasten-restorepoints-deleted-with-namespace namespace-controller 1
             high kasten-restorepoints-deleted-with-namespace-many namespace-controller 32",
        ),
    ],
};

/// A slow attack: played at once, with its events' timestamps shifted afterwards.
pub(super) struct SlowAttack {
    pub(super) script: &'static str,
    /// Minutes between two events.
    pub(super) step: i64,
    pub(super) signals: &'static str,
}

const fn slow(script: &'static str, step: i64, signals: &'static str) -> SlowAttack {
    SlowAttack { script, step, signals }
}

/// In minutes.
const HOUR: i64 = 60;

/// Attacks over days, above and below the thresholds.
pub(super) const OVER_DAYS: &[SlowAttack] = &[
    slow(
        "15 rp-slow delete restorepoints slow/slow-{n}",
        8 * HOUR,
        "medium kasten-restorepoints-excessive-deletion-slow rp-slow 15
         15x low kasten-restorepoints-manually-deleted rp-slow 1",
    ),
    slow(
        "5 rp-calm delete restorepoints calm/calm-{n}",
        24 * HOUR + 1,
        "5x low kasten-restorepoints-manually-deleted rp-calm 1",
    ),
    slow(
        "36 rp-all-{k} delete restorepoints all/all-{n} of=9",
        4 * HOUR + 30,
        "medium kasten-restorepoints-excessive-deletion-spread-slow several 36
         4x low kasten-restorepoints-manually-deleted rp-all-1 1
         4x low kasten-restorepoints-manually-deleted rp-all-2 1
         4x low kasten-restorepoints-manually-deleted rp-all-3 1
         4x low kasten-restorepoints-manually-deleted rp-all-4 1
         4x low kasten-restorepoints-manually-deleted rp-all-5 1
         4x low kasten-restorepoints-manually-deleted rp-all-6 1
         4x low kasten-restorepoints-manually-deleted rp-all-7 1
         4x low kasten-restorepoints-manually-deleted rp-all-8 1
         4x low kasten-restorepoints-manually-deleted rp-all-9 1",
    ),
    slow(
        "5 rpc-slow delete restorepointcontents /slow-{n}",
        5 * HOUR,
        "critical kasten-restorepointcontents-excessive-deletion rpc-slow 5
         high kasten-restorepointcontents-manually-deleted rpc-slow 5",
    ),
    slow(
        "5 rpc-calm delete restorepointcontents /calm-{n}",
        7 * HOUR,
        "5x high kasten-restorepointcontents-manually-deleted rpc-calm 1",
    ),
    slow(
        "7 cancel-slow create cancelactions cancelled-nightly/run-{n}",
        24 * HOUR,
        "medium kasten-cancelactions-excessive-creation-of-one-application cancel-slow 7",
    ),
    slow("7 cancel-calm create cancelactions calm-{n}/run-{n}", 24 * HOUR, ""),
    slow(
        "5 key-slow patch passkeys /slow {\"usenow\":true}",
        5 * HOUR,
        "high kasten-passkeys-excessive-use key-slow 5
         medium kasten-passkey-changed key-slow 5",
    ),
    slow(
        "12 forge-slow create restorepointcontents /forged-{n} 403",
        90,
        "medium kasten-refused-attempts-slow forge-slow 12",
    ),
    slow("12 forge-calm create restorepointcontents /forged-{n} 403", 160, ""),
];
