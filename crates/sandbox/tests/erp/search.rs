//! Finding and reading: domains, order, pages, nested fields.

use serde_json::{Value, json};

use crate::client::{MUG_RED, decimal, erp, id, line, usual_lines};

#[tokio::test]
async fn a_party_is_found_by_its_identifier_or_its_mail_address() {
    let erp = erp().await;
    let party = |code: &str, mail: &str| {
        json!({
            "name": "Ada", "identifiers": [["create", [{"type": null, "code": code}]]],
            "contact_mechanisms": [["create", [{"type": "email", "value": mail}, {"type": "phone", "value": "+44"}]]],
        })
    };
    let ada = id(&erp.call("party.party.create", json!([[party("tradewind:eu:customer:77", "ada_l@example.com")]])).await);
    let other = id(&erp.call("party.party.create", json!([[party("tradewind:eu:customer:78", "adaxl@example.com")]])).await);
    let by_code = json!(["identifiers.code", "=", "tradewind:eu:customer:77"]);
    let by_mail = json!(["contact_mechanisms", "where", [["type", "=", "email"], ["value", "ilike", "ADA\\_L@example.com"]]]);
    for (domain, expected) in [
        (json!(["OR", by_code, by_mail]), json!([ada])),
        (json!([by_mail]), json!([ada])),
        (json!([["contact_mechanisms.value", "=", "adaxl@example.com"]]), json!([other])),
        (json!([["contact_mechanisms", "where", [["value", "ilike", "%@example.com"]]]]), json!([ada, other])),
        (json!([["contact_mechanisms", "where", [["type", "=", "phone"], ["value", "=", "ada_l@example.com"]]]]), json!([])),
        (json!([["identifiers.code", "like", "tradewind:%:78"]]), json!([other])),
        (json!([["code", "=", "nobody"]]), json!([])),
    ] {
        let found = erp.call("party.party.search", json!([domain, 0, 20, [["id", "ASC"]]])).await;
        assert_eq!(found, expected, "{domain}");
    }
}

#[tokio::test]
async fn parties_that_share_an_address_are_told() {
    let erp = erp().await;
    let create = async |email: &str| {
        let party = json!({"name": "Ada", "contact_mechanisms": [["create", [{"type": "email", "value": email}]]]});
        id(&erp.call("party.party.create", json!([[party]])).await)
    };
    let first = create("ada@example.com").await;
    create("bob@example.com").await;
    assert!(erp.double.twins().is_empty());
    let second = create("Ada@example.com").await;
    assert_eq!(erp.double.twins(), [("ada@example.com".to_owned(), [first, second].into())].into());
}

#[tokio::test]
async fn customers_are_read_back_as_written() {
    let erp = erp().await;
    let address = json!({
        "party_name": "Ada", "attn": null, "street_unstructured": "12 St James\nSquare", "postal_code": "SW1Y", "city": "London",
        "country": erp.double.ids()["countries"]["GB"], "subdivision": null, "invoice": true, "delivery": true,
    });
    let party = json!({"name": "Ada", "addresses": [["create", [address]]]});
    let party = id(&erp.call("party.party.create", json!([[party]])).await);
    let fields = ["name", "code", "addresses.street", "addresses.attn", "addresses.country", "contact_mechanisms.value"];
    let read = erp.call("party.party.search_read", json!([[["id", "=", party]], 0, 20, [["id", "ASC"]], fields])).await;
    let address = read[0]["addresses."][0].clone();
    assert_eq!((&address["street"], &address["attn"]), (&json!("12 St James\nSquare"), &Value::Null));
    assert_eq!(address["country"], erp.double.ids()["countries"]["GB"]);
    assert_eq!((&read[0]["contact_mechanisms."], &read[0]["code"]), (&json!([]), &json!("1")));

    let more = json!({"contact_mechanisms": [["create", [{"type": "email", "value": "a@example.com"}]]], "name": "Ada L."});
    erp.call("party.party.write", json!([[party], more])).await;
    let read = erp.call("party.party.read", json!([[party], ["name", "email", "contact_mechanisms"]])).await;
    assert_eq!((&read[0]["name"], &read[0]["email"]), (&json!("Ada L."), &json!("a@example.com")));
    let contact = read[0]["contact_mechanisms"][0].clone();
    let change = json!({"contact_mechanisms": [["write", [contact], {"value": "b@example.com"}]]});
    erp.call("party.party.write", json!([[party], change])).await;
    assert_eq!(erp.call("party.party.read", json!([[party], ["email"]])).await[0]["email"], "b@example.com");

    let twin = json!({"name": "x", "code": "1"});
    assert_eq!(erp.refused("party.party.create", json!([[twin]])).await, "The code on party must be unique.");
}

#[tokio::test]
async fn nested_fields_come_back_under_the_path_with_a_dot() {
    let erp = erp().await;
    let sale = erp.booked("1001", usual_lines()).await;
    let fields = [
        "web_id",
        "party",
        "lines.product",
        "lines.product.code",
        "lines.quantity",
        "lines.unit_price",
        "lines.taxes",
        "lines.moves.state",
        "lines.moves.shipment",
        "lines.moves_ignored",
        "invoices.state",
        "shipments.state",
        "shipment_returns.state",
        "currency.code",
    ];
    let read = erp.call("sale.sale.search_read", json!([[["web_shop", "=", 1], ["web_id", "=", "1001"]], 0, 2, null, fields])).await;
    assert_eq!(read.as_array().unwrap().len(), 1);
    let read = &read[0];
    let goods = &read["lines."][0];
    assert_eq!((&goods["product"], &goods["product."]), (&json!(MUG_RED), &json!({"code": "MUG-RED", "id": MUG_RED})));
    assert_eq!((&goods["quantity"], &goods["unit_price"], &goods["taxes"]), (&json!(2.0), &decimal("9.50"), &json!([1])));
    assert_eq!((&goods["moves."][0]["state"], &goods["moves."][0]["shipment"]), (&json!("draft"), &json!("stock.shipment.out,1")));
    assert_eq!((&goods["moves_ignored"], &read["shipment_returns."]), (&json!([]), &json!([])));
    assert_eq!((&read["invoices."][0]["state"], &read["shipments."][0]["state"]), (&json!("draft"), &json!("waiting")));
    assert_eq!((&read["currency."]["code"], &read["id"]), (&json!("EUR"), &json!(sale)));
    assert!(read.get("lines").is_none() && read.get("currency").is_none(), "what was not asked for is not told");

    let shipment =
        ["number", "state", "customer.name", "origins", "outgoing_moves.product.code", "outgoing_moves.origin", "inventory_moves"];
    let shipment = erp.call("stock.shipment.out.search_read", json!([[["id", "=", 1]], 0, 1, null, shipment])).await;
    assert_eq!(shipment[0]["customer."]["name"], "Ada Lovelace");
    assert_eq!(shipment[0]["origins"], "1 [#1001]");
    assert_eq!(shipment[0]["outgoing_moves."][0]["product."]["code"], "MUG-RED");
    assert_eq!(shipment[0]["outgoing_moves."][0]["origin"], "sale.line,1");
    assert_eq!(shipment[0]["inventory_moves"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn order_and_pages_are_as_asked() {
    let erp = erp().await;
    for web_id in ["c", "a", "b"] {
        erp.draft(web_id, json!([line(MUG_RED, 1, "1")])).await;
    }
    for (order, offset, limit, expected) in [
        (json!([["web_id", "ASC"]]), 0, Value::Null, vec!["a", "b", "c"]),
        (json!([["web_id", "DESC"]]), 1, json!(1), vec!["b"]),
        (json!([["state", "ASC"], ["id", "DESC"]]), 0, json!(2), vec!["b", "a"]),
        (json!([["party.name", null], ["web_id", "ASC"]]), 2, Value::Null, vec!["c"]),
        (Value::Null, 0, Value::Null, vec!["b", "a", "c"]),
    ] {
        let found = erp.call("sale.sale.search_read", json!([[], offset, limit, order, ["web_id"]])).await;
        let found: Vec<_> = found.as_array().unwrap().iter().map(|it| it["web_id"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{order}");
    }
    assert_eq!(erp.call("sale.sale.search_count", json!([[["web_id", "in", ["a", "b", "x"]]], 0, null])).await, json!(2));
}

#[tokio::test]
async fn goods_are_paged_by_code() {
    let erp = erp().await;
    let page = |after: Option<&'static str>| {
        let mut domain = json!([["type", "=", "goods"], ["code", "!=", null]]);
        if let Some(after) = after {
            domain.as_array_mut().unwrap().push(json!(["code", ">", after]));
        }
        json!([domain, 0, 4, [["code", "ASC"], ["id", "ASC"]], ["code"]])
    };
    let codes = |found: Value| found.as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(codes(erp.call("product.product.search_read", page(None)).await), ["MUG-BLUE", "MUG-RED", "POSTER", "TS-L"]);
    assert_eq!(codes(erp.call("product.product.search_read", page(Some("TS-L"))).await), ["TS-M", "TS-S"]);
    let by_code = json!([[["code", "in", ["TS-S", "SHIPPING", "GONE"]]], 0, null, [["id", "ASC"]], ["code", "default_uom"]]);
    let found = erp.call("product.product.search_read", by_code).await;
    assert_eq!(found, json!([{"code": "TS-S", "default_uom": 1, "id": 1}, {"code": "SHIPPING", "default_uom": 1, "id": 7}]));
}

#[tokio::test]
async fn changes_are_found_from_a_time_on_and_in_their_order() {
    let erp = erp().await;
    let first = erp.booked("1", usual_lines()).await;
    let read = erp.call("sale.sale.read", json!([[first], ["last_modified_at", "write_date", "create_date"]])).await;
    let since = read[0]["last_modified_at"].clone();
    let second = erp.draft("2", usual_lines()).await;
    let order = json!([["last_modified_at", "ASC"], ["id", "ASC"]]);
    let search = |operator: &str, since: &Value| json!([[["last_modified_at", operator, since]], 0, 1000, order]);
    assert_eq!(erp.call("sale.sale.search", search(">=", &since)).await, json!([first, second]));
    assert_eq!(erp.call("sale.sale.search", search(">", &since)).await, json!([second]));
    let burst = json!([["OR", ["last_modified_at", ">", since], [["last_modified_at", "=", since], ["id", ">", first - 1]]]]);
    assert_eq!(erp.call("sale.sale.search", json!([burst, 0, 1000, order])).await, json!([first, second]));
    let seventh = json!(["OR", ["write_date", ">=", since], [["write_date", "=", null], ["create_date", ">=", since]]]);
    assert_eq!(erp.call("sale.sale.search", json!([seventh, 0, 1000, order])).await, json!([first, second]));

    // Of stock: shipping moves, but not the sale's own lines.
    erp.double.ship("1").unwrap();
    let moves = json!([[["product.type", "=", "goods"], ["last_modified_at", ">", since]], 0, 1000, order, ["product", "product.code"]]);
    let moves = erp.call("stock.move.search_read", moves).await;
    assert!(moves.as_array().unwrap().iter().all(|it| it["product."]["code"] == "MUG-RED") && !moves.as_array().unwrap().is_empty());
}

#[tokio::test]
async fn direct_writes_of_children_do_not_show_on_their_parents() {
    let erp = erp().await;
    let sale = erp.draft("1", usual_lines()).await;
    let stamp = |read: Value| read[0]["_timestamp"].clone();
    let fields = json!([[sale], ["_timestamp"]]);
    let before = stamp(erp.call("sale.sale.read", fields.clone()).await);
    erp.call("sale.line.write", json!([[1], {"quantity": 3}])).await;
    assert_eq!(stamp(erp.call("sale.sale.read", fields.clone()).await), before);
    erp.call("sale.sale.write", json!([[sale], {"comment": "x"}])).await;
    assert_ne!(stamp(erp.call("sale.sale.read", fields).await), before);
}

#[tokio::test]
async fn what_others_name_cannot_be_deleted() {
    let erp = erp().await;
    let sale = erp.draft("1", usual_lines()).await;
    let read = erp.call("sale.sale.read", json!([[sale], ["party", "invoice_address"]])).await;
    let (party, address) = (&read[0]["party"], &read[0]["invoice_address"]);
    erp.refused("party.party.delete", json!([[party]])).await;
    erp.refused("party.party.write", json!([[party], {"addresses": [["delete", [address]]]}])).await;
    let more = erp.call("party.address.create", json!([[{"party": party, "city": "Paris"}]])).await;
    erp.call("party.address.delete", json!([more])).await;
    erp.call("sale.sale.delete", json!([[sale]])).await;
    erp.call("party.party.delete", json!([[party]])).await;
    assert_eq!(erp.call("party.party.search", json!([[], 0, null, null])).await, json!([]));
}

#[tokio::test]
async fn products_are_made_changed_and_hidden() {
    let erp = erp().await;
    let values = json!([{"name": "Hat", "code": "HAT", "list_price": decimal("5"), "default_uom": 1, "salable": true,
        "account_category": 1, "products": [["create", [{"suffix_code": "-S"}, {"suffix_code": "-L"}]]]}]);
    let template = id(&erp.call("product.template.create", json!([values])).await);
    let find = json!([[["code", "in", ["HAT-S", "HAT-L"]]], 0, null, [["id", "ASC"]], ["code", "list_price"]]);
    let found = erp.call("product.product.search_read", find.clone()).await;
    assert_eq!((&found[0]["code"], &found[1]["code"], &found[0]["list_price"]), (&json!("HAT-S"), &json!("HAT-L"), &decimal("5")));
    let stamps = json!([[["code", "=", "HAT-S"]], 0, 1, null, ["_timestamp"]]);
    let before = erp.call("product.product.search_read", stamps.clone()).await;
    erp.call("product.template.write", json!([[template], {"list_price": decimal("6")}])).await;
    assert_eq!(erp.call("product.product.search_read", stamps).await, before, "a price is the template's");
    erp.booked("1", json!([line(found[0]["id"].as_i64().unwrap(), 1, "1")])).await;
    erp.call("product.product.write", json!([[found[1]["id"]], {"active": false}])).await;
    assert_eq!(erp.call("product.product.search_read", find).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn references_to_what_is_not_there_are_refused() {
    let erp = erp().await;
    let party = json!({"name": "x", "addresses": [["create", [{"country": 999_999}]]]});
    let message = erp.refused("party.party.create", json!([[party]])).await;
    assert_eq!(message, "The value \"999999\" for field \"Country\" in \"Party Address\" does not exist.");
}
