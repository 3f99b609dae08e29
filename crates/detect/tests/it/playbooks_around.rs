//! Attacks around backups (actions, keys, destinations, and the recording itself), and work that
//! resembles them.

use detect::Suppression;
use expect_test::expect;

use super::script::{check, check_suppressed};

#[test]
fn four_cancelled_actions_are_normal_and_five_are_excessive() {
    check(
        "
        0h 4x1h alice create cancelactions shop/run-{n}
        0h 5x1h mallory create cancelactions blog/run-{n}
        ",
        &expect![["
            medium   kasten-cancelactions-excessive-creation mallory 5
        "]],
    );
}

#[test]
fn backups_of_one_application_cancelled_every_night_are_detected() {
    check(
        "
        0h 7x1d mallory create cancelactions shop/run-{n}
        ",
        &expect![["
            medium   kasten-cancelactions-excessive-creation-of-one-application mallory 7
        "]],
    );
}

#[test]
fn cancellations_spread_over_accounts_are_detected() {
    check(
        "
        0h 15x10m account-{k} create cancelactions app-{n}/run-{n} of=5
        ",
        &expect![["
            medium   kasten-cancelactions-excessive-creation-spread several 15
        "]],
    );
}

/// An audit policy without bodies, or a padded body that is cut.
#[test]
fn cancellations_without_recorded_names_are_detected() {
    check(
        "
        0h 40x1h mallory create cancelactions app-{n}/run-{n} bodyless
        ",
        &expect![["
            high     kasten-cancelactions-excessive-creation-without-body mallory 54 in 2 signals
        "]],
    );
    check(
        r#"
        0h 40x1h mallory create cancelactions app-{n}/run-{n} request={"keepwatch.io/cut":{"bytes":3000002}}
        "#,
        &expect![["
            high     kasten-cancelactions-excessive-creation-without-body mallory 54 in 2 signals
        "]],
    );
}

#[test]
fn slow_work_on_keys_and_backups_is_detected() {
    check(
        "
        0h 40x366m mallory get passkeys /k10-passkey
        ",
        &expect![["
            low      kasten-passkey-first-reader mallory 1
            high     kasten-passkeys-excessive-use-slow mallory 51 in 2 signals
        "]],
    );
    check(
        "
        0h 10x16h mallory delete restorepointcontents /shop-rp-{n}
        0h 6x27h trudy delete clusterrestorepoints /crp-{n}
        0h 6x27h oscar create retireactions /r-{n}
        ",
        &expect![["
            critical kasten-clusterrestorepoints-excessive-deletion-slow trudy 6
            high     kasten-clusterrestorepoints-manually-deleted trudy 6 in 6 signals
            critical kasten-restorepointcontents-excessive-deletion-slow mallory 10
            high     kasten-restorepointcontents-manually-deleted mallory 10 in 10 signals
            high     kasten-retireaction-created-by-person oscar 6 in 6 signals
            critical kasten-retireactions-excessive-creation-slow oscar 6
        "]],
    );
}

#[test]
fn a_manual_retire_action_is_detected_even_if_it_is_denied() {
    check(
        "
        0h 1x1h mallory create retireactions /r-{n} 403
        1h 1x1h mallory create retireactions /r-{n}
        ",
        &expect![["
            medium   kasten-retireaction-created-by-person-attempt mallory 1
            high     kasten-retireaction-created-by-person mallory 1
        "]],
    );
}

#[test]
fn three_retire_actions_are_excessive() {
    check(
        "
        0h 3x1h mallory create retireactions /r-{n}
        ",
        &expect![["
            high     kasten-retireaction-created-by-person mallory 3
            critical kasten-retireactions-excessive-creation mallory 3
        "]],
    );
}

#[test]
fn repeated_use_of_passkeys_is_detected() {
    check(
        "
        0h 6x1h mallory get passkeys /k10-passkey
        ",
        &expect![["
            low      kasten-passkey-first-reader mallory 1
            high     kasten-passkeys-excessive-use mallory 6
        "]],
    );
}

#[test]
fn use_of_passkeys_by_many_accounts_is_detected() {
    check(
        "
        0h 12x1h account-{k} get passkeys /k10-passkey of=6
        ",
        &expect![["
            low      kasten-passkey-first-reader account-1 1
            high     kasten-passkeys-excessive-use-spread several 12
            low      kasten-passkey-first-reader account-2 1
            low      kasten-passkey-first-reader account-3 1
            low      kasten-passkey-first-reader account-4 1
            low      kasten-passkey-first-reader account-5 1
            low      kasten-passkey-first-reader account-6 1
        "]],
    );
}

#[test]
fn changes_and_deletions_of_passkeys_are_detected() {
    check(
        "
        0h 2x1h mallory patch passkeys /k10-passkey
        3h 3x1h mallory delete passkeys /k{n}
        ",
        &expect![["
            medium   kasten-passkey-changed mallory 5
            high     kasten-passkeys-excessive-use mallory 5
        "]],
    );
}

#[test]
fn extortion_is_detected_by_its_sequence() {
    check(
        r#"
        0h 1x1h mallory list passkeys /
        1h 1x1h mallory create restoreactions loot/ {"subject":{"name":"rp-1","namespace":"shop"}}
        2h 1x1h mallory delete restorepointcontents /shop-rp-1
        "#,
        &expect![["
            low      kasten-passkey-first-reader mallory 1
            critical kasten-passkey-read-restore-delete mallory 3
            low      kasten-restore-into-foreign-namespace mallory 1
            high     kasten-restorepointcontents-manually-deleted mallory 1
        "]],
    );
}

#[test]
fn fast_slow_and_distributed_probing_is_detected() {
    check(
        "
        0h 6x1m mallory delete restorepointcontents /shop-rp-{n} 403
        0h 12x90m slow create retireactions /r-{n} 403
        2d 6x2h account-{n} delete restorepoints shop/rp-{n} 403
        ",
        &expect![["
            medium   kasten-refused-attempts mallory 6
            medium   kasten-refused-attempts-slow slow 12
            medium   kasten-retireaction-created-by-person-attempt slow 12
            medium   kasten-refused-attempts-spread several 6
        "]],
    );
}

#[test]
fn impersonation_of_k10_is_attributed_to_the_user() {
    check(
        "
        0h 6x1m mallory delete restorepointcontents /shop-rp-{n} as=k10
        ",
        &expect![["
            high     kasten-account-impersonated k10-k10 6
            critical kasten-restorepointcontents-excessive-deletion k10-k10 6
            high     kasten-restorepointcontents-manually-deleted k10-k10 6
        "]],
    );
}

#[test]
fn a_passkey_read_as_k10_is_detected() {
    check(
        "
        0h 1x1m eve get passkeys /k10-passkey as=k10
        ",
        &expect![["
            high     kasten-account-impersonated-read k10-k10 1
            low      kasten-passkey-first-reader k10-k10 1
        "]],
    );
}

#[test]
fn a_stolen_token_of_k10_is_detected() {
    check(
        "
        0h 6x1m k10 delete restorepointcontents /shop-rp-{n} agent=kubectl/v1.33
        ",
        &expect![["
            critical kasten-account-used-by-person k10-k10 6
        "]],
    );
}

#[test]
fn a_user_of_the_dashboard_is_detected() {
    check(
        "
        0h 1x1m k10 delete restorepointcontents /shop-rp-{n} as=alice agent=Mozilla/5.0
        ",
        &expect![["
            high     kasten-restorepointcontents-manually-deleted alice 1
        "]],
    );
}

#[test]
fn a_disabled_repository_is_detected() {
    check(
        r#"
        0h 1x1m mallory patch storagerepositories kasten-io/repo {"disableMaintenance":true}
        "#,
        &expect![["
            high     kasten-repository-tampered mallory 1
        "]],
    );
}

#[test]
fn redirected_audit_events_are_detected() {
    check(
        r#"
        0h 1x1m mallory delete auditconfigs kasten-io/siem
        1h 1x1m mallory patch profiles kasten-io/archive {"type":"Location"}
        2h 1x1m mallory create suppressions /quiet
        3h 1x1m mallory delete detectionrules /mine
        4h 1x1m mallory update notifiers /slack
        "#,
        &expect![["
            high     kasten-auditconfig-changed mallory 1
            medium   kasten-location-profile-changed mallory 1
            medium   keepwatch-suppression-changed mallory 1
            high     keepwatch-rule-changed-switched-off mallory 1
            medium   keepwatch-notifier-changed mallory 1
        "]],
    );
}

#[test]
fn k10s_own_work_raises_nothing() {
    check(
        r#"
        0h 90x1m k10 delete restorepoints shop/rp-{n}
        0h 90x1m executor delete restorepointcontents /shop-rp-{n}
        0h 90x1m executor create retireactions /r-{n}
        0h 30x1m k10 get passkeys /k10-passkey
        0h 30x1m executor create cancelactions shop/run-{n}
        0h 9x1m k10 patch storagerepositories kasten-io/repo {"disableMaintenance":true}
        0h 9x1m k10 delete clusterrestorepoints /crp-{n}
        "#,
        &expect![[""]],
    );
}

#[test]
fn dry_runs_raise_nothing() {
    check(
        "
        0h 90x1m mallory delete restorepoints shop/rp-{n} dry
        0h 90x1m mallory delete restorepointcontents /shop-rp-{n} dry
        0h 9x1m mallory create retireactions /r-{n} dry
        0h 9x1m mallory get passkeys /k10-passkey dry
        0h 9x1m mallory create cancelactions shop/run-{n} dry
        0h 9x1m mallory delete clusterrestorepoints /crp-{n} dry
        0h 9x1m mallory delete restorepoints shop/rp-{n} 403 dry
        ",
        &expect![[""]],
    );
}

#[test]
fn reads_and_lists_by_users_raise_nothing() {
    check(
        r#"
        0h 90x1m alice list restorepoints shop/
        0h 90x1m alice get restorepointcontents /shop-rp-{n}
        0h 90x1m bob create backupactions shop/
        0h 9x1h bob create restoreactions shop/ {"subject":{"name":"rp-1","namespace":"shop"}}
        "#,
        &expect![[""]],
    );
}

#[test]
fn a_suppression_never_hides_requests_about_suppressions() {
    let everything =
        Suppression { name: "quiet".to_owned(), rules: Vec::new(), events: None, expires: None };
    check_suppressed(
        &[everything],
        "
        0h 9x1m mallory delete restorepointcontents /shop-rp-{n}
        1h 1x1m mallory patch suppressions /quiet
        ",
        &expect![["
            medium   keepwatch-suppression-changed mallory 1
        "]],
    );
}
