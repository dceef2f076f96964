//! One suite for whatever speaks as Tryton does: written against the connector's traits only, run on the sandbox's double
//! and on a real Tryton.
//!
//! The real one needs `deploy/local/setup.sh full`. Where that was not run, its test says so and passes;
//! `TRADEWIND_REQUIRE_REAL=1` makes it fail instead.

#[path = "conformance/cases.rs"]
mod cases;
#[path = "conformance/desk.rs"]
mod desk;
#[path = "conformance/double.rs"]
mod double;
#[path = "conformance/environment.rs"]
mod environment;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/odd.rs"]
mod odd;
#[path = "conformance/orders.rs"]
mod orders;
#[path = "conformance/real.rs"]
mod real;
#[path = "conformance/run.rs"]
mod run;
#[path = "conformance/thief.rs"]
mod thief;

/// The company's other way to round taxes.
#[tokio::test(flavor = "multi_thread")]
async fn totals_are_exact_however_the_company_rounds_taxes() {
    let double = double::of_documents();
    cases::a_gross_order_reaches_its_total_by_a_rounding_line(&double.environment()).await;
    cases::a_paid_order_is_placed_exactly_and_once(&double.environment()).await;
}

/// Each case on a double of its own; all of them on one real server, one after the other, because that one is slow to start.
macro_rules! conform {
    ($($case:ident)*) => {
        mod on_the_double {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let double = crate::double::start();
                    crate::cases::$case(&double.environment()).await;
                    assert!(double.erp.effects().repeated("sale.sale.create").is_empty());
                }
            )*
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn real_tryton_conforms() {
            let Some(server) = real::start().await else { return };
            let environment = server.environment();
            $( cases::$case(&environment).await; )*
        }
    };
}

conform! {
    a_paid_order_is_placed_exactly_and_once
    a_gross_order_reaches_its_total_by_a_rounding_line
    a_total_that_is_off_leaves_no_sale
    an_unknown_sku_waits_for_its_item
    an_unpaid_order_is_a_quotation_until_it_is_paid
    an_order_that_was_edited_before_we_heard_of_it_is_what_is_left
    a_quotation_is_revised_and_cancelled
    a_confirmed_order_is_cancelled_until_it_has_left
    goods_whose_money_went_back_do_not_leave
    refunds_are_booked_once_and_never_too_much
    goods_that_never_left_are_held_back
    a_line_that_is_held_back_frees_its_stock
    a_customer_is_one_party_whatever_the_case
    what_was_found_before_is_it_as_long_as_it_is_there
    a_profile_changes_its_party
    two_creates_at_once_are_one_sale
    a_lost_answer_is_found_out
    stock_shows_its_open_orders
    a_failed_processing_tells_why
}
