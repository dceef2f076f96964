//! Which stock is sold where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::{ConnectionId, Decimal, Sku, TargetId};

/// A place of an ERP where stock lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    pub target: TargetId,
    pub location: String,
}

/// Also the name under which lines keep what was listed there.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.target, self.location)
    }
}

/// A location of a shop, where stock is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub connection: ConnectionId,
    pub location: String,
}

/// From the settings: which sources are sold at which places, and what is kept back.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    places: BTreeMap<Place, BTreeSet<Source>>,
    /// Where an order of a connection may be taken from. An order does not say, so it counts at all of them.
    draws: BTreeMap<ConnectionId, BTreeSet<Source>>,
    buffers: BTreeMap<ConnectionId, Buffer>,
}

#[derive(Debug, Clone)]
struct Buffer {
    default: Decimal,
    skus: BTreeMap<Sku, Decimal>,
}

impl Feeds {
    pub fn connect(&mut self, source: Source, place: Place) {
        self.draws.entry(place.connection.clone()).or_default().insert(source.clone());
        self.places.entry(place).or_default().insert(source);
    }

    pub fn keep_back(&mut self, connection: ConnectionId, default: Decimal, skus: impl IntoIterator<Item = (Sku, Decimal)>) {
        self.buffers.insert(connection, Buffer { default, skus: skus.into_iter().collect() });
    }

    pub fn places(&self) -> impl Iterator<Item = (&Place, &BTreeSet<Source>)> {
        self.places.iter()
    }

    /// The locations of one shop.
    pub fn locations<'a>(&'a self, connection: &'a ConnectionId) -> impl Iterator<Item = &'a str> {
        self.places.keys().filter(move |it| it.connection == *connection).map(|it| it.location.as_str())
    }

    /// Empty for a connection that the settings don't map.
    pub fn draws_from(&self, connection: &ConnectionId) -> impl Iterator<Item = &Source> {
        self.draws.get(connection).into_iter().flatten()
    }

    pub fn buffer(&self, connection: &ConnectionId, sku: &Sku) -> Decimal {
        self.buffers.get(connection).map_or(Decimal::ZERO, |it| it.skus.get(sku).copied().unwrap_or(it.default))
    }
}
