//! The files of `keepwatch rules new`: a rule that finds something, and events for its test.

/// The rule.
pub(super) fn rule(name: &str) -> String {
    format!(
        "\
# Fields, modifiers and the section keepwatch: docs/reference/rules.md
title: Secrets deleted by a person
id: {name}
status: experimental
description: >-
  Say in one or two sentences what this finds, and why it matters.
author: your name
tags:
  - attack.impact
  - attack.t1485
level: medium
logsource:
  product: kubernetes
  service: audit
detection:
  deletion:
    objectRef.resource: secrets
    verb: delete
    succeeded: true
  automation:
    user.isServiceAccount: true
  condition: deletion and not automation
falsepositives:
  - Say who does this for a good reason.
keepwatch:
  group-by: [user.username]
  keep-alive: 1h
  max-duration: 24h
  title: '{{{{@User.username}}}} deleted {{{{events_matched}}}} secrets'
  message: |
    {{{{@User.username}}}} deleted {{{{events_matched}}}} secrets since {{{{first_seen}}}}, from
    {{{{source_ips}}}}. The objects: {{{{targets}}}}.
  goal: >-
    What it is meant to find.
  strategy: >-
    How it finds it.
  response: |
    1. Everything that this identity did around it:
       `keepwatch investigate user '{{{{@User.username}}}}' --since 24h`
"
    )
}

/// The example events: a set that raises a signal, and a near miss.
pub(super) const EVENTS: &str = r#"{"example": "a person deletes three secrets", "expect": [{"severity": "medium", "count": 3, "user": "alice"}]}
{"repeat": 3, "every": "10s", "event": {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "00000001-0000-4000-8000-000000000001", "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/secrets/token-{n}", "verb": "delete", "user": {"username": "alice", "groups": ["system:authenticated"]}, "sourceIPs": ["192.0.2.7"], "userAgent": "kubectl/v1.37.0", "objectRef": {"resource": "secrets", "namespace": "shop", "name": "token-{n}", "apiVersion": "v1"}, "responseStatus": {"metadata": {}, "code": 200}, "requestReceivedTimestamp": "2026-11-23T09:00:00.000000Z", "stageTimestamp": "2026-11-23T09:00:00.001000Z"}}

{"example": "a controller deletes one, and a person is refused", "expect": []}
{"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "00000002-0000-4000-8000-000000000001", "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/secrets/token-1", "verb": "delete", "user": {"username": "system:serviceaccount:shop:cleaner", "groups": ["system:serviceaccounts", "system:authenticated"]}, "sourceIPs": ["192.0.2.9"], "objectRef": {"resource": "secrets", "namespace": "shop", "name": "token-1", "apiVersion": "v1"}, "responseStatus": {"metadata": {}, "code": 200}, "requestReceivedTimestamp": "2026-11-23T09:00:00.000000Z", "stageTimestamp": "2026-11-23T09:00:00.001000Z"}
{"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "00000003-0000-4000-8000-000000000001", "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/secrets/token-2", "verb": "delete", "user": {"username": "alice", "groups": ["system:authenticated"]}, "sourceIPs": ["192.0.2.7"], "objectRef": {"resource": "secrets", "namespace": "shop", "name": "token-2", "apiVersion": "v1"}, "responseStatus": {"metadata": {}, "status": "Failure", "code": 403}, "requestReceivedTimestamp": "2026-11-23T09:01:00.000000Z", "stageTimestamp": "2026-11-23T09:01:00.001000Z"}
"#;
