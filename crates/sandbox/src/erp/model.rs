//! The models that the double knows, by Tryton's names.

macro_rules! models {
    ($($variant:ident = $name:literal, $label:literal;)*) => {
        /// A model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(super) enum Model { $($variant),* }

        impl Model {
            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// As error messages call it.
            pub(super) fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }

            pub(super) fn of_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

models! {
    Address = "party.address", "Party Address";
    Carrier = "carrier", "Carrier";
    Company = "company.company", "Company";
    Contact = "party.contact_mechanism", "Party Contact Mechanism";
    Country = "country.country", "Country";
    Currency = "currency.currency", "Currency";
    Identifier = "party.identifier", "Party Identifier";
    Inventory = "stock.inventory", "Stock Inventory";
    InventoryLine = "stock.inventory.line", "Stock Inventory Line";
    Invoice = "account.invoice", "Account Invoice";
    InvoiceLine = "account.invoice.line", "Account Invoice Line";
    Location = "stock.location", "Stock Location";
    Move = "stock.move", "Stock Move";
    Party = "party.party", "Party";
    Payment = "account.payment", "Account Payment";
    PaymentTerm = "account.invoice.payment_term", "Account Invoice Payment Term";
    Product = "product.product", "Product Variant";
    Return = "stock.shipment.out.return", "Stock Shipment Out Return";
    Sale = "sale.sale", "Sale";
    SaleLine = "sale.line", "Sale Line";
    Shipment = "stock.shipment.out", "Stock Shipment Out";
    Subdivision = "country.subdivision", "Country Subdivision";
    Tax = "account.tax", "Account Tax";
    Template = "product.template", "Product";
    Unit = "product.uom", "Product UoM";
    WebShop = "web.shop", "Web Shop";
}
