//! The double of Tryton: the same cases, and every fault at every write.

use std::path::PathBuf;

use sandbox::effects::Kind;
use sandbox::erp::{ErpDouble, ErpSettings, TaxRounding};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::environment::Environment;

pub(crate) struct Double {
    pub(crate) erp: ErpDouble,
    dir: TempDir,
}

pub(crate) fn start() -> Double {
    start_with(ErpSettings::default())
}

/// Rounds taxes as a Tryton does that nobody has configured.
pub(crate) fn of_documents() -> Double {
    start_with(ErpSettings { tax_rounding: TaxRounding::Document, ..ErpSettings::default() })
}

fn start_with(settings: ErpSettings) -> Double {
    Double { erp: ErpDouble::start(settings).unwrap(), dir: tempfile::tempdir().unwrap() }
}

impl Double {
    pub(crate) fn environment(&self) -> Environment {
        let (ids, password_file) = (self.erp.ids(), self.password_file());
        std::fs::write(&password_file, ids["adapter"]["password"].as_str().unwrap()).unwrap();
        Environment::new(&self.erp.url(), ids, password_file)
    }

    fn password_file(&self) -> PathBuf {
        self.dir.path().join("adapter.password")
    }

    /// Everything that must not depend on what went wrong on the way.
    pub(crate) fn outcome(&self) -> Value {
        let sales: Vec<Value> =
            self.erp.sales().into_iter().map(|it| json!([it.web_id, it.state, it.invoice_state, it.shipment_state, it.total])).collect();
        let stock: Vec<String> = self.erp.stock().into_iter().map(|(sku, held)| format!("{sku} {held:?}")).collect();
        json!({"sales": sales, "stock": stock})
    }

    /// Writing calls since entry `seq` of the log, each with its number among its like.
    pub(crate) fn writes_since(&self, seq: u64) -> Vec<(String, u64)> {
        let mut writes: Vec<(String, u64)> = Vec::new();
        for entry in self.erp.log().since(seq).iter().filter(|it| it.kind == Kind::Received) {
            let count = writes.iter().filter(|(operation, _)| *operation == entry.operation).count();
            writes.push((entry.operation.clone(), u64::try_from(count).unwrap() + 1));
        }
        writes.retain(|(operation, _)| !operation.contains("login"));
        writes
    }
}
