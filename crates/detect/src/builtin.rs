//! The built-in rules: the files in `rules/kasten/`.
//!
//! Each rule is a YAML file with a second file of events and expected signals (module
//! [`examples`](crate::examples)). A new rule needs both files and a line here.
//!
//! Deliberately absent: reading a folder, which the binary does.

use std::sync::LazyLock;

use crate::Document;

/// Includes a rule file by its name.
macro_rules! rules {
    ($($name:literal,)+) => {
        [$((
            concat!("rules/kasten/", $name, ".yaml"),
            include_str!(concat!("../../../rules/kasten/", $name, ".yaml")),
        ),)+]
    };
}

static KASTEN: LazyLock<Vec<Document>> = LazyLock::new(|| {
    rules![
        "kasten-account-impersonated",
        "kasten-account-used-by-person",
        "kasten-auditconfig-changed",
        "kasten-backup-expiry-shortened",
        "kasten-bulk-deletion",
        "kasten-cancelactions-excessive-creation",
        "kasten-clusterrestorepoints-excessive-deletion",
        "kasten-clusterrestorepoints-manually-deleted",
        "kasten-location-profile-changed",
        "kasten-passkey-changed",
        "kasten-passkey-first-reader",
        "kasten-passkey-read-restore-delete",
        "kasten-passkeys-excessive-use",
        "kasten-refused-attempts",
        "kasten-repository-tampered",
        "kasten-restore-into-foreign-namespace",
        "kasten-restorepointcontents-excessive-deletion",
        "kasten-restorepointcontents-manually-deleted",
        "kasten-restorepoints-deleted-with-namespace",
        "kasten-restorepoints-excessive-deletion",
        "kasten-restorepoints-manually-deleted",
        "kasten-retireaction-created-by-person",
        "kasten-retireactions-excessive-creation",
        "keepwatch-cursor-moved",
        "keepwatch-destination-released",
        "keepwatch-heartbeat-silent",
        "keepwatch-journal-gap",
        "keepwatch-notifier-changed",
        "keepwatch-rule-changed",
        "keepwatch-source-silent",
        "keepwatch-suppression-changed",
    ]
    .into_iter()
    .map(|(file, text)| Document::builtin(file, text))
    .collect()
});

/// The rules for K10 backups and for Keepwatch's own events.
pub fn kasten() -> &'static [Document] {
    &KASTEN
}
