//! How far inputs read ahead of a single output: little, until that proves to be what holds it up.
//!
//! Whatever is read ahead of what a service takes is memory for nothing. How much that is depends on how long the service
//! takes for an answer, which only shows at work: reading begins with as much as suffices for a service that is near. While
//! inputs wait for memory and answers take long, half as much again is tried, and kept if more records are delivered in the
//! same time.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use record::Budget;
use tokio::time::Instant;

/// How far is read ahead at most if `Mem_Buf_Limit` does not say, in bytes that batches take: ten requests of Firehose under way, of
/// 500 lines of an access log each. More would be held for nothing while a file is drained.
pub const MOST: usize = 4 << 20;
/// How far is read ahead at first, three requests of 500 lines of an access log.
const FIRST: usize = 3 << 19;
/// The same once inputs wait for memory: six requests, which is 300,000 lines a second where an answer takes [`NEAR`]. With
/// less, batches get so small that each line costs more.
const DRAINING: usize = 5 << 19;
/// Where answers come sooner than this, waiting for them is not what takes time.
const NEAR: Duration = Duration::from_millis(10);
/// Deliveries are counted for so long at least,
const PERIOD: Duration = Duration::from_millis(200);
/// and for so many answers, and for so many of each request that is under way at once.
const ANSWERS: usize = 8;
const ROUNDS: usize = 4;
/// By this much more must be delivered for half as much again to be kept.
const GAIN: f64 = 1.2;
/// After an attempt in vain so many periods pass until the next one; twice as many after each further one.
const PAUSE: u32 = 8;
const PAUSE_MAX: u32 = 256;
/// After so many periods in which inputs did not wait for memory it begins anew,
const CALM: u32 = 10;
/// and after so long without an answer.
const IDLE: Duration = Duration::from_secs(2);

/// The memory of inputs that read ahead of one output.
pub struct ReadAhead {
    rooms: RefCell<Vec<Weak<Budget>>>,
    state: RefCell<State>,
}

struct State {
    /// How far each may read ahead.
    bytes: usize,
    /// What was delivered with less, in records a second, and how much less that was.
    before: Option<(f64, usize)>,
    /// Periods until more is tried, and how many there were the last time.
    wait: u32,
    pause: u32,
    /// Periods since inputs waited for memory.
    calm: u32,
    period: Period,
}

/// What was seen for a while.
struct Period {
    begin: Instant,
    last: Instant,
    answers: usize,
    /// Answers that inputs waited for.
    awaited: usize,
    records: u64,
    /// Requests under way, added up over all answers.
    under_way: usize,
}

impl ReadAhead {
    /// Of no input yet.
    pub fn new() -> ReadAhead {
        ReadAhead {
            rooms: RefCell::default(),
            state: RefCell::new(State::new(Instant::now())),
        }
    }

    /// From now on the limit of `room` is how far its input may get at most.
    pub fn govern(&self, room: &Arc<Budget>) {
        let mut rooms = self.rooms.borrow_mut();
        rooms.retain(|room| room.strong_count() > 0);
        rooms.push(Arc::downgrade(room));
        room.narrow(self.state.borrow().bytes);
    }

    /// Whether an input waits for memory.
    pub fn is_awaited(&self) -> bool {
        let rooms = self.rooms.borrow();
        let mut rooms = rooms.iter().filter_map(Weak::upgrade);
        rooms.any(|room| room.is_wanted())
    }

    /// A request was answered while `under_way` were under way, and `records` of it were delivered. `awaited`: an input waited
    /// for memory, and what it would have read could have been under way, too.
    pub fn note_answer(&self, under_way: usize, records: u64, awaited: bool) {
        let rooms = self.rooms.borrow();
        let rooms = || rooms.iter().filter_map(Weak::upgrade);
        let most = rooms().map(|room| match room.limit() {
            0 => MOST,
            limit => limit,
        });
        let Some(most) = most.max() else {
            return;
        };
        let mut state = self.state.borrow_mut();
        let before = state.bytes;
        state.note(under_way, records, awaited, most);
        if state.bytes != before {
            rooms().for_each(|room| room.narrow(state.bytes));
        }
    }
}

impl State {
    fn new(now: Instant) -> State {
        State {
            bytes: FIRST,
            before: None,
            wait: 0,
            pause: PAUSE,
            calm: 0,
            period: Period::new(now),
        }
    }

    fn note(&mut self, under_way: usize, records: u64, awaited: bool, most: usize) {
        let now = Instant::now();
        if now.duration_since(self.period.last) > IDLE {
            *self = State::new(now);
        }
        let period = &mut self.period;
        period.last = now;
        period.answers += 1;
        period.awaited += usize::from(awaited);
        period.records += records;
        period.under_way += under_way;
        if period.is_over() {
            self.end_period(most);
            self.period = Period::new(now);
            if self.calm == CALM {
                *self = State::new(now);
            }
        }
    }

    fn end_period(&mut self, most: usize) {
        let (period, rate) = (&self.period, self.period.rate());
        if let Some((before, bytes)) = self.before.take() {
            if rate < before * GAIN {
                self.bytes = bytes;
                self.wait = self.pause;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                return;
            }
            self.pause = PAUSE;
        }
        let is_held_up = period.was_held_up();
        self.calm = if is_held_up { 0 } else { self.calm + 1 };
        if is_held_up && self.bytes < DRAINING.min(most) {
            self.bytes = DRAINING.min(most);
        } else if self.wait > 0 {
            self.wait -= 1;
        } else if self.bytes < most && is_held_up && period.answer_time() >= NEAR {
            self.before = Some((rate, self.bytes));
            self.bytes = more(self.bytes, most);
        }
    }
}

/// Half as much again, or all there is if that is not much more.
fn more(bytes: usize, most: usize) -> usize {
    match bytes / 2 * 3 {
        more if more / 4 * 5 > most => most,
        more => more,
    }
}

impl Period {
    fn new(now: Instant) -> Period {
        Period {
            begin: now,
            last: now,
            answers: 0,
            awaited: 0,
            records: 0,
            under_way: 0,
        }
    }

    fn elapsed(&self) -> Duration {
        self.last.duration_since(self.begin)
    }

    fn is_over(&self) -> bool {
        let rounds = ROUNDS * self.under_way / self.answers;
        self.elapsed() >= PERIOD && self.answers >= ANSWERS.max(rounds)
    }

    /// Records delivered in a second.
    fn rate(&self) -> f64 {
        self.records as f64 / self.elapsed().as_secs_f64()
    }

    /// Whether inputs mostly waited for answers alone.
    fn was_held_up(&self) -> bool {
        self.awaited * 2 > self.answers
    }

    /// How long an answer took: as many requests were under way as came back in that time.
    fn answer_time(&self) -> Duration {
        let each = self.elapsed().as_secs_f64() / self.answers as f64;
        Duration::from_secs_f64(each * self.under_way as f64 / self.answers as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 4 << 20;
    /// What a request of 500 records takes.
    const REQUEST: usize = 400 << 10;

    /// A service.
    struct Service {
        /// How long an answer takes at least.
        answer: Duration,
        /// How many requests a second it takes at most.
        most: f64,
    }

    impl Service {
        /// Answers to an input that always has more to read, for so many seconds; gives the window's least and greatest size
        /// meanwhile, and what it was for most of the time.
        async fn work(&self, ahead: &ReadAhead, room: &Budget, seconds: u64) -> [usize; 3] {
            let end = Instant::now() + Duration::from_secs(seconds);
            let mut sizes = Vec::new();
            while Instant::now() < end {
                let under_way = room.window() / REQUEST;
                let rate = (under_way as f64 / self.answer.as_secs_f64()).min(self.most);
                tokio::time::advance(Duration::from_secs_f64(1.0 / rate)).await;
                ahead.note_answer(under_way, 500, true);
                sizes.push(room.window());
            }
            sizes.sort_unstable();
            [sizes[0], sizes[sizes.len() - 1], sizes[sizes.len() / 2]]
        }
    }

    fn governed() -> (ReadAhead, Arc<Budget>) {
        let (ahead, room) = (ReadAhead::new(), Budget::new(LIMIT));
        ahead.govern(&room);
        assert_eq!(room.window(), FIRST);
        (ahead, room)
    }

    fn service(millis: u64, most: f64) -> Service {
        Service {
            answer: Duration::from_millis(millis),
            most,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_distant_service_soon_gets_as_much_as_may_be_under_way() {
        for (millis, seconds) in [(50, 2), (400, 12)] {
            let (ahead, room) = governed();
            let distant = service(millis, f64::MAX);
            distant.work(&ahead, &room, seconds).await;
            assert_eq!(room.window(), LIMIT, "{millis} ms");
            let later = distant.work(&ahead, &room, 60).await;
            assert_eq!(later, [LIMIT; 3]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_near_service_gets_little_ahead() {
        let (ahead, room) = governed();
        let sizes = service(2, f64::MAX).work(&ahead, &room, 60).await;
        assert_eq!(sizes, [FIRST, DRAINING, DRAINING]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_brings_no_more_is_given_up_and_tried_ever_less_often() {
        let (ahead, room) = governed();
        // Two requests are enough for what it takes.
        let sizes = service(20, 100.0).work(&ahead, &room, 60).await;
        assert_eq!(sizes, [FIRST, more(DRAINING, LIMIT), DRAINING]);
        service(20, 100.0).work(&ahead, &room, 10).await;
        let later = service(20, 100.0).work(&ahead, &room, 30).await;
        assert_eq!(later, [DRAINING; 3], "a minute passes between attempts");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_wait_reads_no_further_ahead() {
        let (ahead, room) = governed();
        for _ in 0..1000 {
            tokio::time::advance(Duration::from_millis(20)).await;
            ahead.note_answer(1, 500, false);
        }
        assert_eq!(room.window(), FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn once_inputs_no_longer_wait_they_read_less_far_ahead() {
        let (ahead, room) = governed();
        service(50, f64::MAX).work(&ahead, &room, 5).await;
        assert_eq!(room.window(), LIMIT);
        for _ in 0..20 {
            tokio::time::advance(Duration::from_millis(50)).await;
            ahead.note_answer(1, 500, false);
        }
        assert_eq!(room.window(), LIMIT, "not at once");
        for _ in 0..200 {
            tokio::time::advance(Duration::from_millis(50)).await;
            ahead.note_answer(1, 500, false);
        }
        assert_eq!(room.window(), FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_it_begins_anew() {
        let (ahead, room) = governed();
        service(50, f64::MAX).work(&ahead, &room, 5).await;
        assert_eq!(room.window(), LIMIT);
        tokio::time::advance(IDLE * 2).await;
        ahead.note_answer(1, 500, false);
        assert_eq!(room.window(), FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_stays_one() {
        let (ahead, small) = (ReadAhead::new(), Budget::new(1 << 20));
        ahead.govern(&small);
        let sizes = service(50, f64::MAX).work(&ahead, &small, 5).await;
        assert_eq!(sizes, [1 << 20; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_there_is_one_for_what_is_tried() {
        let (ahead, room) = (ReadAhead::new(), Budget::new(0));
        ahead.govern(&room);
        let distant = service(50, f64::MAX);
        let sizes = distant.work(&ahead, &room, 60).await;
        assert_eq!(sizes, [FIRST, MOST, MOST]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_input_that_waits_is_seen() {
        let (ahead, room) = governed();
        let _held = room.try_take(FIRST).expect("empty");
        assert!(!ahead.is_awaited());
        let mut more = std::pin::pin!(room.take(1));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(more.as_mut().poll(&mut context).is_pending());
        assert!(ahead.is_awaited());
    }
}
