use super::*;

fn person(email: &str, identifier: &str) -> Person {
    let identifier = Some(identifier.to_owned()).filter(|it| !it.is_empty());
    Person { name: "Ada Lovelace".to_owned(), email: email_key(email), phone: "+44 20".to_owned(), identifier }
}

fn party(id: i64, emails: &[&str], identifiers: &[&str]) -> Party {
    let mechanisms: Vec<Value> =
        emails.iter().enumerate().map(|(at, it)| json!({"id": 10 * id + at as i64, "type": "email", "value": it})).collect();
    let identifiers: Vec<Value> = identifiers.iter().map(|it| json!({"code": it})).collect();
    serde_json::from_value(json!({
        "id": id, "name": "Ada Lovelace", "identifiers.": identifiers, "contact_mechanisms.": mechanisms, "addresses.": [],
    }))
    .unwrap()
}

fn check(person: &Person, parties: Vec<Party>, expected: &str) {
    let found = match decide(person, parties) {
        Ok(Some(party)) => party.id.to_string(),
        Ok(None) => "none".to_owned(),
        Err(refusal) => Fault::from(refusal).code.to_owned(),
    };
    assert_eq!(found, expected);
}

#[test]
fn an_email_is_matched_whole_and_without_case() {
    let ada = person("ada@example.com", "");
    check(&ada, vec![party(3, &["ADA@Example.com "], &[])], "3");
    check(&ada, vec![party(3, &["ada+shop@example.com"], &[]), party(4, &["xada@example.com"], &[])], "none");
}

#[test]
fn our_identifier_goes_before_the_email() {
    let ada = person("new@example.com", "tradewind:shop:customer:7");
    check(&ada, vec![party(3, &["old@example.com"], &["tradewind:shop:customer:7"]), party(4, &["new@example.com"], &[])], "3");
}

#[test]
fn two_that_match_are_no_guess() {
    let ada = person("ada@example.com", "");
    check(&ada, vec![party(3, &["ada@example.com"], &[]), party(4, &["ada@example.com"], &[])], "erp_customer_twice");
}

#[test]
fn a_wildcard_in_an_address_is_a_letter() {
    let domain = person("a_b%c@example.com", "").domain();
    assert_eq!(domain, json!([["contact_mechanisms", "where", [["type", "=", "email"], ["value", "ilike", "a\\_b\\%c@example.com"]]]]));
}

#[test]
fn a_profile_replaces_the_only_email_and_leaves_several_alone() {
    let ada = person("new@example.com", "id");
    let one = changes(&ada, &[], &party(3, &["old@example.com"], &["id"])).unwrap();
    assert_eq!(one["contact_mechanisms"][0], json!(["write", [30], {"value": "new@example.com"}]));
    let several = changes(&ada, &[], &party(3, &["a@example.com", "b@example.com"], &["id"])).unwrap();
    assert_eq!(several["contact_mechanisms"][0], json!(["create", [{"type": "email", "value": "new@example.com"}]]));
    assert!(one.get("name").is_none() && one.get("identifiers").is_none(), "what is right is not written");
}

#[test]
fn a_profile_that_says_nothing_new_changes_nothing() {
    let mut ada = person("ada@example.com", "id");
    ada.phone = String::new();
    assert_eq!(changes(&ada, &[], &party(3, &["Ada@example.com"], &["id"])), None);
}

#[test]
fn the_same_new_address_is_added_once() {
    let postal = Postal { party_name: "Ada".to_owned(), city: "London".to_owned(), ..Postal::default() };
    let mut ada = person("ada@example.com", "id");
    ada.phone = String::new();
    let values = changes(&ada, &[postal.clone(), postal], &party(3, &["ada@example.com"], &["id"])).unwrap();
    assert_eq!(values["addresses"][0][1].as_array().unwrap().len(), 1);
}
