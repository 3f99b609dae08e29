//! The end-to-end tests: Keepwatch behind a real kube-apiserver, used with unmodified clients.
//!
//! Most tests share one control plane and one Keepwatch. A test that stops a server or changes the
//! trusted CAs holds both exclusively.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod admission_webhook;
mod audit_config_azure_gcs;
mod audit_config_s3;
mod audit_configs;
mod audit_events;
mod audit_log_files;
mod audit_log_forward;
mod audit_log_rotations;
mod audit_webhook;
mod aws_credentials;
mod backup_tools;
mod bucket_sources;
mod buckets;
mod chart;
mod chart_values;
mod chart_variations;
mod clients;
mod cluster_controllers;
mod costly_requests;
mod destination_recovery;
mod doctor;
mod fixture;
mod installed;
mod kinds;
mod memory;
mod notifiers;
mod oracle;
mod other_domain;
mod playbooks;
mod proxy;
mod request_conformance;
mod restarts;
mod sample_apiserver;
mod secret_leaks;
mod standalone;
mod trust;
mod unread_responses;
