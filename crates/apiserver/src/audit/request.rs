//! The audit ID of a request, and its event, which starts with the evaluation of the audit policy.

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::RequestInfo;
use audit::{Decision, EventBuilder, RequestMetadata, Stages};
use event::{Level, ObjectReference, Stage, UserInfo};
use http::{HeaderMap, HeaderValue, header};

use crate::AuditContext;
use crate::authn::peer::Peer;
use crate::handler::RequestContext;
use crate::state::ServerState;

/// Prefix of the audit IDs of the server's own events. No request may use it.
const OWN_PREFIX: &[u8] = b"keepwatch-";

/// Returns the audit ID of the front proxy, so that kube-apiserver's audit log can be joined with
/// this one; otherwise a new ID. An ID from any other client is ignored: a client could reuse the
/// ID of another request to hide its own.
pub(crate) fn audit_id(headers: &HeaderMap, is_front_proxy: bool) -> HeaderValue {
    match headers.get("audit-id").filter(|id| is_front_proxy && !id.is_empty()) {
        Some(id) if is_acceptable(id.as_bytes()) => id.clone(),
        // kube-apiserver accepts any ID from its clients. A digest of it can still be joined.
        Some(id) => {
            let digest = event::limit::digest(id.as_bytes());
            let text = format!("sha256-{}", digest.get(..32).unwrap_or_default());
            HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown"))
        }
        None => {
            let mut buffer = uuid::Uuid::encode_buffer();
            let text = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
            HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
        }
    }
}

fn is_acceptable(id: &[u8]) -> bool {
    let is_own =
        id.get(..OWN_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX));
    id.len() <= event::limit::AUDIT_ID_BYTES_MAX && id.iter().all(u8::is_ascii_graphic) && !is_own
}

/// Evaluates the policy and begins the event if the request is audited. `user` is an error if
/// authentication failed.
pub(crate) fn evaluate_policy(
    state: &Arc<ServerState>,
    context: &RequestContext,
    peer: &Peer,
    user: Result<&UserInfo, FailedAuthentication>,
) -> AuditContext {
    let failed = user.err();
    let user = user.ok();
    let request = &context.request;
    let info = &request.info;
    let decision = state.policy.load().decide(&audit::Attributes {
        user: user.map(|user| audit::User { name: &user.username, groups: &user.groups }),
        verb: &info.verb,
        is_resource_request: info.is_resource_request,
        namespace: &info.namespace,
        api_group: &info.api_group,
        api_version: &info.api_version,
        resource: &info.resource,
        subresource: &info.subresource,
        name: &info.name,
        path: &info.path,
    });
    let decision = raised(decision, state.registry.audit_level_min(info));
    let decision = match failed {
        Some(FailedAuthentication { with_credentials: true }) => {
            for_failed_authentication(decision)
        }
        _ => decision,
    };
    state.metrics.audit_level(decision.level);
    let builder = EventBuilder::begin(&decision, || {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        RequestMetadata {
            audit_id: text(&context.audit_id),
            request_uri: context.uri.path_and_query().map_or("/", |uri| uri.as_str()).to_owned(),
            verb: info.verb.clone(),
            user: user.cloned().unwrap_or_default(),
            authentication_metadata: None,
            source_ips: source_ips(&request.headers, peer.address),
            user_agent: request.headers.get(header::USER_AGENT).map(text).unwrap_or_default(),
            object_ref: object_ref(info),
            received: request.received,
            long_running: info.is_resource_request && info.verb == "watch",
            recorded_fields: None,
        }
    });
    AuditContext::new(builder, Arc::clone(&state.clock))
}

/// The request failed authentication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedAuthentication {
    /// Whether the request carried credentials.
    pub(crate) with_credentials: bool,
}

/// Invalid credentials are audited at level Metadata at least, regardless of the policy, because
/// the response reveals whether guessed credentials are valid.
fn for_failed_authentication(decision: Decision) -> Decision {
    let mut omit_stages = Stages::default();
    omit_stages.insert(Stage::RequestReceived);
    Decision { level: decision.level.max(Level::Metadata), omit_stages, ..decision }
}

/// Raises the decision to the minimum level of the resource.
fn raised(decision: Decision, level_min: Level) -> Decision {
    let omits_end = decision.omit_stages.contains(Stage::ResponseComplete)
        || decision.omit_stages.contains(Stage::Panic);
    if level_min == Level::None || (decision.level >= level_min && !omits_end) {
        return decision;
    }
    let mut omit_stages = Stages::default();
    omit_stages.insert(Stage::RequestReceived);
    Decision { level: decision.level.max(level_min), omit_stages, ..decision }
}

fn object_ref(info: &RequestInfo) -> Option<ObjectReference> {
    info.is_resource_request.then(|| ObjectReference {
        resource: info.resource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        uid: String::new(),
        api_group: info.api_group.clone(),
        api_version: info.api_version.clone(),
        resource_version: String::new(),
        subresource: info.subresource.clone(),
    })
}

/// Addresses from `X-Forwarded-For` in order, then `X-Real-Ip`, then the peer address. Only the
/// last is trustworthy.
fn source_ips(headers: &HeaderMap, peer: IpAddr) -> Vec<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut addresses: Vec<IpAddr> = text("x-forwarded-for")
        .into_iter()
        .flat_map(|list| list.split(','))
        .filter_map(|part| address(part.trim()))
        .collect();
    if let Some(real) = text("x-real-ip").and_then(|part| address(part.trim()))
        && !addresses.contains(&real)
    {
        addresses.push(real);
    }
    if addresses.last() != Some(&peer) {
        addresses.push(peer);
    }
    addresses.iter().map(IpAddr::to_string).collect()
}

/// Parses an address as Go does for Kubernetes: IPv4-mapped IPv6 becomes IPv4, leading zeros are
/// accepted.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let parts: Vec<String> = text
        .split('.')
        .map(|part| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0".to_owned(),
            part => part.to_owned(),
        })
        .collect();
    parts.join(".").parse::<IpAddr>().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn check(pairs: &[(&'static str, &'static str)], peer: &str, expected: &[&str]) {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        assert_eq!(source_ips(&headers, peer.parse().unwrap()), expected);
    }

    #[test]
    fn source_addresses_are_collected_as_in_kubernetes() {
        check(&[], "10.0.0.1", &["10.0.0.1"]);
        let forwarded = "x-forwarded-for";
        check(&[(forwarded, "1.2.3.4, 5.6.7.8")], "10.0.0.1", &["1.2.3.4", "5.6.7.8", "10.0.0.1"]);
        check(&[(forwarded, "1.2.3.4, 10.0.0.1")], "10.0.0.1", &["1.2.3.4", "10.0.0.1"]);
        check(&[(forwarded, "nonsense, ,1.2.3.4")], "10.0.0.1", &["1.2.3.4", "10.0.0.1"]);
        check(&[(forwarded, "::ffff:1.2.3.4, 001.02.3.0")], "::1", &["1.2.3.4", "1.2.3.0", "::1"]);
        let real = ("x-real-ip", "9.9.9.9");
        check(&[real], "10.0.0.1", &["9.9.9.9", "10.0.0.1"]);
        check(
            &[(forwarded, "9.9.9.9, 1.1.1.1"), real],
            "10.0.0.1",
            &["9.9.9.9", "1.1.1.1", "10.0.0.1"],
        );
        check(&[(forwarded, "1.1.1.1"), (forwarded, "2.2.2.2")], "::1", &["1.1.1.1", "::1"]);
    }

    #[test]
    fn a_kind_may_require_a_higher_level_than_the_policy() {
        let decided = |level, omitted: &[Stage]| {
            let mut omit_stages = Stages::default();
            for stage in omitted {
                omit_stages.insert(*stage);
            }
            Decision { level, rule: None, omit_stages, omit_managed_fields: true }
        };
        let check = |before: Decision, level_min, after: Decision| {
            assert_eq!(raised(before, level_min), after);
        };
        let only_received = &[Stage::RequestReceived];
        let ends = &[Stage::ResponseComplete];
        let raised = decided(Level::Request, only_received);
        check(decided(Level::None, &[]), Level::None, decided(Level::None, &[]));
        check(decided(Level::None, &[]), Level::Request, raised);
        check(decided(Level::Metadata, ends), Level::Request, raised);
        check(decided(Level::Request, ends), Level::Request, raised);
        check(decided(Level::Request, &[]), Level::Request, decided(Level::Request, &[]));
        let all = decided(Level::RequestResponse, &[]);
        check(all, Level::Request, all);
        check(decided(Level::Metadata, ends), Level::None, decided(Level::Metadata, ends));
    }

    #[test]
    fn an_audit_id_is_accepted_only_from_the_front_proxy_and_within_bounds() {
        let check = |id: &str, is_front_proxy: bool, expected: &str| {
            let mut headers = HeaderMap::new();
            if !id.is_empty() {
                headers.insert("audit-id", HeaderValue::from_bytes(id.as_bytes()).unwrap());
            }
            let actual = audit_id(&headers, is_front_proxy);
            let actual = actual.to_str().unwrap();
            let kind = match actual.len() {
                36 if actual != id => "new",
                39 if actual.starts_with("sha256-") => "digest",
                _ => actual,
            };
            assert_eq!(kind, expected, "{id:.80}");
        };
        check("", true, "new");
        check("chosen", true, "chosen");
        check("chosen", false, "new");
        check("9d0a4b3c-1111-4222-8333-444455556666", false, "new");
        check(&"a".repeat(64), true, &"a".repeat(64));
        check(&"a".repeat(65), true, "digest");
        check(&"a".repeat(800_000), true, "digest");
        check("keepwatch-heartbeat-1", true, "digest");
        check("KeepWatch-gap-1-2-3", true, "digest");
        check("with space", true, "digest");
        check("caf\u{e9}", true, "digest");
    }
}
