//! The values of placeholders in rules, which differ by installation.

/// Default namespace of K10.
pub const K10_NAMESPACE: &str = "kasten-io";
/// Default domain of K10's API groups.
pub const K10_DOMAIN: &str = "kio.kasten.io";

/// The values of placeholders. A value with the modifier `expand` may contain them:
/// `%k10_namespace%` and `%k10_domain%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Namespace of K10 and of its own service accounts.
    pub k10_namespace: String,
    /// Domain of K10's API groups `apps.…`, `actions.…` and so on.
    pub k10_domain: String,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { k10_namespace: K10_NAMESPACE.to_owned(), k10_domain: K10_DOMAIN.to_owned() }
    }
}

impl LoadOptions {
    /// Replaces the placeholders of a text. An error is a message and a hint.
    pub(crate) fn expand(&self, text: &str) -> Result<String, (String, String)> {
        let mut expanded = String::new();
        let mut rest = text;
        let mut any = false;
        while let Some((before, behind)) = rest.split_once('%') {
            let Some((name, behind)) = behind.split_once('%') else {
                break;
            };
            let value = match name {
                "k10_namespace" => &self.k10_namespace,
                "k10_domain" => &self.k10_domain,
                other => {
                    return Err((
                        format!("unknown placeholder `%{}%`", crate::sigma::yaml::printable(other)),
                        "there are %k10_namespace% and %k10_domain%".to_owned(),
                    ));
                }
            };
            expanded.push_str(before);
            // The values contain no wildcards.
            expanded.push_str(value);
            rest = behind;
            any = true;
        }
        expanded.push_str(rest);
        if any {
            Ok(expanded)
        } else {
            Err((
                "the value has no placeholder".to_owned(),
                "omit `expand`, or use %k10_namespace% or %k10_domain%".to_owned(),
            ))
        }
    }
}
