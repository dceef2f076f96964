use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Alive while no heartbeat is older than it may be. Dead means: kill me, it will not get better. So only loops of our own
/// are watched, with generous ages, and never another system.
#[derive(Clone, Default)]
pub struct Liveness(Arc<Mutex<Vec<Watched>>>);

struct Watched {
    name: &'static str,
    max_age: Duration,
    age: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// A heartbeat that is too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    pub name: &'static str,
    pub age: Duration,
    pub max_age: Duration,
}

/// Beaten by the loop that it speaks for. Clones are one heart.
#[derive(Clone)]
pub struct Heartbeat(Arc<Mutex<Instant>>);

impl Liveness {
    /// A heartbeat to beat more often than `max_age`. It begins now.
    pub fn heartbeat(&self, name: &'static str, max_age: Duration) -> Heartbeat {
        let heartbeat = Heartbeat(Arc::new(Mutex::new(Instant::now())));
        let watched = heartbeat.clone();
        self.watch(name, max_age, move || watched.age());
        heartbeat
    }

    /// As [`Liveness::heartbeat`], for what keeps its own time.
    pub fn watch(&self, name: &'static str, max_age: Duration, age: impl Fn() -> Duration + Send + Sync + 'static) {
        self.0.lock().expect("nobody panics with it").push(Watched { name, max_age, age: Box::new(age) });
    }

    /// What has not beaten in time. Empty = alive.
    pub fn stale(&self) -> Vec<Stale> {
        let watched = self.0.lock().expect("an age is read without panics");
        let aged = watched.iter().map(|it| Stale { name: it.name, age: (it.age)(), max_age: it.max_age });
        aged.filter(|it| it.age > it.max_age).collect()
    }
}

impl Heartbeat {
    pub fn beat(&self) {
        *self.0.lock().expect("nobody panics with it") = Instant::now();
    }

    pub fn age(&self) -> Duration {
        self.0.lock().expect("nobody panics with it").elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_old_is_stale() {
        let liveness = Liveness::default();
        assert!(liveness.stale().is_empty());
        let _beating = liveness.heartbeat("engine", Duration::from_secs(60));
        liveness.watch("poll", Duration::from_secs(30), || Duration::from_secs(31));
        liveness.watch("drain", Duration::from_secs(30), || Duration::from_secs(30));
        let poll = Stale { name: "poll", age: Duration::from_secs(31), max_age: Duration::from_secs(30) };
        assert_eq!(liveness.stale(), [poll]);
    }

    #[test]
    fn a_beat_makes_it_young_again() {
        let heart = Liveness::default().heartbeat("engine", Duration::ZERO);
        while heart.age() < Duration::from_millis(10) {
            std::hint::spin_loop();
        }
        let before_the_beat = Instant::now();
        heart.beat();
        let age = heart.age();
        assert!(age <= before_the_beat.elapsed());
    }
}
