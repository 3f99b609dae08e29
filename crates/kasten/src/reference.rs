//! The reference page on the kinds, generated from their resources.

use std::fmt::Write as _;

use apiserver::reference::{overview, section};

use crate::{Installation, kinds, names, resources};

/// The page, as Markdown.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    let installation = Installation::DEFAULT;
    let kinds = resources(&installation);
    overview(&mut page, &kinds);
    page.push_str(CUSTOM_RESOURCES);
    let custom = kinds::config_resources();
    overview(&mut page, &custom);
    page.push_str(
        "\nColumns in parentheses are shown with `-o wide`; NAME comes before all of them.\n",
    );
    for group in installation.groups() {
        // Writing to a String cannot fail, here and below.
        _ = write!(page, "\n## {group}/{}\n", names::VERSION);
        for kind in kinds.iter().filter(|kind| kind.group == group) {
            section(&mut page, kind);
        }
    }
    _ = write!(page, "\n## {}/{}\n", names::CONFIG, names::VERSION);
    for kind in &custom {
        section(&mut page, kind);
    }
    page
}

const INTRODUCTION: &str = "\
# Kinds

Generated from the code: `cargo xtask codegen` writes this page.

- No kind supports `deletecollection`. Clients fall back to single deletes, each of which is recorded.
- No kind supports server-side apply: `kubectl apply --server-side` gets 415, or 405 for kinds without patch.
  `kubectl apply` creates objects of every kind that can be read, and changes those that can be patched.
- K10 documents no short names and no categories, so `kubectl get all` shows no kind of K10.
- `/status` is the status subresource of every kind with a status. `/details` is read-only.
- Only K10's own service accounts (group `system:serviceaccounts:kasten-io`) can create
  `RestorePointContent`, `ClusterRestorePoint`, `StorageRepository`, `RetireAction`, `ImportAction`,
  `StageAction` and `MigrateFCDAction`. All other users get 403 whatever RBAC allows, and the request is
  recorded.
- A user who references a restore point, a restore point content, a repository or a policy in a new object
  must have permission to read it.

`keepwatch serve --k10-api-domain` serves the aggregated groups under another domain than `kio.kasten.io`, for
a K10 that is installed with `useNamespacedAPI`. `--k10-namespace` sets K10's namespace if it is not
`kasten-io`. The group names and namespaces on this page then change accordingly, except `config.kio.kasten.io`.

";

const CUSTOM_RESOURCES: &str = "
Custom resources, served by kube-apiserver in a cluster and by `keepwatch up` itself:

";
