//! Rejects values that no event can have: a rule with one would never match.

use std::borrow::Cow;

use event::InternalEvent;

use super::Context;
use super::ast::{Item, Modifier, Scalar};
use super::compile::{self, ValueError};
use super::plurals;
use super::yaml::{self, printable};
use crate::budget::Budget;
use crate::error::Errors;
use crate::field::{Path, RefPath, StatusPath, UserPath};
use crate::matcher::{REGEX_STEPS_MAX, Test};
use crate::nearest;

/// Verbs of Kubernetes, and HTTP methods of other requests. Keepwatch's own events have more verbs.
const VERBS: [&str; 16] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "connect",
    "post",
    "put",
    "head",
    "options",
    "connect",
    "trace",
    "proxy",
];
const STAGES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
const LEVELS: [&str; 3] = ["Metadata", "Request", "RequestResponse"];
const STATUSES: [&str; 2] = ["Success", "Failure"];
const TRUTHS: [&str; 2] = ["true", "false"];
const DECISIONS: [&str; 2] = ["allow", "forbid"];
const DECISION: &str = "authorization.k8s.io/decision";

/// Compiles the values of an item, and reports those that do not compile or cannot match. Stops
/// when the budget of the compilation is spent.
pub(super) fn check(item: &mut Item, context: &Context<'_>, errors: &mut Errors) {
    let words: Vec<Cow<'_, str>> = match item.field.path() {
        Path::Status(StatusPath::Code) => {
            (100..600_u16).map(|code| code.to_string().into()).collect()
        }
        path => words(path).unwrap_or_default().into_iter().map(Cow::Borrowed).collect(),
    };
    let mut regexes = Vec::with_capacity(item.values.len());
    for value in &item.values {
        if errors.is_full() {
            return;
        }
        let compiled = compile::tests(item, value);
        if !context.compilation.spend(steps(item, compiled.as_deref().ok())) {
            return;
        }
        let (error, regex) = match compiled {
            Ok(tests) => {
                let fits = || fits(&tests, &words, &context.examination);
                let error = value_error(item, &value.scalar, &tests, &fits);
                (error, tests.into_iter().find_map(Test::into_regex))
            }
            Err(error) => (Some(error), None),
        };
        if let Some((message, hint)) = error {
            errors.push(value.at, message, hint);
        }
        regexes.push(regex);
    }
    for (value, regex) in item.values.iter_mut().zip(regexes) {
        value.regex = regex;
    }
}

/// Work to compile a value to tests, or to find that it does not compile.
fn steps(item: &Item, tests: Option<&[Test]>) -> u64 {
    let of_test =
        |test: &Test| if let Test::Regex(regex) = test { regex.compile_steps() } else { 1 };
    match tests {
        Some(tests) => tests.iter().map(of_test).sum(),
        None if item.modifiers.contains(&Modifier::Re) => REGEX_STEPS_MAX,
        None => 1,
    }
}

/// Whether one of the tests accepts one of the words. Returns true when the budget is spent.
fn fits(tests: &[Test], words: &[Cow<'_, str>], budget: &Budget) -> bool {
    let accepts =
        |word: &str, test: &Test| !budget.spend(test.steps(word.len())) || test.accepts(word);
    words.iter().any(|word| tests.iter().any(|test| accepts(word, test)))
}

fn value_error(
    item: &Item,
    scalar: &Scalar,
    tests: &[Test],
    fits: &dyn Fn() -> bool,
) -> Option<ValueError> {
    let asks_for_none = |test: &Test| matches!(test, Test::Null | Test::Exists(false));
    if is_always_there(item.field.path()) && tests.iter().all(asks_for_none) {
        let message = format!("`{}` is never absent: the rule could not fire", item.field);
        return Some((message, Some("every event has it: remove the line".to_owned())));
    }
    let text = match scalar {
        Scalar::Text(text) | Scalar::Number(text) => text,
        Scalar::Bool(is) if !item.modifiers.contains(&Modifier::Exists) => {
            if *is {
                "true"
            } else {
                "false"
            }
        }
        Scalar::Null | Scalar::Bool(_) => return None,
    };
    if matches!(scalar, Scalar::Number(_)) && !yaml::number(text).is_some_and(f64::is_finite) {
        let hint = "no number in an event is infinite: quote a text".to_owned();
        return Some((impossible(item, text), Some(hint)));
    }
    if text.contains('%') && !item.modifiers.contains(&Modifier::Expand) && is_placeholder(text) {
        return Some((
            format!("`{}` is a placeholder, but nothing fills it in", printable(text)),
            Some(format!("write `{}|expand`", item.field)),
        ));
    }
    if tests.iter().any(|test| matches!(test, Test::SameAs(..) | Test::Change(..))) {
        return None;
    }
    if let Some((what, fields)) = mismatched_operand(item.field.path(), tests) {
        let hint = format!("{what} are compared in {fields} and in bodies");
        return Some((impossible(item, text), Some(hint)));
    }
    if matches!(item.field.path(), Path::Status(StatusPath::Code)) {
        return (!fits()).then(|| impossible_word(item, text, &[]));
    }
    if let Some(words) = words(item.field.path()) {
        return (!fits()).then(|| impossible_word(item, text, &words));
    }
    if *item.field.path() == Path::RequestUri && tests.iter().all(|test| test.begins_without('/')) {
        let hint = "a request URI begins with a slash".to_owned();
        return Some((impossible(item, text), Some(hint)));
    }
    let literal = tests.iter().find_map(Test::literal)?;
    format_error(item.field.path(), literal, tests).map(|hint| (impossible(item, text), Some(hint)))
}

/// Fields that every event has.
const fn is_always_there(path: &Path) -> bool {
    matches!(path, Path::Verb | Path::Stage | Path::Level)
}

/// A comparison that is invalid for the values of the field: its operand type, and a field with
/// this type.
fn mismatched_operand(path: &Path, tests: &[Test]) -> Option<(&'static str, &'static str)> {
    let is_free = match path {
        Path::RequestObject(_)
        | Path::ResponseObject(_)
        | Path::OldObject(_)
        | Path::Annotation(_) => true,
        Path::User(user)
        | Path::ImpersonatedUser(user)
        | Path::EffectiveUser(user)
        | Path::Actor(user) => matches!(user, UserPath::Extra(_)),
        _ => false,
    };
    if is_free {
        return None;
    }
    match tests.first()? {
        Test::InNetwork(_) if *path != Path::SourceIps => Some(("networks", "sourceIPs")),
        Test::Number(..) if !is_number(path) => Some(("numbers", "responseStatus.code")),
        Test::Within(_) | Test::Shorter(_) => Some(("times", "annotations")),
        _ => None,
    }
}

const fn is_number(path: &Path) -> bool {
    matches!(
        path,
        Path::Status(StatusPath::Code | StatusPath::RetryAfterSeconds)
            | Path::ObjectRef(RefPath::ResourceVersion)
    )
}

fn impossible(item: &Item, text: &str) -> String {
    format!("`{}` is never `{}`: the rule could not fire", item.field, printable(text))
}

/// `%name%`
fn is_placeholder(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.next().is_some_and(|name| name.starts_with("k10_")) && parts.next().is_some()
}

fn impossible_word(item: &Item, text: &str, words: &[&str]) -> ValueError {
    let hint = match (item.field.path(), text.to_ascii_lowercase().as_str()) {
        (Path::Verb, "replace") => "the verb of a replacement (PUT) is `update`".to_owned(),
        (Path::Verb, "exec" | "attach" | "portforward") => {
            "verb create, objectRef.subresource exec, attach or portforward".to_owned()
        }
        (Path::Status(StatusPath::Code), "allow" | "forbid") => {
            format!("the decision is annotations[\"{DECISION}\"], and it is allow or forbid")
        }
        (Path::Status(StatusPath::Code), _) => "HTTP status codes are 100 to 599".to_owned(),
        (_, "true" | "false") => format!("one of {}", words.join(", ")),
        _ => match nearest::of(text, words.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("one of {}", words.join(", ")),
        },
    };
    (impossible(item, text), Some(hint))
}

/// All possible values of a field, if they are few.
pub(crate) fn words(path: &Path) -> Option<Vec<&'static str>> {
    Some(match path {
        Path::Verb => {
            VERBS.into_iter().chain(InternalEvent::ALL.map(InternalEvent::verb)).collect()
        }
        Path::Stage => STAGES.to_vec(),
        Path::Level => LEVELS.to_vec(),
        Path::Status(StatusPath::Status) => STATUSES.to_vec(),
        Path::Annotation(key) if key == DECISION => DECISIONS.to_vec(),
        Path::Writes(_)
        | Path::DryRun
        | Path::Succeeded
        | Path::Refused
        | Path::Admission
        | Path::User(UserPath::IsServiceAccount)
        | Path::ImpersonatedUser(UserPath::IsServiceAccount)
        | Path::EffectiveUser(UserPath::IsServiceAccount)
        | Path::Actor(UserPath::IsServiceAccount) => TRUTHS.to_vec(),
        _ => return None,
    })
}

/// The error of a literal value, for a field with a fixed format.
fn format_error(path: &Path, literal: &str, tests: &[Test]) -> Option<String> {
    let is_whole = tests.iter().all(Test::is_equality);
    match path {
        Path::ObjectRef(RefPath::Resource) if literal.contains('/') => {
            Some("name the subresource with objectRef.subresource".to_owned())
        }
        Path::ObjectRef(RefPath::ApiGroup) if literal.contains('/') => {
            Some("name the version with objectRef.apiVersion".to_owned())
        }
        Path::ObjectRef(RefPath::Resource | RefPath::ApiGroup | RefPath::Namespace)
            if !literal
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) =>
        {
            Some("these names have letters, digits, dots and dashes only".to_owned())
        }
        Path::ObjectRef(RefPath::Resource | RefPath::ApiGroup | RefPath::Namespace)
            if literal.bytes().any(|byte| byte.is_ascii_uppercase())
                && tests.iter().all(Test::is_cased) =>
        {
            Some("these names have no capital letters: remove `cased`".to_owned())
        }
        Path::ObjectRef(RefPath::Resource | RefPath::ApiVersion)
            if tests.iter().all(Test::begins_with_a_digit) =>
        {
            Some("these names begin with a letter".to_owned())
        }
        Path::ObjectRef(RefPath::Subresource) if literal.contains('/') => {
            Some("a subresource has no slash: name the resource with objectRef.resource".to_owned())
        }
        Path::ObjectRef(RefPath::ApiVersion) if literal.contains('/') => {
            Some("name the group with objectRef.apiGroup".to_owned())
        }
        Path::RequestObject(keys) | Path::ResponseObject(keys) | Path::OldObject(keys)
            if keys.is_empty() =>
        {
            Some("a body is an object: name a key, as in requestObject.spec.paused".to_owned())
        }
        Path::ObjectRef(RefPath::ApiGroup)
            if is_whole && literal.eq_ignore_ascii_case("kio.kasten.io") =>
        {
            Some("K10's groups are apps.kio.kasten.io, actions.kio.kasten.io and so on".to_owned())
        }
        Path::ObjectRef(RefPath::Resource) if is_whole => plurals::of_singular(literal)
            .map(|plural| format!("a resource is named by its plural: `{plural}`")),
        Path::ObjectRef(RefPath::ApiGroup) if is_whole && literal.eq_ignore_ascii_case("core") => {
            Some("the core group has no name: write `''`".to_owned())
        }
        Path::SourceIps => address_error(literal, is_whole),
        Path::User(user)
        | Path::ImpersonatedUser(user)
        | Path::EffectiveUser(user)
        | Path::Actor(user) => service_account(user, literal, tests),
        Path::RequestReceivedTimestamp | Path::StageTimestamp
            if is_whole && event::Timestamp::parse(literal).is_err() =>
        {
            Some("write it as 2026-11-23T09:30:00.123456Z".to_owned())
        }
        _ => None,
    }
}

/// The error of an address or a part of one.
fn address_error(literal: &str, is_whole: bool) -> Option<String> {
    let is_possible = |byte: u8| byte.is_ascii_hexdigit() || b".:%".contains(&byte);
    let error = if is_whole && literal.parse::<std::net::IpAddr>().is_err() {
        "write an address, or a network with the modifier `cidr`"
    } else if !literal.bytes().all(is_possible) {
        "addresses have digits, dots and colons; networks need the modifier `cidr`"
    } else {
        return None;
    };
    Some(error.to_owned())
}

/// The error of the name of a service account or of a group of service accounts.
fn service_account(path: &UserPath, literal: &str, tests: &[Test]) -> Option<String> {
    const ACCOUNT: &str = "system:serviceaccount:";
    const GROUPS: &str = "system:serviceaccounts";
    let is_whole = tests.iter().all(Test::is_equality);
    let begins_with = |start: &str| {
        let start_of = literal.get(..start.len());
        start_of.is_some_and(|literal_start| literal_start.eq_ignore_ascii_case(start))
            && tests.iter().all(|test| !test.begins_without('s'))
    };
    match path {
        UserPath::Username if begins_with(GROUPS) => Some(format!(
            "that is a group (`user.groups`); an account is `{ACCOUNT}NAMESPACE:NAME`"
        )),
        UserPath::Username
            if is_whole
                && begins_with(ACCOUNT)
                && !literal.get(ACCOUNT.len()..).is_some_and(|rest| rest.contains(':')) =>
        {
            Some(
                "write NAMESPACE:NAME behind it, or use `user.serviceAccount.namespace`".to_owned(),
            )
        }
        UserPath::ServiceAccountNamespace | UserPath::ServiceAccountName if !literal.is_empty() => {
            let is_name = *path == UserPath::ServiceAccountName;
            let is_inner = |byte: u8| {
                let is_letter = byte.is_ascii_lowercase()
                    || byte.is_ascii_uppercase() && !tests.iter().all(Test::is_cased);
                is_letter || byte.is_ascii_digit() || byte == b'-' || is_name && byte == b'.'
            };
            let lower = literal.to_ascii_lowercase();
            let (namespace, name) = if is_name { ("a", &*lower) } else { (&*lower, "a") };
            let username = format!("{ACCOUNT}{namespace}:{name}");
            let can_be = literal.bytes().all(is_inner)
                && (!is_whole || event::fields::service_account(&username).is_some());
            (!can_be).then(|| {
                let dots = if is_name { ", dashes and dots" } else { " and dashes" };
                format!("these names have small letters, digits{dots} only")
            })
        }
        UserPath::Groups if begins_with(ACCOUNT) => Some(format!(
            "that is an account (`user.username`); their groups are `{GROUPS}` and `{GROUPS}:NAMESPACE`"
        )),
        _ => None,
    }
}
