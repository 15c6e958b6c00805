//! How often files that grow are read: seldom enough that a round is worth its price, often enough that nothing is sent
//! later than `Flush` says, and that no round has much to read.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two rounds: one read takes what came meanwhile.
pub const ROUND: Duration = Duration::from_millis(40);
/// The longest: what a file without a copy holds when it is truncated is lost, so that it is not left there for long.
const LONGEST: Duration = Duration::from_millis(250);
/// So many rounds go into the time that a record may wait.
const ROUNDS_PER_FLUSH: u32 = 4;
/// A round that has more to read than this comes too late,
const BYTES: usize = 96 << 10;
/// as does one after so many notices: the kernel keeps 16384.
const NOTICES: usize = 4096;
/// A record is due a moment after the round that its time is up with, so that it goes together with what that one reads.
const GRACE: Duration = Duration::from_millis(10);

/// When the next round is due, and since when what it reads may have waited.
pub struct Rhythm {
    longest: Duration,
    /// When the last round began.
    last: Instant,
    /// Since when lines may have waited that are read now.
    since: Instant,
    /// When files that grow are read again.
    next: Instant,
    notices: usize,
}

impl Rhythm {
    /// For records that wait for `flush` at most.
    pub fn new(flush: Duration, now: Instant) -> Rhythm {
        Rhythm {
            longest: (flush / ROUNDS_PER_FLUSH).clamp(ROUND, LONGEST),
            last: now,
            since: now,
            next: now,
            notices: 0,
        }
    }

    /// A round begins. `calm`: the last one has found nothing, and whatever was written since would have been noticed at once.
    pub fn begin(&mut self, now: Instant, calm: bool) {
        self.since = match calm {
            true => now,
            false => self
                .last
                .max(now.checked_sub(2 * self.longest).unwrap_or(now)),
        };
        self.last = now;
        self.notices = 0;
    }

    /// The kernel had so many notices for this round.
    pub fn noticed(&mut self, notices: usize) {
        self.notices += notices;
    }

    /// A round has read so many bytes of files that grow.
    pub fn end(&mut self, bytes: usize) {
        let passed = self.last.duration_since(self.since).max(ROUND);
        let mut step = self.longest;
        // Halves of it, so that all inputs' rounds fall together.
        while step > ROUND
            && (is_too_much(bytes, BYTES, step, passed)
                || is_too_much(self.notices, NOTICES, step, passed))
        {
            step = (step / 2).max(ROUND);
        }
        self.next = on_grid(self.last, step);
    }

    /// When files that grow are read again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// The earliest time of a round because of a name.
    pub fn earliest(&self) -> Instant {
        self.last + ROUND
    }

    /// Whether rounds are so far apart that positions are not written along with them.
    pub fn is_slow(&self) -> bool {
        self.next.duration_since(self.last) >= 2 * ROUND
    }

    /// Since when lines that are read now count as waiting.
    pub fn noticed_at(&self) -> std::time::Instant {
        (self.since + GRACE).into_std()
    }
}

/// Whether `count` in the time that `passed` are more than `most` in a `step`.
fn is_too_much(count: usize, most: usize, step: Duration, passed: Duration) -> bool {
    count as f64 * step.as_secs_f64() > most as f64 * passed.as_secs_f64()
}

/// The next multiple of `step` since some time of this process, at least half a step after `now`: all inputs read at the same
/// times, and what they read shares requests.
fn on_grid(now: Instant, step: Duration) -> Instant {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    let origin = Instant::from_std(*ORIGIN.get_or_init(|| now.into_std()));
    let past = now.saturating_duration_since(origin) + step / 2;
    let steps = past.as_nanos().div_ceil(step.as_nanos().max(1));
    let nanos = steps * step.as_nanos();
    origin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLUSH: Duration = Duration::from_secs(1);

    fn rhythm(flush: Duration) -> (Rhythm, Instant) {
        let now = Instant::now();
        (Rhythm::new(flush, now), now)
    }

    /// How long it waits after a round that came `step` after the last one and has read so many bytes.
    fn wait(rhythm: &mut Rhythm, now: Instant, bytes: usize) -> Duration {
        rhythm.begin(now, false);
        rhythm.end(bytes);
        rhythm.next().duration_since(now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_grows_slowly_is_read_four_times_per_flush() {
        for (flush, round) in [(1000, 250), (400, 100), (50, 40), (60_000, 250)] {
            let (mut rhythm, start) = rhythm(Duration::from_millis(flush));
            let first = wait(&mut rhythm, start + ROUND, 1000);
            let second = rhythm.next();
            let round = Duration::from_millis(round);
            assert!(first >= round / 2 && first <= round * 3 / 2, "{first:?}");
            assert_eq!(wait(&mut rhythm, second, 1000), round);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_there_is_to_read_the_sooner_it_is_read_again() {
        let (mut rhythm, start) = rhythm(FLUSH);
        wait(&mut rhythm, start + ROUND, 1000);
        let mut waits = Vec::new();
        for bytes in [50 << 10, 150 << 10, 150 << 10, 10 << 20, 10 << 20, 1 << 10] {
            let now = rhythm.next();
            waits.push(wait(&mut rhythm, now, bytes));
        }
        assert_eq!(waits[0], LONGEST);
        assert!(waits[1] < LONGEST && waits[1] >= LONGEST / 4, "{waits:?}");
        assert!(waits[4] < ROUND * 2, "{waits:?}");
        assert!(waits[5] > ROUND * 2, "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn many_notices_count_as_much_to_read() {
        let (mut rhythm, start) = rhythm(FLUSH);
        wait(&mut rhythm, start + LONGEST, 0);
        let now = rhythm.next();
        rhythm.begin(now, false);
        rhythm.noticed(NOTICES * 4);
        rhythm.end(10);
        assert!(rhythm.next() - now < LONGEST / 2);
        assert!(rhythm.earliest() >= now + ROUND);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_waits_since_the_last_round_or_its_notice() {
        let (mut rhythm, start) = rhythm(FLUSH);
        let at = |millis| start + Duration::from_millis(millis);
        rhythm.begin(at(100), false);
        assert_eq!(rhythm.noticed_at(), (start + GRACE).into_std());
        rhythm.begin(at(300), true);
        assert_eq!(rhythm.noticed_at(), (at(300) + GRACE).into_std());
        rhythm.begin(at(10_000), false);
        assert_eq!(
            rhythm.noticed_at(),
            (at(10_000) - 2 * LONGEST + GRACE).into_std(),
            "a file that was drained meanwhile holds nothing of then"
        );
    }
}
