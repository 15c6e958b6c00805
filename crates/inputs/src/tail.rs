//! `tail`: follows log files.
//!
//! A map of the folder:
//!
//! | file | does |
//! |---|---|
//! | `options.rs` | what a section can say |
//! | `follower.rs` | all files of an instance and what is done when; its folder: discovery, reading, rotation, resuming, saving |
//! | `file.rs`, `descriptor.rs`, `parked.rs` | one file that is followed; its descriptor; the files that are not, but whose position is known |
//! | `cursor.rs`, `long_lines.rs` | reading whole lines in large pieces |
//! | `lines.rs`, `tag.rs` | from lines to records; their tag |
//! | `multiline.rs` | lines that are joined; its folder: the ways to tell which |
//! | `archive.rs`, `handover.rs` | what is left of a file in an archive; what is given to the next instance |
//! | `claim.rs`, `shards.rs` | one router at a time for the same files and database; which of its shards follows which |
//! | `identity.rs`, `siblings.rs`, `glob.rs`, `watch.rs` | what tells files apart; what stands beside them; patterns; the kernel's notices |
//!
//! What keeps lines from being lost: a position is stored only as far as records were answered for; a descriptor stays
//! open until everything read from it is; a file is recognised by device, inode, birth and content; and whatever the
//! kernel's notices miss is found by looking.

mod advice;
mod archive;
mod claim;
mod cursor;
mod descriptor;
mod file;
mod follower;
mod glob;
mod handover;
mod identity;
mod lines;
mod long_lines;
mod multiline;
mod options;
mod parked;
mod shards;
mod siblings;
mod tag;
mod watch;

use std::sync::Arc;
use std::time::SystemTime;

use buffer::positions::{Position, Report, Store, Writer};
use pattern::Pattern;
use plugin::{BuildError, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Log, Stop};
use tokio::time::Instant;

use claim::Claim;
use follower::{Earlier, Follower, Pace, ROUND, Setup};
use glob::Exclusion;
use multiline::Multiline;
pub use options::Options;
use parked::ParkedFile;
use shards::{Content, Share};
use tag::TagSource;

/// `Name tail`.
pub static PLUGIN: InputPlugin = InputPlugin::new::<Tail>("tail");

/// An instance that has not begun to read.
struct Tail {
    setup: Setup,
    writer: Option<Writer>,
    earlier: Earlier,
    claim: Option<Arc<Claim>>,
}

impl Input for Tail {
    type Options = Options;

    const SPREADS: bool = true;
    const SOURCE_KEEPS: bool = true;

    fn build(
        options: Options,
        context: InputContext,
        handover: Handover,
    ) -> Result<Tail, BuildError> {
        let tags = tags(&options, &context);
        check_parser(&options, &context);
        Multiline::warn(&options, &context.log);
        // Made again by the follower; here so that what is wrong is known before anything is read.
        Multiline::new(&options, &*context.parsers, &context.metrics, &context.log)?;
        let claim = match options.database.location() {
            Some(location) => claim::take(&location.path, &options.path.0).map_err(BuildError)?,
            None => None,
        };
        let share = Share::join(&context.name, context.shard);
        let (writer, mut earlier) = open_database(&options, &share, &context.log)?;
        take_over(handover, &options, &share, &context.log, &mut earlier);
        let exclusions = options.exclude_path.iter().flat_map(|list| &list.0);
        Ok(Tail {
            setup: Setup {
                exclusions: exclusions.filter_map(|text| Exclusion::new(text)).collect(),
                options,
                tags,
                log: context.log,
                metrics: context.metrics,
                parsers: context.parsers,
                budget: context.budget,
                flush: context.flush,
                share,
            },
            writer,
            earlier,
            claim,
        })
    }

    async fn run(self, emitter: Emitter, stop: Stop) -> Ended {
        // Until the last position is written.
        let _claim = self.claim;
        let exits_on_eof = self.setup.options.exit_on_eof;
        let mut follower = Follower::new(self.setup, emitter, self.writer, self.earlier);
        follower.start();
        let mut ends_process = false;
        while !stop.is_requested() {
            let pace = follower.round();
            if exits_on_eof && pace == Pace::Idle {
                follower.emit_at_end();
            }
            if exits_on_eof && pace == Pace::Idle && follower.start_is_done() {
                ends_process = true;
                break;
            }
            wait(&mut follower, pace, &stop, exits_on_eof).await;
        }
        follower.stop_reading();
        while !follower.drain() {
            let save_at = follower.next_save().into_iter();
            let deadline = save_at.fold(follower.deadline(), Instant::min);
            tokio::select! {
                () = follower.answer() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
        follower.finish().await;
        Ended {
            handover: follower.hand_over_files(),
            ends_process,
        }
    }
}

/// Waits until the next round is due, and meanwhile takes note of what is answered for.
async fn wait(follower: &mut Follower, pace: Pace, stop: &Stop, exits_on_eof: bool) {
    if let Pace::Starved(bytes) = pace {
        return wait_for_room(follower, bytes, stop).await;
    }
    let is_active = pace == Pace::Active;
    loop {
        let deadline = follower.deadline();
        let save_at = follower.next_save();
        let awaits_answers = pace != Pace::More && follower.awaits_answers();
        tokio::select! {
            biased;
            () = stop.requested() => return,
            () = tokio::task::yield_now(), if pace == Pace::More => return,
            () = tokio::time::sleep(ROUND), if is_active && exits_on_eof => return,
            () = follower.notice(is_active), if pace != Pace::More => return,
            () = follower.answer(), if exits_on_eof || awaits_answers => {
                if exits_on_eof {
                    return;
                }
            }
            // Other shards may have come to their end.
            () = tokio::time::sleep(ROUND), if exits_on_eof && follower.has_others() => return,
            () = tokio::time::sleep_until(deadline) => return,
            () = tokio::time::sleep_until(save_at.unwrap_or(deadline)), if save_at.is_some() => {}
        }
        follower.account();
    }
}

/// Waits until so much can be read. Files are rotated meanwhile, and must not be lost sight of.
async fn wait_for_room(follower: &mut Follower, bytes: usize, stop: &Stop) {
    let budget = follower.budget();
    let mut room = std::pin::pin!(budget.take(bytes));
    loop {
        tokio::select! {
            biased;
            () = stop.requested() => return,
            permit = &mut room => return follower.give_room(permit),
            () = tokio::time::sleep(ROUND) => follower.bide(),
        }
    }
}

/// Where tags come from. A pattern that is none is reported, and the tag taken as it stands, as Fluent Bit does.
fn tags(options: &Options, context: &InputContext) -> TagSource {
    let Some(text) = &options.tag_regex else {
        return TagSource::new(&context.tag);
    };
    match Pattern::new(text) {
        Ok(pattern) => TagSource::groups(&context.tag, &pattern),
        Err(error) => {
            context
                .log
                .error(format_args!("invalid 'tag_regex' config value: {error}"));
            TagSource::new(&context.tag)
        }
    }
}

/// A parser that does not exist is reported, and lines are kept whole, as Fluent Bit does.
fn check_parser(options: &Options, context: &InputContext) {
    let Some(name) = &options.parser else {
        return;
    };
    if context.parsers.names().contains(name) {
        return;
    }
    context.log.error(format_args!(
        "{}; lines are kept whole",
        context.parsers.missing(name)
    ));
}

/// Opens the database of positions and takes what it says about files of these options.
fn open_database(
    options: &Options,
    share: &Share,
    log: &Log,
) -> Result<(Option<Writer>, Earlier), BuildError> {
    let Some(mut location) = options.database.location() else {
        return Ok((None, Earlier::default()));
    };
    if location.exclusive && share.has_others() {
        log.warn(format_args!(
            "db.locking has no effect: the database is shared by several workers"
        ));
        location.exclusive = false;
    }
    let path = location.path.clone();
    let refuse = |error: buffer::positions::Error| BuildError(error.to_string());
    let (mut store, damaged) = Store::open_or_replace(location).map_err(refuse)?;
    if let Some(damaged) = &damaged {
        log.error(format_args!(
            "db: {} was damaged and is now {}; positions are lost, all files are read from their beginning",
            path.display(),
            damaged.display()
        ));
    }
    let ours = |position: &Position| is_ours(options, share, position);
    let files = store.load().map_err(refuse)?;
    let files = files.into_iter().filter(|(_, position)| ours(position));
    let files: Vec<ParkedFile> = files
        .map(|(row, position)| ParkedFile {
            row: Some(row),
            position,
        })
        .collect();
    share.publish(files.iter().map(|file| {
        let content = Content::of(&file.position);
        (file.position.inode, content, file.origin())
    }));
    let scanned = match damaged {
        // Nothing is known: rather twice than never.
        Some(_) => Some(SystemTime::UNIX_EPOCH),
        None => earlier_scan(options, &store),
    };
    let generations_since = match store.written_by_others() {
        // What was rotated meanwhile was read by them, and is not in their database any more.
        true => store.last_write(),
        false => earlier_scan(options, &store),
    };
    let (scanned, generations_since) = share.earlier_run((scanned, generations_since));
    let earlier = Earlier {
        files,
        scanned,
        generations_since,
        handed: Vec::new(),
    };
    let log = log.clone();
    let report = move |report: Report<'_>| match report {
        Report::Failed(error) => log.warn(format_args!(
            "{error}; reading goes on, and after a crash lines since now would come again"
        )),
        Report::Replaced => log.warn(format_args!(
            "db: the database was taken away; a new one is written"
        )),
        Report::Recovered => log.info(format_args!("db: positions are written again")),
    };
    let writer = Writer::start(store, report).map_err(|error| {
        BuildError(format!(
            "cannot start a thread for {}: {error}",
            path.display()
        ))
    })?;
    Ok((Some(writer), earlier))
}

/// When an earlier run looked for files. Fluent Bit does not write that: then its last write, less the time between two looks.
fn earlier_scan(options: &Options, store: &Store) -> Option<SystemTime> {
    let written = store.last_write()?;
    let instance = options.path.0.join(",");
    let fallback = written - options.refresh_interval.0;
    let scanned = store.scanned(&instance).unwrap_or(fallback);
    match scanned > SystemTime::now() {
        // The clock was set back: times tell nothing.
        true => Some(SystemTime::UNIX_EPOCH),
        false => Some(scanned),
    }
}

/// Adds what the last instance gave up, and those of other shards that are no more, or have other files now.
fn take_over(
    mut handover: Handover,
    options: &Options,
    share: &Share,
    log: &Log,
    earlier: &mut Earlier,
) {
    let others = std::mem::take(&mut handover.of_others).into_iter();
    for given in [handover].into_iter().chain(others.map(|(_, given)| given)) {
        let Some(taken) = handover::take(given) else {
            log.warn(format_args!(
                "what the last instance handed over is not understood; files are found by looking"
            ));
            continue;
        };
        let handed = taken.files.into_iter();
        let ours = handed.filter(|handed| is_ours(options, share, &handed.position));
        earlier.handed.extend(ours);
        earlier.scanned = earlier.scanned.or(taken.scanned);
        earlier.generations_since = earlier.generations_since.or(taken.scanned);
    }
}

/// Whether a row is about a file that these options ask for, in this shard. Several instances may share a database.
fn is_ours(options: &Options, share: &Share, position: &Position) -> bool {
    let origin = position
        .facts
        .as_ref()
        .map_or(&position.name, |facts| &facts.origin);
    let mut patterns = options.path.0.iter();
    share.owns(origin) && patterns.any(|pattern| glob::may_be_from(pattern, origin))
}

#[cfg(test)]
mod tests;
