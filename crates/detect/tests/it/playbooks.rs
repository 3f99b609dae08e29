//! Attacks that delete backups, and work that resembles them: every attack raises its signals, and
//! nothing else does.

use expect_test::expect;

use super::script::check;

#[test]
fn restore_points_deleted_below_the_threshold_are_low() {
    check(
        "
        0h 4x1h mallory delete restorepoints shop/rp-{n}
        ",
        &expect![["
            low      kasten-restorepoints-manually-deleted mallory 4
        "]],
    );
}

#[test]
fn many_deleted_restore_points_are_excessive() {
    check(
        "
        0h 20x10s mallory delete restorepoints shop/rp-{n}
        ",
        &expect![["
            high     kasten-restorepoints-excessive-deletion mallory 20
            low      kasten-restorepoints-manually-deleted mallory 20
        "]],
    );
}

#[test]
fn restore_points_deleted_hourly_are_excessive() {
    check(
        "
        0h 48x1h mallory delete restorepoints shop/rp-{n}
        ",
        &expect![["
            high     kasten-restorepoints-excessive-deletion mallory 71 in 2 signals
            low      kasten-restorepoints-manually-deleted mallory 48 in 2 signals
        "]],
    );
}

#[test]
fn restore_points_deleted_three_per_day_are_detected_within_a_week() {
    check(
        "
        0h 15x8h mallory delete restorepoints shop/rp-{n}
        ",
        &expect![["
            medium   kasten-restorepoints-excessive-deletion-slow mallory 15
            low      kasten-restorepoints-manually-deleted mallory 15 in 15 signals
        "]],
    );
}

#[test]
fn restore_points_deleted_by_ten_accounts_are_detected() {
    check(
        "
        0h 20x5m account-{k} delete restorepoints shop/rp-{n} of=10
        ",
        &expect![["
            medium   kasten-restorepoints-excessive-deletion-spread several 20
            low      kasten-restorepoints-manually-deleted account-1 2
            low      kasten-restorepoints-manually-deleted account-2 2
            low      kasten-restorepoints-manually-deleted account-3 2
            low      kasten-restorepoints-manually-deleted account-4 2
            low      kasten-restorepoints-manually-deleted account-5 2
            low      kasten-restorepoints-manually-deleted account-6 2
            low      kasten-restorepoints-manually-deleted account-7 2
            low      kasten-restorepoints-manually-deleted account-8 2
            low      kasten-restorepoints-manually-deleted account-9 2
            low      kasten-restorepoints-manually-deleted account-10 2
        "]],
    );
}

#[test]
fn a_deletion_spread_over_accounts_and_days_is_detected() {
    check(
        "
        0h 70x144m account-{k} delete restorepoints shop/rp-{n} of=10
        ",
        &expect![["
            medium   kasten-restorepoints-excessive-deletion-spread-slow several 70
            low      kasten-restorepoints-manually-deleted account-1 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-2 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-3 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-4 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-5 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-6 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-7 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-8 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-9 7 in 7 signals
            low      kasten-restorepoints-manually-deleted account-10 7 in 7 signals
        "]],
    );
}

#[test]
fn a_deletion_spread_over_accounts_in_one_day_is_detected() {
    check(
        "
        0h 14x100m account-{n} delete restorepoints shop/rp-{n}
        ",
        &expect![["
            medium   kasten-restorepoints-excessive-deletion-spread several 14
            low      kasten-restorepoints-manually-deleted account-1 1
            low      kasten-restorepoints-manually-deleted account-2 1
            low      kasten-restorepoints-manually-deleted account-3 1
            low      kasten-restorepoints-manually-deleted account-4 1
            low      kasten-restorepoints-manually-deleted account-5 1
            low      kasten-restorepoints-manually-deleted account-6 1
            low      kasten-restorepoints-manually-deleted account-7 1
            low      kasten-restorepoints-manually-deleted account-8 1
            low      kasten-restorepoints-manually-deleted account-9 1
            low      kasten-restorepoints-manually-deleted account-10 1
            low      kasten-restorepoints-manually-deleted account-11 1
            low      kasten-restorepoints-manually-deleted account-12 1
            low      kasten-restorepoints-manually-deleted account-13 1
            low      kasten-restorepoints-manually-deleted account-14 1
        "]],
    );
}

#[test]
fn denied_requests_in_between_do_not_hide_deletions() {
    check(
        "
        0h 6x10m mallory delete restorepoints shop/rp-{n}
        5m 12x5m mallory delete restorepointcontents /shop-rp-{n} 403
        ",
        &expect![["
            medium   kasten-restorepoints-excessive-deletion mallory 6
            low      kasten-restorepoints-manually-deleted mallory 6
            medium   kasten-refused-attempts mallory 12
        "]],
    );
}

#[test]
fn contents_deleted_manually_raise_a_signal_at_the_first_and_another_at_the_fifth() {
    check(
        "
        0h 5x1h mallory delete restorepointcontents /shop-rp-{n}
        0h 5x1h k10 create retireactions /retire-shop-rp-{n}
        ",
        &expect![["
            critical kasten-restorepointcontents-excessive-deletion mallory 5
            high     kasten-restorepointcontents-manually-deleted mallory 5
        "]],
    );
}

#[test]
fn contents_deleted_by_five_accounts_are_excessive() {
    check(
        "
        0h 5x1h account-{n} delete restorepointcontents /shop-rp-{n}
        ",
        &expect![["
            critical kasten-restorepointcontents-excessive-deletion several 5
            high     kasten-restorepointcontents-manually-deleted account-1 1
            high     kasten-restorepointcontents-manually-deleted account-2 1
            high     kasten-restorepointcontents-manually-deleted account-3 1
            high     kasten-restorepointcontents-manually-deleted account-4 1
            high     kasten-restorepointcontents-manually-deleted account-5 1
        "]],
    );
}

#[test]
fn two_cluster_restore_points_are_not_excessive() {
    check(
        "
        0h 2x1h mallory delete clusterrestorepoints /crp-{n}
        ",
        &expect![["
            high     kasten-clusterrestorepoints-manually-deleted mallory 2
        "]],
    );
}

#[test]
fn three_cluster_restore_points_are_excessive() {
    check(
        "
        0h 3x1h mallory delete clusterrestorepoints /crp-{n}
        ",
        &expect![["
            critical kasten-clusterrestorepoints-excessive-deletion mallory 3
            high     kasten-clusterrestorepoints-manually-deleted mallory 3
        "]],
    );
}

#[test]
fn an_expiry_in_the_near_future_is_detected() {
    check(
        r#"
        0h 5x1m mallory patch restorepointcontents /shop-rp-{n} {"expiresAt":"2026-11-01T01:00:00Z"}
        "#,
        &expect![["
            critical kasten-backup-expiry-shortened mallory 5
        "]],
    );
}

#[test]
fn the_deletion_of_a_collection_is_detected_even_if_it_failed() {
    check(
        "
        0h 1x1m mallory deletecollection restorepoints shop/ 405
        2h 1x1m mallory deletecollection restorepoints shop/
        ",
        &expect![["
            medium   kasten-bulk-deletion-attempt mallory 1
            critical kasten-bulk-deletion mallory 1
        "]],
    );
}

#[test]
fn thirty_deleted_namespaces_are_detected_and_29_are_ordinary() {
    check(
        "
        0h 29x1m namespaces delete restorepoints preview-{n}/rp
        3d 60x1m namespaces delete restorepoints app-{k}/rp-{n} of=30
        ",
        &expect![["
            low      kasten-restorepoints-deleted-with-namespace namespace-controller 89 in 59 signals
            high     kasten-restorepoints-deleted-with-namespace-many namespace-controller 60
        "]],
    );
}

#[test]
fn one_deleted_namespace_is_low() {
    check(
        "
        0h 30x1s namespaces delete restorepoints shop/rp-{n}
        ",
        &expect![["
            low      kasten-restorepoints-deleted-with-namespace namespace-controller 30
        "]],
    );
}
