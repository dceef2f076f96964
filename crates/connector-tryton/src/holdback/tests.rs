use super::*;

/// `MUG 3: 7 draft 2 @1, 16 draft 1 @2; ignored 5; recreated 6`
fn line(id: i64, text: &str) -> Value {
    let (head, rest) = text.split_once(':').unwrap();
    let (sku, quantity) = head.split_once(' ').unwrap();
    let mut parts = rest.split(';');
    let moves = parts.next().unwrap_or_default();
    let marks: Vec<Vec<&str>> = parts.map(|it| it.split_whitespace().collect()).collect();
    let marked = |mark: &str| -> Vec<i64> {
        marks.iter().filter(|it| it[0] == mark).flat_map(|it| &it[1..]).map(|it| it.parse().unwrap()).collect()
    };
    let of_move = |it: &str| {
        let parts: Vec<&str> = it.split_whitespace().collect();
        let shipment = format!("stock.shipment.out,{}", parts[3].trim_start_matches('@'));
        json!({"id": parts[0].parse::<i64>().unwrap(), "state": parts[1], "quantity": parts[2].parse::<f64>().unwrap(), "shipment": shipment})
    };
    let moves: Vec<Value> = moves.split(',').filter(|it| !it.trim().is_empty()).map(of_move).collect();
    json!({"id": id, "product.": {"id": 4, "code": sku, "type": if sku == "CARD" { "service" } else { "goods" }}, "quantity": quantity.parse::<f64>().unwrap(), "moves.": moves, "moves_ignored": marked("ignored"), "moves_recreated": marked("recreated")})
}

/// Shipments as `1 waiting`.
fn goods(shipments: &[&str], shipment_state: &str, lines: &[&str]) -> Goods {
    let shipments: Vec<Value> = shipments
        .iter()
        .map(|it| {
            let (id, state) = it.split_once(' ').unwrap();
            json!({"id": id.parse::<i64>().unwrap(), "state": state})
        })
        .collect();
    let lines: Vec<Value> = (1..).zip(lines).map(|(id, it)| line(id, it)).collect();
    serde_json::from_value(
        json!({"id": 1, "state": "processing", "shipment_state": shipment_state, "shipments.": shipments, "lines.": lines}),
    )
    .unwrap()
}

/// One mug is kept back.
fn check(goods: &Goods, due: &str) {
    let cuts = goods.cuts(&BTreeMap::from([("MUG".to_owned(), Decimal::ONE)]));
    let stages = Stage::ALL.into_iter().zip(STEPS);
    let found = stages.filter_map(|(stage, (name, ..))| match goods.is_due(stage, &cuts) {
        Ok(due) => due.then(|| name.to_owned()),
        Err(refusal) => Some(Fault::from(refusal).code.to_owned()),
    });
    assert_eq!(found.collect::<Vec<_>>().join(" "), due);
}

#[test]
fn a_piece_is_split_off_dropped_and_forgotten() {
    check(&goods(&["1 waiting"], "waiting", &["MUG 3: 7 draft 3 @1", "TS 2: 8 draft 2 @1"]), "reopen shorten");
    check(&goods(&["1 draft"], "waiting", &["MUG 3: 7 draft 3 @1", "TS 2: 8 draft 2 @1"]), "shorten");
    check(&goods(&["1 draft"], "waiting", &["MUG 3: 7 draft 2 @1", "TS 2: 8 draft 2 @1"]), "wait split");
    check(&goods(&["1 draft", "2 waiting"], "waiting", &["MUG 3: 7 draft 2 @1, 16 draft 1 @2", "TS 2: 8 draft 2 @1"]), "wait drop");
    check(&goods(&["1 waiting", "2 cancelled"], "exception", &["MUG 3: 7 draft 2 @1, 16 cancelled 1 @2"]), "forget settle");
    check(&goods(&["1 waiting", "2 cancelled"], "exception", &["MUG 3: 7 draft 2 @1, 16 cancelled 1 @2; ignored 16"]), "settle");
    check(&goods(&["1 waiting", "2 cancelled"], "waiting", &["MUG 3: 7 draft 2 @1, 16 cancelled 1 @2; ignored 16"]), "");
}

#[test]
fn what_was_taken_out_whole_comes_back_to_be_dropped() {
    check(&goods(&["1 draft"], "waiting", &["MUG 1: 7 draft 1 @1", "TS 2: 8 draft 2 @1"]), "shorten");
    // Tryton's worker has not come to it yet: left alone, its shipment would be made later, and sent.
    check(&goods(&["1 waiting"], "waiting", &["MUG 1:", "TS 2: 8 draft 2 @1"]), "split");
    check(&goods(&["1 waiting", "2 waiting"], "waiting", &["MUG 1: 16 draft 1 @2", "TS 2: 8 draft 2 @1"]), "drop");
    check(&goods(&["1 waiting"], "waiting", &["CARD 1:", "TS 2: 8 draft 2 @1"]), "");
}

#[test]
fn a_shipment_of_nothing_else_is_dropped_whole() {
    check(&goods(&["1 assigned"], "waiting", &["MUG 1: 7 draft 1 @1"]), "drop");
}

#[test]
fn what_a_person_cancelled_is_not_forgotten_as_far_as_it_is_owed() {
    let again = "MUG 3: 7 cancelled 3 @1, 16 draft 2 @2, 17 cancelled 1 @3; recreated 7";
    check(&goods(&["1 cancelled", "2 waiting", "3 cancelled"], "exception", &[again]), "forget settle");
    let made_again = "MUG 3: 16 draft 2 @2, 17 cancelled 1 @3, 18 cancelled 1 @4; recreated 18";
    let made_again = goods(&["2 waiting", "3 cancelled", "4 cancelled"], "exception", &[made_again]);
    assert_eq!(made_again.cuts(&BTreeMap::from([("MUG".to_owned(), Decimal::ONE)])).forgotten, BTreeMap::from([(1, vec![17])]));
    let undecided = "MUG 3: 7 cancelled 2 @1, 17 cancelled 1 @3";
    let undecided = goods(&["1 cancelled", "3 cancelled"], "exception", &[undecided, "TS 1: 9 cancelled 1 @1"]);
    assert_eq!(undecided.cuts(&BTreeMap::from([("MUG".to_owned(), Decimal::ONE)])).forgotten, BTreeMap::from([(1, vec![17])]));
    let later = goods(&["1 cancelled", "3 cancelled"], "exception", &["MUG 3: 7 cancelled 1 @1, 17 cancelled 2 @3"]);
    let cuts = later.cuts(&BTreeMap::from([("MUG".to_owned(), Decimal::ONE)]));
    assert_eq!((cuts.forgotten, cuts.is_unclear), (BTreeMap::from([(1, vec![7])]), false));
    // One move of both.
    let together = goods(&["1 cancelled"], "exception", &["MUG 3: 7 cancelled 3 @1"]);
    check(&together, &["erp_cancelled_together"; 7].join(" "));
    // Two were refunded, one of three is cancelled: Tryton would make the third again.
    let short = goods(&["1 cancelled", "2 draft"], "exception", &["MUG 3: 7 cancelled 1 @1, 16 draft 1 @2"]);
    let cuts = short.cuts(&BTreeMap::from([("MUG".to_owned(), Decimal::TWO)]));
    assert_eq!(short.is_due(Stage::Split, &cuts).ok(), Some(true));
}

#[test]
fn what_has_left_is_not_held_back() {
    check(&goods(&["1 done"], "sent", &["MUG 3: 7 done 3 @1"]), "");
    check(&goods(&["1 done", "2 waiting"], "partially shipped", &["MUG 3: 7 done 2 @1, 9 draft 1 @2"]), "drop");
}

#[test]
fn what_is_packed_needs_a_person() {
    let packed = goods(&["1 packed"], "waiting", &["MUG 3: 7 assigned 3 @1"]);
    check(&packed, &["erp_goods_on_their_way"; 7].join(" "));
}

#[test]
fn a_whole_line_goes_and_the_others_stay() {
    let goods = goods(&["1 draft"], "waiting", &["MUG 1: 7 draft 1 @1", "TS 2: 8 draft 2 @1"]);
    let cuts = goods.cuts(&BTreeMap::from([("MUG".to_owned(), Decimal::ONE), ("TS".to_owned(), Decimal::ONE)]));
    assert_eq!(json!(shortened(&cuts.shortened[&1])), json!([["delete", [7]], ["write", [8], {"quantity": 1}]]));
}
