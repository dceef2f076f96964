//! A shop in memory: sets levels by compare-and-set, remembers what was set under which key, fails as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use connector::storefront::{PushResult, ShopStock, ShownLevel, StockPush};
use domain::Sku;
use fault::{Class, Fault};

/// What happens to the next push.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Script {
    /// Nothing is set.
    Fail(Class, Option<Duration>),
    /// All is set, and nobody is told.
    SetThenFail,
    /// All is set, and the answer never comes.
    SetThenHang,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By item and location.
    pub(super) levels: BTreeMap<(String, String), i64>,
    pub(super) items: BTreeMap<String, Vec<String>>,
    pub(super) script: VecDeque<Script>,
    /// A call with one of these items is refused as a whole.
    pub(super) poison: Option<String>,
    /// The shop fails at a call with this item.
    pub(super) choking: Option<String>,
    /// The shop fails whenever it is asked what this SKU is.
    pub(super) unanswered: Option<String>,
    /// The shop fails whenever it is asked for levels of this location.
    pub(super) silent: Option<String>,
    /// Levels of this item can't be read, nor others with it.
    pub(super) unreadable: Option<String>,
    pub(super) pushes: Vec<Vec<StockPush>>,
    pub(super) looks: usize,
    pub(super) lookups: usize,
    remembered: BTreeMap<String, (StockPush, PushResult)>,
}

#[derive(Debug, Default)]
pub(super) struct FakeShop(Mutex<State>);

impl FakeShop {
    /// It shows so many mugs (item 7) at location 1.
    pub(super) fn showing(available: i64) -> Arc<Self> {
        let shop = Self::default();
        shop.stock("MUG", "7", available);
        Arc::new(shop)
    }

    pub(super) fn stock(&self, sku: &str, item: &str, available: i64) {
        let mut state = self.state();
        state.items.entry(sku.to_owned()).or_default().push(item.to_owned());
        state.levels.insert((item.to_owned(), "1".to_owned()), available);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn mugs(&self) -> i64 {
        self.state().levels[&("7".to_owned(), "1".to_owned())]
    }

    /// A buyer takes mugs: the shop lowers its level at once.
    pub(super) fn sell(&self, quantity: i64) {
        *self.state().levels.get_mut(&("7".to_owned(), "1".to_owned())).unwrap() -= quantity;
    }

    pub(super) fn next_push(&self, script: Script) {
        self.state().script.push_back(script);
    }

    /// Expected and new levels of all pushes, in calls.
    pub(super) fn pushed(&self) -> Vec<Vec<(i64, i64)>> {
        self.state().pushes.iter().map(|call| call.iter().map(|it| (it.expected.unwrap(), it.available)).collect()).collect()
    }
}

impl State {
    fn set(&mut self, push: &StockPush) -> PushResult {
        if let Some((known, result)) = self.remembered.get(&push.idempotency_key)
            && known == push
        {
            return result.clone();
        }
        let result = match self.levels.get_mut(&(push.item.clone(), push.location.clone())) {
            None => PushResult::NotStocked,
            Some(level) if push.expected.is_some_and(|it| it != *level) => PushResult::Stale,
            Some(level) => {
                *level = push.available;
                PushResult::Set
            }
        };
        if result == PushResult::Set {
            self.remembered.insert(push.idempotency_key.clone(), (push.clone(), result.clone()));
        }
        result
    }
}

#[async_trait]
impl ShopStock for FakeShop {
    fn batch_max(&self) -> usize {
        250
    }

    async fn push(&self, pushes: &[StockPush]) -> Result<Vec<PushResult>, Fault> {
        let (script, results) = {
            let mut state = self.state();
            state.pushes.push(pushes.to_vec());
            let script = state.script.pop_front();
            if let Some(Script::Fail(class, retry_after)) = script {
                let mut fault = Fault::new(class, "scripted", "a scripted fault");
                fault.retry_after = retry_after;
                return Err(fault);
            }
            if pushes.iter().any(|it| state.poison.as_deref() == Some(&it.item)) {
                return Err(Fault::new(Class::BusinessRejected, "scripted_refusal", "one of them"));
            }
            if pushes.iter().any(|it| state.choking.as_deref() == Some(&it.item)) {
                return Err(Fault::new(Class::Transient, "scripted", "an error of the shop's own"));
            }
            (script, pushes.iter().map(|it| state.set(it)).collect())
        };
        match script {
            Some(Script::SetThenFail) => Err(Fault::new(Class::Transient, "scripted", "no answer")),
            Some(Script::SetThenHang) => std::future::pending().await,
            _ => Ok(results),
        }
    }

    async fn levels(&self, location: &str, items: &[String]) -> Result<Vec<ShownLevel>, Fault> {
        let mut state = self.state();
        state.looks += 1;
        if state.silent.as_deref() == Some(location) {
            return Err(Fault::new(Class::Transient, "scripted", "an error of the shop's own"));
        }
        if items.iter().any(|it| state.unreadable.as_ref() == Some(it)) {
            return Err(Fault::new(Class::BusinessRejected, "scripted_refusal", "one of them"));
        }
        let shown = |item: &String| {
            let available = *state.levels.get(&(item.clone(), location.to_owned()))?;
            Some(ShownLevel { item: item.clone(), location: location.to_owned(), available })
        };
        Ok(items.iter().filter_map(shown).collect())
    }

    async fn items_of(&self, sku: &Sku) -> Result<Vec<String>, Fault> {
        let mut state = self.state();
        state.lookups += 1;
        if state.unanswered.as_deref() == Some(sku.as_str()) {
            return Err(Fault::new(Class::Transient, "scripted", "an error of the shop's own"));
        }
        Ok(state.items.get(sku.as_str()).cloned().unwrap_or_default())
    }
}
