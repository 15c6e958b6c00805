//! What a seed decides before anything happens: sources, outputs, faults, and how each life of the router ends.

use std::time::Duration;

use crate::dice::Dice;
use crate::disk::DiskFaults;

/// The most outputs of a scenario.
pub const MAX_OUTPUTS: usize = 3;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// One simulated history.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How the lives of the router end, one after the other. A last one follows in which everything heals.
    pub lives: Vec<Ending>,
    /// Files that are followed.
    pub tails: Vec<TailPlan>,
    /// Senders that wait for acknowledgements.
    pub senders: Vec<SenderPlan>,
    /// Outputs and the services behind them.
    pub outputs: Vec<OutputPlan>,
    /// Whether a filter drops and re-tags some records.
    pub filters: bool,
    /// `Flush`.
    pub flush: Duration,
    /// `Mem_Buf_Limit` of every input.
    pub memory: usize,
    /// The disk of the write-ahead log.
    pub disk: DiskPlan,
    /// Whether `scheduler.base` and `scheduler.cap` are configured.
    pub scheduler: Option<(u64, u64)>,
    /// Whether inputs that keep what they take wait where it would be on the disk alone.
    pub pauses: bool,
}

/// How a life of the router ends.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// The process is killed; what it gave to the system stays.
    Kill(When),
    /// The machine loses power; what was not synced is lost, in part or whole.
    PowerLoss(When),
    /// It is asked to stop.
    Stop(Duration),
}

/// A moment of a life.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// So long after its start.
    At(Duration),
    /// At this step of it: a request that leaves, an answer that comes, a write, a sync.
    Step(u64),
}

/// The disk of the write-ahead log.
#[derive(Clone, Debug)]
pub struct DiskPlan {
    /// `storage.sync full`: acknowledged means on the disk. Otherwise it means given to the system.
    pub syncs: bool,
    /// What goes wrong.
    pub faults: DiskFaults,
    /// When it is full, since the beginning of the history.
    pub full: Vec<(Duration, Duration)>,
    /// The length at which a segment ends.
    pub segment_bytes: u64,
}

/// A file that somebody writes and the router follows.
#[derive(Clone, Copy, Debug)]
pub struct TailPlan {
    /// How many lines are written.
    pub lines: u32,
    /// The longest wait between two writes.
    pub pause: Duration,
    /// The most bytes read at once.
    pub read: u64,
    /// Probability that writing positions fails.
    pub write_fails: f64,
}

/// A sender of chunks.
#[derive(Clone, Copy, Debug)]
pub struct SenderPlan {
    /// How many chunks it has.
    pub chunks: u32,
    /// Records of a chunk, at most.
    pub records: u32,
    /// The longest wait between two chunks.
    pub pause: Duration,
    /// Chunks without an acknowledgement, at most.
    pub window: usize,
    /// How long it waits for an acknowledgement before it connects anew.
    pub patience: Duration,
    /// Mean time between two cut connections.
    pub cut_after: Option<Duration>,
    /// Whether its input keeps what it takes in the write-ahead log (`storage.type filesystem`).
    pub logged: bool,
}

/// An output and the service behind it.
#[derive(Clone, Debug)]
pub struct OutputPlan {
    /// Which tags it gets.
    pub matches: &'static str,
    /// Records of a full request.
    pub full: u32,
    /// Requests that may be under way at once.
    pub concurrency: usize,
    /// Whether requests of one source go one after the other.
    pub lanes: bool,
    /// `Retry_Limit`, if there is one.
    pub retry_limit: Option<u32>,
    /// What goes wrong.
    pub faults: Faults,
    /// When the service is away, since the beginning of the history.
    pub outages: Vec<(Duration, Duration)>,
}

/// What goes wrong between an output and its service, as probabilities per request or record.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The longest way of a request or an answer.
    pub latency: Duration,
    /// Some records of a request are refused for now.
    pub partial: f64,
    /// The share of them.
    pub partial_share: f64,
    /// The service has too much to do.
    pub throttle: f64,
    /// The connection is cut before the service has the request.
    pub cut_before: f64,
    /// The connection is cut before the answer is back.
    pub cut_after: f64,
    /// The answer does not come for so long that the output gives up waiting.
    pub hang: f64,
    /// The output's own code panics.
    pub panic: f64,
    /// A request with a record that can never be delivered is refused as a whole, instead of that record alone.
    pub refuses_whole: bool,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Faults = Faults {
        latency: ms(5),
        partial: 0.0,
        partial_share: 0.0,
        throttle: 0.0,
        cut_before: 0.0,
        cut_after: 0.0,
        hang: 0.0,
        panic: 0.0,
        refuses_whole: false,
    };
}

impl Scenario {
    /// What `dice` make of it. Every kind of fault is left out of many histories, so that each is also seen alone.
    pub fn new(dice: &mut Dice) -> Scenario {
        let disk = disk(dice);
        let tails = dice.count(0..3);
        let senders = dice.count(usize::from(tails == 0)..3);
        Scenario {
            lives: (0..dice.count(0..5)).map(|_| ending(&disk, dice)).collect(),
            disk,
            tails: (0..tails).map(|_| tail(dice)).collect(),
            senders: (0..senders).map(|_| sender(dice)).collect(),
            outputs: (0..dice.pick(&[1, 1, 1, 2, 2, MAX_OUTPUTS]))
                .map(|index| output(index, dice))
                .collect(),
            filters: dice.chance(0.4),
            flush: dice.pick(&[ms(100), ms(1000), ms(5000)]),
            memory: dice.pick(&[1 << 10, 8 << 10, 64 << 10]),
            scheduler: dice.pick(&[None, None, Some((1, 3))]),
            pauses: dice.aside().chance(0.3),
        }
    }
}

fn disk(dice: &mut Dice) -> DiskPlan {
    let mut rate = || match dice.chance(0.2) {
        true => dice.pick(&[0.02, 0.2]),
        false => 0.0,
    };
    let faults = DiskFaults {
        append: rate(),
        read: rate(),
        sync: rate(),
        names: rate(),
    };
    let syncs = dice.chance(0.7);
    DiskPlan {
        syncs,
        faults,
        full: (0..dice.pick(&[0, 0, 1])).map(|_| outage(dice)).collect(),
        segment_bytes: dice.pick(&[500, 4_000, 1 << 20]),
    }
}

fn ending(disk: &DiskPlan, dice: &mut Dice) -> Ending {
    let when = match dice.chance(0.5) {
        true => When::At(dice.time(ms(10)..ms(15_000))),
        false => When::Step(dice.number(1..300)),
    };
    match dice.count(0..5) {
        0 => Ending::Stop(dice.time(ms(10)..ms(15_000))),
        1 | 2 if disk.syncs => Ending::PowerLoss(when),
        _ => Ending::Kill(when),
    }
}

fn tail(dice: &mut Dice) -> TailPlan {
    TailPlan {
        lines: dice.pick(&[10, 50, 150]),
        pause: dice.pick(&[ms(2), ms(50), ms(500)]),
        read: dice.pick(&[100, 1000, 8000]),
        write_fails: dice.pick(&[0.0, 0.0, 0.3]),
    }
}

fn sender(dice: &mut Dice) -> SenderPlan {
    SenderPlan {
        chunks: dice.pick(&[5, 20]),
        records: dice.pick(&[1, 5, 12]),
        pause: dice.pick(&[ms(5), ms(100), ms(1000)]),
        window: dice.pick(&[1, 3, 20]),
        patience: dice.pick(&[ms(12_000), ms(60_000)]),
        cut_after: dice.pick(&[None, None, Some(ms(3_000))]),
        logged: dice.chance(0.6),
    }
}

fn output(index: usize, dice: &mut Dice) -> OutputPlan {
    let matches = match index {
        0 => "*",
        _ => dice.pick(&["*", "t.*", "f.*", "r.*"]),
    };
    OutputPlan {
        matches,
        full: dice.pick(&[1, 3, 10, 100]),
        concurrency: dice.pick(&[1, 2, 8]),
        lanes: dice.chance(0.3),
        retry_limit: dice.pick(&[None, None, None, None, Some(2)]),
        faults: faults(dice),
        outages: (0..dice.pick(&[0, 0, 1, 2]))
            .map(|_| outage(dice))
            .collect(),
    }
}

fn faults(dice: &mut Dice) -> Faults {
    let mut sometimes = |rates: &[f64]| match dice.chance(0.35) {
        true => dice.pick(rates),
        false => 0.0,
    };
    let (partial, throttle) = (sometimes(&[0.1, 0.3, 0.9]), sometimes(&[0.1, 0.5]));
    let (cut_before, cut_after) = (sometimes(&[0.05, 0.3]), sometimes(&[0.05, 0.3]));
    let (hang, panic) = (sometimes(&[0.02, 0.2]), sometimes(&[0.01]));
    Faults {
        latency: dice.pick(&[ms(2), ms(50), ms(2000)]),
        partial,
        partial_share: dice.pick(&[0.05, 0.3, 1.0]),
        throttle,
        cut_before,
        cut_after,
        hang,
        panic,
        refuses_whole: dice.chance(0.5),
    }
}

fn outage(dice: &mut Dice) -> (Duration, Duration) {
    let start = dice.time(ms(0)..ms(20_000));
    (start, start + dice.time(ms(500)..ms(20_000)))
}
