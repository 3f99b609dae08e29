//! What facts mean, put together.

use detect::RuleSet;
use serde::Serialize;
use serde_json::Value;

use crate::auditing::{self, Auditing};
use crate::behaviours::{self, ToolBehaviours, Visible};
use crate::connections::{self, Installation};
use crate::facts::Facts;
use crate::obstacles;
use crate::platform::{self, Platform};
use crate::sources::{self, SourceFinding};
use crate::tools::{self, ToolFinding};
use crate::values;

/// What the user knows and the cluster does not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Name of the cluster.
    pub cluster_name: Option<String>,
    /// URL of the bucket with the provider's log.
    pub bucket: Option<String>,
}

/// The findings about a cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// The cluster.
    pub cluster: ClusterFinding,
    /// The servers of Keepwatch in it.
    pub keepwatch: Vec<Installation>,
    /// Sources of other clusters that deliver to them.
    pub sources_of_other_clusters: Vec<String>,
    /// The backup tools in it.
    pub tools: Vec<ToolFinding>,
    /// The sources of events.
    pub sources: Vec<SourceFinding>,
    /// What an attacker can do, and which sources show it.
    pub coverage: Vec<ToolBehaviours>,
    /// What is not known, and why.
    pub unknown: Vec<String>,
    /// What to do.
    pub steps: Vec<String>,
    /// Values for the chart.
    pub values: Value,
}

/// The cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFinding {
    /// Version of kube-apiserver.
    pub version: String,
    /// Its platform.
    pub platform: Platform,
    /// Whether a provider runs its control plane; `None` if not known.
    pub is_managed: Option<bool>,
    /// Why.
    pub evidence: Vec<String>,
    /// What is known of kube-apiserver's audit.
    pub auditing: Auditing,
}

impl Findings {
    /// What the facts mean by these rules.
    pub fn of(facts: &Facts, options: &Options, rules: &RuleSet) -> Self {
        let cluster = platform::detect(facts);
        let auditing = auditing::of(facts, &cluster);
        let connections = connections::of(facts);
        let tools = tools::find(facts);
        let sources = sources::findings(facts, &cluster, &auditing, &connections);
        let (now, then) = sources::covered(&sources, cluster.platform);
        let packs: Vec<&'static str> = tools.iter().map(|tool| tool.pack).collect();
        let choices = (sources.as_slice(), options);
        let set_up = values::of(facts, &cluster, &auditing, &connections, choices);
        Self {
            coverage: behaviours::of(&packs, &now, &then, rules),
            unknown: obstacles::sentences(facts, &cluster),
            cluster: ClusterFinding {
                version: facts.version.clone(),
                platform: cluster.platform,
                is_managed: cluster.is_managed,
                evidence: cluster.evidence,
                auditing,
            },
            keepwatch: connections.installations,
            sources_of_other_clusters: connections.of_other_clusters,
            tools,
            sources,
            steps: set_up.steps,
            values: set_up.values,
        }
    }

    /// Number of behaviours that raise no signal now.
    pub fn unseen(&self) -> usize {
        let all = self.coverage.iter().flat_map(|tool| &tool.behaviours);
        all.filter(|behaviour| behaviour.now == Visible::No).count()
    }
}
