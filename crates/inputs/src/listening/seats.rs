//! How many connections there may be, and which gives way when there are too many: the one that has been silent longest.
//! One that is owed something, or that waits for the router, never does.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::shards::Counted;

/// Places for connections.
pub struct Seats {
    limit: usize,
    taken: RefCell<Vec<Weak<Place>>>,
}

/// What is known of one connection.
struct Place {
    /// When its sender was last heard of.
    heard: Cell<Instant>,
    /// It is not its sender that keeps it waiting.
    is_busy: Cell<bool>,
    is_asked_to_leave: Cell<bool>,
    leave: Notify,
}

/// A place that one connection has; given back on drop.
pub struct Seat {
    place: Rc<Place>,
    /// Where it counts among the shards.
    _counted: Option<Counted>,
}

impl Seats {
    /// At most `limit` places.
    pub fn new(limit: usize) -> Seats {
        Seats {
            limit: limit.max(1),
            taken: RefCell::default(),
        }
    }

    /// A place, for which another connection may have to leave; none if all are busy.
    pub fn take(&self) -> Option<Seat> {
        let mut taken = self.taken.borrow_mut();
        if taken.len() >= self.limit {
            taken.retain(|place| place.strong_count() > 0);
        }
        let staying = taken.len().saturating_sub(self.leaving(&taken));
        if staying >= self.limit && !ask_one_to_leave(&taken) {
            return None;
        }
        let place = Rc::new(Place {
            heard: Cell::new(Instant::now()),
            is_busy: Cell::new(false),
            is_asked_to_leave: Cell::new(false),
            leave: Notify::new(),
        });
        taken.push(Rc::downgrade(&place));
        Some(Seat {
            place,
            _counted: None,
        })
    }

    /// Asks the connection that has been silent longest to leave; whether there is one.
    pub fn free_one(&self) -> bool {
        ask_one_to_leave(&self.taken.borrow())
    }

    fn leaving(&self, taken: &[Weak<Place>]) -> usize {
        let asked =
            |place: &&Weak<Place>| place.upgrade().is_some_and(|p| p.is_asked_to_leave.get());
        taken.iter().filter(asked).count()
    }
}

fn ask_one_to_leave(taken: &[Weak<Place>]) -> bool {
    let silent = taken
        .iter()
        .filter_map(Weak::upgrade)
        .filter(|place| !place.is_busy.get() && !place.is_asked_to_leave.get())
        .min_by_key(|place| place.heard.get());
    match silent {
        Some(place) => {
            place.is_asked_to_leave.set(true);
            place.leave.notify_one();
            true
        }
        None => false,
    }
}

impl Seat {
    /// The same, counted among the shards.
    pub fn counted(mut self, counted: Option<Counted>) -> Seat {
        self._counted = counted;
        self
    }

    /// Its sender was heard of.
    pub fn note_heard(&self) {
        self.place.heard.set(Instant::now());
    }

    /// Whether it is the router that keeps the connection waiting, or that owes it something.
    pub fn set_busy(&self, is_busy: bool) {
        self.place.is_busy.set(is_busy);
    }

    /// Completes when the connection must leave.
    pub async fn must_leave(&self) {
        while !self.place.is_asked_to_leave.get() {
            self.place.leave.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn is_asked(seat: &Seat) -> bool {
        seat.place.is_asked_to_leave.get()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_gives_way_and_the_busy_never() {
        let seats = Seats::new(3);
        let all: Vec<Seat> = (0..3).map(|_| seats.take().expect("free")).collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        all[0].note_heard();
        all[1].set_busy(true);
        let late = seats.take().expect("one gives way");
        assert_eq!(
            all.iter().map(is_asked).collect::<Vec<_>>(),
            [false, false, true]
        );
        all[2].must_leave().await;
        all[0].set_busy(true);
        late.set_busy(true);
        assert!(seats.take().is_none(), "nobody can give way");
        drop(all);
        assert!(seats.take().is_some() && !is_asked(&late));
    }

    #[tokio::test(start_paused = true)]
    async fn many_newcomers_ask_as_many_to_leave() {
        let seats = Seats::new(2);
        let old: Vec<Seat> = (0..2).map(|_| seats.take().expect("free")).collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        let new: Vec<Seat> = (0..2)
            .map(|_| seats.take().expect("one gives way"))
            .collect();
        assert!(old.iter().all(is_asked) && !new.iter().any(is_asked));
        let newest = seats.take().expect("one gives way");
        assert!(new.iter().filter(|seat| is_asked(seat)).count() == 1 && !is_asked(&newest));
    }
}
