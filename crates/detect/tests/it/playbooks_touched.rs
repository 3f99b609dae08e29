//! A rule about a field raises a signal only if the request changes that field: the response contains
//! fields that were set before.

use expect_test::expect;

use super::script::check;

#[test]
fn labels_on_backups_that_expire_soon_raise_nothing() {
    check(
        r#"
        0h 1x1m k10 patch restorepointcontents /shop-rp-1 {"expiresAt":"2026-11-01T10:00:00Z"}
        1h 7x1m alice patch restorepointcontents /shop-rp-{n} request={"metadata":{"labels":{"a":"b"}}} response={"spec":{"expiresAt":"2026-11-01T10:00:00Z"}}
        2h 7x1m alice patch restorepointcontents /shop-rp-{n} request=[{"op":"add","path":"/metadata/labels/a","value":"b"}] response={"spec":{"expiresAt":"2026-11-01T10:00:00Z"}}
        3h 7x1m alice update restorepointcontents /shop-rp-{n} sub=status {"expiresAt":"2026-11-01T10:00:00Z"}
        "#,
        &expect![[""]],
    );
}

#[test]
fn an_expiry_is_detected_in_every_form_of_a_request() {
    check(
        r#"
        0h 1x1m merge patch restorepointcontents /rp {"expiresAt":"2026-11-01T10:00:00Z"}
        0h 1x1m put update restorepointcontents /rp {"expiresAt":"2026-11-01T10:00:00Z"}
        0h 1x1m field patch restorepointcontents /rp request=[{"op":"add","path":"/spec/expiresAt","value":"2026-11-01T10:00:00Z"}] response={"spec":{"expiresAt":"2026-11-01T10:00:00Z"}}
        0h 1x1m spec patch restorepointcontents /rp request=[{"op":"add","path":"/spec","value":{}}] response={"spec":{"expiresAt":"2026-11-01T10:00:00Z"}}
        0h 1x1m whole patch restorepointcontents /rp request=[{"op":"replace","path":"","value":{}}] response={"spec":{"expiresAt":"2026-11-01T10:00:00Z"}}
        "#,
        &expect![["
            high     kasten-backup-expiry-shortened merge 1
            high     kasten-backup-expiry-shortened put 1
            high     kasten-backup-expiry-shortened whole 1
            high     kasten-backup-expiry-shortened field 1
            high     kasten-backup-expiry-shortened spec 1
        "]],
    );
}

#[test]
fn other_changes_of_a_disabled_repository_raise_nothing() {
    check(
        r#"
        0h 1x1m alice patch storagerepositories kasten-io/repo request={"metadata":{"labels":{"a":"b"}}} response={"spec":{"disableMaintenance":true}}
        1h 1x1m alice patch storagerepositories kasten-io/repo request={"spec":{"disableMaintenance":false}} response={"spec":{"overrideLocation":{"name":"other"}}}
        2h 1x1m alice patch storagerepositories kasten-io/repo request=[{"op":"replace","path":"/spec/disableMaintenance","value":false}] response={"spec":{"overrideLocation":{"name":"other"},"backgroundProcessTimeout":"1s"}}
        "#,
        &expect![[""]],
    );
}

#[test]
fn other_changes_of_disabled_rules_and_wide_suppressions_raise_nothing_high() {
    check(
        r#"
        0h 1x1m alice patch detectionrules /mine request={"metadata":{"labels":{"a":"b"}}} response={"spec":{"enabled":false}}
        1h 1x1m alice patch suppressions /quiet request={"metadata":{"labels":{"a":"b"}}} response={"spec":{"rules":["*"]}}
        2h 1x1m alice patch notifiers /slack request={"metadata":{"labels":{"a":"b"}}}
        3h 1x1m bob patch detectionrules /mine request={"spec":{"rule":"t"}} response={"spec":{"enabled":false}}
        4h 1x1m eve patch suppressions /quiet request={"spec":{"expires":"2027-01-01T00:00:00Z"}} response={"spec":{"rules":["*"]}}
        "#,
        &expect![["
            medium   keepwatch-rule-changed bob 1
            high     keepwatch-suppression-changed-of-every-rule eve 1
        "]],
    );
}

#[test]
fn destinations_of_audit_events_are_covered_in_a_log_without_bodies() {
    check(
        "
        0h 1x1m mallory patch auditconfigs kasten-io/siem bodyless
        1h 1x1m mallory update profiles kasten-io/archive bodyless
        2h 9x1m executor update profiles kasten-io/archive bodyless
        3h 1x1m mallory update auditconfigs kasten-io/siem sub=status bodyless
        4h 1x1m mallory patch detectionrules /mine bodyless
        5h 1x1m mallory patch suppressions /quiet bodyless
        6h 1x1m mallory patch notifiers /slack bodyless
        ",
        &expect![["
            high     kasten-auditconfig-changed mallory 1
            medium   kasten-location-profile-changed mallory 1
            medium   keepwatch-rule-changed mallory 1
            medium   keepwatch-suppression-changed mallory 1
            medium   keepwatch-notifier-changed mallory 1
        "]],
    );
}

#[test]
fn a_backup_that_is_bound_in_a_foreign_namespace_is_detected() {
    check(
        r#"
        0h 1x1m mallory delete restorepoints shop/rp-1
        1h 1x1m mallory create restorepoints aaa/stolen request={"spec":{}} response={"metadata":{"labels":{"k10.kasten.io/appNamespace":"shop"}}}
        2h 1x1m mallory create restoreactions aaa/ {"subject":{"name":"stolen","namespace":"aaa"}}
        3h 1x1m alice create restorepoints shop/rp-1 request={"spec":{}} response={"metadata":{"labels":{"k10.kasten.io/appNamespace":"shop"}}}
        4h 1x1m k10 create restorepoints bbb/rp-1 request={"spec":{}} response={"metadata":{"labels":{"k10.kasten.io/appNamespace":"shop"}}}
        "#,
        &expect![["
            low      kasten-restorepoints-manually-deleted mallory 1
            low      kasten-restore-into-foreign-namespace-bound mallory 1
        "]],
    );
}
