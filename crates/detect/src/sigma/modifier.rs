//! The modifiers of a field, and their valid combinations.

use super::ast::{Item, Modifier, Scalar};
use super::yaml::printable;
use crate::error::{Errors, Position};
use crate::nearest;

/// Maximum number of modifiers of one field.
const MODIFIERS_MAX: usize = 8;

const NAMES: [(&str, Modifier); 34] = [
    ("contains", Modifier::Contains),
    ("startswith", Modifier::StartsWith),
    ("endswith", Modifier::EndsWith),
    ("all", Modifier::All),
    ("cased", Modifier::Cased),
    ("exists", Modifier::Exists),
    ("re", Modifier::Re),
    ("i", Modifier::IgnoreCase),
    ("ignorecase", Modifier::IgnoreCase),
    ("m", Modifier::MultiLine),
    ("multiline", Modifier::MultiLine),
    ("s", Modifier::DotAll),
    ("dotall", Modifier::DotAll),
    ("base64", Modifier::Base64),
    ("base64offset", Modifier::Base64Offset),
    ("utf16le", Modifier::Utf16),
    ("utf16", Modifier::Utf16),
    ("wide", Modifier::Utf16),
    ("utf16be", Modifier::Utf16Be),
    ("windash", Modifier::WinDash),
    ("cidr", Modifier::Cidr),
    ("lt", Modifier::Lt),
    ("lte", Modifier::Lte),
    ("gt", Modifier::Gt),
    ("gte", Modifier::Gte),
    ("fieldref", Modifier::FieldRef),
    ("expand", Modifier::Expand),
    ("within", Modifier::Within),
    ("shorter", Modifier::Shorter),
    ("months", Modifier::Months),
    ("rarer", Modifier::Rarer),
    ("narrower", Modifier::Narrower),
    ("loses", Modifier::Loses),
    ("neq", Modifier::Neq),
];

/// Parses the modifiers after a field.
pub(super) fn parse(text: &str, at: Position, errors: &mut Errors) -> Option<Vec<Modifier>> {
    let mut modifiers = Vec::new();
    for word in text.split('|').filter(|_| !text.is_empty()) {
        let Some((_, modifier)) = NAMES.iter().find(|(name, _)| *name == word) else {
            let known = NAMES.iter().map(|(name, _)| *name);
            let hint = nearest::of(word, known.clone()).map_or_else(
                || format!("known modifiers: {}", known.collect::<Vec<_>>().join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            errors.hint(at, format!("unknown modifier `{}`", printable(word)), hint);
            return None;
        };
        if modifiers.contains(modifier) || modifiers.len() == MODIFIERS_MAX {
            errors.add(at, format!("the modifier `{word}` comes twice"));
            return None;
        }
        modifiers.push(*modifier);
    }
    Some(modifiers)
}

/// Modifiers that select the comparison: a field has at most one of them.
const COMPARISONS: [Modifier; 16] = [
    Modifier::Contains,
    Modifier::StartsWith,
    Modifier::EndsWith,
    Modifier::Exists,
    Modifier::Re,
    Modifier::Cidr,
    Modifier::Lt,
    Modifier::Lte,
    Modifier::Gt,
    Modifier::Gte,
    Modifier::FieldRef,
    Modifier::Within,
    Modifier::Shorter,
    Modifier::Rarer,
    Modifier::Narrower,
    Modifier::Loses,
];

/// Comparisons with another field only.
const OF_FIELDS: [Modifier; 3] = [Modifier::Rarer, Modifier::Narrower, Modifier::Loses];

/// Comparisons with a value, or with another field if `fieldref` follows.
const OF_BOTH: [Modifier; 5] =
    [Modifier::Lt, Modifier::Lte, Modifier::Gt, Modifier::Gte, Modifier::Shorter];

/// Reports modifiers that cannot be combined with each other or with a value.
pub(super) fn check(item: &Item, errors: &mut Errors) {
    let has = |modifier: Modifier| item.modifiers.contains(&modifier);
    let comparisons: Vec<&Modifier> =
        item.modifiers.iter().filter(|modifier| COMPARISONS.contains(modifier)).collect();
    let is_of_fields =
        |modifier: &Modifier| OF_FIELDS.contains(modifier) || OF_BOTH.contains(modifier);
    let compares_fields = match comparisons.as_slice() {
        [first, Modifier::FieldRef] | [Modifier::FieldRef, first] => is_of_fields(first),
        _ => false,
    };
    if let [first, second, ..] = comparisons.as_slice()
        && !compares_fields
    {
        let message =
            format!("the modifiers `{}` and `{}` exclude each other", first.name(), second.name());
        errors.add(item.at, message);
        return;
    }
    let flags = [Modifier::IgnoreCase, Modifier::MultiLine, Modifier::DotAll];
    if let Some(flag) = flags.into_iter().find(|flag| has(*flag) && !has(Modifier::Re)) {
        errors.hint(
            item.at,
            format!("`{}` is a flag of regular expressions", flag.name()),
            "write `|re|i`; without `re`, the case of letters does not count anyway",
        );
    }
    if has(Modifier::Months) && !(has(Modifier::Shorter) && has(Modifier::FieldRef)) {
        errors.hint(
            item.at,
            "`months` is a flag of durations that are compared",
            "write `|shorter|months|fieldref`: `m` is a month, as in restic",
        );
    }
    let wide = has(Modifier::Utf16) || has(Modifier::Utf16Be);
    if wide && !has(Modifier::Base64) && !has(Modifier::Base64Offset) {
        errors.hint(
            item.at,
            "no field of an audit event is UTF-16",
            "`utf16` goes before `base64` or `base64offset`",
        );
    }
    if has(Modifier::All) && item.values.len() < 2 {
        errors.hint(item.at, "`all` needs several values", "omit `all`");
    }
    check_of_fields(item, &comparisons, errors);
    let compares =
        if compares_fields { Some(&Modifier::FieldRef) } else { comparisons.first().copied() };
    for value in &item.values {
        if let Some((message, hint)) = value_error(compares, &value.scalar) {
            errors.hint(value.at, message, hint);
        }
    }
    if has(Modifier::Exists) && item.values.len() != 1 {
        errors.hint(item.at, "`exists` needs one value", "write `true` or `false`");
    }
}

/// Reports a comparison of two fields that lacks the other one, or has a flag of texts.
fn check_of_fields(item: &Item, comparisons: &[&Modifier], errors: &mut Errors) {
    let has_other = item.modifiers.contains(&Modifier::FieldRef);
    let Some(modifier) = comparisons.iter().find(|modifier| OF_FIELDS.contains(modifier)) else {
        return;
    };
    let name = modifier.name();
    if !has_other {
        errors.hint(
            item.at,
            format!("`{name}` compares two fields"),
            format!("name the one before, as in `requestObject.spec.a|{name}|fieldref: oldObject.spec.a`"),
        );
    } else if item.modifiers.contains(&Modifier::Cased) {
        errors.hint(
            item.at,
            format!("the modifiers `{name}` and `cased` exclude each other"),
            "remove `cased`: texts are compared as they are",
        );
    }
}

fn value_error(compares: Option<&Modifier>, scalar: &Scalar) -> Option<(String, &'static str)> {
    let (expected, hint) = match (compares?, scalar) {
        (Modifier::Exists, Scalar::Bool(_)) => return None,
        (Modifier::Exists, _) => ("true or false", "write `true` or `false` without quotes"),
        (Modifier::Lt | Modifier::Lte | Modifier::Gt | Modifier::Gte, scalar) => match scalar {
            Scalar::Number(_) => return None,
            _ => ("a number", "numbers are written without quotes"),
        },
        (_, Scalar::Null | Scalar::Bool(_)) => ("a text", "omit the modifier"),
        (Modifier::Contains | Modifier::StartsWith | Modifier::EndsWith, Scalar::Text(text))
            if text.is_empty() =>
        {
            ("a text that is not empty", "use `exists: true` to ask whether the field is there")
        }
        _ => return None,
    };
    Some((format!("the value must be {expected}"), hint))
}

impl Modifier {
    /// All modifiers.
    pub const ALL: [Self; 29] = [
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::All,
        Self::Cased,
        Self::Exists,
        Self::Re,
        Self::IgnoreCase,
        Self::MultiLine,
        Self::DotAll,
        Self::Base64,
        Self::Base64Offset,
        Self::Utf16,
        Self::Utf16Be,
        Self::WinDash,
        Self::Cidr,
        Self::Lt,
        Self::Lte,
        Self::Gt,
        Self::Gte,
        Self::FieldRef,
        Self::Expand,
        Self::Within,
        Self::Shorter,
        Self::Months,
        Self::Rarer,
        Self::Narrower,
        Self::Loses,
        Self::Neq,
    ];

    /// The name in rules.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, modifier)| *modifier == self).map_or("", |(name, _)| name)
    }
}
