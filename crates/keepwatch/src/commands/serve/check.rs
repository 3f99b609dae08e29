//! Checks the flags together. Like kube-apiserver, it also checks flags that are not used.

use anyhow::Result;
use apiserver::trust::RequestHeaderNames;
use http::HeaderName;
use kasten::Installation;

use crate::args::EncodingName;
use crate::args::serve::{AccessArgs, AuditArgs, ListenArgs, ServeArgs};
use crate::modes::ProvidedFile;
use crate::usage_error::{UsageError, installation};

/// The file with the namespace of a pod's service account.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Returns the installation of K10 that the flags describe, or all contradictions in one error.
pub(super) fn all(args: &ServeArgs) -> Result<Installation, UsageError> {
    let mut errors = Vec::new();
    check_listen(&args.listen, &mut errors);
    check_audit(&args.audit, &mut errors);
    check_access(&args.access, &mut errors);
    args.audit_webhook.check(&mut errors);
    args.admission_webhook.check(&mut errors);
    args.log_files.check(&mut errors);
    args.buckets.check(&mut errors);
    args.log_files.check_output(&args.audit.audit_log_file, &mut errors);
    errors.extend(args.store.retention.contradiction());
    match described(args) {
        Ok(installation) if errors.is_empty() => Ok(installation),
        Ok(_) => Err(UsageError(errors)),
        Err(error) => Err(UsageError([errors, error.0].concat())),
    }
}

/// The installation of K10 by the flags. The default namespace is the pod's own, which is K10's
/// where K10's chart starts the container.
fn described(args: &ServeArgs) -> Result<Installation, UsageError> {
    let namespace = args
        .k10_namespace
        .clone()
        .or_else(own_namespace)
        .unwrap_or_else(|| kasten::names::K10_NAMESPACE.to_owned());
    installation(&args.k10_api_domain, &namespace)
}

/// The namespace of the pod's service account, in a pod that has one.
fn own_namespace() -> Option<String> {
    let own = std::fs::read_to_string(OWN_NAMESPACE).ok()?;
    Some(own.trim().to_owned()).filter(|own| !own.is_empty())
}

fn check_listen(args: &ListenArgs, errors: &mut Vec<String>) {
    match (&args.tls_cert_file, &args.tls_private_key_file) {
        (Some(_), None) => {
            errors.push("--tls-cert-file is given without --tls-private-key-file".to_owned());
        }
        (None, Some(_)) => {
            errors.push("--tls-private-key-file is given without --tls-cert-file".to_owned());
        }
        _ => {}
    }
    for (flag, value) in [
        ("--max-requests-inflight", args.max_requests_inflight),
        ("--max-mutating-requests-inflight", args.max_mutating_requests_inflight),
    ] {
        if value == 0 {
            errors.push(format!("{flag} must be at least 1"));
        }
    }
    if args.request_timeout.is_zero() {
        errors.push("--request-timeout must be more than 0".to_owned());
    }
}

fn check_audit(args: &AuditArgs, errors: &mut Vec<String>) {
    if args.audit_log_file_size <= 0 {
        let size = args.audit_log_file_size;
        errors.push(format!("--audit-log-file-size={size} must be at least 1 (megabyte)"));
    }
    for (flag, value) in [
        ("--audit-log-maxbackup", args.audit_log_maxbackup),
        ("--audit-log-maxage", args.audit_log_maxage),
    ] {
        if value < 0 {
            errors.push(format!("{flag}={value} must not be negative"));
        }
    }
    if !args.enable_k10_audit_cluster && !args.is_stdout() {
        errors.push(format!(
            "--audit-log-file={} contradicts --enable-k10-audit-cluster=false",
            args.audit_log_file.display()
        ));
    }
    if args.audit_log_file.as_os_str().is_empty() {
        errors.push("--audit-log-file must not be empty; - is standard output".to_owned());
    }
    if args.audit_log_format == EncodingName::Short {
        errors.push(
            "--audit-log-format=short is for people at a terminal, and log agents cannot parse it: \
             use kasten or v1"
                .to_owned(),
        );
    }
    if let Some(name) = &args.audit_policy
        && !audit::Builtin::ALL.iter().any(|builtin| builtin.as_str() == name)
    {
        errors.push(format!("--audit-policy={name} is not built in; it is k10, k10-7 or extended"));
    }
}

fn check_access(args: &AccessArgs, errors: &mut Vec<String>) {
    if args.authentication_skip_lookup && args.authentication_tolerate_lookup_failure {
        errors.push(
            "--authentication-skip-lookup contradicts --authentication-tolerate-lookup-failure"
                .to_owned(),
        );
    }
    if !args.requestheader_allowed_names.is_empty() && args.requestheader_client_ca_file.is_none() {
        errors.push(
            "--requestheader-allowed-names is given without --requestheader-client-ca-file"
                .to_owned(),
        );
    }
    if let Err(error) = remote_headers(args) {
        errors.extend(error.0);
    }
}

/// The files that the flags name, with those that hold keys or tokens.
pub(super) fn provided_files(args: &ServeArgs) -> impl Iterator<Item = ProvidedFile<'_>> {
    let (listen, access) = (&args.listen, &args.access);
    ProvidedFile::of_flags([
        ("--tls-private-key-file", &listen.tls_private_key_file, true),
        ("--kubeconfig", &access.kubeconfig, true),
        ("--authentication-kubeconfig", &access.authentication_kubeconfig, true),
        ("--authorization-kubeconfig", &access.authorization_kubeconfig, true),
        ("--tls-cert-file", &listen.tls_cert_file, false),
        ("--client-ca-file", &access.client_ca_file, false),
        ("--requestheader-client-ca-file", &access.requestheader_client_ca_file, false),
        ("--audit-policy-file", &args.audit.audit_policy_file, false),
        ("--audit-ca-file", &args.destinations.audit_ca_file, false),
        ("--bucket-source-ca-file", &args.buckets.bucket_source_ca_file, false),
    ])
    .chain(args.audit_webhook.provided_files())
    .chain(args.admission_webhook.provided_files())
}

/// The request-header names by the flags.
pub(super) fn remote_headers(args: &AccessArgs) -> Result<RequestHeaderNames, UsageError> {
    let mut errors = Vec::new();
    let mut names = |flag: &str, values: &[String]| -> Vec<HeaderName> {
        let mut names = Vec::new();
        for name in values {
            match name.parse() {
                Ok(name) => names.push(name),
                Err(_) => errors.push(format!("{flag}: {name:?} is not the name of a header")),
            }
        }
        names
    };
    let headers = RequestHeaderNames {
        username: names("--requestheader-username-headers", &args.requestheader_username_headers),
        uid: names("--requestheader-uid-headers", &args.requestheader_uid_headers),
        group: names("--requestheader-group-headers", &args.requestheader_group_headers),
        extra_prefix: args
            .requestheader_extra_headers_prefix
            .iter()
            .map(|prefix| prefix.to_ascii_lowercase())
            .collect(),
    };
    if errors.is_empty() { Ok(headers) } else { Err(UsageError(errors)) }
}
