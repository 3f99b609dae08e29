//! The verbs that kinds offer, as discovery lists them.

use apiserver::Verb;

/// No update and no patch: what most kinds offer.
pub(crate) const CREATE_DELETE: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Watch];
/// All verbs, including update and patch.
pub(crate) const ALL: &[Verb] =
    &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];
/// For kinds that only the server writes.
pub(crate) const READ_ONLY: &[Verb] = &[Verb::Get, Verb::List, Verb::Watch];
