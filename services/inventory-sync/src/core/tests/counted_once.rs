//! A model of shop and ERP, and three topics between them and us that are read in any order, each key's records in its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use contracts::wire::OutcomeState;
use proptest::prelude::*;

use super::*;

const STOCK: i64 = 100;

#[derive(Debug, Clone)]
enum Act {
    Order(i64),
    /// The shop changes an order's quantity; 0 = cancel.
    Edit(usize, i64),
    /// The ERP takes over an order as it is now.
    Confirm(usize),
    Ship(usize),
    Observe,
    /// The next record of some key is read.
    Read(usize),
    /// Some record is read once more.
    Again(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let one = prop_oneof![
        2 => (1_i64..4).prop_map(Act::Order),
        1 => (any::<usize>(), 0_i64..5).prop_map(|(order, quantity)| Act::Edit(order, quantity)),
        2 => any::<usize>().prop_map(Act::Confirm),
        1 => any::<usize>().prop_map(Act::Ship),
        2 => Just(Act::Observe),
        8 => any::<usize>().prop_map(Act::Read),
        1 => any::<usize>().prop_map(Act::Again),
    ];
    prop::collection::vec(one, 1..80)
}

#[derive(Debug, Clone)]
enum Event {
    Order { id: usize, sequence: u64, quantity: i64 },
    Outcome { id: usize, sequence: u64, seconds: i64 },
    Level { level: Level, holds: BTreeSet<usize> },
}

#[derive(Debug, Clone, Default)]
struct Sale {
    sequence: u64,
    quantity: i64,
    /// Version, quantity and time of what the ERP has.
    confirmed: Option<(u64, i64, i64)>,
    shipped: bool,
}

#[derive(Default)]
struct World {
    clock: i64,
    sales: Vec<Sale>,
    looks: u64,
    /// By topic and key.
    unread: BTreeMap<(u8, usize), VecDeque<Event>>,
    read: Vec<Event>,
    book: Book,
    /// What of the world has reached us.
    heard_orders: BTreeMap<usize, (u64, i64)>,
    heard_outcomes: BTreeSet<usize>,
    listed: BTreeSet<usize>,
    heard_level: Option<(Level, BTreeSet<usize>)>,
}

impl World {
    fn run(&mut self, act: &Act) {
        self.clock += 1;
        let count = self.sales.len();
        match *act {
            Act::Order(quantity) => {
                self.sales.push(Sale::default());
                self.change(count, quantity);
            }
            Act::Edit(order, quantity) if count > 0 && self.sales[order % count].quantity != 0 => self.change(order % count, quantity),
            Act::Confirm(order) if count > 0 => self.confirm(order % count),
            Act::Ship(order) if count > 0 && self.sales[order % count].confirmed.is_some() => self.sales[order % count].shipped = true,
            Act::Observe => self.observe(),
            Act::Read(key) if !self.unread.is_empty() => {
                let key = *self.unread.keys().nth(key % self.unread.len()).unwrap();
                self.next(key);
            }
            Act::Again(record) if !self.read.is_empty() => {
                let event = self.read[record % self.read.len()].clone();
                let before = reckoned(&self.book, &feeds(), &place("shop"));
                self.tell(&event);
                assert_eq!(reckoned(&self.book, &feeds(), &place("shop")), before, "a repeat changes nothing: {event:?}");
            }
            _ => {}
        }
    }

    fn change(&mut self, id: usize, quantity: i64) {
        let sale = &mut self.sales[id];
        sale.sequence += 1;
        sale.quantity = quantity;
        let event = Event::Order { id, sequence: sale.sequence, quantity };
        self.unread.entry((0, id)).or_default().push_back(event);
    }

    fn confirm(&mut self, id: usize) {
        let sale = &mut self.sales[id];
        if sale.confirmed.is_none() && sale.quantity > 0 {
            sale.confirmed = Some((sale.sequence, sale.quantity, self.clock));
            self.unread.entry((1, id)).or_default().push_back(Event::Outcome { id, sequence: sale.sequence, seconds: self.clock });
        }
    }

    fn observe(&mut self) {
        self.looks += 1;
        let confirmed = || self.sales.iter().enumerate().filter_map(|(id, it)| Some((id, it, it.confirmed?.1)));
        let shipped: i64 = confirmed().filter(|it| it.1.shipped).map(|it| it.2).sum();
        let open: Vec<(usize, i64)> = confirmed().filter(|it| !it.1.shipped).map(|it| (it.0, it.2)).collect();
        let names: Vec<String> = open.iter().map(|it| it.0.to_string()).collect();
        let listed: Vec<(&str, i64)> = names.iter().zip(&open).map(|(name, it)| (name.as_str(), it.1)).collect();
        let reserved = open.iter().map(|it| it.1).sum();
        let level = level(self.looks, STOCK - shipped, reserved, self.clock, &listed);
        let holds = confirmed().map(|it| it.0).collect();
        self.unread.entry((2, 0)).or_default().push_back(Event::Level { level, holds });
    }

    fn next(&mut self, key: (u8, usize)) {
        let queue = self.unread.get_mut(&key).unwrap();
        let event = queue.pop_front().unwrap();
        if queue.is_empty() {
            self.unread.remove(&key);
        }
        self.tell(&event);
        match &event {
            Event::Order { id, sequence, quantity } => drop(self.heard_orders.insert(*id, (*sequence, *quantity))),
            Event::Outcome { id, .. } => drop(self.heard_outcomes.insert(*id)),
            Event::Level { level, holds } => {
                self.listed.extend(level.open_sales.iter().map(|it| it.order.id().parse::<usize>().unwrap()));
                self.heard_level = Some((level.clone(), holds.clone()));
            }
        }
        self.read.push(event);
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::Order { id, sequence, quantity } => {
                drop(self.book.order(&order(&id.to_string()), &shop(), &takes(*sequence, *quantity)))
            }
            Event::Outcome { id, sequence, seconds } => {
                let outcome = outcome("place_order", OutcomeState::Applied, *sequence, *seconds);
                self.book.outcome(&order(&id.to_string()), &shop(), &outcome);
            }
            Event::Level { level, .. } => drop(self.book.level(&mug(), &warehouse("WH"), level.clone())),
        }
    }

    /// Each order that we have heard of is counted, and not twice as soon as we can know better.
    fn check(&self) -> Result<(), TestCaseError> {
        let Some((level, holds)) = &self.heard_level else { return Ok(()) };
        let (mut least, mut most) = (0, 0);
        for (id, (sequence, quantity)) in &self.heard_orders {
            let Some((version, held, _)) = self.sales[*id].confirmed.filter(|_| holds.contains(id)) else {
                (least, most) = (least + quantity, most + quantity);
                continue;
            };
            let rest = (quantity - held).max(0);
            // The ERP may have a version that we have not heard of: what that one took away is no order any more.
            least += if version > *sequence { 0 } else { rest };
            let is_known = self.listed.contains(id) || self.heard_outcomes.contains(id);
            most += if is_known { rest } else { *quantity };
        }
        let pending = reckoned(&self.book, &feeds(), &place("shop")).unwrap().pending;
        prop_assert!(decimal(least) <= pending && pending <= decimal(most), "{least} <= {pending} <= {most} at {level:?}");
        Ok(())
    }

    fn settle(&mut self) {
        self.clock += 1;
        self.observe();
        while let Some(key) = self.unread.keys().next().copied() {
            self.next(key);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_order_is_never_lost_and_never_counted_twice(acts in acts()) {
        let mut world = World::default();
        for act in &acts {
            world.run(act);
            world.check()?;
        }
        world.settle();
        let sold: i64 = world.sales.iter().map(|it| it.quantity.max(it.confirmed.map_or(0, |it| it.1))).sum();
        let available = reckoned(&world.book, &feeds(), &place("shop")).unwrap().available();
        prop_assert_eq!(available, decimal((STOCK - sold).max(0)), "in the end every order counts exactly once");
    }

    /// The formula itself, with several warehouses and shops.
    #[test]
    fn what_is_available_is_never_more_than_what_is_left(
        on_hand in prop::collection::vec(0_i64..50, 2), reserved in prop::collection::vec(0_i64..20, 2),
        orders in prop::collection::vec((0_usize..2, 1_i64..5), 0..8), buffer in 0_i64..4,
    ) {
        let mut feeds = Feeds::default();
        for location in ["A", "B"] {
            feeds.connect(warehouse(location), place("shop"));
            feeds.connect(warehouse(location), place("other"));
        }
        feeds.keep_back(shop(), decimal(buffer), []);
        let mut book = Book::default();
        for (index, location) in ["A", "B"].into_iter().enumerate() {
            book.level(&mug(), &warehouse(location), level(1, on_hand[index], reserved[index], 0, &[]));
        }
        for (number, (of, quantity)) in orders.iter().enumerate() {
            let connection = [shop(), "other".parse().unwrap()][*of].clone();
            book.order(&AggregateKey::order(&connection, &number.to_string()), &connection, &takes(1, *quantity));
        }
        let sold: i64 = orders.iter().map(|it| it.1).sum();
        let left = on_hand.iter().sum::<i64>() - reserved.iter().sum::<i64>() - sold;
        let available = |of: &str| reckoned(&book, &feeds, &place(of)).unwrap().available();
        prop_assert_eq!(available("other"), decimal(left.max(0)), "an order counts once, though it may be taken from two places");
        prop_assert_eq!(available("shop"), decimal((left - buffer).max(0)));
    }
}
