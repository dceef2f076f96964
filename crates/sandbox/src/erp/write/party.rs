//! Parties with their addresses, contact mechanisms and identifiers.

use serde_json::Value;

use super::field;
use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::rows::{Address, Contact, Identifier, Party, Sale};
use crate::erp::values::{Command, Field, Values, commands};
use crate::erp::world::{Numbers, World};

impl World {
    pub(super) fn create_party(&mut self, values: &Values) -> Result<i64, Fail> {
        let mut party = Party::default();
        for it in values {
            set(&mut party, field(Model::Party, it))?;
        }
        if party.code.is_empty() {
            party.code = self.free_code();
        }
        self.check_code(&party.code, None)?;
        let id = self.parties.insert(party);
        self.party_children(id, values)?;
        Ok(id)
    }

    pub(super) fn write_party(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        let mut party = self.parties.row(id).clone();
        for it in values {
            set(&mut party, field(Model::Party, it))?;
        }
        self.check_code(&party.code, Some(id))?;
        self.parties.update(id, |it| *it = party);
        self.party_children(id, values)
    }

    pub(super) fn create_address(&mut self, values: &Values) -> Result<i64, Fail> {
        let mut address = Address::default();
        for it in values {
            let it = field(Model::Address, it);
            match it.name {
                "party" => address.party = it.required_link(self, Model::Party)?,
                _ => self.set_address(&mut address, it)?,
            }
        }
        if address.party == 0 {
            return Err(Fail::required("Party", Model::Address.label()));
        }
        Ok(self.addresses.insert(address))
    }

    pub(super) fn delete_address(&mut self, id: i64) -> Result<(), Fail> {
        let is_used = |it: &Sale| it.invoice_address == Some(id) || it.shipment_address == Some(id);
        if self.sales.iter().any(|(_, it)| is_used(it)) {
            return Err(in_use("Invoice Address"));
        }
        self.addresses.remove(id);
        Ok(())
    }

    pub(super) fn write_address(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        let mut address = self.addresses.row(id).clone();
        for it in values {
            self.set_address(&mut address, field(Model::Address, it))?;
        }
        self.addresses.update(id, |it| *it = address);
        Ok(())
    }

    pub(super) fn delete_party(&mut self, id: i64) -> Result<(), Fail> {
        if self.sales.iter().any(|(_, it)| it.party == id) {
            return Err(in_use("Party"));
        }
        for child in self.addresses.index.get(&id) {
            self.addresses.remove(child);
        }
        for child in self.contacts.index.by_party.get(&id) {
            self.contacts.remove(child);
        }
        for child in self.identifiers.index.by_party.get(&id) {
            self.identifiers.remove(child);
        }
        self.parties.remove(id);
        Ok(())
    }

    fn party_children(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        for (name, value) in values {
            match name.as_str() {
                "addresses" => self.change_addresses(id, value)?,
                "contact_mechanisms" => self.change_contacts(id, value)?,
                "identifiers" => self.change_identifiers(id, value)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn change_addresses(&mut self, party: i64, value: &Value) -> Result<(), Fail> {
        for command in commands(value)? {
            match command {
                Command::Create(records) => {
                    for values in records {
                        let mut address = Address { party, ..Address::default() };
                        for it in &values {
                            self.set_address(&mut address, field(Model::Address, it))?;
                        }
                        self.addresses.insert(address);
                    }
                }
                Command::Write(pairs) => {
                    for (ids, values) in pairs {
                        self.check_there(Model::Address, &ids, "write to")?;
                        for id in ids {
                            self.write_address(id, &values)?;
                        }
                    }
                }
                Command::Delete(ids) | Command::Remove(ids) => {
                    for id in ids {
                        self.delete_address(id)?;
                    }
                }
                Command::Add(_) => return Err(Fail::outside("Addresses", "Party")),
            }
        }
        Ok(())
    }

    fn set_address(&self, address: &mut Address, it: Field<'_>) -> Result<(), Fail> {
        match it.name {
            "party_name" => address.party_name = it.text()?,
            "attn" => address.attn = it.text()?,
            "street" | "street_unstructured" => address.street = it.text()?,
            "postal_code" => address.postal_code = it.text()?,
            "city" => address.city = it.text()?,
            "country" => address.country = it.link(self, Model::Country)?,
            "subdivision" => address.subdivision = it.link(self, Model::Subdivision)?,
            "invoice" => address.invoice = it.flag()?,
            "delivery" => address.delivery = it.flag()?,
            "active" => {
                it.flag()?;
            }
            name => return Err(Fail::key(name)),
        }
        Ok(())
    }

    fn change_contacts(&mut self, party: i64, value: &Value) -> Result<(), Fail> {
        for command in commands(value)? {
            match command {
                Command::Create(records) => {
                    for values in records {
                        let mut contact = Contact { party, ..Contact::default() };
                        set_contact(&mut contact, &values)?;
                        if contact.value.is_empty() {
                            return Err(Fail::required("Value", Model::Contact.label()));
                        }
                        self.contacts.insert(contact);
                    }
                }
                Command::Write(pairs) => {
                    for (ids, values) in pairs {
                        self.check_there(Model::Contact, &ids, "write to")?;
                        for id in ids {
                            let mut contact = self.contacts.row(id).clone();
                            set_contact(&mut contact, &values)?;
                            self.contacts.update(id, |it| *it = contact);
                        }
                    }
                }
                Command::Delete(ids) | Command::Remove(ids) => ids.into_iter().for_each(|id| self.contacts.remove(id)),
                Command::Add(_) => return Err(Fail::outside("Contact Mechanisms", "Party")),
            }
        }
        Ok(())
    }

    fn change_identifiers(&mut self, party: i64, value: &Value) -> Result<(), Fail> {
        for command in commands(value)? {
            match command {
                Command::Create(records) => {
                    for values in records {
                        let mut identifier = Identifier { party, ..Identifier::default() };
                        for it in &values {
                            let it = field(Model::Identifier, it);
                            match it.name {
                                "type" => identifier.kind = it.text()?,
                                "code" => identifier.code = it.text()?.unwrap_or_default(),
                                name => return Err(Fail::key(name)),
                            }
                        }
                        if identifier.code.is_empty() {
                            return Err(Fail::required("Code", Model::Identifier.label()));
                        }
                        self.identifiers.insert(identifier);
                    }
                }
                Command::Delete(ids) | Command::Remove(ids) => ids.into_iter().for_each(|id| self.identifiers.remove(id)),
                Command::Write(_) | Command::Add(_) => return Err(Fail::outside("Identifiers", "Party")),
            }
        }
        Ok(())
    }

    fn check_code(&self, code: &str, own: Option<i64>) -> Result<(), Fail> {
        match self.parties.index.get(code).into_iter().find(|it| Some(*it) != own) {
            Some(_) => Err(Fail::User("The code on party must be unique.".to_owned())),
            None => Ok(()),
        }
    }

    fn free_code(&mut self) -> String {
        loop {
            let code = Numbers::take(&mut self.numbers.party);
            if self.parties.index.get(code.as_str()).is_empty() {
                return code;
            }
        }
    }
}

fn in_use(field: &str) -> Fail {
    Fail::User(format!("The records could not be deleted because they are used by field \"{field}\" of \"Sale\"."))
}

fn set(party: &mut Party, it: Field<'_>) -> Result<(), Fail> {
    match it.name {
        "name" => party.name = it.text()?,
        "code" => party.code = it.text()?.unwrap_or_default(),
        "addresses" | "contact_mechanisms" | "identifiers" => {}
        // Known, and of no consequence here.
        "lang" | "active" | "tax_identifier" | "customer_payment_term" => {}
        name => return Err(Fail::key(name)),
    }
    Ok(())
}

fn set_contact(contact: &mut Contact, values: &Values) -> Result<(), Fail> {
    for it in values {
        let it = field(Model::Contact, it);
        match it.name {
            "type" => contact.kind = it.choice(&["phone", "mobile", "fax", "email", "website", "other"])?.to_owned(),
            "value" => contact.value = it.text()?.unwrap_or_default(),
            "name" | "comment" => {
                it.text()?;
            }
            name => return Err(Fail::key(name)),
        }
    }
    Ok(())
}
