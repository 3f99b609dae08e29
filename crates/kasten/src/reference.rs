//! The reference page on the kinds, made from the kinds, so that it cannot differ from them.

use std::fmt::Write as _;

use apiserver::reference::{overview, section};

use crate::{Installation, config, domain, resources};

/// The page, as Markdown.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    let installation = Installation::DEFAULT;
    let kinds = resources(&installation);
    overview(&mut page, &kinds);
    page.push_str(CUSTOM);
    let custom = config::resources();
    overview(&mut page, &custom);
    page.push_str(
        "\nColumns in parentheses are shown with `-o wide`; NAME comes before all of them.\n",
    );
    for group in installation.groups() {
        // Writing to a String cannot fail, here and below.
        _ = write!(page, "\n## {group}/{}\n", domain::VERSION);
        for kind in kinds.iter().filter(|kind| kind.group == group) {
            section(&mut page, kind);
        }
    }
    _ = write!(page, "\n## {}/{}\n", domain::CONFIG, domain::VERSION);
    for kind in &custom {
        section(&mut page, kind);
    }
    page
}

const HEAD: &str = "\
# Kinds

Generated from the kinds themselves; do not edit.

No kind offers `deletecollection`: clients fall back to single deletes, each of which is recorded.
No kind offers server-side apply yet: `kubectl apply --server-side`, and clients that always use it,
are refused with 415, or 405 where there is no patch. `kubectl apply` makes objects of every kind that
can be read, and changes those that can be patched.
K10 documents no short names and no categories, so there are none: `kubectl get all` shows no kind of K10.
Every kind with a status is reported on through `/status`; `/details` is read only.
`RestorePointContent`, `ClusterRestorePoint`, `StorageRepository`, `RetireAction`, `ImportAction`,
`StageAction` and `MigrateFCDAction` can be created by K10's own service accounts only (group
`system:serviceaccounts:kasten-io`); everybody else gets 403 whatever RBAC says, and is recorded.
Whoever names a restore point, a content, a repository or a policy in what he creates must be
allowed to read it.

`keepwatch serve --k10-api-domain` serves the aggregated groups below another domain than
`kio.kasten.io`, as a K10 does that is installed with `useNamespacedAPI`, and `--k10-namespace` says
where K10 is if not in `kasten-io`; whatever stands here then follows, `config.kio.kasten.io` excepted.

";

const CUSTOM: &str = "
Custom resources, served by kube-apiserver in a cluster and by `keepwatch up` itself:

";
