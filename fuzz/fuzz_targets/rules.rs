//! Detection rules: any text is accepted, or rejected with positions and reasons, and accepted
//! rules evaluate any event.
//!
//! The input is a rule file, and after a NUL an audit line.

#![no_main]

use detect::rule::Body;
use detect::{Document, EventMatcher, LoadOptions, RuleSet, Template};
use event::{Event, EventRef, Stage, Timestamp};
use fuzz::text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let rules = text(&mut rest);
    let options = LoadOptions::default();
    let documents = [Document::new("rules.yaml", rules.as_str())];
    let (set, errors) = RuleSet::load_lenient(&documents, &options);
    assert_eq!(RuleSet::load(&documents, &options).is_ok(), errors.is_empty());
    for error in errors {
        assert!(error.line >= 1 && error.column >= 1, "{error:?} has no place");
        assert!(!error.message.is_empty(), "{error:?} says nothing");
    }
    let event = match event::line::read(rest) {
        Ok(line) => line.event,
        Err(_) => Event::internal(Stage::ResponseComplete, "get", Timestamp::default()),
    };
    let view = EventRef::from(&event);
    tried(&set, &view);
    if let Ok(matcher) = EventMatcher::parse_text("matcher", &rules, &options) {
        let fields = set.fields(&view, "");
        assert_eq!(matcher.matches(&fields), matcher.matches(&fields));
    }
    if let Ok(template) = Template::parse(&rules) {
        let rendered = template.render(&|name| Some(name.to_owned()));
        assert!(rendered.len() <= detect::template::RENDERED_LEN_MAX);
    }
});

/// The index selects exactly the rules that match the event.
fn tried<'a>(set: &RuleSet, view: &'a EventRef<'a>) {
    let fields = set.fields(view, "prod");
    let mut found = Vec::new();
    set.for_each_match(&fields, |rule| found.push(rule));
    let all = set.rules().iter().enumerate();
    let expected: Vec<usize> = all
        .filter(|(_, rule)| match &rule.body {
            Body::Detection(expression) => {
                let is_over = matches!(view.stage(), Stage::ResponseComplete | Stage::Panic);
                expression.matches(&fields)
                    && (expression.names_stage() || is_over)
                    && (expression.names_dry_run() || !fields.is_dry_run())
            }
            Body::Correlation(_) => false,
        })
        .map(|(place, _)| place)
        .collect();
    assert_eq!(found, expected);
}
