//! Parses the values of flags: durations as Go writes them, sizes as Kubernetes does.

use std::time::Duration;

/// A duration as Go's `time.ParseDuration` reads it, but not negative: `300ms`, `1m30s`, `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    apimachinery::duration::parse(text)
        .ok_or_else(|| format!("{text:?} is not a duration such as 30s, 1m30s or 168h"))
}

/// The smallest allowed maximum: the user, the verb, the object and the time must fit.
const LINE_BYTES_MIN: u64 = 16 << 10;

/// The maximum size of an audit line.
pub(crate) fn line_size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        size if size < LINE_BYTES_MIN => Err(format!(
            "{text} is too small for the user, the object and the time: use at least {LINE_BYTES_MIN} bytes"
        )),
        size => Ok(size),
    }
}

/// A number of bytes: an integer, optionally with `k`, `M`, `G`, `Ki`, `Mi` or `Gi`, and `B`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let invalid = || format!("{text:?} is not a size such as 512Mi or 4Gi");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.strip_suffix('B').unwrap_or(unit) {
        "" => 1,
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    number.checked_mul(factor).ok_or_else(invalid)
}

/// A Service of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ServiceName {
    /// The host name by which kube-apiserver connects to it.
    pub(crate) fn host(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

/// `kasten-io/aggregatedapis-svc`: two DNS labels.
pub(crate) fn service_name(text: &str) -> Result<ServiceName, String> {
    let is_label = |text: &str| {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&text.len())
            && text.chars().all(is_inner)
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    match text.split_once('/') {
        Some((namespace, name)) if is_label(namespace) && is_label(name) => {
            Ok(ServiceName { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err(format!("{text:?} is not a namespace and a Service such as kasten-io/audit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_by_go() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("300ms", 300), ("1m30s", 90_000), ("1.5h", 5_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1d", "1s2", "..s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_service_is_a_namespace_and_a_name() {
        let name = service_name("kasten-io/aggregatedapis-svc").unwrap();
        assert_eq!(name.host(), "aggregatedapis-svc.kasten-io.svc");
        for text in ["", "a", "/a", "a/", "a/b/c", "A/b", "a/-b", "a/b."] {
            assert!(service_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_parsed_as_by_kubernetes() {
        for (text, size) in
            [("7", 7), ("4Gi", 4 << 30), ("512MiB", 512 << 20), ("2k", 2000), ("1Ti", 1 << 40)]
        {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "Gi", "-1", "1.5Gi", "4 Gi", "99999999999Gi"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
