//! Rotates credentials under load: the keys of a bucket, the CA of its server, the token of a role.
//!
//! Each is rotated `rounds` times while events are recorded. The bucket's server rejects the old
//! credential before Keepwatch gets the new one, so that only the new credential can deliver. There
//! are three `AuditConfig`s on a real control plane, one for each kind; at the end each archive is
//! compared with the journal.

#![expect(clippy::print_stdout, reason = "reports results to the developer")]

mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testkit::pki::{self, Authority};
use testkit::s3::S3Double;
use testkit::sts::{IssuedKeys, StsDouble};

use crate::bench::constant_rate::ConstantRate;
use crate::bench::machine;
use crate::emulators::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use setup::{ADMIN_HEADERS, Setup};

/// Requests per second.
const RATE: u32 = 50;
/// Maximum time until a new credential is in use.
const IN_USE_MAX: Duration = Duration::from_secs(5);
/// An upload that started before the old keys were revoked may still succeed for this time.
const IN_FLIGHT_UPLOAD_MAX: Duration = Duration::from_millis(300);
/// Expiry of issued keys: after the test.
const EXPIRES: &str = "2099-01-01T00:00:00Z";
/// The kinds of rotation, which are also the names of the buckets and `AuditConfig`s.
const KEYS: &str = "keys";
const AUTHORITY: &str = "authority";
const ROLE: &str = "role";

/// Rotates each kind of credential `rounds` times.
pub async fn run(rounds: u32) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let keys_server = S3Server::start(None)?;
    keys_server.create_bucket(KEYS, false)?;
    // versitygw does not support session tokens.
    let role_server = S3Double::start(Box::new(|_| None)).await?;
    let token = Arc::new(Token::default());
    token.rotate(&role_server, 0);
    let sts = StsDouble::start(token.credential_source()).await?;
    let mut tls_server = TlsServer::start(folder.path())?;
    let file = folder.path().join("token");
    pki::replace(&file, "token-0");
    pki::replace(&folder.path().join("ca.crt"), &tls_server.authority.pem());
    let setup = Setup::start(folder.path(), &sts.endpoint(), &file)?;
    keys_server.create_user("AKIAROUND0", "secret-of-round-0")?;
    let keys = Some(("AKIAROUND0", "secret-of-round-0"));
    setup.create_destination(KEYS, &keys_server.endpoint(), keys)?;
    setup.create_destination(
        AUTHORITY,
        &tls_server.server.endpoint(),
        Some((ACCESS_KEY, SECRET_KEY)),
    )?;
    setup.create_destination(ROLE, &role_server.endpoint(), None)?;
    for name in [KEYS, AUTHORITY, ROLE] {
        setup.wait_status(name, "Success")?;
    }

    println!("rotations: {rounds} rounds of each, {RATE} requests/s");
    let mut load = ConstantRate::start(&setup.proxy, &ADMIN_HEADERS, RATE).await?;
    let mut times: [Vec<Duration>; 3] = Default::default();
    for round in 1..=rounds {
        let (id, secret) = (format!("AKIAROUND{round}"), format!("secret-of-round-{round}"));
        keys_server.create_user(&id, &secret)?;
        keys_server.delete_user(&format!("AKIAROUND{}", round - 1))?;
        let patch = json!({"data": {"aws_access_key_id": STANDARD.encode(&id),
            "aws_secret_access_key": STANDARD.encode(&secret)}});
        times[0].push(time_until_in_use(&setup, KEYS, || setup.change_secret(KEYS, &patch)).await?);

        tls_server.rotate(folder.path())?;
        let pem = tls_server.authority.pem();
        let publish = || {
            pki::replace(&folder.path().join("ca.crt"), &pem);
            Ok(())
        };
        times[1].push(time_until_in_use(&setup, AUTHORITY, publish).await?);

        token.rotate(&role_server, round);
        let publish = || {
            pki::replace(&file, &format!("token-{round}"));
            Ok(())
        };
        times[2].push(time_until_in_use(&setup, ROLE, publish).await?);
        load.check()?;
    }
    load.stop().await?;
    report(rounds, &times)?;
    setup
        .stop_and_compare(|| {
            let buckets = [
                keys_server.objects(KEYS)?,
                tls_server.server.objects(AUTHORITY)?,
                role_server.objects(),
            ];
            Ok([KEYS, AUTHORITY, ROLE].into_iter().zip(buckets).collect())
        })
        .await
}

/// Prints the times until new credentials are in use. Fails if one is too long.
fn report(rounds: u32, times: &[Vec<Duration>; 3]) -> anyhow::Result<()> {
    for (name, times) in [KEYS, AUTHORITY, ROLE].into_iter().zip(times) {
        let longest = times.iter().max().copied().unwrap_or_default();
        let sum: Duration = times.iter().sum();
        println!(
            "{name}: {rounds} rotations, in use after {:.2} s on average, {:.2} s at most",
            sum.as_secs_f64() / f64::from(rounds.max(1)),
            longest.as_secs_f64()
        );
        ensure!(longest <= IN_USE_MAX, "a rotation of {name} took {longest:?}");
    }
    Ok(())
}

/// Time until the first delivery after a change.
async fn time_until_in_use(
    setup: &Setup,
    name: &str,
    publish: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    tokio::time::sleep(IN_FLIGHT_UPLOAD_MAX).await;
    let before = setup.delivered(name).await?;
    tokio::time::sleep(IN_FLIGHT_UPLOAD_MAX).await;
    let idle = setup.delivered(name).await?;
    ensure!(before == idle, "{name} still delivers with a revoked key");
    let start = machine::now();
    publish()?;
    crate::fixtures::standalone::wait(&format!("{name} delivers again"), async || {
        Ok((setup.delivered(name).await? > before).then_some(()))
    })
    .await
    .with_context(|| setup.log_tail())?;
    Ok(start.elapsed())
}

/// A server with TLS, and its CA.
struct TlsServer {
    server: S3Server,
    authority: Authority,
}

impl TlsServer {
    fn start(folder: &std::path::Path) -> anyhow::Result<Self> {
        let authority = Authority::new("ca-0");
        let (certificate, key) = authority.server().write(folder, "s3");
        let server = S3Server::start(Some((&certificate, &key)))?;
        server.create_bucket(AUTHORITY, false)?;
        Ok(Self { server, authority })
    }

    /// Creates another CA, and restarts the server with a certificate of it.
    fn rotate(&mut self, folder: &std::path::Path) -> anyhow::Result<()> {
        self.authority = Authority::new("another-ca");
        let (certificate, key) = self.authority.server().write(folder, "s3");
        self.server.kill()?;
        self.server.restart(Some((&certificate, &key)))
    }
}

/// The number of the valid token.
#[derive(Default)]
struct Token(AtomicU32);

impl Token {
    /// Issues the keys of the round for the round's token only.
    fn credential_source(self: &Arc<Self>) -> testkit::sts::CredentialSource {
        let token = Arc::clone(self);
        Box::new(move |presented| {
            let round = token.0.load(Ordering::Relaxed);
            let (id, session_token) = keys_of_round(round);
            let (secret, expires) = (format!("issued-secret-{round}"), EXPIRES.to_owned());
            (presented == format!("token-{round}")).then_some(IssuedKeys {
                id,
                secret,
                session_token,
                expires,
            })
        })
    }

    /// Makes the server reject the old token and the keys that were issued for it.
    fn rotate(&self, server: &S3Double, round: u32) {
        self.0.store(round, Ordering::Relaxed);
        let (id, session_token) = keys_of_round(round);
        server.set_key(&id, &session_token);
    }
}

/// The access key ID and the session token of a round.
fn keys_of_round(round: u32) -> (String, String) {
    (format!("ASIAROLE{round}R"), format!("session-{round}"))
}
