//! What a target is: one file or folder, and one line in [`all`].

use super::fidelity::{Reason, ReasonKind};
use super::model::RuleModel;
use super::profile::Profile;
use super::suppression::Suppression;
use crate::ruleset::{LoadOptions, RuleSet};

/// A system that takes rules in its own language.
pub trait Target: Sync {
    /// On the command line and as the name of a folder.
    fn name(&self) -> &'static str;

    /// For people.
    fn title(&self) -> &'static str;

    /// The ways on which events reach it; the first is taken unless another is asked for.
    fn profiles(&self) -> &'static [Profile];

    /// The forms in which rules can be written; the first is taken unless another is asked for.
    fn formats(&self) -> &'static [Format];

    /// Writes a rule. Called a second time with [`RuleModel::differences`] when the first time had
    /// reasons: then the text must have them, by [`RuleModel::description`].
    ///
    /// An error is why the rule cannot be written at all.
    fn write(&self, model: &RuleModel<'_>, choice: &Choice<'_>) -> Result<Draft, Vec<Reason>>;

    /// Writes a suppression; `differences` is what the text must say of itself.
    ///
    /// An error is why it cannot be written at all.
    fn suppression(
        &self,
        _suppression: &Suppression,
        _choice: &Choice<'_>,
        _differences: &[Reason],
    ) -> Result<Draft, Vec<Reason>> {
        Err(vec![Reason::refusal(ReasonKind::NoSuppressions, "")])
    }

    /// What all written rules need together, such as the frame of an app, or a rule made of several.
    /// `written` are the ids of those that are written.
    fn package(&self, _rules: &RuleSet, _written: &[&str], _choice: &Choice<'_>) -> Vec<File> {
        Vec::new()
    }
}

/// A form in which rules are written.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    /// On the command line.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'c> {
    /// How events reach the target.
    pub profile: &'static Profile,
    /// In which form.
    pub format: &'static Format,
    /// The installation of K10.
    pub options: &'c LoadOptions,
    /// Whether suppressions are written too: then rules have what those name them by.
    pub has_suppressions: bool,
}

/// A rule as a target has it.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// One or several; a rule's file is named by the rule's id.
    pub files: Vec<File>,
    /// Where it differs from our rule, beside what [`RuleModel::reasons`] has.
    pub reasons: Vec<Reason>,
}

/// A file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Relative, with `/`.
    pub name: String,
    /// Its text; ends with a newline.
    pub text: String,
}

/// All targets, in the order in which they are listed.
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

/// The target with that name.
pub fn named(name: &str) -> Option<&'static dyn Target> {
    all().iter().copied().find(|target| target.name() == name)
}
