//! The demo: K10's daily backups, alice's ordinary work, and then mallory, who destroys backups.
//!
//! Each user is an ordinary HTTPS client with its own certificate; a reader can send the same
//! requests with the kubeconfig. The text goes to stderr, synchronized with the audit lines; its
//! numbers are counted from the responses. The demo can run again in the same folder.

mod client;
mod destination;
mod ending;
mod mallory;
mod narrator;

use std::path::{Path, PathBuf};

use anyhow::Result;
use futures::future::join_all;
use kasten::kinds;
use kasten::names::{self, ResourceNames};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::kubeconfig;
use super::namespaces;
use client::{DemoUser, name_of};

pub(crate) use narrator::Narrator;

/// The applications that are backed up.
const APPLICATIONS: [&str; 3] = ["shop", "blog", "crm"];
/// The application that moves to another cluster, so that alice deletes its namespace.
const MOVED: &str = "blog";
/// Days of backups.
const DAYS: i64 = 5;
/// The name of the passkey.
const PASSKEY: &str = "k10-passkey";
/// Prefix of the names of actions that a policy of K10 creates.
const SCHEDULED: &str = "scheduled-";

/// A demo that is ready to run.
pub(crate) struct Demo {
    admin: kube::Client,
    kasten: DemoUser,
    alice: DemoUser,
    mallory: DemoUser,
    narrator: Narrator,
    /// The path of the kubeconfig, for the commands at the end.
    kubeconfig: PathBuf,
    /// Whether the server keeps running after the demo.
    keeps_running: bool,
}

impl Demo {
    /// Connects each user with its certificate in the kubeconfig `text`, which is stored at `path`.
    pub(crate) async fn connect(
        text: &str,
        path: PathBuf,
        narrator: Narrator,
        keeps_running: bool,
    ) -> Result<Self> {
        Ok(Self {
            admin: kubeconfig::client(text, "admin").await?,
            kasten: DemoUser(kubeconfig::client(text, "kasten").await?),
            alice: DemoUser(kubeconfig::client(text, "alice").await?),
            mallory: DemoUser(kubeconfig::client(text, "mallory").await?),
            narrator,
            kubeconfig: path,
            keeps_running,
        })
    }

    /// Runs the demo, from the first backup to the commands at the end.
    pub(crate) async fn run(self) {
        self.prepare().await;
        self.create_backups().await;
        self.work_as_alice().await;
        mallory::destroy(&self).await;
        self.back_up_again().await;
        ending::print(&self).await;
    }

    /// Creates the objects that exist before the first backup: a destination for events,
    /// applications and a passkey.
    async fn prepare(&self) {
        self.narrator
            .announce("A destination for events, three applications, and a passkey:")
            .await;
        let is_ready = destination::set_up(&DemoUser(self.admin.clone())).await;
        namespaces::create(&self.admin, &APPLICATIONS).await;
        let spec = json!({"secret": {"name": "k10-cluster-passphrase", "namespace": "kasten-io"}});
        self.kasten.create(kinds::PASSKEY, "", PASSKEY, &json!({}), &spec).await;
        if is_ready {
            let folder = destination::folder(self.data_dir());
            self.narrator
                .report(&format!(
                    "An AuditConfig sends what is recorded to a destination too, here the folder {}.",
                    folder.display()
                ))
                .await;
        }
    }

    /// K10's daily backups of three applications for some days.
    async fn create_backups(&self) {
        self.narrator
            .announce(&format!(
                "K10's own account backs up {}, {DAYS} days in a few seconds (no cluster, no data):",
                APPLICATIONS.join(", ")
            ))
            .await;
        let mut points = 0;
        for day in (1..=DAYS).rev() {
            let backups = APPLICATIONS.map(|application| self.back_up(application, day));
            points += join_all(backups).await.into_iter().flatten().count();
        }
        let spec = json!({"scheduledTime": days_ago(1)});
        let kind = kinds::BACKUP_CLUSTER_ACTION;
        let mut of_cluster = 0;
        if let Some(action) = self.kasten.create(kind, "", SCHEDULED, &json!({}), &spec).await {
            of_cluster =
                usize::from(self.kasten.wait_for_state(kind, &action, "Complete").await.is_some());
        }
        self.narrator
            .report(&format!(
                "There are {points} new restore points of applications and {of_cluster} of the cluster."
            ))
            .await;
    }

    /// The backups of the next night, of which the reader can inspect some.
    async fn back_up_again(&self) {
        let remaining: Vec<&str> = APPLICATIONS.into_iter().filter(|name| *name != MOVED).collect();
        self.narrator
            .announce(&format!("The next night K10 backs up {} again:", remaining.join(" and ")))
            .await;
        let backups = remaining.iter().map(|application| self.back_up(application, 0));
        let points = join_all(backups).await.into_iter().flatten().count();
        let admin = DemoUser(self.admin.clone());
        let all = admin.list(kinds::RESTORE_POINT_CONTENT, "").await.len();
        let older = all.saturating_sub(points);
        self.narrator
            .report(&format!(
                "There are {points} new restore points, and {older} older ones are left."
            ))
            .await;
    }

    /// One backup by a policy, until it has finished.
    async fn back_up(&self, application: &str, day: i64) -> Option<DynamicObject> {
        let action = self.start_backup(application, day).await?;
        self.kasten.wait_for_state(kinds::BACKUP_ACTION, &action, "Complete").await
    }

    async fn start_backup(&self, application: &str, day: i64) -> Option<DynamicObject> {
        let labels = json!({
            (names::POLICY_NAME): format!("daily-{application}"),
            (names::POLICY_NAMESPACE): names::K10_NAMESPACE,
        });
        let spec = json!({
            "subject": {"name": application, "namespace": application},
            "scheduledTime": days_ago(day),
        });
        self.kasten.create(kinds::BACKUP_ACTION, application, SCHEDULED, &labels, &spec).await
    }

    /// Alice's ordinary work: reads, one restore, one legitimate namespace deletion.
    async fn work_as_alice(&self) {
        self.narrator.announce("alice, a developer, restores crm after a migration:").await;
        let points = self.alice.list(kinds::RESTORE_POINT, "crm").await;
        let newest = points.iter().max_by_key(|point| point.metadata.creation_timestamp.clone());
        if let Some(newest) = newest {
            let name = name_of(newest);
            self.alice.get(kinds::RESTORE_POINT, "crm", name).await;
            let subject = json!({"kind": "RestorePoint", "name": name, "namespace": "crm"});
            let spec = json!({"subject": subject});
            let kind = kinds::RESTORE_ACTION;
            let action = self.alice.create(kind, "crm", "restore-", &json!({}), &spec).await;
            let is_restored = match &action {
                Some(action) => self.alice.wait_for_state(kind, action, "Complete").await.is_some(),
                None => false,
            };
            let outcome =
                if is_restored { "restored crm from it" } else { "could not restore crm" };
            let count = points.len();
            self.narrator
                .report(&format!(
                    "alice looked at {count} restore points of crm, read the newest and {outcome}."
                ))
                .await;
        }
        self.delete_moved().await;
    }

    async fn delete_moved(&self) {
        self.narrator
            .announce(&format!("{MOVED} has moved elsewhere: alice deletes its namespace:"))
            .await;
        let before = self.alice.list(kinds::RESTORE_POINT, MOVED).await.len();
        if !self.alice.delete_namespace(MOVED).await {
            return;
        }
        let admin = DemoUser(self.admin.clone());
        let after = admin.list(kinds::RESTORE_POINT, MOVED).await.len();
        self.narrator
            .report(&format!(
                "The namespace controller deleted the {} restore points in it, one by one.",
                before.saturating_sub(after)
            ))
            .await;
    }

    /// The data directory.
    fn data_dir(&self) -> &Path {
        self.kubeconfig.parent().unwrap_or(Path::new("."))
    }
}

/// This many days before now, as Kubernetes writes times.
fn days_ago(days: i64) -> Value {
    let now: jiff::Timestamp = super::executor::now().parse().unwrap_or_default();
    (now - jiff::SignedDuration::from_hours(24 * days)).to_string().into()
}

/// A kind, and the noun for its objects.
type KindAndNoun = (ResourceNames, &'static str);
