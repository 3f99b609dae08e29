//! Sends test notifications for users who test a notifier.

use std::sync::{Arc, OnceLock};

use apiserver::Clock as _;
use delivery::notification;
use futures::future::BoxFuture;
use siem::notifier::{NotifierSpec, NotifierTester};

use super::NotifierConfig;
use super::resolve::{Inputs, target};
use super::secrets::Secrets;
use crate::clock::SystemClock;

/// Sends test notifications, once the server has passed it a notifier.
#[derive(Clone, Default)]
pub(crate) struct Tester(Arc<OnceLock<NotifierConfig>>);

impl Tester {
    /// Enables test notifications.
    pub(super) fn enable(&self, parts: NotifierConfig) {
        // A server starts only once.
        self.0.set(parts).ok();
    }
}

impl NotifierTester for Tester {
    fn test(&self, name: String, spec: NotifierSpec) -> BoxFuture<'static, Result<String, String>> {
        let parts = self.0.get().cloned();
        Box::pin(async move {
            let parts = parts.ok_or("the server has only just started: try again")?;
            let mut secrets = Secrets::new(parts.client, parts.namespaces);
            let keys = [&spec.url_secret_ref, &spec.secret_ref];
            let keys: Vec<_> = keys.into_iter().flatten().cloned().collect();
            secrets.wait_for(&keys).await;
            let ca_pem = parts.ca_pem.borrow().clone();
            let inputs = Inputs::new(&spec, ca_pem, |key| secrets.get(key));
            let notifier = target(&inputs, &parts.egress).notifier?;
            notification::test(&*notifier, &name, SystemClock.now()).await
        })
    }
}
