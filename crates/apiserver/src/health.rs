//! The health endpoints `/healthz`, `/livez` and `/readyz`.
//!
//! The format is kube-apiserver's: `ok`, or one line per check with `?verbose` and on failure. The
//! reason of a failure goes to the log only, because the prober may be unauthenticated.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use tracing::warn;

use crate::{ApiResponse, routes};

/// Runs a health check. Returns the reason if it fails.
pub type Probe = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A health check.
#[derive(Clone)]
pub struct HealthCheck {
    /// Name in the list and in the path below the endpoint.
    pub name: &'static str,
    /// Endpoints that run this check.
    pub scope: CheckScope,
    /// Function that runs the check.
    pub probe: Probe,
}

/// Endpoints that a check belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckScope {
    /// All three endpoints. A restart is the remedy for a failure.
    All,
    /// `/readyz` only. The failure may resolve without a restart.
    ReadyzOnly,
}

/// State of an optional component. `/readyz?verbose` lists it, but it fails no check: the server
/// works without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advisory {
    /// Name in the list and in the path below the endpoint.
    pub name: String,
    /// Problem of the component, if any.
    pub degradation: Option<Degradation>,
}

/// A problem of an optional component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degradation {
    /// Extent of the problem. Visible to all clients.
    pub extent: String,
    /// Reason. Visible to authenticated users only.
    pub reason: String,
}

/// Returns the state of all optional components.
pub type Advisories = Arc<dyn Fn() -> Vec<Advisory> + Send + Sync>;

/// All health checks of a server.
pub(crate) struct Health {
    checks: Vec<HealthCheck>,
    advisories: Advisories,
    is_closing: Arc<AtomicBool>,
}

impl Health {
    /// Creates the checks, with `ping` first and `shutdown` last.
    pub(crate) fn new(checks: Vec<HealthCheck>, advisories: Advisories) -> Self {
        let is_closing = Arc::new(AtomicBool::new(false));
        let ping = HealthCheck { name: "ping", scope: CheckScope::All, probe: Arc::new(|| Ok(())) };
        let flag = Arc::clone(&is_closing);
        let shutdown = HealthCheck {
            name: "shutdown",
            scope: CheckScope::ReadyzOnly,
            probe: Arc::new(move || {
                if flag.load(Ordering::Relaxed) {
                    Err("the server is shutting down".to_owned())
                } else {
                    Ok(())
                }
            }),
        };
        let checks = std::iter::once(ping).chain(checks).chain([shutdown]).collect();
        Self { checks, advisories, is_closing }
    }

    /// Makes the server not ready, permanently.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// Responds if `path` is a health endpoint or a check below one. Includes the reasons of
    /// problems only if the user is authenticated (`is_authenticated`).
    pub(crate) fn response(
        &self,
        path: &str,
        query: &[(String, String)],
        is_authenticated: bool,
    ) -> Option<ApiResponse> {
        let (endpoint, below) = match path.strip_prefix('/')?.split_once('/') {
            Some((endpoint, below)) => (endpoint, below.trim_end_matches('/')),
            None => (path.strip_prefix('/')?, ""),
        };
        if !matches!(endpoint, "healthz" | "livez" | "readyz") {
            return None;
        }
        let counts = |check: &&HealthCheck| endpoint == "readyz" || check.scope == CheckScope::All;
        if !below.is_empty() {
            let check = self.checks.iter().filter(counts).find(|check| check.name == below);
            return check.map(check_response).or_else(|| {
                let advisories = self.advisories(endpoint);
                let advisory = advisories.iter().find(|advisory| advisory.name == below)?;
                Some(routes::text(StatusCode::OK, advisory.text(is_authenticated)))
            });
        }
        let verbose = query.iter().any(|(key, _)| key == "verbose");
        let excluded: Vec<&str> = query
            .iter()
            .filter(|(key, _)| key == "exclude")
            .map(|(_, value)| value.as_str())
            .collect();
        let advisories =
            if verbose || !excluded.is_empty() { self.advisories(endpoint) } else { Vec::new() };
        let lines = advisories
            .iter()
            .map(|advisory| (advisory.name.as_str(), advisory.line(is_authenticated)));
        let checks = self.checks.iter().filter(counts);
        Some(report(endpoint, checks, &lines.collect::<Vec<_>>(), &excluded, verbose))
    }

    fn advisories(&self, endpoint: &str) -> Vec<Advisory> {
        if endpoint == "readyz" { (self.advisories)() } else { Vec::new() }
    }
}

impl Advisory {
    /// Line in the verbose list. A component with a problem has `[!]` instead of `[+]`.
    fn line(&self, is_authenticated: bool) -> String {
        let mark = if self.degradation.is_some() { "[!]" } else { "[+]" };
        format!("{mark}{} {}", self.name, self.text(is_authenticated))
    }

    fn text(&self, is_authenticated: bool) -> String {
        let Some(Degradation { extent, reason }) = &self.degradation else {
            return "ok".to_owned();
        };
        // The text of a destination must not break the line.
        let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let reason = if is_authenticated { &reason } else { "reason withheld" };
        format!("is degraded, which fails no check: {extent}: {reason}")
    }
}

fn check_response(check: &HealthCheck) -> ApiResponse {
    match (check.probe)() {
        Ok(()) => routes::text(StatusCode::OK, "ok"),
        Err(reason) => {
            warn!(check = check.name, reason, "health check failed");
            routes::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal server error: reason withheld",
            )
        }
    }
}

fn report<'c>(
    endpoint: &str,
    checks: impl Iterator<Item = &'c HealthCheck>,
    advisories: &[(&str, String)],
    excluded: &[&str],
    verbose: bool,
) -> ApiResponse {
    let mut lines = String::new();
    let mut unmatched: Vec<&str> = excluded.to_vec();
    let mut failed = Vec::new();
    for check in checks {
        let name = check.name;
        let line = if excluded.contains(&name) {
            unmatched.retain(|excluded| *excluded != name);
            writeln!(lines, "[+]{name} excluded: ok")
        } else if let Err(reason) = (check.probe)() {
            failed.push(name);
            warn!(check = name, reason, endpoint, "health check failed");
            writeln!(lines, "[-]{name} failed: reason withheld")
        } else {
            writeln!(lines, "[+]{name} ok")
        };
        line.unwrap_or_default();
    }
    for (name, line) in advisories {
        unmatched.retain(|excluded| excluded != name);
        let line = if excluded.contains(name) {
            writeln!(lines, "[+]{name} excluded: ok")
        } else {
            writeln!(lines, "{line}")
        };
        line.unwrap_or_default();
    }
    if !unmatched.is_empty() {
        let names: Vec<String> = unmatched.iter().map(|name| format!("{name:?}")).collect();
        let names = names.join(",");
        writeln!(lines, "warn: some health checks cannot be excluded: no matches for {names}")
            .unwrap_or_default();
    }
    if !failed.is_empty() {
        let text = format!("{lines}{endpoint} check failed\n");
        return routes::text(StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    if verbose {
        return routes::text(StatusCode::OK, format!("{lines}{endpoint} check passed\n"));
    }
    routes::text(StatusCode::OK, "ok")
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::request_info::query_pairs;

    fn check(health: &Health, url: &str, expected: &str) {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let actual = health.response(path, &query_pairs(Some(query)), true).map_or_else(
            || "-".to_owned(),
            |response| {
                format!("{} {}", response.code.as_u16(), String::from_utf8_lossy(&response.body))
            },
        );
        assert_eq!(actual, expected, "{url}");
    }

    #[test]
    fn endpoints_answer_as_upstream() {
        let lagging = HealthCheck {
            name: "delivery",
            scope: CheckScope::ReadyzOnly,
            probe: Arc::new(|| Err("secret".to_owned())),
        };
        let health = Health::new(vec![lagging], Arc::new(Vec::new));
        check(&health, "/healthz", "200 ok");
        check(&health, "/livez?verbose", "200 [+]ping ok\nlivez check passed\n");
        check(
            &health,
            "/readyz",
            "500 [+]ping ok\n[-]delivery failed: reason withheld\n[+]shutdown ok\nreadyz check failed\n",
        );
        check(&health, "/readyz?exclude=delivery", "200 ok");
        check(
            &health,
            "/readyz?verbose=1&exclude=delivery&exclude=x",
            "200 [+]ping ok\n[+]delivery excluded: ok\n[+]shutdown ok\nwarn: some health checks cannot be excluded: no matches for \"x\"\nreadyz check passed\n",
        );
        check(&health, "/readyz/ping", "200 ok");
        check(&health, "/readyz/delivery", "500 internal server error: reason withheld");
        check(&health, "/livez/delivery", "-");
        check(&health, "/other", "-");
        health.close();
        check(&health, "/livez", "200 ok");
        check(
            &health,
            "/readyz?exclude=delivery",
            "500 [+]ping ok\n[+]delivery excluded: ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n",
        );
    }

    #[test]
    fn a_failed_sink_is_reported_and_does_not_make_the_server_unready() {
        let advisories = || {
            let degradation = |reason: &str| {
                let extent = "7 records wait".to_owned();
                Some(Degradation { extent, reason: reason.to_owned() })
            };
            vec![
                Advisory { name: "sink-stdout".to_owned(), degradation: None },
                Advisory {
                    name: "sink-file".to_owned(),
                    degradation: degradation("disk\n[-]full"),
                },
            ]
        };
        let health = Health::new(Vec::new(), Arc::new(advisories));
        check(&health, "/readyz", "200 ok");
        check(&health, "/livez?verbose", "200 [+]ping ok\nlivez check passed\n");
        check(
            &health,
            "/readyz?verbose",
            "200 [+]ping ok\n[+]shutdown ok\n[+]sink-stdout ok\n[!]sink-file is degraded, which fails no check: 7 records wait: disk [-]full\nreadyz check passed\n",
        );
        check(
            &health,
            "/readyz?verbose&exclude=sink-file",
            "200 [+]ping ok\n[+]shutdown ok\n[+]sink-stdout ok\n[+]sink-file excluded: ok\nreadyz check passed\n",
        );
        check(&health, "/readyz/sink-stdout", "200 ok");
        check(&health, "/livez/sink-stdout", "-");
        let anonymous = health.response("/readyz/sink-file", &[], false).unwrap();
        assert_eq!(
            anonymous.body,
            "is degraded, which fails no check: 7 records wait: reason withheld"
        );
    }
}
