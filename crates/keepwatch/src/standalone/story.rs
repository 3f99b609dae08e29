//! The demonstration: K10's daily backups, alice's ordinary work, and then mallory.
//!
//! Everybody is an ordinary client with a certificate of their own, over HTTPS; what they do is what
//! anybody could do with the kubeconfig. Sentences go to stderr, one for each thing that happens; the
//! numbers in them are counted, not made up. It can be played again in the same folder.

mod cast;
mod destination;
mod ending;
mod mallory;

use std::path::Path;

use anyhow::Result;
use futures::future::join_all;
use kasten::domain::{self, Names};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::kubeconfig;
use super::namespaces;
use crate::commands::say;
use cast::{Actor, name_of};

/// The applications that are backed up.
const APPLICATIONS: [&str; 3] = ["shop", "blog", "crm"];
/// The one whose namespace alice deletes, for a good reason.
const MOVED: &str = "blog";
/// Days of backups.
const DAYS: i64 = 5;
/// Names the key that everything is encrypted with.
const PASSKEY: &str = "k10-passkey";
/// What a policy run of K10's is called.
const SCHEDULED: &str = "scheduled-";

/// A story to be told.
pub(crate) struct Story {
    admin: kube::Client,
    kasten: Actor,
    alice: Actor,
    mallory: Actor,
    /// Where the kubeconfig is, for the commands at the end.
    kubeconfig: String,
}

impl Story {
    /// Everybody takes their certificate from `text`; `path` is where the reader finds it.
    pub(crate) async fn of(text: &str, path: &str) -> Result<Self> {
        Ok(Self {
            admin: kubeconfig::client(text, "admin").await?,
            kasten: Actor(kubeconfig::client(text, "kasten").await?),
            alice: Actor(kubeconfig::client(text, "alice").await?),
            mallory: Actor(kubeconfig::client(text, "mallory").await?),
            kubeconfig: path.to_owned(),
        })
    }

    /// Plays it, from the first backup to the commands to copy.
    pub(crate) async fn tell(self) {
        destination::set_up(&Actor(self.admin.clone()), self.home()).await;
        self.keep_backups().await;
        self.work().await;
        mallory::destroy(&self).await;
        self.back_up_again().await;
        ending::tell(&self).await;
    }

    /// K10's daily backups of three applications for a stretch of time.
    async fn keep_backups(&self) {
        say("Three applications run here, shop, blog and crm, and K10 backs them up every day.");
        namespaces::create(&self.admin, &APPLICATIONS).await;
        let spec = json!({"secret": {"name": "k10-cluster-passphrase", "namespace": "kasten-io"}});
        self.kasten.create(domain::PASSKEY, "", PASSKEY, &json!({}), &spec).await;
        let mut points = 0;
        for day in (1..=DAYS).rev() {
            let backups = APPLICATIONS.map(|application| self.back_up(application, day));
            points += join_all(backups).await.into_iter().flatten().count();
        }
        let spec = json!({"scheduledTime": days_ago(1)});
        let kind = domain::BACKUP_CLUSTER_ACTION;
        let of_cluster = self.kasten.create(kind, "", SCHEDULED, &json!({}), &spec).await;
        if let Some(action) = &of_cluster {
            self.kasten.until(kind, action, "Complete").await;
        }
        let and = if of_cluster.is_some() { ", and one of the cluster itself" } else { "" };
        say(&format!("{DAYS} days of backups later there are {points} new restore points{and}."));
    }

    /// The next night's backups: something is there again, for the reader to look at.
    async fn back_up_again(&self) {
        let left: Vec<&str> = APPLICATIONS.into_iter().filter(|name| *name != MOVED).collect();
        let backups = left.iter().map(|application| self.back_up(application, 0));
        let points = join_all(backups).await.into_iter().flatten().count();
        say(&format!(
            "The next night K10 backs up {} again: {points} new restore points, and nothing older.",
            left.join(" and ")
        ));
    }

    /// One backup that a policy makes, to its end.
    async fn back_up(&self, application: &str, day: i64) -> Option<DynamicObject> {
        let action = self.begin_backup(application, day).await?;
        self.kasten.until(domain::BACKUP_ACTION, &action, "Complete").await
    }

    async fn begin_backup(&self, application: &str, day: i64) -> Option<DynamicObject> {
        let labels = json!({
            (domain::POLICY_NAME): format!("daily-{application}"),
            (domain::POLICY_NAMESPACE): domain::K10_NAMESPACE,
        });
        let spec = json!({
            "subject": {"name": application, "namespace": application},
            "scheduledTime": days_ago(day),
        });
        self.kasten.create(domain::BACKUP_ACTION, application, SCHEDULED, &labels, &spec).await
    }

    /// Alice's ordinary work: reads, one restore, one legitimate namespace deletion.
    async fn work(&self) {
        let points = self.alice.list(domain::RESTORE_POINT, "crm").await;
        let count = points.len();
        say(&format!("alice looks at the {count} restore points of crm and reads the newest one."));
        let newest = points.iter().max_by_key(|point| point.metadata.creation_timestamp.clone());
        if let Some(newest) = newest {
            let name = name_of(newest);
            self.alice.get(domain::RESTORE_POINT, "crm", name).await;
            let subject = json!({"kind": "RestorePoint", "name": name, "namespace": "crm"});
            let spec = json!({"subject": subject});
            let kind = domain::RESTORE_ACTION;
            let action = self.alice.create(kind, "crm", "restore-", &json!({}), &spec).await;
            if let Some(action) = action {
                self.alice.until(kind, &action, "Complete").await;
                say(&format!("A migration went wrong, so alice restores crm from {name}."));
            }
        }
        let kept = self.alice.list(domain::RESTORE_POINT, MOVED).await.len();
        if self.alice.delete_namespace(MOVED).await {
            say(&format!(
                "The blog has moved: alice deletes its namespace, and the namespace controller \
                 deletes the {kept} restore points in it one by one."
            ));
        }
    }

    /// The folder with everything.
    fn home(&self) -> &Path {
        Path::new(&self.kubeconfig).parent().unwrap_or(Path::new("."))
    }
}

/// So many days before now, as Kubernetes writes times.
fn days_ago(days: i64) -> Value {
    let now: jiff::Timestamp = super::executor::now().parse().unwrap_or_default();
    (now - jiff::SignedDuration::from_hours(24 * days)).to_string().into()
}

/// A kind and what its objects are called in a sentence.
type Things = (Names, &'static str);
