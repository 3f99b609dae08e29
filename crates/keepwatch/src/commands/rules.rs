//! `keepwatch rules`: checks, lists, shows, tests, exports and creates rules.

mod export;
mod template;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use detect::rule::{Body, CorrelationKind, Rule};
use detect::{Document, LoadOptions, RuleError, RuleSet, builtin, examples};

use crate::args::rules::{RuleFilesArgs, RulesCommand};
use crate::commands::FAILED;
use crate::printable::plain;
use crate::rule_files;
use crate::terminal::eprint_line;
use crate::usage_error::{UsageError, installation};

/// Suffix of an events file, instead of `.yaml`.
const EVENTS: &str = "events.ndjson";
/// Maximum number of characters of the name of a rule.
const NAME_CHARS_MAX: usize = 63;

/// Runs one of the commands about rules.
pub(crate) fn run(command: &RulesCommand) -> Result<ExitCode> {
    match command {
        RulesCommand::Check(files) => check(files),
        RulesCommand::List(files) => list(files),
        RulesCommand::Show { id, files } => show(id, files),
        RulesCommand::Test(files) => test(files),
        RulesCommand::Export(args) => export::run(args),
        RulesCommand::New { name, dir } => new(name, dir),
    }
}

fn options(args: &RuleFilesArgs) -> Result<LoadOptions> {
    installation(&args.k10_api_domain, &args.k10_namespace)?;
    Ok(LoadOptions {
        k10_namespace: args.k10_namespace.clone(),
        k10_domain: args.k10_api_domain.clone(),
    })
}

/// The named files, or the built-in rules.
fn documents(args: &RuleFilesArgs) -> Result<Vec<Document>> {
    if args.paths.is_empty() {
        return Ok(builtin::documents().to_vec());
    }
    rule_files::read_all(&args.paths)
}

fn check(args: &RuleFilesArgs) -> Result<ExitCode> {
    let documents = documents(args)?;
    match load_alone_or_with_builtin(&documents, &options(args)?) {
        Ok(rules) => {
            let is_named =
                |rule: &&Rule| documents.iter().any(|document| document.file == rule.origin.file);
            let raising = rules.rules().iter().filter(|rule| rule.raises).filter(is_named).count();
            let count = |number: usize, singular: &str, plural: &str| match number {
                1 => format!("1 {singular}"),
                _ => format!("{number} {plural}"),
            };
            let files = count(documents.len(), "file", "files");
            let rules = count(raising, "rule that raises", "rules that raise");
            writeln!(io::stdout(), "{files}, {rules} signals: valid")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            print_errors(&errors);
            Ok(ExitCode::from(FAILED))
        }
    }
}

/// Files may refer to built-in rules, and may be copies of them, so they must be valid either alone
/// or together with the built-in rules.
fn load_alone_or_with_builtin(
    documents: &[Document],
    options: &LoadOptions,
) -> Result<RuleSet, Vec<RuleError>> {
    RuleSet::load(documents, options).or_else(|errors| {
        let all: Vec<Document> = builtin::documents().iter().chain(documents).cloned().collect();
        RuleSet::load(&all, options).map_err(|_more| errors)
    })
}

fn print_errors(errors: &[RuleError]) {
    for error in errors {
        eprint_line(&error.to_string());
    }
    let mistakes = if errors.len() == 1 { "mistake" } else { "mistakes" };
    eprint_line(&format!("error: {} {mistakes} in rules", errors.len()));
}

/// The built-in rules, and the rules in files.
fn load_all(args: &RuleFilesArgs) -> Result<RuleSet> {
    let mut documents = builtin::documents().to_vec();
    documents.extend(rule_files::read_all(&args.paths)?);
    RuleSet::load(&documents, &options(args)?).map_err(|errors| {
        print_errors(&errors);
        anyhow!("rules cannot be read")
    })
}

fn list(args: &RuleFilesArgs) -> Result<ExitCode> {
    let rules = load_all(args)?;
    let raising: Vec<&Rule> = rules.rules().iter().filter(|rule| rule.raises).collect();
    let width = raising.iter().map(|rule| rule.id.chars().count()).max().unwrap_or(0).max(2);
    let mut out = io::stdout().lock();
    writeln!(out, "{:<width$}  {:<13}  {:<16}  TITLE", "ID", "SEVERITY", "KIND")?;
    for rule in raising {
        let (id, title) = (plain(&rule.id), plain(&rule.title));
        writeln!(out, "{id:<width$}  {:<13}  {:<16}  {title}", severity(rule), kind(rule))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The severity, or the range that its cases span.
fn severity(rule: &Rule) -> String {
    let cases = rule.signal.cases.iter().map(|case| case.severity);
    let highest = cases.clone().max().unwrap_or(rule.severity);
    let lowest = cases.min().unwrap_or(rule.severity);
    if lowest == highest { lowest.to_string() } else { format!("{lowest}-{highest}") }
}

/// The kind of the rule, in Sigma's terms.
fn kind(rule: &Rule) -> &'static str {
    match &rule.body {
        Body::Detection(_) if rule.signal.first_seen.is_some() => "first_seen",
        Body::Detection(_) => "event",
        Body::Correlation(correlation) => match correlation.kind {
            CorrelationKind::EventCount => "event_count",
            CorrelationKind::ValueCount(_) => "value_count",
            CorrelationKind::Temporal => "temporal",
            CorrelationKind::TemporalOrdered => "temporal_ordered",
            CorrelationKind::Absence => "absence",
        },
    }
}

fn show(id: &str, args: &RuleFilesArgs) -> Result<ExitCode> {
    let rules = load_all(args)?;
    let rule = rules.find(id).and_then(|index| rules.rules().get(index));
    let rule = rule.ok_or_else(|| {
        anyhow!("there is no rule {id:?}: `keepwatch rules list` lists the rules")
    })?;
    let mut out = io::stdout().lock();
    // The correlated rules are part of a correlation.
    if let Body::Correlation(correlation) = &rule.body {
        for part in correlation.rules.iter().filter_map(|index| rules.rules().get(*index)) {
            writeln!(out, "{}\n---", part.text.trim_end())?;
        }
    }
    writeln!(out, "{}", rule.text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn test(args: &RuleFilesArgs) -> Result<ExitCode> {
    let options = options(args)?;
    let documents = rule_files::read_all(&args.paths)?;
    let mut out = io::stdout().lock();
    let mut failed = 0_usize;
    for document in &documents {
        let path = Path::new(&document.file);
        let events = path.with_extension(EVENTS);
        let text = if events.exists() {
            rule_files::text(&events)
        } else {
            Err(anyhow!(
                "there is no {}, which must contain the events and the expected signals",
                events.display()
            ))
        };
        let failures = match text {
            Ok(text) => {
                let report = examples::check(document, &text, &options);
                if report.failures.is_empty() {
                    let (examples, signals) = (report.examples, report.signals);
                    writeln!(
                        out,
                        "ok    {}: {examples} examples, {signals} signals",
                        path.display()
                    )?;
                    continue;
                }
                report.failures
            }
            Err(error) => vec![format!("{error:#}")],
        };
        failed += 1;
        writeln!(out, "FAIL  {}", path.display())?;
        for failure in failures {
            writeln!(out, "      {}", failure.replace('\n', "\n      "))?;
        }
    }
    let rules = if documents.len() == 1 { "rule file" } else { "rule files" };
    writeln!(out, "{} {rules}, {failed} failed", documents.len())?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn new(name: &str, folder: &Path) -> Result<ExitCode> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_name) {
        return Err(UsageError(vec![format!(
            "{name:?} is not the name of a rule: lower-case letters, digits and dashes"
        )])
        .into());
    }
    let rule = folder.join(format!("{name}.yaml"));
    let events = folder.join(format!("{name}.{EVENTS}"));
    if events.exists() {
        bail!("{} already exists: choose another name", events.display());
    }
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    create(&rule, &template::rule(name))?;
    create(&events, template::EVENTS)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n{}", rule.display(), events.display())?;
    eprint_line(&format!("next: change both, then `keepwatch rules test {}`", rule.display()));
    Ok(ExitCode::SUCCESS)
}

fn create(path: &PathBuf, text: &str) -> Result<()> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error
            .kind()
        {
            io::ErrorKind::AlreadyExists => {
                anyhow!("{} already exists: choose another name", path.display())
            }
            _ => anyhow::Error::new(error).context(format!("cannot write {}", path.display())),
        })?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
