//! The small values: text, ids, amounts, times, lists.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use domain::money::{Currency, is_countable};
use domain::{Decimal, Money};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Text; `null` and absent are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A value that shops and their apps fill as they like: text, a number, a truth value or nothing, kept as text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loose(pub(crate) String);

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if raw == "null" {
            return Ok(Self::default());
        }
        let text = if raw.starts_with('"') { serde_json::from_str(raw).map_err(de::Error::custom)? } else { raw.to_owned() };
        Ok(Self(text))
    }
}

/// A 64-bit id: a number, its digits, or a `gid://shopify/<type>/<digits>`, which may have a query behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(crate) u64);

impl Id {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = match text.strip_prefix("gid://") {
            Some(gid) => gid.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default(),
            None => text,
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        if is_number { digits.parse().ok().map(Self) } else { None }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a whole 64-bit id")
            }

            // A float never gets here: it would have lost digits already.
            fn visit_u64<E>(self, id: u64) -> Result<Id, E> {
                Ok(Id(id))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Id::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Other("text"), &self))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A decimal number, as text or as a JSON number. Read from its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) Decimal);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let digits = raw.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(raw);
        let parsed = Decimal::from_str_exact(digits.trim()).or_else(|_| Decimal::from_scientific(digits.trim()));
        parsed.ok().filter(|it| is_countable(*it)).map(Self).ok_or_else(|| {
            let other = de::Unexpected::Other("another value");
            de::Error::invalid_value(other, &"a decimal amount of at most 28 digits, 18 of them before the point")
        })
    }
}

/// A time with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(pub(crate) DateTime<Utc>);

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Stamp;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a time like 2026-01-31T12:00:00+01:00")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Stamp, E> {
                let time = DateTime::parse_from_rfc3339(text);
                time.map(|it| Stamp(it.to_utc())).map_err(|_| E::invalid_value(de::Unexpected::Other("text"), &self))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// One amount in the shop's and in the buyer's currency.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct MoneySet {
    #[serde(alias = "shopMoney")]
    pub(crate) shop_money: MoneyValue,
    #[serde(alias = "presentmentMoney")]
    pub(crate) presentment_money: MoneyValue,
}

#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct MoneyValue {
    amount: Amount,
    #[serde(alias = "currencyCode", alias = "currency")]
    currency_code: Code,
}

impl MoneyValue {
    pub(crate) fn money(self) -> Money {
        exact(self.amount.0, self.currency_code.0)
    }
}

/// The same amount always with the same number of decimals, at least the currency's own: webhooks write `10.00` where GraphQL
/// writes `10.0`, and one order must have one canonical form.
pub(crate) fn exact(amount: Decimal, currency: Currency) -> Money {
    let digits = currency.exponent().map_or(0, u32::from);
    let mut amount = if amount.scale() > digits { amount.normalize() } else { amount };
    if amount.scale() < digits {
        amount.rescale(digits);
    }
    // −0.00 is 0.00.
    if amount.is_zero() {
        amount.set_sign_positive(true);
    }
    Money::new(amount, currency)
}

/// An ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) Currency);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Code;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an ISO 4217 currency code")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Code, E> {
                let found = Currency::from_code(text).map(Code);
                found.ok_or_else(|| E::invalid_value(de::Unexpected::Other("text"), &self))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// A list: an array, GraphQL's `{"nodes": []}`, or `null` for none.
#[derive(Debug, Clone)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::with_capacity(seq.size_hint().unwrap_or_default().min(16));
                while let Some(next) = seq.next_element()? {
                    list.push(next);
                }
                Ok(List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List<T>, A::Error> {
                let mut list = List::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if &*key == "nodes" {
                        list = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(list)
            }

            fn visit_unit<E>(self) -> Result<List<T>, E> {
                Ok(List::default())
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// Tags: one text with commas, or a list. Sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags(pub(crate) Vec<String>);

impl Tags {
    fn of<'a>(tags: impl Iterator<Item = &'a str>) -> Self {
        let mut tags: Vec<String> = tags.map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
        tags.sort_unstable();
        tags.dedup();
        Self(tags)
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("tags as text with commas or as a list")
            }

            fn visit_str<E>(self, text: &str) -> Result<Tags, E> {
                Ok(Tags::of(text.split(',')))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tags, A::Error> {
                let mut tags = Vec::new();
                while let Some(tag) = seq.next_element::<Text<'de>>()? {
                    tags.push(tag);
                }
                Ok(Tags::of(tags.iter().map(|it| &**it)))
            }

            fn visit_unit<E>(self) -> Result<Tags, E> {
                Ok(Tags::default())
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(json: &str) -> Option<String> {
        serde_json::from_str::<Amount>(json).ok().map(|it| it.0.to_string())
    }

    #[test]
    fn amounts_keep_every_digit_whatever_their_json_type() {
        for (json, expected) in [
            (r#""19.90""#, "19.90"),
            ("39.41", "39.41"),
            ("99", "99"),
            (r#""-1.00""#, "-1.00"),
            ("0.1", "0.1"),
            ("1e2", "100"),
            ("123456789012345678.1234567890", "123456789012345678.1234567890"),
        ] {
            assert_eq!(amount(json).as_deref(), Some(expected), "{json}");
        }
        for json in [
            r#""""#,
            r#""1,00""#,
            "true",
            "[]",
            r#"{"a":1}"#,
            "1.00000000000000000000000000000000001",
            "1000000000000000000",
            r#""example""#,
        ] {
            assert_eq!(amount(json), None, "{json}");
        }
    }

    #[test]
    fn the_spelling_of_an_amount_does_not_matter() {
        for (text, currency, expected) in [
            ("10.00", Currency::EUR, "10.00"),
            ("10.0", Currency::EUR, "10.00"),
            ("10", Currency::EUR, "10.00"),
            ("1.1250", Currency::EUR, "1.125"),
            ("1200.0", Currency::JPY, "1200"),
            ("-0.0", Currency::EUR, "0.00"),
        ] {
            assert_eq!(exact(text.parse().unwrap(), currency).amount.to_string(), expected, "{text} {currency}");
        }
    }

    #[test]
    fn ids_never_lose_a_digit() {
        for (json, expected) in [
            ("820982911946154508", Some(820_982_911_946_154_508)),
            ("18446744073709551615", Some(u64::MAX)),
            (r#""820982911946154508""#, Some(820_982_911_946_154_508)),
            (r#""gid://shopify/Order/820982911946154508""#, Some(820_982_911_946_154_508)),
            (r#""gid://shopify/InventoryLevel/7?inventory_item_id=8""#, Some(7)),
            ("18446744073709551616", None),
            ("8.2e17", None),
            ("1.0", None),
            ("-1", None),
            ("null", None),
            (r#""""#, None),
            (r#""gid://shopify/Order/x""#, None),
        ] {
            assert_eq!(serde_json::from_str::<Id>(json).ok().map(|it| it.0), expected, "{json}");
        }
    }

    #[test]
    fn tags_of_both_spellings_are_the_same() {
        let text: Tags = serde_json::from_str(r#""vip, b2b,, b2b , Ä""#).unwrap();
        let list: Tags = serde_json::from_str(r#"["b2b", "Ä", "vip"]"#).unwrap();
        assert_eq!(text, list);
        assert_eq!(text.0, ["b2b", "vip", "Ä"]);
    }

    #[test]
    fn lists_of_both_spellings_are_the_same() {
        for json in ["[1,2]", r#"{"nodes":[1,2]}"#, r#"{"pageInfo":{"hasNextPage":false},"nodes":[1,2]}"#] {
            assert_eq!(serde_json::from_str::<List<u8>>(json).unwrap().0, [1, 2], "{json}");
        }
        assert!(serde_json::from_str::<List<u8>>("null").unwrap().is_empty());
    }

    #[test]
    fn loose_values_become_text() {
        for (json, expected) in [(r#""a\nb""#, "a\nb"), ("1.50", "1.50"), ("true", "true"), ("null", "")] {
            assert_eq!(serde_json::from_str::<Loose>(json).unwrap().0, expected);
        }
    }
}
