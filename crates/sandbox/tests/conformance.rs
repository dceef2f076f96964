//! The suite of the Tryton connector that a real Tryton passes, on the double.

#[path = "../../connector-tryton/tests/conformance/cases.rs"]
mod cases;
#[path = "../../connector-tryton/tests/conformance/desk.rs"]
mod desk;
#[path = "../../connector-tryton/tests/conformance/environment.rs"]
mod environment;
#[path = "../../connector-tryton/tests/conformance/orders.rs"]
mod orders;
#[path = "../../connector-tryton/tests/conformance/run.rs"]
mod run;
#[path = "../../connector-tryton/tests/conformance/thief.rs"]
mod thief;

use environment::Environment;
use sandbox::erp::{ErpDouble, ErpSettings};

#[tokio::test(flavor = "multi_thread")]
async fn the_double_conforms() {
    let double = ErpDouble::start(ErpSettings::default()).unwrap();
    let ids = double.ids();
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("adapter.password");
    std::fs::write(&password_file, ids["adapter"]["password"].as_str().unwrap()).unwrap();
    let environment = Environment::new(&double.url(), ids, password_file);
    cases::all(&environment).await;
    assert!(double.effects().repeated("sale.sale.create").is_empty());
}
