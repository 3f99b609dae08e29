//! The users of the kill test: many people with certificates of the server's own authority.
//!
//! A server that starts again listens on another port and keeps its authority, so certificates are
//! made once.

use std::path::Path;

use anyhow::Context;
use testkit::pki::{Authority, Identity};

use crate::fixtures::load_client::Endpoint;
use crate::fixtures::standalone::AUTHORITY;

/// People, each of whom has signals of their own.
const PEOPLE: usize = 48;
/// What they may do: everything that K10's administrators may.
const GROUP: &str = "k10:admins";

/// Certificates of people.
pub(super) struct Cast {
    authority: String,
    people: Vec<Identity>,
}

impl Cast {
    /// Makes the certificates, by the authority of the server in `home`.
    pub(super) fn of(home: &Path) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = home.join("pki").join(file);
            std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
        };
        let certificate = read("ca.crt")?;
        let authority = Authority::existing(AUTHORITY, &certificate, &read("ca.key")?);
        let people = (0..PEOPLE).map(|number| authority.client(&format!("p-{number}"), &[GROUP]));
        Ok(Self { people: people.collect(), authority: certificate })
    }

    /// A person's way to the server that `server` leads to.
    pub(super) fn person(&self, number: usize, server: &Endpoint) -> anyhow::Result<Endpoint> {
        let Identity { certificate, key } =
            self.people.get(number % PEOPLE).context("there are people")?;
        Endpoint::new(server.address, &server.server_name, &self.authority, certificate, key)
    }
}
