//! Products: a template and its variants. A variant's code is the template's with its own suffix.

use rust_decimal::Decimal;
use serde_json::Value;

use super::field;
use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::rows::{Product, Template};
use crate::erp::values::{Command, Field, Values, commands};
use crate::erp::world::World;

impl World {
    pub(super) fn create_template(&mut self, values: &Values) -> Result<i64, Fail> {
        let mut template = Template {
            name: String::new(),
            kind: "goods",
            list_price: Decimal::ZERO,
            unit: self.places.unit,
            salable: false,
            taxes: Vec::new(),
            accounted: false,
        };
        let (mut code, mut variants) = (None, &Value::Null);
        for it in values {
            let it = field(Model::Template, it);
            match it.name {
                "code" => code = it.text()?,
                "products" => variants = it.value,
                _ => self.set_template(&mut template, it)?,
            }
        }
        if template.name.is_empty() {
            return Err(Fail::required("Name", Model::Template.label()));
        }
        let template = self.templates.insert(template);
        if !variants.is_null() {
            self.create_variants(template, code.as_deref(), variants)?;
        }
        Ok(template)
    }

    fn create_variants(&mut self, template: i64, code: Option<&str>, variants: &Value) -> Result<(), Fail> {
        for command in commands(variants)? {
            let Command::Create(records) = command else { return Err(Fail::Forbidden) };
            for values in records {
                let mut suffix = None;
                for it in &values {
                    let it = field(Model::Product, it);
                    match it.name {
                        "suffix_code" => suffix = it.text()?,
                        name => return Err(Fail::key(name)),
                    }
                }
                let code = format!("{}{}", code.unwrap_or_default(), suffix.unwrap_or_default());
                self.products.insert(Product { template, code: Some(code).filter(|it| !it.is_empty()), active: true });
            }
        }
        Ok(())
    }

    pub(super) fn write_template(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        let mut template = self.templates.row(id).clone();
        for it in values {
            self.set_template(&mut template, field(Model::Template, it))?;
        }
        self.templates.update(id, |it| *it = template);
        Ok(())
    }

    /// Variants that are no longer active are not found by those who don't ask for them.
    pub(super) fn write_product(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        let mut product = self.products.row(id).clone();
        for it in values {
            let it = field(Model::Product, it);
            match it.name {
                "active" => product.active = it.flag()?,
                name => return Err(Fail::key(name)),
            }
        }
        self.products.update(id, |it| *it = product);
        Ok(())
    }

    fn set_template(&self, template: &mut Template, it: Field<'_>) -> Result<(), Fail> {
        match it.name {
            "name" => template.name = it.text()?.unwrap_or_default(),
            "type" => template.kind = it.choice(&["goods", "service"])?,
            "list_price" => template.list_price = it.decimal(4)?,
            "default_uom" | "sale_uom" => template.unit = it.required_link(self, Model::Unit)?,
            "salable" => template.salable = it.flag()?,
            // Accounting categories are not kept; whether there is one decides what can be invoiced.
            "account_category" => template.accounted = !it.value.is_null(),
            name => return Err(Fail::key(name)),
        }
        Ok(())
    }
}
