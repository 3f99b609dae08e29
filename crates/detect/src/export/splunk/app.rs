//! The Splunk app: parsing of lines, and the macros that each installation sets.

use super::profiles;
use crate::export::profile::Profile;
use crate::export::target::File;

/// Maximum length of a line, in bytes; longer ones are truncated.
const TRUNCATE: usize = 2 << 20;

/// The files of the app.
pub(super) fn files(searches: &[String], profile: &Profile) -> Vec<File> {
    let file = |name: &str, text: String| File { name: format!("keepwatch/{name}"), text };
    vec![
        file("default/app.conf", app()),
        file("default/props.conf", props(profile)),
        file("default/macros.conf", macros(profile)),
        file("default/savedsearches.conf", searches.join("\n")),
        file("metadata/default.meta", meta()),
    ]
}

fn app() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "[install]\nis_configured = 0\n\n[ui]\nis_visible = 0\nlabel = Keepwatch\n\n\
         [launcher]\nauthor = Keepwatch\n\
         description = Who does what to the backups of Kubernetes clusters\nversion = {version}\n\n\
         [package]\nid = keepwatch\n"
    )
}

/// `props.conf`: a line is a JSON event. Its time is the leading `timestamp`, or else the
/// request's.
fn props(profile: &Profile) -> String {
    let sourcetype = profiles::macros(profile).sourcetype;
    let prefix = if profile.name == "keepwatch" {
        r#""timestamp":""#
    } else {
        r#""requestReceivedTimestamp":""#
    };
    format!(
        "[{sourcetype}]\nSHOULD_LINEMERGE = false\nLINE_BREAKER = ([\\r\\n]+)\n\
         TRUNCATE = {TRUNCATE}\nTIME_PREFIX = {prefix}\nTIME_FORMAT = %Y-%m-%dT%H:%M:%S.%6N%Z\n\
         MAX_TIMESTAMP_LOOKAHEAD = 32\nTZ = UTC\nKV_MODE = json\nAUTO_KV_JSON = true\n"
    )
}

fn macros(profile: &Profile) -> String {
    let macros = profiles::macros(profile);
    format!(
        "# Where the events are: name your index.\n[keepwatch_events]\ndefinition = {}\niseval = 0\n\n\
         # The cluster that an event is of, as an expression.\n[keepwatch_cluster]\n\
         definition = {}\niseval = 0\n",
        macros.events, macros.cluster
    )
}

fn meta() -> String {
    "[]\naccess = read : [ * ], write : [ admin, sc_admin ]\nexport = system\n".to_owned()
}
