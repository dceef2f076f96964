//! Which request is hit by which fault.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use tokio::time::Instant;

use super::rule::{Fault, Rule};

/// What is known of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Method and model, or the path where there is no such thing.
    pub operation: String,
    /// What it is about, as far as that can be told: external ids, items.
    pub subjects: Vec<String>,
}

/// The rules in force, in the order in which they were set: the first that matches hits. Clones share them.
#[derive(Debug, Clone)]
pub struct Plan(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rules: Vec<Active>,
    next: u64,
    dice: StdRng,
}

#[derive(Debug)]
struct Active {
    id: u64,
    rule: Rule,
    set: Instant,
    matched: u64,
    hit: u64,
}

/// A rule with what it did so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scheduled {
    pub id: u64,
    pub rule: Rule,
    pub matched: u64,
    pub hit: u64,
}

/// A rule that could never hit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("`reset_early` happens before the body is read, when neither operation nor subject is known: leave both out")]
    NotKnownYet,
    #[error("`share` is {0}: give a number from 0 to 1")]
    Share(String),
    #[error("{0} is no HTTP status: give one from 200 to 599")]
    Status(u16),
}

impl Plan {
    /// Shares are decided by `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { rules: Vec::new(), next: 1, dice: StdRng::seed_from_u64(seed) })))
    }

    /// Returns the rule's id.
    pub fn add(&self, rule: Rule) -> Result<u64, RuleError> {
        check(&rule)?;
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.rules.push(Active { id, rule, set: Instant::now(), matched: 0, hit: 0 });
        Ok(id)
    }

    /// False when there is no such rule.
    pub fn remove(&self, id: u64) -> bool {
        let rules = &mut self.lock().rules;
        let before = rules.len();
        rules.retain(|it| it.id != id);
        rules.len() < before
    }

    pub fn clear(&self) {
        self.lock().rules.clear();
    }

    pub fn rules(&self) -> Vec<Scheduled> {
        let of = |it: &Active| Scheduled { id: it.id, rule: it.rule.clone(), matched: it.matched, hit: it.hit };
        self.lock().rules.iter().map(of).collect()
    }

    /// The fault of a request of which the body is not read yet.
    pub fn early(&self) -> Option<Rule> {
        self.take(|rule| rule.fault == Fault::ResetEarly)
    }

    /// The fault of a request. Taking it counts.
    pub fn hit(&self, facts: &Facts) -> Option<Rule> {
        self.take(|rule| rule.fault != Fault::ResetEarly && matches(rule, facts))
    }

    fn take(&self, matches: impl Fn(&Rule) -> bool) -> Option<Rule> {
        let mut state = self.lock();
        let State { rules, dice, .. } = &mut *state;
        let now = Instant::now();
        for active in rules {
            if !active.runs(now) || !matches(&active.rule) {
                continue;
            }
            active.matched += 1;
            if active.matched <= active.rule.skip || active.rule.share.is_some_and(|share| !dice.random_bool(share)) {
                continue;
            }
            active.hit += 1;
            return Some(active.rule.clone());
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn runs(&self, now: Instant) -> bool {
        let begins = self.set + Duration::from_millis(self.rule.after_ms);
        let ends = self.rule.for_ms.map(|it| begins + Duration::from_millis(it));
        self.rule.times.is_none_or(|times| self.hit < times) && now >= begins && ends.is_none_or(|ends| now < ends)
    }
}

fn check(rule: &Rule) -> Result<(), RuleError> {
    if rule.fault == Fault::ResetEarly && (rule.operation.is_some() || rule.subject.is_some()) {
        return Err(RuleError::NotKnownYet);
    }
    if let Some(share) = rule.share.filter(|it| !(0.0..=1.0).contains(it)) {
        return Err(RuleError::Share(share.to_string()));
    }
    match rule.fault {
        Fault::Status { status, .. } | Fault::Redirect { status, .. } if !(200..600).contains(&status) => Err(RuleError::Status(status)),
        _ => Ok(()),
    }
}

fn matches(rule: &Rule, facts: &Facts) -> bool {
    rule.operation.as_ref().is_none_or(|it| fits(it, &facts.operation))
        && rule.subject.as_ref().is_none_or(|it| facts.subjects.contains(it))
}

/// `*` stands for any text, also none.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return text.ends_with(piece);
        }
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(operation: &str, subject: &str) -> Facts {
        Facts { operation: operation.into(), subjects: vec![subject.into()] }
    }

    fn hits(plan: &Plan, operation: &str, subject: &str) -> bool {
        plan.hit(&facts(operation, subject)).is_some()
    }

    #[test]
    fn patterns_stand_for_any_text_in_their_gaps() {
        for (pattern, text, expected) in [
            ("model.sale.sale.create", "model.sale.sale.create", true),
            ("model.sale.sale.create", "model.sale.sale.quote", false),
            ("*", "", true),
            ("model.*", "model.sale.sale.create", true),
            ("*.create", "model.sale.sale.create", true),
            ("*.create", "model.sale.sale.created", false),
            ("model.*.create", "model.party.party.create", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn the_nth_match_is_hit_once() {
        let plan = Plan::new(1);
        plan.add(Rule::new(Fault::Reset).on("create").nth(2)).unwrap();
        let seen: Vec<_> = (0..4).map(|_| hits(&plan, "create", "1")).collect();
        assert_eq!(seen, [false, true, false, false]);
        assert!(!hits(&plan, "quote", "1"));
        assert_eq!((plan.rules()[0].matched, plan.rules()[0].hit), (2, 1), "a spent rule does not count on");
    }

    #[test]
    fn one_key_fails_and_the_others_pass() {
        let plan = Plan::new(1);
        plan.add(Rule::new(Fault::status(500)).about("7").always()).unwrap();
        assert!(hits(&plan, "create", "7") && hits(&plan, "quote", "7"));
        assert!(!hits(&plan, "create", "8"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_has_its_time() {
        let plan = Plan::new(1);
        plan.add(Rule::new(Fault::Silence).always().after(Duration::from_secs(2)).lasting(Duration::from_secs(3))).unwrap();
        let mut seen = Vec::new();
        for _ in 0..7 {
            seen.push(hits(&plan, "create", "1"));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(seen, [false, false, true, true, true, false, false]);
    }

    #[test]
    fn a_share_is_the_same_for_the_same_seed() {
        let run = |seed| {
            let plan = Plan::new(seed);
            plan.add(Rule::new(Fault::Reset).always().share(0.3)).unwrap();
            (0..200).map(|_| hits(&plan, "create", "1")).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert!((30..90).contains(&run(7).iter().filter(|it| **it).count()));
    }

    #[test]
    fn what_could_never_hit_is_refused() {
        let plan = Plan::new(1);
        assert_eq!(plan.add(Rule::new(Fault::ResetEarly).about("7")), Err(RuleError::NotKnownYet));
        assert_eq!(plan.add(Rule::new(Fault::Reset).share(1.5)), Err(RuleError::Share("1.5".into())));
        assert_eq!(plan.add(Rule::new(Fault::status(99))), Err(RuleError::Status(99)));
    }

    #[test]
    fn before_the_body_only_early_resets_hit() {
        let plan = Plan::new(1);
        plan.add(Rule::new(Fault::Reset)).unwrap();
        assert_eq!(plan.early(), None);
        plan.add(Rule::new(Fault::ResetEarly)).unwrap();
        assert_eq!(plan.early().unwrap().fault, Fault::ResetEarly);
        assert_eq!(plan.early(), None);
        assert!(hits(&plan, "create", "1"));
    }
}
