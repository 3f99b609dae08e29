//! Resolves a notifier and its Secrets to the settings of delivery. Pure.

use std::collections::BTreeSet;

use delivery::notification::Target;
use detect::Template;
use secrecy::{ExposeSecret as _, SecretString};
use siem::notifier::{NotifierSpec, NotifierType, SecretKey};
use sink::http::EgressPolicy;
use sink::notifier::{Kind, Renderer, Settings, open};

/// The objects from which targets are built.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    spec: NotifierSpec,
    url: Result<SecretString, String>,
    secret: Result<Option<SecretString>, String>,
    ca_pem: Option<Vec<u8>>,
}

impl PartialEq for Inputs {
    fn eq(&self, other: &Self) -> bool {
        let text = |secret: &SecretString| secret.expose_secret().to_owned();
        let url = |inputs: &Self| inputs.url.as_ref().map(text).map_err(Clone::clone);
        let secret = |inputs: &Self| {
            inputs.secret.as_ref().map(|secret| secret.as_ref().map(text)).map_err(Clone::clone)
        };
        self.spec == other.spec
            && url(self) == url(other)
            && secret(self) == secret(other)
            && self.ca_pem == other.ca_pem
    }
}

impl Inputs {
    /// The target of a spec, with the Secrets that `get` returns.
    pub(super) fn new(
        spec: &NotifierSpec,
        ca_pem: Option<Vec<u8>>,
        get: impl Fn(&SecretKey) -> Result<SecretString, String>,
    ) -> Self {
        let url = match (&spec.url, &spec.url_secret_ref) {
            (_, Some(key)) => get(key),
            (Some(url), None) => Ok(url.clone().into()),
            (None, None) => Err("neither url nor urlSecretRef is set".to_owned()),
        };
        let secret = spec.secret_ref.as_ref().map(&get).transpose();
        Self { spec: spec.clone(), url, secret, ca_pem }
    }

    /// The notifier's settings, or why they cannot be resolved.
    pub(super) fn settings(&self, egress: &EgressPolicy) -> Result<Settings, String> {
        let spec = &self.spec;
        let own = spec.ca_bundle.as_deref().unwrap_or_default().as_bytes();
        let ca_pem = [self.ca_pem.as_deref().unwrap_or_default(), b"\n", own].concat();
        let renderer = match spec.template.as_deref().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let template =
                    Template::parse(text).map_err(|error| format!("template: {error}"))?;
                Some(Renderer::from_fn(move |lookup| template.render(&|name| lookup(name))))
            }
        };
        Ok(Settings {
            kind: match spec.kind {
                NotifierType::Alertmanager => Kind::Alertmanager,
                NotifierType::Webhook => Kind::Webhook,
                NotifierType::Slack => Kind::Slack,
            },
            url: self.url.clone()?,
            secret: self.secret.clone()?,
            ca_pem: Some(ca_pem),
            renderer,
            egress: egress.clone(),
        })
    }
}

/// The settings of delivery.
pub(super) fn target(inputs: &Inputs, egress: &EgressPolicy) -> Target {
    let spec = &inputs.spec;
    let settings = inputs.settings(egress);
    Target {
        notifier: settings.and_then(|settings| open(&settings).map_err(|error| error.to_string())),
        min_severity: spec.min_severity,
        rules: spec.rules.iter().cloned().collect::<BTreeSet<_>>(),
        sends_updates: spec.send_updates,
        sends_closed: spec.send_closed,
    }
}

#[cfg(test)]
mod tests {
    use event::Severity;

    use super::*;

    fn spec(kind: NotifierType) -> NotifierSpec {
        let key = |key: &str| SecretKey {
            namespace: "kasten-io".to_owned(),
            name: "team".to_owned(),
            key: key.to_owned(),
        };
        NotifierSpec {
            kind,
            url: None,
            url_secret_ref: Some(key("url")),
            secret_ref: Some(key("key")),
            min_severity: Severity::High,
            rules: vec!["r".to_owned()],
            template: Some("{{severity}}".to_owned()),
            send_updates: true,
            send_closed: false,
            ca_bundle: None,
        }
    }

    fn secret(key: &SecretKey) -> Result<SecretString, String> {
        match key.key.as_str() {
            "url" => Ok("https://canary.example/4711".into()),
            "key" => Ok("canary-4711-canary".into()),
            other => Err(format!("Secret {}/{} has no key {other}", key.namespace, key.name)),
        }
    }

    fn check(change: impl Fn(&mut NotifierSpec), expected: &str) {
        for kind in [NotifierType::Alertmanager, NotifierType::Webhook, NotifierType::Slack] {
            let mut spec = spec(kind);
            change(&mut spec);
            let inputs = Inputs::new(&spec, None, secret);
            assert!(!format!("{inputs:?}").contains("canary"));
            assert_eq!(inputs, Inputs::new(&spec, None, secret));
            assert_ne!(inputs, Inputs::new(&spec, Some(Vec::new()), secret));
            let target = target(&inputs, &EgressPolicy::default());
            let outcome = match &target.notifier {
                Ok(notifier) => notifier.origin().to_owned(),
                Err(error) => error.clone(),
            };
            assert_eq!(outcome, expected, "{kind:?}");
            assert_eq!((target.sends_updates, target.sends_closed), (true, false));
        }
    }

    #[test]
    fn a_spec_resolves_to_a_target_or_a_reason() {
        check(|_| {}, "https://canary.example");
        check(
            |spec| spec.secret_ref.as_mut().unwrap().key = "odd".to_owned(),
            "Secret kasten-io/team has no key odd",
        );
        check(|spec| spec.url_secret_ref = None, "neither url nor urlSecretRef is set");
        check(
            |spec| {
                spec.url_secret_ref = None;
                spec.url = Some("http://alertmanager:9093".to_owned());
            },
            "the url is plain http, which is not allowed here: use https, or allow it by a setting",
        );
    }

    #[test]
    fn a_changed_secret_is_a_new_target() {
        let spec = spec(NotifierType::Webhook);
        let before = Inputs::new(&spec, None, secret);
        assert_ne!(before, Inputs::new(&spec, None, |_| Ok("another".into())));
        assert_ne!(before, Inputs::new(&spec, None, |_| Err("none".to_owned())));
    }
}
