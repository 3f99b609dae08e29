//! Sends samples for people who want to know whether a notifier works.

use std::sync::{Arc, OnceLock};

use apiserver::Clock as _;
use delivery::notification;
use futures::future::BoxFuture;
use siem::notifier::{NotifierSpec, NotifierTester};

use super::Parts;
use super::resolve::{Inputs, target};
use super::secrets::Secrets;
use crate::clock::SystemClock;

/// Sends samples, as soon as the server has told it how.
#[derive(Clone, Default)]
pub(crate) struct Tester(Arc<OnceLock<Parts>>);

impl Tester {
    /// From now on samples can be sent.
    pub(super) fn begin(&self, parts: Parts) {
        // A server begins once.
        drop(self.0.set(parts));
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
            let inputs = Inputs::of(&spec, ca_pem, |key| secrets.get(key));
            let notifier = target(&inputs, &parts.egress).notifier?;
            notification::test(&*notifier, &name, SystemClock.now()).await
        })
    }
}
