//! Replaces computed fields by conditions on recorded fields.
//!
//! The result has exactly the engine's meaning, unless the profile cannot detect dry runs exactly.
//! Deliberately absent: the languages of targets.

use super::condition::{Attribute, Case, Condition, Operator, Relation, Wild};
use super::fidelity::{Reason, ReasonKind};
use super::profile::DryRun;
use crate::field::{Field, Path, StatusPath, UserPath};
use crate::matcher::{self, Comparison, Form, Node, Test, Token};
use crate::rule::Body;
use crate::rule::Rule;

/// Prefix of the username of a service account.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
/// A regular expression for the query of a dry run; the key may be percent-encoded.
const DRY_RUN_QUERY: &str = "^[^?]*[?]([^#]*&)?(d|%64)(r|%72)(y|%79)(R|%52)(u|%75)(n|%6[eE])=[^&#]";

/// Replaces computed fields, for a K10 installation and a detection of dry runs.
pub(super) struct Expander<'o> {
    pub(super) k10_namespace: &'o str,
    pub(super) dry_run: DryRun,
}

type Expanded = Result<Condition, Reason>;

impl Expander<'_> {
    /// The condition of a detection rule with its implicit parts: a request counts once, at its
    /// last stage, and a dry run does not count.
    pub(super) fn rule(&self, rule: &Rule) -> Expanded {
        let Body::Detection(expression) = &rule.body else {
            return Ok(Condition::NEVER);
        };
        let mut parts = vec![self.node(expression.node())?];
        if !expression.names_stage() {
            // Events of the admission webhook have an earlier stage.
            parts = parts.into_iter().map(without_admission).collect();
            parts.push(Condition::one_of("stage", &["ResponseComplete", "Panic"]));
        }
        if !expression.names_dry_run() {
            parts.push(self.is_dry_run().negated());
        }
        Ok(Condition::All(parts).simplified().specialized())
    }

    /// The condition of a suppression, which has no implicit parts.
    pub(super) fn events(&self, events: &matcher::Expression) -> Expanded {
        // A suppression that hides less than it says would be worse than none.
        if events.uses_of_writes() != (false, false) {
            return Err(Reason::refusal(ReasonKind::WrittenFields, ""));
        }
        if events.names_old_object() {
            return Err(Reason::refusal(ReasonKind::OldObject, ""));
        }
        Ok(self.node(events.node())?.simplified())
    }

    fn node(&self, node: &Node) -> Expanded {
        let all = |nodes: &[Node]| -> Result<Vec<_>, Reason> {
            nodes.iter().map(|node| self.node(node)).collect()
        };
        Ok(match node {
            Node::All(nodes) => Condition::All(all(nodes)?),
            Node::Any(nodes) => Condition::Any(all(nodes)?),
            Node::Not(node) => self.node(node)?.negated(),
            Node::Shared(node) => self.node(node)?,
            Node::Test(field, test) => self.test(field.path(), test)?,
        })
    }

    fn test(&self, path: &Path, test: &Test) -> Expanded {
        match path {
            _ if matches!(test, Test::Change(..)) => Ok(Condition::NEVER),
            // The result for an event without an old object.
            Path::OldObject(_) => {
                let passes = match test {
                    Test::Exists(expected) => !expected,
                    Test::Null => true,
                    Test::Matches(pattern) => pattern.matches(""),
                    _ => false,
                };
                Ok(if passes { Condition::ALWAYS } else { Condition::NEVER })
            }
            Path::DryRun => Ok(boolean(test, self.is_dry_run())),
            Path::Writes(keys) => Ok(writes(keys, test)),
            Path::Succeeded => Ok(boolean(test, codes(200.0, 300.0))),
            Path::Admission => {
                Ok(boolean(test, Condition::Test(admission_annotation(), Operator::Exists)))
            }
            Path::Refused => {
                Ok(boolean(test, Condition::one_of("responseStatus.code", &["401", "403"])))
            }
            Path::User(user) => of_user("user", user, path, test),
            Path::ImpersonatedUser(user) => of_user("impersonatedUser", user, path, test),
            Path::EffectiveUser(user) => {
                let is_other = Condition::exists("impersonatedUser.username");
                either(is_other, user, test)
            }
            Path::Actor(UserPath::ServiceAccountNamespace) if self.is_k10(test) => {
                Ok(Condition::All(vec![
                    self.is_k10_account("user"),
                    self.acts_for_another().negated(),
                ]))
            }
            Path::Actor(user) => either(self.is_for_another(), user, test),
            _ => plain(path, test),
        }
    }

    /// Whether the test compares with K10's namespace.
    fn is_k10(&self, test: &Test) -> bool {
        matches!(test, Test::Matches(pattern)
            if pattern.literal().is_some_and(|literal| literal.eq_ignore_ascii_case(self.k10_namespace)))
    }

    fn is_k10_account(&self, user: &str) -> Condition {
        let start = format!("{SERVICE_ACCOUNT}{}:", self.k10_namespace);
        let username = Attribute::named(&format!("{user}.username"));
        Condition::Test(username, Operator::StartsWith(start, Case::Sensitive))
    }

    /// The condition that a user other than K10 is impersonated.
    fn acts_for_another(&self) -> Condition {
        Condition::All(vec![
            Condition::exists("impersonatedUser.username"),
            self.is_k10_account("impersonatedUser").negated(),
        ])
    }

    /// The condition that K10 impersonates another user, who is then the actor.
    pub(super) fn is_for_another(&self) -> Condition {
        Condition::All(vec![self.is_k10_account("user"), self.acts_for_another()]).simplified()
    }

    fn is_dry_run(&self) -> Condition {
        let is_delete = Condition::one_of("verb", &["delete", "deletecollection"]);
        let in_body = Condition::exists("requestObject.dryRun");
        match self.dry_run {
            DryRun::Exact => {
                let by_body = Condition::All(vec![
                    is_delete,
                    Condition::exists("requestObject"),
                    Condition::one_of("level", &["Request", "RequestResponse"]),
                ]);
                let query = Operator::Regex(DRY_RUN_QUERY.to_owned());
                Condition::Any(vec![
                    Condition::All(vec![by_body.clone(), in_body]),
                    Condition::All(vec![
                        by_body.negated(),
                        Condition::Test(Attribute::named("requestURI"), query),
                    ]),
                ])
            }
            DryRun::Wildcards => {
                let like = |parts: &[&str]| {
                    let parts = parts.iter().map(|part| match *part {
                        "*" => Wild::Many,
                        text => Wild::Text(text.to_owned()),
                    });
                    let uri = Attribute::named("requestURI");
                    Condition::Test(uri, Operator::Like(parts.collect(), Case::Sensitive))
                };
                // A second question mark is part of a value.
                let in_query = Condition::All(vec![
                    Condition::Any(vec![
                        like(&["*", "?dryRun=All", "*"]),
                        like(&["*", "&dryRun=All", "*"]),
                    ]),
                    like(&["*", "?", "*", "?", "*"]).negated(),
                ]);
                Condition::Any(vec![
                    Condition::All(vec![is_delete.clone(), in_body]),
                    Condition::All(vec![is_delete.negated(), in_query]),
                ])
            }
        }
    }
}

/// The annotation of events of the admission webhook.
fn admission_annotation() -> Attribute {
    Attribute::of(["annotations", event::annotations::ADMISSION].map(str::to_owned).to_vec())
}

/// Replaces tests of the admission webhook's annotation by their result for an event without it.
fn without_admission(condition: Condition) -> Condition {
    let all = |parts: Vec<Condition>| parts.into_iter().map(without_admission).collect();
    match condition {
        Condition::All(parts) => Condition::All(all(parts)),
        Condition::Any(parts) => Condition::Any(all(parts)),
        Condition::Not(inner) => without_admission(*inner).negated(),
        Condition::Test(attribute, Operator::Exists) if attribute == admission_annotation() => {
            Condition::NEVER
        }
        other @ Condition::Test(..) => other,
    }
}

/// Replaces a computed boolean field, which is never absent.
fn boolean(test: &Test, when: Condition) -> Condition {
    match (test.accepts("true"), test.accepts("false")) {
        (true, true) => Condition::ALWAYS,
        (true, false) => when,
        (false, true) => when.negated(),
        (false, false) => Condition::NEVER,
    }
}

/// Replaces a test of whether a request writes a field. A JSON patch is a list of operations, and
/// a query cannot tell which values belong to one of them: see [`ReasonKind::WrittenFields`].
fn writes(keys: &[String], test: &Test) -> Condition {
    let body = |keys: &[String]| Attribute::of([&["requestObject".to_owned()], keys].concat());
    let path = || body(&["path".to_owned()]);
    let mut pointer = String::new();
    let mut pointers = Vec::with_capacity(keys.len());
    for key in keys {
        pointer.extend(["/", &key.replace('~', "~0").replace('/', "~1")]);
        pointers.push(pointer.clone());
    }
    let start = |text: &str| {
        Condition::Test(path(), Operator::StartsWith(text.to_owned(), Case::Sensitive))
    };
    let changes = Condition::one_of("requestObject.op", &["add", "copy", "move", "replace"]);
    let is_written = Condition::Any(vec![
        Condition::Test(body(keys), Operator::Exists),
        Condition::Test(path(), Operator::OneOf(pointers, Case::Sensitive)),
        start(&format!("{pointer}/")),
        // Only operations on the whole document.
        Condition::All(vec![changes, start("/").negated()]),
    ]);
    match (test, test.accepts("true"), test.accepts("false")) {
        (Test::Exists(_) | Test::Null, ..) | (_, true, true) => {
            let is_known = Condition::exists("requestObject");
            let is_absence = matches!(test, Test::Exists(false) | Test::Null);
            if is_absence { is_known.negated() } else { is_known }
        }
        (_, true, false) => is_written,
        (_, false, true) => {
            Condition::All(vec![Condition::exists("requestObject"), is_written.negated()])
        }
        (_, false, false) => Condition::NEVER,
    }
}

fn codes(from: f64, to: f64) -> Condition {
    let code = |relation, bound| {
        Condition::Test(Attribute::named("responseStatus.code"), Operator::Number(relation, bound))
    };
    Condition::All(vec![code(Relation::GreaterOrEqual, from), code(Relation::Less, to)])
}

/// Replaces a user field: the impersonated user if the condition holds, else the user.
fn either(is_other: Condition, user: &UserPath, test: &Test) -> Expanded {
    let other = Path::ImpersonatedUser(user.clone());
    let plain = Path::User(user.clone());
    Ok(Condition::Any(vec![
        Condition::All(vec![is_other.clone(), of_user("impersonatedUser", user, &other, test)?]),
        Condition::All(vec![is_other.negated(), of_user("user", user, &plain, test)?]),
    ]))
}

fn of_user(name: &str, user: &UserPath, path: &Path, test: &Test) -> Expanded {
    let username = Attribute::named(&format!("{name}.username"));
    let like = |parts: Vec<Wild>| {
        let parts = [vec![Wild::Text(SERVICE_ACCOUNT.to_owned())], parts].concat();
        Condition::Test(username.clone(), Operator::Like(parts, Case::Sensitive))
    };
    let colon = || Wild::Text(":".to_owned());
    match (user, test) {
        (UserPath::IsServiceAccount, _) => {
            Ok(boolean(test, like(vec![Wild::Many, colon(), Wild::Many])))
        }
        (UserPath::ServiceAccountNamespace, Test::Exists(expected)) => {
            let is = like(vec![Wild::One, Wild::Many, colon(), Wild::Many]);
            Ok(if *expected { is } else { is.negated() })
        }
        (UserPath::ServiceAccountNamespace, Test::Matches(pattern)) => match pattern.form() {
            // Namespaces are lower case.
            Form::Equal(namespace) => {
                let start = format!("{SERVICE_ACCOUNT}{}:", namespace.to_lowercase());
                let operator = Operator::StartsWith(start, Case::Sensitive);
                Ok(Condition::Test(username.clone(), operator))
            }
            Form::StartsWith(start) => {
                Ok(like(vec![Wild::Text(start.to_lowercase()), Wild::Many, colon(), Wild::Many]))
            }
            _ => Err(Reason::untranslatable(path)),
        },
        (UserPath::ServiceAccountName, Test::Matches(pattern)) if pattern.literal().is_some() => {
            let name = regex::escape(&pattern.literal().unwrap_or_default().to_lowercase());
            let regex = format!("^{SERVICE_ACCOUNT}[^:]*:{name}$");
            Ok(Condition::Test(username.clone(), Operator::Regex(regex)))
        }
        (UserPath::ServiceAccountNamespace | UserPath::ServiceAccountName, _) => {
            Err(Reason::untranslatable(path))
        }
        _ => plain(path, test),
    }
}

/// Converts a test of a recorded field.
fn plain(path: &Path, test: &Test) -> Expanded {
    let attribute = Attribute::of(path.v1_keys());
    let exists = Condition::Test(attribute.clone(), Operator::Exists);
    let operator = match test {
        Test::Matches(pattern) => {
            let case = case(pattern.case());
            match pattern.form() {
                Form::Equal(expected) if expected.is_empty() => return Ok(exists.negated()),
                Form::NotEmpty => Operator::Exists,
                Form::Equal(expected) => Operator::OneOf(vec![expected.to_string()], case),
                Form::Contains(part) => Operator::Contains(part.to_string(), case),
                Form::StartsWith(start) => Operator::StartsWith(start.to_string(), case),
                Form::EndsWith(end) => Operator::EndsWith(end.to_string(), case),
                Form::General(tokens) => Operator::Like(wild(tokens), case),
            }
        }
        Test::Regex(regex) => Operator::Regex(regex.as_str().to_owned()),
        Test::InNetwork(network) => Operator::Cidr(network.to_string()),
        Test::Number(comparison, number) => Operator::Number(relation(*comparison), *number),
        Test::Exists(true) => Operator::Exists,
        Test::Exists(false) | Test::Null => return Ok(exists.negated()),
        Test::Within(micros) => Operator::Within(*micros),
        Test::Shorter(micros) => Operator::Shorter(*micros),
        Test::SameAs(other, of) => Operator::SameAs(raw(other)?, case(*of)),
        // `Expander::test` handles it.
        Test::Change(..) => return Ok(Condition::NEVER),
    };
    // Every profile has the code as a number.
    if *path == Path::Status(StatusPath::Code)
        && let Operator::OneOf(texts, _) = &operator
    {
        return Ok(Condition::Test(attribute, Operator::OneOf(texts.clone(), Case::Sensitive)));
    }
    Ok(Condition::Test(attribute, operator))
}

/// The recorded field; refuses a computed one.
pub(super) fn raw(field: &Field) -> Result<Attribute, Reason> {
    use UserPath::{IsServiceAccount, ServiceAccountName, ServiceAccountNamespace};
    match field.path() {
        Path::DryRun
        | Path::Succeeded
        | Path::Refused
        | Path::Admission
        | Path::OldObject(_)
        | Path::Writes(_)
        | Path::EffectiveUser(_)
        | Path::Actor(_)
        | Path::User(IsServiceAccount | ServiceAccountName | ServiceAccountNamespace)
        | Path::ImpersonatedUser(IsServiceAccount | ServiceAccountName | ServiceAccountNamespace) => {
            Err(Reason::untranslatable(field.path()))
        }
        path => Ok(Attribute::of(path.v1_keys())),
    }
}

const fn case(case: matcher::Case) -> Case {
    match case {
        matcher::Case::Insensitive => Case::Insensitive,
        matcher::Case::Sensitive => Case::Sensitive,
    }
}

const fn relation(comparison: Comparison) -> Relation {
    match comparison {
        Comparison::Equal => Relation::Equal,
        Comparison::Less => Relation::Less,
        Comparison::LessOrEqual => Relation::LessOrEqual,
        Comparison::Greater => Relation::Greater,
        Comparison::GreaterOrEqual => Relation::GreaterOrEqual,
    }
}

fn wild(tokens: &[Token]) -> Vec<Wild> {
    let mut parts: Vec<Wild> = Vec::new();
    for token in tokens {
        match (token, parts.last_mut()) {
            (Token::Char(char), Some(Wild::Text(text))) => text.push(*char),
            (Token::Char(char), _) => parts.push(Wild::Text(char.to_string())),
            (Token::One, _) => parts.push(Wild::One),
            (Token::Many, _) => parts.push(Wild::Many),
        }
    }
    parts
}
