//! Rules files. The input is the file.

use std::collections::BTreeSet;

use domain::TargetId;

use mapping::{OrderFacts, Rules, check_text};

/// A file is taken or every mistake in it has its place; what is taken decides about any order, and the same every time.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let targets: BTreeSet<TargetId> = ["erp-main", "erp-b2b"].map(|it| it.parse().expect("a name as it should be")).into();
    match Rules::parse(text, &targets) {
        Ok(rules) => {
            assert!(check_text("rules.toml", text, None).is_ok(), "what is taken with these targets is taken with any");
            for facts in [OrderFacts::default(), facts()] {
                assert_eq!(rules.decide(&facts), rules.decide(&facts));
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            let lines = text.split('\n').count();
            for it in errors {
                assert!((1..=lines).contains(&it.line) && it.column >= 1, "{it}");
                assert!(!it.message.contains('\n'), "one line per mistake: {it}");
            }
        }
    }
}

/// Texts as no settings foresee them.
fn facts() -> OrderFacts {
    OrderFacts {
        country: "DE".to_owned(),
        total: i64::MIN,
        tags: vec![String::new(), "größe\0".to_owned()],
        skus: vec!["(".to_owned()],
        email_domain: "\u{202e}".to_owned(),
        b2b: true,
        ..OrderFacts::default()
    }
}
