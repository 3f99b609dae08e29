//! Users that are related to a user: by an address, a credential, or impersonation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use event::Event;

use super::text::counted;

/// Maximum number of addresses, and of credentials, whose users are in memory.
const KEYS_MAX: usize = 20_000;
/// Maximum number of users in memory for each.
const USERS_MAX: usize = 20;
/// Maximum number of related identities.
pub(crate) const RELATED_MAX: usize = 100;
/// The credential with which a request was authenticated.
pub(crate) const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

/// Users by address, by credential, and by impersonation.
#[derive(Default)]
pub(crate) struct Users {
    by_address: HashMap<String, BTreeSet<String>>,
    by_credential: HashMap<String, BTreeSet<String>>,
    impersonates: BTreeMap<String, u64>,
    impersonated_by: BTreeMap<String, u64>,
}

/// A related user, and the kind of the relation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Related {
    pub(crate) user: String,
    pub(crate) why: String,
}

impl Users {
    /// Adds an event of any user; `name` is the investigated user.
    pub(crate) fn add(&mut self, event: &Event, name: &str) {
        let user = event.user.username.as_str();
        if let Some(other) = event.impersonated_user.as_ref().map(|user| user.username.as_str()) {
            if user == name {
                count(&mut self.impersonates, other);
            } else if other == name {
                count(&mut self.impersonated_by, user);
            }
        }
        if user.is_empty() {
            return;
        }
        if let Some(address) = event.source_ips.first() {
            remember(&mut self.by_address, address, user);
        }
        if let Some(credential) = credential_of(event) {
            remember(&mut self.by_credential, credential, user);
        }
    }

    /// The users that are related to `name`, according to the addresses and credentials of `name`.
    pub(crate) fn related<'a>(
        &self,
        name: &str,
        addresses: impl Iterator<Item = &'a str>,
        credentials: impl Iterator<Item = &'a str>,
    ) -> Vec<Related> {
        let mut related = BTreeSet::new();
        let mut add = |user: &str, why: String| {
            if user != name && related.len() < RELATED_MAX {
                related.insert(Related { user: user.to_owned(), why });
            }
        };
        for (user, count) in &self.impersonates {
            add(user, format!("{name} acted as it, {}", counted(*count, "request")));
        }
        for (user, count) in &self.impersonated_by {
            add(user, format!("acted as {name}, {}", counted(*count, "request")));
        }
        for credential in credentials {
            for user in self.by_credential.get(credential).into_iter().flatten() {
                add(user, format!("same credential {credential}"));
            }
        }
        for address in addresses {
            for user in self.by_address.get(address).into_iter().flatten() {
                add(user, format!("same address {address}"));
            }
        }
        related.into_iter().collect()
    }
}

/// The credential ID of a request, if the event contains it.
pub(crate) fn credential_of(event: &Event) -> Option<&str> {
    let annotated = event.annotations.get(CREDENTIAL).map(String::as_str);
    annotated.or_else(|| event.user.extra.get(CREDENTIAL)?.first().map(String::as_str))
}

fn count(counts: &mut BTreeMap<String, u64>, user: &str) {
    if let Some(count) = counts.get_mut(user) {
        *count += 1;
    } else if counts.len() < RELATED_MAX {
        counts.insert(user.to_owned(), 1);
    }
}

fn remember(users: &mut HashMap<String, BTreeSet<String>>, key: &str, user: &str) {
    if let Some(known) = users.get_mut(key) {
        if known.len() < USERS_MAX && !known.contains(user) {
            known.insert(user.to_owned());
        }
    } else if users.len() < KEYS_MAX {
        users.insert(key.to_owned(), [user.to_owned()].into());
    }
}
