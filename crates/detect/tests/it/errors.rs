//! Errors in rules: their positions and hints.

use super::support::errors;

/// Loads a rule file and expects one error at `line:column`, whose message and hint contain these
/// texts.
fn check(text: &str, at: &str, message: &str, hint: &str) {
    let messages = errors(text);
    assert_eq!(messages.len(), 1, "{messages:#?}\n{text}");
    let prefix = format!("t.yaml:{at}: ");
    let (first, help) = messages[0].split_once("\n  help: ").unwrap_or((&messages[0], ""));
    assert!(first.starts_with(&prefix), "{first} at {at}");
    assert!(first.contains(message), "{first} has {message}");
    assert!(help.contains(hint), "{help} has {hint}");
}

/// Expects an error in the value of a selection on line 5.
fn in_selection(item: &str, column: usize, message: &str, hint: &str) {
    let text = format!("title: t\nid: t\ndetection:\n  s:\n    {item}\n  condition: s\n");
    check(&text, &format!("5:{column}"), message, hint);
}

#[test]
fn an_error_in_a_selection_has_a_position_and_a_hint() {
    for (item, column, message, hint) in [
        ("objectRef.resourc: pods", 5, "no audit event has a field", "`objectRef.resource`"),
        ("verb|startwith: del", 5, "unknown modifier `startwith`", "`startswith`"),
        ("verb|base65: del", 5, "unknown modifier", "base64"),
        ("verb: replace", 11, "`verb` is never `replace`", "`update`"),
        ("verb: [get, delte]", 17, "never `delte`", "`delete`"),
        ("verb|re: ^rep", 14, "never", "one of get"),
        ("verb|cased: DELETE", 17, "never", "`delete`"),
        ("stage: Foo", 12, "`stage` is never `Foo`", "ResponseComplete"),
        ("responseStatus.code: ALLOW", 26, "never `ALLOW`", "authorization.k8s.io/decision"),
        ("responseStatus.code: 20", 26, "never `20`", "100 to 599"),
        ("responseStatus.code|gt: 599", 29, "never `599`", "100 to 599"),
        ("succeeded: yes", 16, "never `yes`", "one of true, false"),
        ("verb: true", 11, "never `true`", "one of get"),
        ("objectRef.resource: pods/exec", 25, "never", "objectRef.subresource"),
        ("objectRef.apiGroup: apps/v1", 25, "never", "objectRef.apiVersion"),
        ("sourceIPs: 192.0.2.0/24", 16, "never", "cidr"),
        ("sourceIPs|cidr: 192.0.2.1/24", 21, "not a network", "192.0.2.0/24"),
        ("requestURI: api/v1", 17, "never", "slash"),
        ("requestURI|re: '(?=x)'", 20, "regular expression is invalid", "look-around"),
        ("requestURI|re: 'a{1000}{1000}'", 20, "needs more than", "shorter"),
        ("requestURI|i: x", 5, "flag of regular", "`|re|i`"),
        ("requestURI|contains|endswith: x", 5, "exclude each other", ""),
        ("requestURI|contains: ''", 26, "not empty", "exists"),
        ("requestURI|exists: maybe", 24, "true or false", "quotes"),
        ("requestURI|lt: abc", 20, "a number", "quotes"),
        ("requestURI|contains|all: x", 5, "several values", "omit"),
        ("requestURI|contains: null", 26, "a text", "omit"),
        ("user.username|expand: '%who%'", 27, "unknown placeholder `%who%`", "%k10_namespace%"),
        ("user.username|expand: who", 27, "no placeholder", "omit"),
        ("user.username: '%k10_namespace%'", 20, "is a placeholder", "|expand"),
        ("user.username|fieldref: user.nam", 29, "no audit event", "user.uid"),
        ("user.username: {a: b}", 20, "must not be a mapping", "dots"),
        ("user.username: []", 20, "needs 1 to", ""),
        ("- word", 7, "keywords cannot be searched", "name the field"),
        ("requestObject.spec.at|within: soon", 35, "not a time", "s, m, h"),
        ("user.username|gt: 5", 23, "never `5`", "responseStatus.code"),
        ("userAgent|cidr: 10.0.0.0/8", 21, "never", "sourceIPs"),
        ("stageTimestamp|within: 5m", 28, "never", "bodies"),
        ("verb|utf16: get", 5, "UTF-16", "base64"),
        ("objectRef.resource: restorepoint", 25, "never", "`restorepoints`"),
        ("objectRef.resource: [restorepoints, restorepoint]", 41, "never", "`restorepoints`"),
        ("objectRef.resource: [RestorePoint, pods]", 26, "never", "`restorepoints`"),
        ("objectRef.resource|neq: [pods, restorepoint]", 36, "never", "`restorepoints`"),
        ("- objectRef.resource: [pods, restorepoint]", 34, "never", "`restorepoints`"),
        ("objectRef.resource: StorageRepository", 25, "never", "`storagerepositories`"),
        ("objectRef.resource|cased: RestorePoints", 31, "never", "no capital letters"),
        ("objectRef.apiGroup: core", 25, "never", "has no name"),
        ("requestURI|startswith: api/v1", 28, "never", "slash"),
        ("requestURI: api/*/pods", 17, "never", "slash"),
        ("sourceIPs|startswith: 10.0.0.0/8", 27, "never", "cidr"),
        ("user.username: system:serviceaccount:shop", 20, "never", "NAMESPACE:NAME"),
        ("actor.username|startswith: 'system:serviceaccounts:shop'", 32, "never", "user.groups"),
        ("user.groups: system:serviceaccount:shop:web", 18, "never", "system:serviceaccounts"),
        ("objectRef.apiGroup: kio.kasten.io", 25, "never", "apps.kio.kasten.io"),
        ("objectRef.apiVersion: apps/v1", 27, "never", "objectRef.apiGroup"),
        ("objectRef.subresource: pods/exec", 28, "never", "no slash"),
        ("requestObject: foo", 20, "never", "requestObject.spec"),
        ("verb: null", 11, "never", "every event"),
        ("stage|exists: false", 19, "never", "every event"),
        ("writes.spec.paused: yes", 25, "never", "one of true, false"),
    ] {
        in_selection(item, column, message, hint);
    }
}

#[test]
fn an_error_in_a_comparison_of_two_fields_has_a_position_and_a_hint() {
    for (item, column, message, hint) in [
        (
            "requestObject.a|rarer: '@daily'",
            5,
            "`rarer` compares two fields",
            "|fieldref: oldObject",
        ),
        ("requestObject.a|loses|cased|fieldref: oldObject.a", 5, "exclude each other", "remove"),
        ("requestObject.a|rarer|lt|fieldref: oldObject.a", 5, "exclude each other", ""),
        ("requestObject.a|contains|fieldref: oldObject.a", 5, "exclude each other", ""),
        ("requestObject.a|lt|fieldref: user.uid", 34, "`user.uid` is not in a body", "`oldObject`"),
        ("verb|narrower|fieldref: oldObject.a", 29, "`verb` is not in a body", "`oldObject`"),
        ("requestObject.a|lt|fieldref: null", 34, "a text", "omit"),
    ] {
        in_selection(item, column, message, hint);
    }
}

/// These values were once accepted, and no event has them.
#[test]
fn a_value_that_its_field_never_has_is_an_error() {
    for (item, column, message, hint) in [
        ("responseStatus.code: true", 26, "never `true`", "100 to 599"),
        ("sourceIPs: false", 16, "never `false`", "address"),
        ("requestURI: true", 17, "never `true`", "slash"),
        ("stageTimestamp: true", 21, "never `true`", "2026"),
        ("objectRef.resource: 5", 25, "never `5`", "begin with a letter"),
        ("objectRef.resource: '7*'", 25, "never `7*`", "begin with a letter"),
        ("objectRef.apiVersion: 1", 27, "never `1`", "begin with a letter"),
        ("objectRef.name: 0x10", 21, "never `0x10`", "numbers are compared"),
        ("requestObject.x: .inf", 22, "never `.inf`", "quote"),
        ("requestObject.x|lt: 1e999", 25, "never `1e999`", "quote"),
        ("responseStatus.code: 0x10", 26, "never `0x10`", "100 to 599"),
        ("user.serviceAccount.namespace: 'system:foo'", 36, "never", "digits and dashes only"),
        ("actor.serviceAccount.namespace: 'a.b'", 37, "never", "digits and dashes only"),
        ("user.serviceAccount.namespace|contains: a_b", 45, "never", "digits and dashes only"),
        ("user.serviceAccount.name: '-a'", 31, "never", "dashes and dots only"),
        ("user.serviceAccount.name|cased: Web", 37, "never", "small letters"),
    ] {
        in_selection(item, column, message, hint);
    }
}

/// Values that look wrong, but that events can have.
#[test]
fn unusual_values_that_a_field_can_have_are_accepted() {
    for item in [
        "objectRef.name: 5",
        "objectRef.namespace: 7",
        "objectRef.apiGroup: 3scale.net",
        "objectRef.resource|contains: 5",
        "objectRef.resource: true",
        "objectRef.apiVersion: V1",
        "user.username: 5",
        "user.serviceAccount.namespace: 5",
        "user.serviceAccount.namespace: ''",
        "user.serviceAccount.namespace: Shop",
        "user.serviceAccount.namespace|startswith: a-",
        "user.serviceAccount.name: a.b-c",
        "user.serviceAccount.name|endswith: '-svc'",
        "responseStatus.code: 0xC8",
        "responseStatus.code|lt: 0o620",
        "requestObject.x: '.inf'",
        "requestObject.x: true",
    ] {
        let text = format!("title: t\ndetection:\n  s:\n    {item}\n  condition: s\n");
        assert_eq!(errors(&text), [""; 0], "{item}");
    }
}

/// Two of these verbs were once unknown, and rules about them were rejected.
#[test]
fn rules_may_match_every_event_of_the_server_itself() {
    for verb in event::InternalEvent::ALL.map(event::InternalEvent::verb) {
        let text = format!("title: t\ndetection:\n  s: {{verb: {verb}}}\n  condition: s\n");
        assert_eq!(errors(&text), [""; 0], "{verb}");
    }
}

#[test]
fn an_error_in_a_document_has_a_position_and_a_hint() {
    let rule = "detection:\n  s: {verb: get}\n  condition: s\n";
    for (text, at, message, hint) in [
        (format!("id: t\n{rule}"), "1:1", "no title", "title"),
        (format!("title: t\nid: a b\n{rule}"), "2:5", "not a name", "without blanks"),
        (format!("title: t\nlevel: hihg\n{rule}"), "2:8", "`hihg` is not a severity", "`high`"),
        (format!("title: t\nstatus: testing\n{rule}"), "2:9", "not a status", "`test`"),
        (format!("title: t\nlevle: high\n{rule}"), "2:1", "unknown key `levle`", "`level`"),
        (format!("title: t\ntitle: u\n{rule}"), "2:1", "comes twice", ""),
        (
            format!("title: t\nlogsource: {{product: windows}}\n{rule}"),
            "2:12",
            "no audit event comes from",
            "kubernetes",
        ),
        ("title: t\naction: global\n".to_owned(), "2:1", "`action`", "filter"),
        ("title: t\n".to_owned(), "1:1", "has no detection", "detection"),
        (format!("title: t\ncorrelation: {{}}\n{rule}"), "2:1", "one of", "document of its own"),
        (
            "title: t\ndetection:\n  s: {verb: get}\n".to_owned(),
            "3:3",
            "no condition",
            "add `condition:`",
        ),
        (
            "title: t\ndetection:\n  sel: {verb: get}\n  condition: sell\n".to_owned(),
            "4:14",
            "no selection `sell`",
            "`sel`",
        ),
        (
            "title: t\ndetection:\n  s: {verb: get}\n  u: {verb: get}\n  condition: s\n".to_owned(),
            "4:3",
            "does not name the selection `u`",
            "remove",
        ),
        (
            "title: t\ndetection:\n  s: {verb: get}\n  condition: 1 of x*\n".to_owned(),
            "4:14",
            "name like `x*`",
            "",
        ),
        (
            "title: t\ndetection:\n  s: {verb: get}\n  condition: s | count() > 5\n".to_owned(),
            "4:14",
            "aggregations",
            "correlation",
        ),
        (
            "title: t\ndetection:\n  s: {verb: get}\n  u: {verb: list}\n  condition: s and u\n"
                .to_owned(),
            "5:14",
            "no value of `verb` is left",
            "`or`",
        ),
        (
            format!(
                "title: t\nkeepwatch: {{message: '{{{{events_matched_per_query.x}}}}'}}\n{rule}"
            ),
            "2:25",
            "counts the query `x`",
            "the rule has events",
        ),
        ("title: [\n".to_owned(), "2:1", "", ""),
        ("title: *x\n".to_owned(), "1:8", "", ""),
    ] {
        check(&text, at, message, hint);
    }
}

#[test]
fn an_error_in_the_extension_has_a_position_and_a_hint() {
    for (extension, column, message, hint) in [
        ("kep-alive: 1h", 13, "unknown key `kep-alive`", "`keep-alive`"),
        ("keep-alive: 1 hour", 25, "not a time", "s, m, h"),
        ("keep-alive: 2h, max-duration: 1h", 12, "longer than", "max-duration"),
        ("query: a b", 20, "not a label", "underscores"),
        ("group-by: [user.usernme]", 24, "no audit event", "user.username"),
        ("cases: [{name: a, severity: hi}]", 41, "not a severity", "high"),
        ("cases: [{severity: low, at-least: 0}]", 47, "from 1 on", ""),
        (
            "cases: [{severity: low, at-least: 1}, {severity: high, at-least: 5}]",
            51,
            "never apply",
            "first",
        ),
        ("message: '{{severty}}'", 22, "no signal has a variable", "{{severity}}"),
        ("message: '{{@usr.username}}'", 22, "no audit event", "user.username"),
        ("message: '{{#is_match \"severity\" \"3\"}}x'", 22, "not closed", "{{/is_match}}"),
        ("first-seen: {fields: []}", 25, "names no fields", "user.username"),
    ] {
        let text = format!(
            "title: t\nid: t\nkeepwatch: {{{extension}}}\ndetection:\n  s: {{verb: get}}\n  condition: s\n"
        );
        check(&text, &format!("3:{column}"), message, hint);
    }
}

/// These rules were once accepted and could never match.
#[test]
fn a_rule_that_excludes_everything_it_selects_is_an_error() {
    let rule = "title: t\nname: t\ndetection:\n  s: {verb: delete, userAgent: x}\n  \
                d: {verb: [delete, get]}\n  condition: CONDITION\n";
    let with = |condition: &str| rule.replace("CONDITION", condition);
    for condition in ["s and not d", "not (s or d) and s", "s and d and not 1 of d*"] {
        check(&with(condition), "6:14", "no value of `verb` is left", "`not`");
    }
    for condition in ["d and not s", "s or not d", "s and not (d and not s)"] {
        assert_eq!(errors(&with(condition)), [""; 0], "{condition}");
    }
    let filter = "---\ntitle: f\nfilter:\n  rules: [t]\n  d: {verb: d*}\n  condition: not d\n";
    let rule = with("s or (d and s)");
    check(&(rule + filter), "8:1", "the filter leaves no event for `t`", "");
    let count = |condition: &str| {
        format!(
            "title: t\nname: t\ndetection:\n  s: {{verb: delete}}\n  condition: s\n---\ntitle: c\nid: c\n\
             correlation:\n  rules: [t]\n  timespan: 1h\n  {condition}\n"
        )
    };
    let text = count("type: value_count\n  group-by: [verb]\n  condition: {field: verb, gte: 2}");
    check(&text, "12:9", "each group has one value of `verb`", "another field");
    let text = count("type: event_count\n  condition: {gte: 65537}");
    check(&text, "13:14", "65536", "");
}

/// These rules were once accepted and could never match.
#[test]
fn a_rule_whose_conditions_exclude_each_other_is_an_error() {
    let rule = |selection: &str, condition: &str| {
        format!("title: t\nid: t\ndetection:\n{selection}  condition: {condition}\n")
    };
    let selection = |items: &[&str]| {
        let items: Vec<String> = items.iter().map(|item| format!("    {item}\n")).collect();
        let items = items.concat();
        rule(&format!("  s:\n{items}"), "s")
    };
    let service_account = "user.username: system:serviceaccount:a:b";
    for (items, field) in [
        (&["succeeded: true", "refused: true"][..], "responseStatus.code"),
        (&["succeeded: true", "responseStatus.code: 403"], "responseStatus.code"),
        (&["refused: false", "responseStatus.code: [401, 403]"], "responseStatus.code"),
        (&["responseStatus.code|gte: 500", "responseStatus.code|lt: 400"], "responseStatus.code"),
        (&["stage: RequestReceived", "succeeded: true"], "responseStatus.code"),
        (&["stage: RequestReceived", "responseStatus.code: 200"], "responseStatus.code"),
        (&["objectRef.name|all: [a, b]"], "objectRef.name"),
        (&["userAgent|exists: true", "userAgent: null"], "userAgent"),
        (&["requestObject.spec.a: null", "requestObject.spec.a|exists: true"], "spec.a"),
        (&["user.username: alice", "user.isServiceAccount: true"], "user.username"),
        (&["user.username: alice", "user.serviceAccount.name: x"], "user.username"),
        (&["actor.username: alice", "actor.username|startswith: b"], "actor.username"),
        (&["dryRun: true", "dryRun|neq: true"], "dryRun"),
    ] {
        let messages = errors(&selection(items));
        assert_eq!(messages.len(), 1, "{items:?}: {messages:?}");
        assert!(messages[0].contains("no event meets the condition"), "{items:?}: {messages:?}");
        assert!(messages[0].contains(field), "{items:?}: {messages:?}");
    }
    let two = "  a: {user.username: a}\n  b: {user.username: b}\n";
    check(&rule(two, "a and b"), "6:14", "no value of `user.username` is left", "`or`");
    let known = "  k: {user.username: 'a*', userAgent: '*b*'}\n";
    check(&rule(known, "k and not k"), "5:14", "requires and excludes `k`", "remove");
    for items in [
        &["succeeded: false", "responseStatus.code: 403"][..],
        &["responseStatus.code|gte: 400", "responseStatus.code|lt: 500"],
        &["stage: RequestReceived", "succeeded: false"],
        &["stage: RequestReceived", "responseStatus.code: null"],
        &["stage: ResponseStarted", "responseStatus.code: 101"],
        &["user.groups|all: [a, b]"],
        &["sourceIPs|all: ['192.0.2.7', '10.0.0.5']"],
        &["userAgent: null", "userAgent|exists: false"],
        &["userAgent: ''", "userAgent|exists: false"],
        &[service_account, "user.isServiceAccount: true", "user.serviceAccount.namespace: a"],
        &["user.username: [alice, 'system:serviceaccount:a:b']", "user.isServiceAccount: true"],
        &["user.username: ALICE", "user.username|cased: alice"],
        &["user.username: alice", "user.username|re: '^Alice$'"],
        &["objectRef.name: a", "objectRef.name|fieldref: objectRef.namespace"],
        &["actor.username: alice", "user.username: bob"],
    ] {
        assert_eq!(errors(&selection(items)), [""; 0], "{items:?}");
    }
    for condition in ["a or b", "a and not b", "1 of them", "not a and not b"] {
        assert_eq!(errors(&rule(two, condition)), [""; 0], "{condition}");
    }
}

/// A selection whose name begins with an underscore was once accepted without a use.
#[test]
fn a_selection_that_the_condition_does_not_use_is_an_error() {
    let with = |condition: &str| {
        format!(
            "title: t\ndetection:\n  s: {{verb: get}}\n  _u: {{userAgent: x}}\n  condition: {condition}\n"
        )
    };
    for condition in ["1 of them", "s"] {
        check(&with(condition), "4:3", "does not name the selection `_u`", "remove");
    }
    for condition in ["1 of them and not _u", "s and 1 of _*"] {
        assert_eq!(errors(&with(condition)), [""; 0], "{condition}");
    }
}

/// A file with only comments was once accepted.
#[test]
fn a_file_without_a_rule_is_an_error() {
    for text in ["", "# title: nothing\n", "---\n---\n", "null\n"] {
        check(text, "1:1", "there is no rule in it", "rules new");
    }
}

#[test]
fn all_errors_are_reported_and_valid_documents_are_kept() {
    use detect::{Document, LoadOptions, RuleSet};
    let rule = |id: &str, verb: &str| {
        format!("title: t\nid: {id}\ndetection:\n  s: {{verb: {verb}}}\n  condition: s\n")
    };
    let files = [
        Document::new("a.yaml", [rule("a", "get"), rule("b", "gte")].join("---\n")),
        Document::new("c.yaml", [rule("c", "lsit"), rule("d", "list")].join("---\n")),
    ];
    let (rules, errors) = RuleSet::load_lenient(&files, &LoadOptions::default());
    let valid: Vec<&str> = rules.rules().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(valid, ["a", "d"]);
    let places: Vec<String> =
        errors.iter().map(|error| format!("{}:{}", error.file, error.line)).collect();
    assert_eq!(places, ["a.yaml:10", "c.yaml:4"]);
    assert!(RuleSet::load(&files, &LoadOptions::default()).is_err());
    assert!(rules.rules()[1].text.starts_with("title: t\nid: d\n"), "{}", rules.rules()[1].text);
}

#[test]
fn hostile_files_end_with_an_error() {
    let expansion =
        |index| format!("a{index}: &a{index} [{}]", format!("*a{},", index - 1).repeat(9));
    let expansions = (1..40).map(expansion).collect::<Vec<_>>().join("\n");
    let wide = (0..60_000).map(|index| format!("k{index}: v")).collect::<Vec<_>>().join("\n");
    let keys = (0..20_000).map(|index| format!("ttle{index}: v")).collect::<Vec<_>>().join("\n");
    let fields =
        (0..20_000).map(|index| format!("    user.nam{index}: v")).collect::<Vec<_>>().join("\n");
    let in_selection = |items: &str, condition: &str| {
        format!("title: t\ndetection:\n  s:\n{items}\n  condition: {condition}\n")
    };
    let values = "'/a', ".repeat(5000);
    let missing = (0..900).map(|index| format!("s{index}")).collect::<Vec<_>>().join(" or ");
    let many = "title: t\nid: x y\n---\n".repeat(5000);
    for (text, word) in [
        ("a: ".to_owned() + &"[".repeat(100_000), "nested too deeply"),
        ("{a: ".repeat(5000), "nested too deeply"),
        (format!("a0: &a0 [x]\n{expansions}"), "too large"),
        (wide, "too many values"),
        (keys, "unknown key"),
        (in_selection(&fields, "s"), "no audit event has a field"),
        (
            in_selection(&format!("    requestURI|re: [{}b]\n", "'a*', ".repeat(60)), "s"),
            "more than 50 regular expressions",
        ),
        (
            in_selection(&format!("    requestObject.x|contains: [{values}'/b']\n"), "s"),
            "more than 1000 searches of a text",
        ),
        (
            in_selection(
                &format!("    requestObject.x: [{}'a*b?c']\n", "'a?*b', ".repeat(10)),
                "s",
            ),
            "more than 10 patterns have both `*` and `?`",
        ),
        (
            in_selection(&format!("    requestURI: [{values}'/b']\n"), &["s"; 10].join(" or ")),
            "more than 20000 comparisons",
        ),
        (in_selection("    verb: get\n", &missing), "there is no selection `s0`"),
        ("x".repeat(2 << 20), "more than 1048576"),
        (many, "not a name"),
        ("? [a, b]\n: c\n".to_owned(), "a key must be a text"),
        ("<<: {a: b}\n".to_owned(), "`<<`"),
    ] {
        let messages = errors(&text);
        assert!((1..=100).contains(&messages.len()), "{} errors", messages.len());
        assert!(
            messages.iter().any(|error| error.contains(word)),
            "{word}: {:?}",
            messages.first()
        );
    }
}
