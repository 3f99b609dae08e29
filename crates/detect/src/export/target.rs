//! The export target trait. A new target is one file or folder, and one line in [`all`].

use super::fidelity::{Reason, ReasonKind};
use super::model::RuleModel;
use super::profile::Profile;
use super::suppression::Suppression;
use crate::ruleset::{LoadOptions, RuleSet};

/// A system with its own rule language.
pub trait Target: Sync {
    /// Name on the command line, and of the output folder.
    fn name(&self) -> &'static str;

    /// Display name.
    fn title(&self) -> &'static str;

    /// Its profiles; the first is the default.
    fn profiles(&self) -> &'static [Profile];

    /// Its output formats; the first is the default.
    fn formats(&self) -> &'static [Format];

    /// Writes a rule. If the first call returns reasons, a second call has them in
    /// [`RuleModel::differences`], and the text must contain [`RuleModel::description`].
    ///
    /// # Errors
    ///
    /// Returns the reasons why the rule cannot be exported.
    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>>;

    /// Writes a suppression; the text must list `differences`.
    ///
    /// # Errors
    ///
    /// Returns the reasons why it cannot be exported.
    fn suppression(
        &self,
        _suppression: &Suppression,
        _choice: &Choice<'_>,
        _differences: &[Reason],
    ) -> Result<Draft, Vec<Reason>> {
        Err(vec![Reason::refusal(ReasonKind::NoSuppressions, "")])
    }

    /// Writes the files that all exported rules need, such as those of an app, or a rule that
    /// combines several. `written` contains the ids of the exported rules.
    fn package(&self, _rules: &RuleSet, _written: &[&str], _choice: &Choice<'_>) -> Vec<File> {
        Vec::new()
    }
}

/// An output format.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    /// Name on the command line.
    pub name: &'static str,
    /// Display name.
    pub title: &'static str,
}

/// The options of an export.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'c> {
    /// The profile.
    pub profile: &'static Profile,
    /// The output format.
    pub format: &'static Format,
    /// The values of placeholders.
    pub options: &'c LoadOptions,
    /// Whether suppressions are exported too: rules then get the tag that suppressions refer to.
    pub has_suppressions: bool,
}

/// A rule in the target's language.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Files of the rule, named by the rule's id.
    pub files: Vec<File>,
    /// Differences from the engine's rule, in addition to [`RuleModel::reasons`].
    pub reasons: Vec<Reason>,
}

/// A file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Relative path, with `/`.
    pub name: String,
    /// Content; ends with a newline.
    pub text: String,
}

/// All targets, in display order.
pub fn all() -> &'static [&'static dyn Target] {
    &[
        &super::datadog::Datadog,
        &super::sentinel::Sentinel,
        &super::splunk::Splunk,
        &super::sigma::PlainSigma,
        &super::elastic::Elastic,
        &super::loki::Loki,
        &super::falco::Falco,
    ]
}

/// Finds a target by its name.
pub fn named(name: &str) -> Option<&'static dyn Target> {
    all().iter().copied().find(|target| target.name() == name)
}
