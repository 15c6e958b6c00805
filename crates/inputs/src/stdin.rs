//! Reads records from the standard input.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use config::{Options, Size};
use plugin::{
    BuildError, Counter, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Parser, Stop,
};
use record::json::read;
use record::{Batch, Ledger, Permit, Position, Record, Time, Value};
use tokio::sync::{Notify, mpsc};

/// `stdin`.
pub static PLUGIN: InputPlugin = InputPlugin::new::<Stdin>("stdin");

/// What cannot be taken apart yet is kept up to this size, if `buffer_size` is not more.
const KEPT_MIN: usize = 1 << 20;
/// The most that is read at once.
const READ_MAX: usize = 1 << 20;

/// Reads the standard input: JSON objects that follow each other, or lines that a parser takes apart. At its end, when
/// everything is delivered, the process ends.
#[derive(Clone, Debug, Options)]
pub struct StdinOptions {
    /// The parser that takes lines apart. Without it, `{…}` is a record and `[time, {…}]` a record with its time.
    #[option(name = "parser")]
    pub parser: Option<String>,
    /// How much is read at once. A record may have this many bytes, or a million if that is more.
    #[option(name = "buffer_size", default = "16000")]
    pub buffer_size: Size,
}

struct Stdin {
    context: InputContext,
    read_size: usize,
    text: Text,
}

/// Bytes that are not taken apart yet, and how they will be.
struct Text {
    parser: Option<Box<dyn Parser>>,
    buffer: BytesMut,
    limit: usize,
    invalid: Counter,
    unparsed: Counter,
}

/// How far a text was taken apart.
enum Taken {
    /// Up to this byte; the rest may become something.
    Part(usize),
    /// Up to this byte; the rest is nothing.
    Invalid(usize),
}

impl Input for Stdin {
    type Options = StdinOptions;

    fn build(
        options: StdinOptions,
        context: InputContext,
        _: Handover,
    ) -> Result<Self, BuildError> {
        let parser = match &options.parser {
            None => None,
            Some(name) => {
                let parser = context.parsers.make(name);
                Some(parser.ok_or_else(|| BuildError(context.parsers.missing(name)))?)
            }
        };
        let size = usize::try_from(options.buffer_size.0).unwrap_or(usize::MAX);
        let text = Text {
            parser,
            buffer: BytesMut::new(),
            limit: size.clamp(KEPT_MIN, 64 << 20),
            invalid: context
                .metrics
                .counter("invalid_bytes_total", "Bytes that were no record."),
            unparsed: context.metrics.dropped("parser_mismatch"),
        };
        Ok(Stdin {
            context,
            read_size: size.clamp(1, READ_MAX),
            text,
        })
    }

    async fn run(self, emitter: Emitter, stop: Stop) -> Ended {
        self.run_on(std::io::stdin(), emitter, stop).await
    }
}

impl Stdin {
    /// Reads `source` to its end or until the stop, and waits until everything is answered for.
    async fn run_on(
        mut self,
        source: impl Read + Send + 'static,
        emitter: Emitter,
        stop: Stop,
    ) -> Ended {
        let changed = Arc::new(Notify::new());
        let notice = Arc::clone(&changed);
        let ledger = Ledger::with_notice(0, move || notice.notify_one());
        let ends_process = tokio::select! {
            () = self.receive(source, &emitter, &ledger) => true,
            () = stop.requested() => false,
        };
        let refused = self.context.metrics.dropped("refused_without_resend");
        loop {
            for range in ledger.refused() {
                refused.add(range.end - range.start);
                ledger.skip(range);
            }
            if ledger.is_settled() {
                return Ended {
                    ends_process,
                    ..Ended::default()
                };
            }
            changed.notified().await;
        }
    }

    async fn receive(
        &mut self,
        source: impl Read + Send + 'static,
        emitter: &Emitter,
        ledger: &Arc<Ledger>,
    ) {
        let mut pieces = read_aside(source, self.read_size);
        let tag = self.context.static_tag();
        let mut next = 0;
        loop {
            let piece = pieces.recv().await;
            let is_end = piece.is_none();
            match piece {
                Some(Ok(piece)) => self.text.buffer.extend_from_slice(&piece),
                Some(Err(error)) => {
                    self.context
                        .log
                        .error(format_args!("cannot read the standard input: {error}"));
                    continue;
                }
                None => {}
            }
            let permit = self.context.budget.take(self.text.buffer.len()).await;
            let mut batch = Batch::new(tag.clone(), self.text.buffer.clone().freeze());
            self.text
                .take_apart(&mut batch, next, is_end, &self.context);
            next += batch.len() as u64;
            self.emit(batch, (next, permit), emitter, ledger);
            if is_end {
                self.context
                    .log
                    .warn(format_args!("end of file (stdin closed by remote end)"));
                return;
            }
        }
    }

    fn emit(
        &self,
        batch: Batch,
        (next, permit): (u64, Permit),
        emitter: &Emitter,
        ledger: &Arc<Ledger>,
    ) {
        if !batch.is_empty() {
            let obligation = ledger.open(next - batch.len() as u64..next);
            emitter.emit(batch.with_obligation(obligation).with_permit(permit));
        }
    }
}

/// Reads on a thread of its own, which the end of the process ends: the standard input may be a file or a terminal, and
/// neither can be waited for in another way. One piece is read ahead.
fn read_aside(
    mut source: impl Read + Send + 'static,
    size: usize,
) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut piece = vec![0; size];
        loop {
            let read = match source.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => Ok(Bytes::copy_from_slice(&piece[..read])),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_error = read.is_err();
            if sender.blocking_send(read).is_err() || is_error {
                return;
            }
        }
    });
    receiver
}

impl Text {
    /// Appends the records of the buffer, which is the batch's source, and keeps the rest. `first` is the first position.
    fn take_apart(&mut self, batch: &mut Batch, first: u64, is_end: bool, context: &InputContext) {
        let taken = match self.parser.is_some() {
            true => Taken::Part(self.lines(batch, is_end)),
            false => json_records(batch),
        };
        for (offset, record) in (first..).zip(batch.records_mut()) {
            record.position = Position { offset, len: 1 };
        }
        let (at, is_invalid) = match taken {
            Taken::Part(at) => (at, false),
            Taken::Invalid(at) => (at, true),
        };
        let rest = self.buffer.split_off(at);
        let is_blank = rest.iter().all(u8::is_ascii_whitespace);
        if !is_blank && (is_invalid || is_end || rest.len() > self.limit) {
            self.invalid.add(rest.len() as u64);
            context.log.warn(format_args!(
                "{} bytes are no record and are dropped",
                rest.len()
            ));
        }
        let is_kept = !is_blank && !is_invalid && rest.len() <= self.limit;
        self.buffer = if is_kept { rest } else { BytesMut::new() };
    }

    /// Appends the records of complete lines; at the end the last one needs no newline. Returns what was taken.
    fn lines(&mut self, batch: &mut Batch, is_end: bool) -> usize {
        let source = batch.source().clone();
        let end = match memchr::memrchr(b'\n', &source) {
            _ if is_end => source.len(),
            Some(last) => last + 1,
            None => 0,
        };
        let Some(parser) = &mut self.parser else {
            return 0;
        };
        let mut start = 0;
        while start < end {
            let line_end = memchr::memchr(b'\n', &source[start..end]).map_or(end, |at| start + at);
            if line_end > start {
                let line = batch.span(start..line_end);
                match parser.parse(batch, line) {
                    Some(parsed) => batch.push_record(Record {
                        time: parsed.time.unwrap_or_else(Time::now),
                        body: parsed.body,
                        ..Record::default()
                    }),
                    None => self.unparsed.add(1),
                }
            }
            start = line_end + 1;
        }
        end
    }
}

/// Appends the JSON records of the batch's source.
fn json_records(batch: &mut Batch) -> Taken {
    let source = batch.source().clone();
    let mut at = 0;
    loop {
        at += source[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        if at == source.len() {
            return Taken::Part(at);
        }
        let rest = batch.span(at..source.len());
        match read::value(batch, rest) {
            Ok((value, used)) => match record(batch, value) {
                Some(record) => {
                    batch.push_record(record);
                    at += used;
                }
                None => return Taken::Invalid(at),
            },
            Err(error) if error.is_incomplete() => return Taken::Part(at),
            Err(_) => return Taken::Invalid(at),
        }
    }
}

/// `{…}` or `[time, {…}]`.
fn record(batch: &Batch, value: Value) -> Option<Record> {
    let (time, body) = match value {
        Value::Map(body) => (Time::now(), body),
        Value::Array(items) => match batch.fields(items) {
            [time, body] => match (time.value, body.value) {
                (Value::Int(seconds), Value::Map(body)) => (Time::new(seconds, 0), body),
                (Value::Float(seconds), Value::Map(body)) => {
                    (Time::from_nanos((seconds * 1e9) as i64), body)
                }
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(Record {
        time,
        body,
        ..Record::default()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::rc::Rc;

    use proptest::prelude::*;
    use record::Budget;

    use super::*;
    use crate::test_road::{Road, context, on_shard, options, soon};

    /// A source that gives these pieces.
    struct Pieces(VecDeque<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let Some(mut piece) = self.0.pop_front() else {
                return Ok(0);
            };
            let len = piece.len().min(into.len());
            into[..len].copy_from_slice(&piece[..len]);
            piece.drain(..len);
            if !piece.is_empty() {
                self.0.push_front(piece);
            }
            Ok(len)
        }
    }

    /// The records of these pieces, and how many bytes were none.
    fn taken(pieces: &[&[u8]]) -> (Vec<(Time, String)>, u64) {
        on_shard(async {
            let context = context(Some("in"), &Budget::new(0));
            let metrics = context.metrics.clone();
            let input =
                Stdin::build(options(&[]), context, Handover::default()).expect("it starts");
            let road = Rc::new(Road::default());
            road.deliver(true);
            let (_handle, stop) = plugin::StopHandle::new();
            let source = Pieces(
                pieces
                    .iter()
                    .filter(|piece| !piece.is_empty())
                    .map(|piece| piece.to_vec())
                    .collect(),
            );
            let ended = soon(input.run_on(source, Emitter::new(road.clone()), stop)).await;
            assert!(ended.ends_process);
            (
                road.lines(),
                metrics.counter("invalid_bytes_total", "").get(),
            )
        })
    }

    fn bodies(pieces: &[&[u8]]) -> Vec<String> {
        taken(pieces).0.into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn json_follows_json() {
        let all = br#"{"a":1} {"a":2}{"a":3}
            [1000,{"a":4}][1000.5,{"a":5}]"#;
        let (lines, invalid) = taken(&[all]);
        let bodies: Vec<_> = lines.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(
            bodies,
            [
                r#"in {"a":1}"#,
                r#"in {"a":2}"#,
                r#"in {"a":3}"#,
                r#"in {"a":4}"#,
                r#"in {"a":5}"#
            ]
        );
        assert_eq!(
            (lines[3].0, lines[4].0),
            (Time::new(1000, 0), Time::new(1000, 500_000_000))
        );
        assert_eq!(invalid, 0);
    }

    #[test]
    fn what_is_no_record_is_dropped_with_what_follows_in_the_buffer() {
        for bad in [
            &b"5"[..],
            b"\"text\"",
            b"[1]",
            b"[1,2]",
            b"[\"a\",{}]",
            b"nonsense",
            b"{\"a\" 1}",
        ] {
            let first = [b"{\"a\":1}", bad, b" {\"lost\":1}"].concat();
            let (lines, invalid) = taken(&[&first, b"{\"a\":2}"]);
            assert_eq!(lines.len(), 2, "{}", String::from_utf8_lossy(bad));
            assert_eq!(invalid, bad.len() as u64 + 11);
        }
        assert_eq!(taken(&[b"{\"a\":"]).1, 5, "the end comes too early");
    }

    #[test]
    fn an_unknown_parser_is_refused() {
        let built = Stdin::build(
            options(&[("parser", "none")]),
            context(None, &Budget::new(0)),
            Handover::default(),
        );
        assert!(
            built
                .err()
                .expect("refused")
                .0
                .starts_with("there is no parser 'none'")
        );
    }

    #[test]
    fn the_end_waits_for_answers() {
        on_shard(async {
            let input = Stdin::build(
                options(&[]),
                context(None, &Budget::new(0)),
                Handover::default(),
            )
            .expect("it starts");
            let road = Rc::new(Road::default());
            let (_handle, stop) = plugin::StopHandle::new();
            let source = Pieces([b"{}".to_vec()].into());
            let ended =
                tokio::task::spawn_local(input.run_on(source, Emitter::new(road.clone()), stop));
            road.holds(1).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(!ended.is_finished());
            road.deliver(false);
            soon(ended).await.expect("no panic");
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn cuts_change_nothing(cuts in prop::collection::vec(0usize..60, 0..6)) {
            let text = br#"{"a":"text \" \\ {"} [5, {"b":[{}, [], null]}] {"c":{"d":1.5}}  {}"#;
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(bodies(&pieces), bodies(&[text]));
        }
    }
}
