//! The examples in the reference documentation are valid rules.

use super::support::load;

const PAGE: &str = include_str!("../../../../docs/reference/rules.md");

#[test]
fn the_examples_of_the_page_load() {
    let examples: Vec<&str> =
        PAGE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5, "{}", examples.len());
    for example in examples {
        assert!(!load(example).rules().is_empty());
    }
}

#[test]
fn the_page_names_every_modifier() {
    for modifier in detect::sigma::Modifier::ALL {
        let name = format!("`{}`", modifier.name());
        assert!(PAGE.contains(&name), "{name}");
    }
}
