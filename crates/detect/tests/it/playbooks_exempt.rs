//! The accounts of K10 and Kubernetes are exempt only for what they do, and never with impersonation.

use expect_test::expect;

use super::script::check;

#[test]
fn accounts_of_kubernetes_are_not_exempt_for_kinds_without_a_namespace() {
    check(
        "
        0h 10x1s namespaces delete restorepointcontents /shop-rp-{n}
        0h 2x1s namespaces delete clusterrestorepoints /crp-{n}
        1h 1x1s namespaces deletecollection restorepointcontents /
        2h 1x1s system:serviceaccount:kube-system:generic-garbage-collector delete clusterrestorepoints /crp-9
        ",
        &expect![["
            critical kasten-clusterrestorepoints-excessive-deletion several 3
            high     kasten-clusterrestorepoints-manually-deleted namespace-controller 2
            critical kasten-restorepointcontents-excessive-deletion namespace-controller 10
            high     kasten-restorepointcontents-manually-deleted namespace-controller 10
            critical kasten-bulk-deletion namespace-controller 1
            high     kasten-clusterrestorepoints-manually-deleted generic-garbage-collector 1
        "]],
    );
}

#[test]
fn a_removed_namespace_is_exempt_with_all_its_kinds() {
    check(
        "
        0h 1x1s namespaces deletecollection restorepoints shop/ 405
        0h 1x1s namespaces deletecollection backupactions shop/ 405
        0h 20x1s namespaces delete restorepoints shop/rp-{n}
        0h 20x1s namespaces delete backupactions shop/b-{n}
        ",
        &expect![["
            low      kasten-restorepoints-deleted-with-namespace namespace-controller 20
        "]],
    );
}

#[test]
fn the_account_of_the_namespace_controller_is_not_exempt_with_another_tool_or_impersonation() {
    check(
        "
        0h 5x1m namespaces delete restorepoints shop/rp-{n} agent=kubectl/v1.33
        1d 5x1m namespaces delete restorepoints shop/rp-{n} as=alice
        2d 5x1m mallory delete restorepoints shop/rp-{n} as=namespaces agent=namespaces
        ",
        &expect![["
            medium   kasten-restorepoints-excessive-deletion several 9
            low      kasten-restorepoints-manually-deleted namespace-controller 10 in 2 signals
            medium   kasten-restorepoints-excessive-deletion alice 5
            low      kasten-restorepoints-manually-deleted alice 5
            medium   kasten-restorepoints-excessive-deletion namespace-controller 5
        "]],
    );
}

#[test]
fn accounts_of_k10_are_not_exempt_when_they_impersonate_each_other() {
    check(
        r#"
        0h 1x1m k10 delete restorepointcontents /shop-rp-1 as=executor
        1h 1x1m executor delete restorepoints shop/rp-1 as=k10
        2h 1x1m k10 create retireactions /r-1 as=executor
        3h 1x1m k10 get passkeys /k10-passkey as=executor
        4h 1x1m executor patch storagerepositories kasten-io/repo as=k10 {"disableMaintenance":true}
        "#,
        &expect![["
            high     kasten-account-impersonated executor-svc 2
            high     kasten-restorepointcontents-manually-deleted executor-svc 1
            high     kasten-account-impersonated k10-k10 2
            low      kasten-restorepoints-manually-deleted k10-k10 1
            high     kasten-retireaction-created-by-person executor-svc 1
            high     kasten-account-impersonated-read executor-svc 1
            low      kasten-passkey-first-reader executor-svc 1
            high     kasten-repository-tampered k10-k10 1
        "]],
    );
}

#[test]
fn a_stolen_token_of_k10_is_detected_at_passkeys_and_repositories() {
    check(
        r#"
        0h 1x1m executor get passkeys /k10-passkey agent=kubectl/v1.33
        1h 1x1m executor patch storagerepositories kasten-io/repo agent=curl/8.5 {"disableMaintenance":true}
        "#,
        &expect![["
            high     kasten-account-used-by-person executor-svc 2
        "]],
    );
}

#[test]
fn the_account_of_the_garbage_collector_is_exempt_only_as_the_garbage_collector() {
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    let agent = "kube-controller-manager/v1.33.1/metadata-informers";
    check(
        &format!(
            "
            0h 90x1m {collector} watch passkeys / agent={agent}
            0h 2x1m {collector} list passkeys / agent=kubectl/v1.33
            3h 2x1m {collector} list passkeys / agent={agent} as=alice
            "
        ),
        &expect![["
            low      kasten-passkey-first-reader generic-garbage-collector 1
        "]],
    );
}

#[test]
fn thresholds_hold_below_at_and_above_with_refused_requests_in_between() {
    check(
        "
        0h 4x1h rp-4 delete restorepoints shop/a-{n}
        1d 5x1h rp-5 delete restorepoints shop/b-{n}
        1d 4x1h rp-5 delete restorepoints shop/x-{n} 403
        3d 6x1h rp-6 delete restorepoints shop/c-{n}
        ",
        &expect![["
            low      kasten-restorepoints-manually-deleted rp-4 4
            medium   kasten-restorepoints-excessive-deletion rp-5 5
            low      kasten-restorepoints-manually-deleted rp-5 5
            medium   kasten-restorepoints-excessive-deletion rp-6 6
            low      kasten-restorepoints-manually-deleted rp-6 6
        "]],
    );
    check(
        "
        0h 4x1h rpc-4 delete restorepointcontents /a-{n}
        0h 4x1h rpc-4 delete restorepointcontents /a-{n} 404
        2d 5x4h rpc-5 delete restorepointcontents /b-{n}
        5d 2x1h crp-2 delete clusterrestorepoints /a-{n}
        7d 3x11h crp-3 delete clusterrestorepoints /b-{n}
        ",
        &expect![["
            high     kasten-restorepointcontents-manually-deleted rpc-4 4
            critical kasten-restorepointcontents-excessive-deletion rpc-5 5
            high     kasten-restorepointcontents-manually-deleted rpc-5 5
            high     kasten-clusterrestorepoints-manually-deleted crp-2 2
            critical kasten-clusterrestorepoints-excessive-deletion crp-3 3
            high     kasten-clusterrestorepoints-manually-deleted crp-3 3 in 3 signals
        "]],
    );
    check(
        "
        0h 4x1h cancel-4 create cancelactions app-{n}/a-{n}
        2d 5x5h cancel-5 create cancelactions app-{n}/b-{n}
        4d 9x1h again create cancelactions app-1/same
        5d 2x1h retire-2 create retireactions /a-{n}
        8d 3x11h retire-3 create retireactions /b-{n}
        ",
        &expect![["
            medium   kasten-cancelactions-excessive-creation cancel-5 5
            high     kasten-retireaction-created-by-person retire-2 2
            high     kasten-retireaction-created-by-person retire-3 3 in 3 signals
            critical kasten-retireactions-excessive-creation retire-3 3
        "]],
    );
    check(
        "
        0h 4x1h read-4 get passkeys /k10-passkey
        2d 5x5h read-5 get passkeys /k10-passkey
        4d 2x1h mixed get passkeys /k10-passkey
        4d 2x1h mixed patch passkeys /k10-passkey
        4d 1x1h mixed delete passkeys /k10-passkey
        ",
        &expect![["
            low      kasten-passkey-first-reader read-4 1
            low      kasten-passkey-first-reader read-5 1
            high     kasten-passkeys-excessive-use read-5 5
            medium   kasten-passkey-changed mixed 3
            low      kasten-passkey-first-reader mixed 1
            high     kasten-passkeys-excessive-use mixed 5
        "]],
    );
}
