//! Rights to write to AWS and its like: where keys come from, and when they are renewed.
//!
//! Keys that are lent are renewed well before they end, and at once when a store refuses them; while
//! that fails, the ones at hand are used as long as they are good. Files are read each time they are
//! needed, so that a rotated token counts at once. No key is ever logged.

mod agents;
mod sts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use event::Timestamp;
use http_body_util::{BodyExt as _, Limited};
use object_store::client::{HttpClient, HttpRequest};
use rustls::ClientConfig;
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::destination::{Credentials, Role};
use super::reach::{Network, Reach};
use super::transport::{Note, SILENCE, Transport};
use super::{Clock, OpenError, Parts};

/// Keys are renewed so long before their end, or in the last quarter of their life.
const RENEW_BEFORE: Duration = Duration::from_mins(5);
/// Keys that are younger than this are not asked for again because a store refused them.
const RENEW_PERIOD: Duration = Duration::from_secs(2);
/// Bytes of an answer with keys.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Time for an answer with keys.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// What the place where the server runs offers, as its environment names it.
#[derive(Clone, Debug, Default)]
pub struct Ambient {
    /// A projected token for a role (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`).
    pub web_identity: Option<WebIdentity>,
    /// An agent of the node or the task (`AWS_CONTAINER_CREDENTIALS_FULL_URI` or `…RELATIVE_URI`).
    pub container: Option<Container>,
    /// The instance's metadata service, if it may be asked, such as `http://169.254.169.254`
    /// (`AWS_EC2_METADATA_SERVICE_ENDPOINT`).
    pub instance: Option<String>,
}

/// A token that stands for a role.
#[derive(Clone, Debug)]
pub struct WebIdentity {
    /// The file that holds it.
    pub token_file: PathBuf,
    /// The role's ARN.
    pub role_arn: String,
    /// Where STS listens; AWS's in the destination's region if `None`.
    pub sts_endpoint: Option<String>,
}

/// An agent that lends keys.
#[derive(Clone, Debug)]
pub struct Container {
    /// Where it is.
    pub uri: String,
    /// The file with what is to be shown to it.
    pub token_file: Option<PathBuf>,
}

/// Keys of AWS.
pub(super) struct AwsKeys {
    pub(super) id: String,
    pub(super) secret: SecretString,
    pub(super) session_token: Option<SecretString>,
    pub(super) expires: Option<Timestamp>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    /// Something in a request or a key cannot stand in a header.
    #[error("the credentials contain characters that cannot be sent")]
    Malformed,
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// Whoever lends keys does not.
    #[error("{from} lends no credentials: it answered {status} {code}")]
    Refused { from: &'static str, status: u16, code: String },
    /// Whoever lends keys does not answer.
    #[error("{from} lends no credentials: {why}")]
    Silent { from: &'static str, why: String },
    /// Whoever lends keys answers with something else.
    #[error("{from} answered with something that is no credentials")]
    Answer { from: &'static str },
    /// Nobody is there who could.
    #[error("there are no credentials where this server runs")]
    Nobody,
}

/// Where keys come from.
pub(super) enum Source {
    Fixed(Arc<AwsKeys>),
    Lent(Box<Lender>),
}

/// Whoever gets keys that end.
pub(super) struct Lender {
    origin: Origin,
    role: Option<Role>,
    region: String,
    clock: Clock,
    /// To STS: under the same rules as a destination.
    world: HttpClient,
    /// To agents: they are named by the server's own environment, never by a profile.
    agents: HttpClient,
    held: Mutex<Option<Held>>,
}

enum Origin {
    Fixed(Arc<AwsKeys>),
    Ambient(Ambient),
}

struct Held {
    keys: Arc<AwsKeys>,
    since: Timestamp,
}

impl Source {
    pub(super) fn open(
        credentials: &Credentials,
        parts: &Parts,
        region: &str,
        tls: &ClientConfig,
    ) -> Result<Self, OpenError> {
        let (origin, role) = match credentials {
            Credentials::AwsKeys { access_key_id, secret_access_key, session_token, role } => {
                let keys = Arc::new(AwsKeys {
                    id: access_key_id.clone(),
                    secret: secret_access_key.clone(),
                    session_token: session_token.clone(),
                    expires: None,
                });
                if role.is_none() {
                    return Ok(Self::Fixed(keys));
                }
                (Origin::Fixed(keys), role.clone())
            }
            Credentials::AwsAmbient { role } => {
                (Origin::Ambient(parts.ambient.clone()), role.clone())
            }
            _ => return Err(OpenError::Credentials { provider: "S3" }),
        };
        let anywhere = Reach {
            allowed: Network::ALL.to_vec(),
            refused: Vec::new(),
            plain_http: true,
            ..parts.reach.clone()
        };
        Ok(Self::Lent(Box::new(Lender {
            origin,
            role,
            region: region.to_owned(),
            clock: Arc::clone(&parts.clock),
            world: Transport::new(parts.reach.clone(), tls.clone(), None).client(),
            agents: Transport::new(anywhere, tls.clone(), None).client(),
            held: Mutex::default(),
        })))
    }

    /// Keys that are good for now.
    pub(super) async fn keys(&self) -> Result<Arc<AwsKeys>, KeysError> {
        match self {
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
            Self::Lent(lender) => lender.keys().await,
        }
    }

    /// The keys at hand were refused: whether there are others to try.
    pub(super) async fn renew(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Lent(lender) => lender.renew().await,
        }
    }
}

impl Lender {
    async fn keys(&self) -> Result<Arc<AwsKeys>, KeysError> {
        let now = (self.clock)();
        // Held while asking, so that many requests ask once.
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| !held.is_due(now)) {
            return Ok(Arc::clone(&held.keys));
        }
        match self.borrow().await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *held = Some(Held { keys: Arc::clone(&keys), since: now });
                Ok(keys)
            }
            Err(error) => match held.as_ref().filter(|held| held.is_good(now)) {
                Some(held) => {
                    let reason = crate::chain(&error);
                    tracing::warn!(
                        reason,
                        "credentials cannot be renewed; the present ones are still good"
                    );
                    Ok(Arc::clone(&held.keys))
                }
                None => Err(error),
            },
        }
    }

    async fn renew(&self) -> bool {
        let now = (self.clock)();
        let mut held = self.held.lock().await;
        let young = held.as_ref().is_some_and(|held| {
            let age = now.as_micros().saturating_sub(held.since.as_micros());
            (0..micros(RENEW_PERIOD)).contains(&age)
        });
        if !young {
            *held = None;
        }
        !young
    }

    async fn borrow(&self) -> Result<AwsKeys, KeysError> {
        let first = match &self.origin {
            Origin::Fixed(keys) => Arc::clone(keys),
            Origin::Ambient(ambient) => Arc::new(self.ambient(ambient).await?),
        };
        match &self.role {
            Some(role) => {
                sts::assume_role(&self.world, role, &first, &self.region, (self.clock)()).await
            }
            None => Arc::into_inner(first).ok_or(KeysError::Nobody),
        }
    }

    /// In the order of AWS's own libraries.
    async fn ambient(&self, ambient: &Ambient) -> Result<AwsKeys, KeysError> {
        if let Some(identity) = &ambient.web_identity {
            return sts::assume_role_with_token(&self.world, identity, &self.region).await;
        }
        if let Some(container) = &ambient.container {
            return agents::container(&self.agents, container).await;
        }
        if let Some(endpoint) = &ambient.instance {
            return agents::instance(&self.agents, endpoint).await;
        }
        Err(KeysError::Nobody)
    }
}

impl Held {
    /// Whether others should be asked for.
    fn is_due(&self, now: Timestamp) -> bool {
        let Some(expires) = self.keys.expires else { return false };
        let life = expires.as_micros().saturating_sub(self.since.as_micros());
        let before = micros(RENEW_BEFORE).min(life / 4);
        now.as_micros() >= expires.as_micros().saturating_sub(before)
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.keys.expires.is_none_or(|expires| now < expires)
    }
}

fn micros(period: Duration) -> i64 {
    i64::try_from(period.as_micros()).unwrap_or(i64::MAX)
}

/// Asks whoever lends keys.
async fn ask(
    client: &HttpClient,
    from: &'static str,
    mut request: HttpRequest,
) -> Result<String, KeysError> {
    let note = Note::default();
    request.extensions_mut().insert(note.clone());
    let silent = |why: String| KeysError::Silent { from, why };
    let asked = async {
        let answer = client.execute(request).await.map_err(|_| silent(note.seen().failure))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(KeysError::Refused {
                from,
                status: status.as_u16(),
                code: note.seen().code,
            });
        }
        let read = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let read = read.map_err(|_| KeysError::Answer { from })?.to_bytes();
        String::from_utf8(read.to_vec()).map_err(|_| KeysError::Answer { from })
    };
    let late = || {
        tracing::warn!(from, "no credentials within {} s", ANSWER_TIME_MAX.as_secs());
        silent(SILENCE.to_owned())
    };
    tokio::time::timeout(ANSWER_TIME_MAX, asked).await.map_err(|_| late())?
}

async fn read_token(path: &PathBuf) -> Result<String, KeysError> {
    let read = tokio::fs::read_to_string(path).await;
    let read = read.map_err(|source| KeysError::File { path: path.clone(), source })?;
    Ok(read.trim().to_owned())
}
