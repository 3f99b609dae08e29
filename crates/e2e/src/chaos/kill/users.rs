//! The users of the kill test, with certificates of the server's own CA.
//!
//! A restarted server listens on another port but keeps its CA, so the certificates are created
//! once.

use std::path::Path;

use anyhow::Context;
use testkit::pki::{Authority, Identity};

use crate::fixtures::load_client::Endpoint;
use crate::fixtures::standalone::AUTHORITY;

/// Number of users. Each raises its own signals.
const USERS: usize = 48;
/// Their permissions: those of K10's administrators.
const GROUP: &str = "k10:admins";

/// The certificates of the users.
pub(super) struct Users {
    authority: String,
    identities: Vec<Identity>,
}

impl Users {
    /// Creates the certificates, signed by the CA of the server in `home`.
    pub(super) fn create(home: &Path) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = home.join("pki").join(file);
            std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
        };
        let certificate = read("ca.crt")?;
        let authority = Authority::from_pem(AUTHORITY, &certificate, &read("ca.key")?);
        let identities =
            (0..USERS).map(|number| authority.client(&format!("p-{number}"), &[GROUP]));
        Ok(Self { identities: identities.collect(), authority: certificate })
    }

    /// The endpoint of a user at the server's address.
    pub(super) fn endpoint(&self, number: usize, server: &Endpoint) -> anyhow::Result<Endpoint> {
        let Identity { certificate, key } =
            self.identities.get(number % USERS).context("the kill test has no users")?;
        Endpoint::new(server.address, &server.server_name, &self.authority, certificate, key)
    }
}
