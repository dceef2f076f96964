use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const RULES: &str = r#"
[[hold]]
name = "payment-pending"
when = 'order.financial_state == "pending"'
reason = "payment_pending"

[[route]]
name = "eu"
when = 'order.country in ["DE", "FR"] && order.currency == "EUR" && !order.b2b'
target = "erp-main"

[[route]]
name = "machines"
when = 'order.skus.exists(s, s.startsWith("M-")) || order.total >= 100000'
target = "erp-b2b"
"#;

fn targets() -> BTreeSet<TargetId> {
    ["erp-main", "erp-b2b"].map(|it| it.parse().unwrap()).into()
}

fn facts() -> OrderFacts {
    OrderFacts { country: "DE".to_owned(), currency: "EUR".to_owned(), financial_state: "paid".to_owned(), ..OrderFacts::default() }
}

fn decide(facts: &OrderFacts) -> String {
    match Rules::parse(RULES, &targets()).unwrap().decide(facts).unwrap() {
        Decision::Route { target, rule } => format!("{rule} -> {target}"),
        Decision::Hold { reason, rule } => format!("{rule} holds: {reason}"),
        Decision::NoRoute => "nowhere".to_owned(),
    }
}

#[test]
fn the_first_route_that_matches_wins() {
    assert_eq!(decide(&facts()), "eu -> erp-main");
    assert_eq!(decide(&OrderFacts { country: "CH".to_owned(), ..facts() }), "nowhere");
    assert_eq!(decide(&OrderFacts { b2b: true, total: 100_000, ..facts() }), "machines -> erp-b2b");
    assert_eq!(
        decide(&OrderFacts { b2b: true, total: 99_999, skus: vec!["A".to_owned(), "M-1".to_owned()], ..facts() }),
        "machines -> erp-b2b"
    );
}

#[test]
fn a_hold_comes_before_every_route() {
    assert_eq!(decide(&OrderFacts { financial_state: "pending".to_owned(), ..facts() }), "payment-pending holds: payment_pending");
}

/// A route with this condition, on line 3 of the file from column 9.
fn with_condition(condition: &str) -> String {
    format!("[[route]]\nname = \"a\"\nwhen = '{condition}'\ntarget = \"erp-main\"\n")
}

fn errors(text: &str) -> Vec<String> {
    check_text("rules.toml", text, Some(&targets())).expect_err("the text has a mistake")
}

#[track_caller]
fn check(condition: &str, expected: &str) {
    assert_eq!(errors(&with_condition(condition)), [format!("rules.toml:{expected}")], "{condition}");
}

#[test]
fn a_mistake_in_a_condition_is_named_with_its_place_in_the_file() {
    check("order.country = \"DE\"", "3:23: not a CEL expression: token recognition error at: '= ' (two values are compared by `==`)");
    check("\"größe\" in order.tags &", "3:31: not a CEL expression: token recognition error at: '&'");
    check("order.country == DE", "3:26: there is no variable `DE`: rules know `order` only; a text needs quotes");
    check("order.contry == \"DE\"", "3:14: there is no field `order.contry`: did you mean `order.country`?");
    check(
        "true || order.currency_code == \"EUR\"",
        "3:22: there is no field `order.currency_code`: an order has b2b, channel, company_id, connection, country, coupons, currency, email_domain, financial_state, fulfillment_state, gateways, po_number, presentment_currency, shipping_code, skus, tags, test, total",
    );
    check("order == \"DE\"", "3:9: `order` by itself is no value: use one of its fields, such as `order.country`");
    check("order.country", "3:14: a condition is true or false, this is a text");
    check("order.total + 1", "3:21: a condition is true or false, this is a whole number");
    check("order.total == \"12.30\"", "3:24: a whole number never equals a text");
    check("order.total > 12.30", "3:23: fractions have no use in a rule: `order.total` is a whole number of the currency's smallest unit");
    check("order.country && order.b2b", "3:14: this must be a bool, and is a text");
    check("order.tags.contains(\"vip\")", "3:14: this must be a text, and is a list");
    check("\"vip\" in order.country", "3:23: `in` needs a list on its right, this is a text");
    check("order.total in order.tags", "3:29: no element of this list is a whole number");
    check("order.skus.exists(s, s > 3)", "3:34: this must be a text, and is a whole number");
    check(
        "order.skus.any(s, s == \"A\")",
        "3:23: there is no function `any`: rules have size, startsWith, endsWith, contains, matches, exists, exists_one, all, filter, map",
    );
    check("order.skus.exists(s)", "3:26: write it on a list, with a name for the element: `order.skus.exists(sku, ...)`");
    check("size(order.skus, 1) > 0", "3:13: `size` got the wrong number of values");
    check("has(order.country)", "3:12: `order.country` is always there: compare it with an empty text or list");
    check(
        "order.country.lower() == \"de\"",
        "3:28: there is no function `lower`: rules have size, startsWith, endsWith, contains, matches, exists, exists_one, all, filter, map",
    );
    check("order.country.code == \"de\"", "3:22: a text has no field `code`");
    check("order.country.matches(\"(\")", "3:31: this is no pattern: unclosed group");
    check("order.test && order.country.matches(\"(\")", "3:45: this is no pattern: unclosed group");
    check("order.country.matches(order.currency)", "3:36: `matches` needs its pattern as a text in quotes");
    check("order.skus[0] == \"A\"", "3:9: it failed on a sample order: a list has fewer elements than it asks for");
    check("100 / order.total == 1", "3:9: it failed on a sample order: it divides by zero");
    check("", "3:8: the condition is empty: write `true` for one that always holds");
    check("(order.b2b", "3:19: not a CEL expression: missing ')' at '<EOF>'");
}

#[test]
fn a_place_counts_the_files_own_lines_and_characters() {
    let text = "[[route]]\nname = \"größe\"\nwhen = \"\"\"\norder.tags.exists(t, t == \\\"größe\\\") &&\n  order.contry == 'DE'\"\"\"\ntarget = \"erp-main\"\n";
    assert_eq!(errors(text), ["rules.toml:5:8: there is no field `order.contry`: did you mean `order.country`?"]);
    let text = "[[route]]\nname = \"a\"\nwhen = \"order.tags.exists(t, t == \\\"größe\\\") && ordr.b2b\"\ntarget = \"erp-main\"\n";
    assert_eq!(errors(text), ["rules.toml:3:49: there is no variable `ordr`: rules know `order` only; a text needs quotes"]);
}

#[test]
fn every_mistake_of_the_file_is_reported_at_once() {
    let text = r#"
color = "red"

[[hold]]
name = "a"
when = 'order.b2b'
reason = "Not yet"

[[route]]
name = "a"
when = 'order.b2b'
target = "erp-mian"
priority = 3

[[route]]
name = "b"
when = true
"#;
    assert_eq!(
        errors(text),
        [
            "rules.toml:2:1: there is no table `color`: a rules file has [[hold]] and [[route]]",
            "rules.toml:7:10: `Not yet` is not usable as a reason: use 1 to 48 of a-z, 0-9 and _, starting with a letter",
            "rules.toml:10:8: the name `a` is taken by the rule on line 5",
            "rules.toml:12:10: there is no target `erp-mian`: the settings have `erp-b2b` and `erp-main`",
            "rules.toml:13:1: there is no key `priority` here: use `name`, `when` and `target`",
            "rules.toml:15:1: `target` is missing",
            "rules.toml:17:8: `when` must be a text in quotes",
        ]
    );
}

#[test]
fn what_is_no_toml_is_named_with_its_place() {
    assert_eq!(errors("[[route]]\nname = \n"), ["rules.toml:2:8: string values must be quoted, expected literal string"]);
    assert_eq!(errors(""), ["rules.toml:1:1: there is no [[route]]: every order would become a letter"]);
    assert_eq!(
        errors("[route]\nname = \"a\"\n"),
        ["rules.toml:1:1: write it with double brackets, [[hold]] or [[route]]: there may be several"]
    );
}

#[test]
fn without_settings_any_name_is_a_target() {
    let text = with_condition("order.test").replace("erp-main", "somewhere");
    let checked = check_text("rules.toml", &text, None).unwrap();
    assert_eq!(checked.routes, [("a".to_owned(), "somewhere".parse().unwrap())]);
    let text = with_condition("order.test").replace("erp-main", "Some where");
    assert_eq!(
        check_text("rules.toml", &text, None).unwrap_err(),
        ["rules.toml:4:10: `Some where` is not a name: use 1 to 48 of a-z, 0-9 and -, starting with a letter"]
    );
}

#[test]
fn what_real_rules_need_is_accepted() {
    for condition in [
        "true",
        "order.country == \"\" || order.country != order.connection",
        "order.b2b ? order.total > 0 : order.tags.all(t, t != \"x\")",
        "size(order.skus) > 2 && order.skus.size() % 2 == 1",
        "order.skus.exists_one(s, s.matches(\"^[A-Z]+-[0-9]+$\"))",
        "size(order.skus.filter(s, s.endsWith(\"-X\"))) == size(order.skus)",
        "order.skus.map(s, s + \"!\").exists(s, s == \"A!\")",
        "order.total - 100 * 2 < -5 || order.email_domain in [\"example.com\"]",
        "\"a\" < order.channel",
        "order.tags.exists(order, order == \"x\")",
        "size(order.tags) > 0 && order.tags[0] == \"vip\"",
        "[] == order.tags",
    ] {
        assert_eq!(check_text("rules.toml", &with_condition(condition), Some(&targets())).err(), None, "{condition}");
    }
}

#[test]
fn a_rule_that_fails_on_an_order_is_named_and_nothing_of_the_order_is() {
    let rules = Rules::parse(&with_condition("order.total * 1000000 > 0"), &targets()).unwrap();
    let error = rules.decide(&OrderFacts { total: i64::MAX, ..facts() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the rule `a` failed on this order: a number becomes too large; make its condition hold for every order, then replay"
    );
    assert_eq!((error.class(), error.code()), (Class::Validation, "rule_failed"));
}

/// Neither the parser nor the checker may run out of stack on them.
#[test]
fn a_condition_that_is_nested_too_deep_is_refused() {
    for condition in [
        format!("{}true{}", "(".repeat(2000), ")".repeat(2000)),
        format!("{}order.b2b{}", "[".repeat(2000), "]".repeat(2000)),
        "[".repeat(4000),
        format!("order{}", ".a".repeat(2000)),
        format!("1{} > 0", "+1".repeat(2000)),
        format!("{}order.b2b", "order.b2b ? true : ".repeat(200)),
        "x".repeat(5000),
    ] {
        assert!(check_text("rules.toml", &with_condition(&condition), None).is_err(), "{}", &condition[..20]);
    }
}

#[test]
fn a_condition_that_is_long_is_not_deep() {
    for condition in
        [format!("1{} > 0", "+1".repeat(50)), format!("order.b2b{}", " || order.b2b".repeat(300)), format!("{}true", "!".repeat(4000))]
    {
        assert_eq!(check_text("rules.toml", &with_condition(&condition), None).err(), None, "{}", &condition[..20]);
    }
}

/// Pieces of rules, so that chance gets past the first character.
fn fragment() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "[[route]]\n",
        "[[hold]]\n",
        "name = ",
        "when = ",
        "target = ",
        "reason = ",
        "\"erp-main\"\n",
        "\"a\"\n",
        "'order.b2b'\n",
        "'",
        "\"",
        "\"\"\"",
        "'''",
        "\n",
        "order",
        ".country",
        ".skus",
        ".exists(s, ",
        ")",
        "(",
        "==",
        "&&",
        "||",
        "!",
        "[",
        "]",
        "{",
        "}",
        "1",
        "-",
        "in ",
        "\\u00e9",
        "ä",
        "\r\n",
        "has(",
        "? ",
        ": ",
        "1.5",
    ];
    prop_oneof![4 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => ".{0,3}"]
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(pieces in proptest::collection::vec(fragment(), 0..40)) {
        if let Err(errors) = Rules::parse(&pieces.concat(), &targets()) {
            prop_assert!(!errors.is_empty());
        }
    }

    #[test]
    fn no_condition_makes_the_checker_panic(pieces in proptest::collection::vec(fragment(), 0..20)) {
        let condition = pieces.concat().replace('\'', "\"");
        let text = with_condition(&condition.replace(['\r', '\n'], " "));
        if let Ok(rules) = Rules::parse(&text, &targets()) {
            prop_assert!(rules.decide(&facts()).is_ok(), "{condition}");
        }
    }
}
