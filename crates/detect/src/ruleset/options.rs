//! What an installation says about itself, for placeholders in rules.

/// Namespace that K10 is installed in unless an installation says otherwise.
pub const K10_NAMESPACE: &str = "kasten-io";
/// Domain of K10's API.
pub const K10_DOMAIN: &str = "kio.kasten.io";

/// What placeholders in rules stand for. A value with the modifier `expand` may name them:
/// `%k10_namespace%` and `%k10_domain%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Namespace of K10, whose service accounts are K10's own.
    pub k10_namespace: String,
    /// Domain of K10's API: the groups `apps.…`, `actions.…` and so on end in it.
    pub k10_domain: String,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { k10_namespace: K10_NAMESPACE.to_owned(), k10_domain: K10_DOMAIN.to_owned() }
    }
}

impl LoadOptions {
    /// Fills in the placeholders of a text. An error has a hint.
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
                        format!("unknown placeholder `%{}%`", crate::sigma::yaml::shown(other)),
                        "there are %k10_namespace% and %k10_domain%".to_owned(),
                    ));
                }
            };
            expanded.push_str(before);
            // What an installation is called has no wildcards.
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
                "leave `expand` away, or name %k10_namespace% or %k10_domain%".to_owned(),
            ))
        }
    }
}
