#!/usr/bin/env python3
"""Fills a new Tryton database with a small company that sells online.

Run once on a database in which the modules are active. Writes every id and credential that a connector or a test needs
to a JSON file; `tryton.sh` keeps that file beside the database's dump, because one is worth nothing without the other.
"""
import argparse
import datetime
import json
import secrets
import time
from contextlib import contextmanager
from decimal import Decimal

import pycountry
from proteus import Model, Wizard
from proteus import config as proteus_config

TODAY = datetime.date.today()
STOCK_PER_SKU = 1000.0

# SKU stem, name, net list price, variants: what the demo's shop sells.
GOODS = [
    ("TS", "T-Shirt", "16.5833", ["-S", "-M", "-L"]),
    ("MUG", "Mug", "7.9167", ["-RED", "-BLUE"]),
    ("POSTER", "Poster", "11.6667", [""]),
]
# ISO code, name, symbol, number, units per euro. One rate from long ago: a rate must exist on every day we book.
CURRENCIES = [
    ("EUR", "Euro", "€", "978", "1"),
    ("USD", "US Dollar", "$", "840", "1.10"),
    ("GBP", "Pound Sterling", "£", "826", "0.85"),
    ("CHF", "Swiss Franc", "CHF", "756", "0.95"),
]
TAX_RATES = ["20", "19", "7"]

# What the adapter may do. The administrator's group, because only it may mark moves and invoices of a cancelled order as
# ignored. Not "Stock Cancellation": it would let a late cancellation take back goods that have left.
ADAPTER_GROUPS = ["Sales", "Sales Administrator", "Stock", "Accounting", "Payment"]
# A person at a desk, for tests in which somebody else works in the ERP.
CLERK_GROUPS = ADAPTER_GROUPS + ["Stock Administration", "Product Administration"]


@contextmanager
def step(name):
    start = time.monotonic()
    yield
    print(f"  {name:<28} {time.monotonic() - start:5.1f} s", flush=True)


def only(model, *domain):
    """The one record that matches; anything else is a mistake in the seed."""
    (record,) = Model.get(model).find(list(domain))
    return record


def again(record):
    """The same record, not yet part of another record's list, as proteus wants it in many-to-many fields."""
    return type(record)(record.id)


def currencies():
    saved = {}
    for code, name, symbol, number, rate in CURRENCIES:
        currency = Model.get("currency.currency")(
            name=name, symbol=symbol, code=code, numeric_code=number, rounding=Decimal("0.01"), digits=2
        )
        currency.rates.new(date=datetime.date(2000, 1, 1), rate=Decimal(rate))
        currency.save()
        saved[code] = currency
    return saved


def countries():
    Country = Model.get("country.country")
    records = [
        Country(name=getattr(c, "common_name", c.name), code=c.alpha_2, code3=c.alpha_3, code_numeric=c.numeric)
        for c in pycountry.countries
    ]
    Country.save(records)
    return {record.code: record for record in records}


def company(currency, config):
    party = Model.get("party.party")(name="Tradewind Trading Company")
    party.save()
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party = party
    wizard.form.currency = currency
    wizard.execute("add")
    # Everything from here on happens inside the company.
    config._context = Model.get("res.user").get_preferences(True, {})
    return only("company.company")


def chart_of_accounts(company, config):
    template = Model.get("ir.model.data").get_id("account.account_template_root_en", config.context)
    wizard = Wizard("account.create_chart")
    wizard.execute("account")
    wizard.form.account_template = Model.get("account.account.template")(template)
    wizard.form.company = company
    wizard.execute("create_account")

    def first(*domain):
        return Model.get("account.account").find(
            [("company", "=", company.id), ("closed", "!=", True), *domain], order=[("code", "ASC")], limit=1
        )[0]

    def of_type(kind, *domain):
        return first((f"type.{kind}", "=", True), *domain)

    accounts = {
        "receivable": of_type("receivable", ("party_required", "=", True)),
        "payable": of_type("payable", ("party_required", "=", True)),
        "revenue": of_type("revenue"),
        "expense": of_type("expense"),
        "cash": first(("code", "=", "1.1.1")),
        "tax": first(("code", "=", "6.3.4")),
    }
    wizard.form.account_receivable = accounts["receivable"]
    wizard.form.account_payable = accounts["payable"]
    wizard.form.category_account_revenue = accounts["revenue"]
    wizard.form.category_account_expense = accounts["expense"]
    wizard.execute("create_properties")

    # Taxes rounded per line: orders priced before tax then meet a shop's total in 97 of 100 cases instead of 67.
    configuration = Model.get("account.configuration")(1)
    configuration.tax_rounding = "line"
    configuration.save()
    return accounts


def fiscal_years(company):
    """Last year to two years ahead, so that tests near New Year and with other dates can book."""
    Sequence = Model.get("ir.sequence.strict")
    move_type = only("ir.sequence.type", ("name", "=", "Account Move"))
    invoice_type = only("ir.sequence.type", ("name", "=", "Invoice"))
    for year in range(TODAY.year - 1, TODAY.year + 3):
        moves = Sequence(name=f"Moves {year}", sequence_type=move_type, company=company)
        invoices = Sequence(name=f"Invoices {year}", prefix=f"INV-{year}-", sequence_type=invoice_type, company=company)
        moves.save()
        invoices.save()
        fiscal_year = Model.get("account.fiscalyear")(
            name=str(year),
            company=company,
            start_date=datetime.date(year, 1, 1),
            end_date=datetime.date(year, 12, 31),
            move_sequence=moves,
        )
        (numbers,) = fiscal_year.invoice_sequences
        for kind in ("out_invoice", "out_credit_note", "in_invoice", "in_credit_note"):
            setattr(numbers, f"{kind}_sequence", invoices)
        fiscal_year.save()
        fiscal_year.click("create_period")


def taxes(account):
    saved = {}
    for rate in TAX_RATES:
        tax = Model.get("account.tax")(
            name=f"VAT {rate} %",
            description=f"VAT {rate} %",
            type="percentage",
            rate=Decimal(rate) / 100,
            invoice_account=account,
            credit_note_account=account,
        )
        tax.save()
        saved[rate] = tax
    return saved


def payment(company, currency, cash):
    term = Model.get("account.invoice.payment_term")(name="Paid in the shop")
    term.lines.new(type="remainder")
    term.save()
    method = Model.get("account.invoice.payment.method")(
        name="Online payment",
        company=company,
        journal=only("account.journal", ("type", "=", "cash")),
        credit_account=cash,
        debit_account=cash,
    )
    method.save()
    journal = Model.get("account.payment.journal")(
        name="Payment provider", process_method="manual", currency=currency, company=company
    )
    journal.save()
    return {"payment_term": term.id, "payment_method": method.id, "payment_journal": journal.id}


def accounting_category(name, accounts, tax=None):
    category = Model.get("product.category")(
        name=name, accounting=True, account_revenue=accounts["revenue"], account_expense=accounts["expense"]
    )
    if tax:
        category.customer_taxes.append(again(tax))
    category.save()
    return category


def product(code, name, price, kind, category, suffixes=("",)):
    """One template and its variants; a variant's SKU is the template's code and its suffix."""
    template = Model.get("product.template")(
        name=name,
        code=code,
        type=kind,
        default_uom=only("product.uom", ("symbol", "=", "u")),
        salable=True,
        list_price=Decimal(price),
        account_category=category,
    )
    template.products[0].suffix_code = suffixes[0]
    for suffix in suffixes[1:]:
        template.products.new(suffix_code=suffix)
    template.save()
    return {variant.code: variant for variant in template.products}


def fill_stock(storage, products):
    inventory = Model.get("stock.inventory")(location=storage, date=TODAY)
    for variant in products.values():
        inventory.lines.new(product=variant, quantity=STOCK_PER_SKU)
    inventory.click("confirm")


def web_shop(company, currency, warehouse, products, countries):
    shop = Model.get("web.shop")(name="Tradewind shop", company=company, currency=currency)
    shop.warehouses.append(again(warehouse))
    for variant in products.values():
        shop.products.append(again(variant))
    for country in countries.values():
        shop.countries.append(again(country))
    shop.save()
    return shop


def user(login, name, company, groups):
    password = secrets.token_urlsafe(18)
    record = Model.get("res.user")(name=name, login=login, password=password)
    record.companies.append(again(company))
    record.company = company
    for group in groups:
        record.groups.append(only("res.group", ("name", "=", group)))
    record.save()
    return record, {"user": record.id, "login": login, "password": password}


def admin():
    """Gives the administrator a password that somebody knows."""
    password = secrets.token_urlsafe(18)
    record = only("res.user", ("login", "=", "admin"))
    record.password = password
    record.save()
    return {"user": record.id, "login": record.login, "password": password}


def rest_key(owner):
    application = Model.get("res.user.application")(user=again(owner), application="rest")
    application.save()
    if application.state != "validated":
        application.click("validate_")
    return application.key


def seed(config):
    ids = {"tax_rounding": "line"}
    with step("currencies, countries"):
        currency = currencies()
        country = countries()
        ids["currencies"] = {code: record.id for code, record in currency.items()}
        ids["countries"] = {code: record.id for code, record in country.items()}
    with step("company, accounts"):
        ours = company(currency["EUR"], config)
        account = chart_of_accounts(ours, config)
        ids["company"] = ours.id
        ids["accounts"] = {name: record.id for name, record in account.items()}
    with step("fiscal years"):
        fiscal_years(ours)
    with step("taxes, payment"):
        tax = taxes(account["tax"])
        ids["taxes"] = {rate: record.id for rate, record in tax.items()}
        ids.update(payment(ours, currency["EUR"], account["cash"]))
    with step("products"):
        taxed = accounting_category("Taxed", account, tax["20"])
        untaxed = accounting_category("Untaxed", account)
        goods = {}
        for stem, name, price, suffixes in GOODS:
            goods |= product(stem, name, price, "goods", taxed, suffixes)
        (shipping,) = product("SHIPPING", "Shipping", "4.1667", "service", taxed).values()
        # Carries the cents by which a total that the shop computed differs from the one Tryton computes.
        (rounding,) = product("ROUNDING", "Rounding", "0", "service", untaxed).values()
        ids["products"] = {sku: variant.id for sku, variant in goods.items()}
        ids["shipping_product"] = shipping.id
        ids["rounding_product"] = rounding.id
        ids["rounding_account"] = account["revenue"].id
        ids["unit"] = rounding.template.default_uom.id
    with step("carrier, stock, shop"):
        hauler = Model.get("party.party")(name="Parcel carrier")
        hauler.save()
        carrier = Model.get("carrier")(party=hauler, carrier_product=shipping)
        carrier.save()
        warehouse = only("stock.location", ("code", "=", "WH"))
        fill_stock(warehouse.storage_location, goods)
        ids["carrier"] = carrier.id
        ids["warehouse"] = warehouse.id
        ids["storage_location"] = warehouse.storage_location.id
        ids["output_location"] = warehouse.output_location.id
        ids["customer_location"] = only("stock.location", ("type", "=", "customer")).id
        ids["web_shop"] = web_shop(ours, currency["EUR"], warehouse, goods, country).id
    with step("users"):
        adapter, ids["adapter"] = user("adapter", "ERP adapter", ours, ADAPTER_GROUPS)
        ids["adapter"]["rest_key"] = rest_key(adapter)
        _, ids["clerk"] = user("clerk", "Clerk", ours, CLERK_GROUPS)
        ids["admin"] = admin()
    return ids


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--config", required=True, help="trytond.conf")
    arguments.add_argument("--database", required=True)
    arguments.add_argument("--out", required=True, help="the JSON file to write")
    arguments = arguments.parse_args()
    config = proteus_config.set_trytond(arguments.database, user="admin", config_file=arguments.config)
    ids = seed(config)
    with open(arguments.out, "w", encoding="utf-8") as out:
        json.dump(ids, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
