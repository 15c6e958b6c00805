//! Several shards as one: instances of the same name are one, and count what all of them count.

use plugin::{Counter, Gauge, Metrics, Number};

use crate::{FilterCounters, InputCounters, OutputCounters, Pipeline};

/// The sums of what `shards` count, as of now.
pub fn sum(shards: &[Pipeline]) -> Pipeline {
    let mut all = Pipeline::default();
    for shard in shards {
        for input in &shard.inputs {
            add_input(&mut all.inputs, input);
        }
        for filter in &shard.filters {
            add_filter(&mut all.filters, filter);
        }
        for output in &shard.outputs {
            add_output(&mut all.outputs, output);
        }
        if let Some(emitter) = &shard.emitter {
            let mut emitters: Vec<InputCounters> = all.emitter.take().into_iter().collect();
            add_input(&mut emitters, emitter);
            all.emitter = emitters.pop();
        }
    }
    all
}

fn add(sum: &Counter, counter: &Counter) {
    sum.add(counter.get());
}

fn raise(sum: &Gauge, gauge: &Gauge) {
    sum.set(sum.get() + gauge.get());
}

/// A gauge of 0 or 1: whether it is so in any of them.
fn any(sum: &Gauge, gauge: &Gauge) {
    sum.set(sum.get().max(gauge.get()));
}

/// The first of moments in Unix time, of which 0 is none.
fn earliest(sum: &Gauge, gauge: &Gauge) {
    let moments = [sum.get(), gauge.get()].into_iter();
    sum.set(moments.filter(|moment| *moment > 0).min().unwrap_or(0));
}

/// The one that `is_it`, made anew if there is none.
fn find<T>(all: &mut Vec<T>, is_it: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let place = all.iter().position(is_it).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    });
    &mut all[place]
}

fn add_input(all: &mut Vec<InputCounters>, one: &InputCounters) {
    let new = || InputCounters::new(one.name.clone(), Metrics::default());
    let sum = find(all, |known| known.name == one.name, new);
    add(&sum.records, &one.records);
    add(&sum.bytes, &one.bytes);
    add(&sum.routed, &one.routed);
    add(&sum.unrouted, &one.unrouted);
    raise(&sum.mem_size, &one.mem_size);
    raise(&sum.mem_limit, &one.mem_limit);
    any(&sum.is_paused, &one.is_paused);
    any(&sum.waits_for_storage, &one.waits_for_storage);
    add_own(&sum.own, &one.own);
}

fn add_filter(all: &mut Vec<FilterCounters>, one: &FilterCounters) {
    let new = || FilterCounters::new(one.name.clone(), Metrics::default());
    let sum = find(all, |known| known.name == one.name, new);
    add(&sum.records, &one.records);
    add(&sum.bytes, &one.bytes);
    add(&sum.dropped, &one.dropped);
    add(&sum.added, &one.added);
    add(&sum.returned, &one.returned);
    add_own(&sum.own, &one.own);
}

fn add_output(all: &mut Vec<OutputCounters>, one: &OutputCounters) {
    let new = || OutputCounters::new(one.name.clone(), Metrics::default());
    let sum = find(all, |known| known.name == one.name, new);
    let counters = [
        (&sum.routed, &one.routed),
        (&sum.records, &one.records),
        (&sum.bytes, &one.bytes),
        (&sum.filtered, &one.filtered),
        (&sum.errors, &one.errors),
        (&sum.retries, &one.retries),
        (&sum.retried_records, &one.retried_records),
        (&sum.retries_failed, &one.retries_failed),
        (&sum.dropped, &one.dropped),
        (&sum.settled, &one.settled),
        (&sum.returned, &one.returned),
        (&sum.rebuilds, &one.rebuilds),
    ];
    counters.iter().for_each(|(sum, counter)| add(sum, counter));
    raise(&sum.held, &one.held);
    add_own(&sum.own, &one.own);
}

fn add_own(sum: &Metrics, own: &Metrics) {
    for metric in own.all() {
        match (&metric.number, metric.reason) {
            (Number::Counter(counter), Some(reason)) => add(&sum.dropped(reason), counter),
            (Number::Counter(counter), None) => {
                add(&sum.counter(metric.name, metric.help), counter);
            }
            // What Prometheus calls moments; their sum would be one of another century.
            (Number::Gauge(gauge), _) if metric.name.ends_with("_timestamp_seconds") => {
                earliest(&sum.gauge(metric.name, metric.help), gauge);
            }
            (Number::Gauge(gauge), _) => raise(&sum.gauge(metric.name, metric.help), gauge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_states_are_no_sums() {
        let with = |end: u64, is_paused: u64| {
            let own = Metrics::default();
            own.gauge("expiry_timestamp_seconds", "The end.").set(end);
            let input = InputCounters::new("tail.0".into(), own);
            input.is_paused.set(is_paused);
            input.waits_for_storage.set(1);
            Pipeline {
                inputs: vec![input],
                ..Pipeline::default()
            }
        };
        for (ends, first) in [([0, 0], 0), ([0, 9], 9), ([9, 7], 7), ([7, 0], 7)] {
            let all = sum(&ends.map(|end| with(end, 1)));
            let input = &all.inputs[0];
            assert_eq!(input.own.all()[0].number.get(), first, "{ends:?}");
            assert_eq!(
                (input.is_paused.get(), input.waits_for_storage.get()),
                (1, 1)
            );
        }
        assert_eq!(sum(&[with(1, 0), with(1, 0)]).inputs[0].is_paused.get(), 0);
    }

    fn shard(name: &str, records: u64) -> Pipeline {
        let (own, output) = (Metrics::default(), Metrics::default());
        own.counter("files_opened_total", "Files.").add(records);
        output.dropped("too_large").add(2);
        output.gauge("waiting", "Objects.").set(records);
        let input = InputCounters::new(name.into(), own);
        input.records.add(records);
        input.mem_size.set(5);
        let output = OutputCounters::new("null.0".into(), output);
        output.routed.add(records);
        output.held.set(1);
        let emitter = InputCounters::new("emitter".into(), Metrics::default());
        emitter.records.add(records);
        Pipeline {
            inputs: vec![input],
            filters: vec![FilterCounters::new("grep.0".into(), Metrics::default())],
            outputs: vec![output],
            emitter: Some(emitter),
        }
    }

    #[test]
    fn the_same_names_count_together_in_the_order_of_the_first() {
        let all = sum(&[shard("tail.0", 3), shard("tail.0", 4), shard("stdin.1", 1)]);
        let inputs: Vec<_> = all
            .inputs
            .iter()
            .map(|i| (&*i.name, i.records.get(), i.mem_size.get()))
            .collect();
        assert_eq!(inputs, [("tail.0", 7, 10), ("stdin.1", 1, 5)]);
        assert_eq!(all.inputs[0].own.all()[0].number.get(), 7);
        let [output] = &all.outputs[..] else {
            panic!("one output")
        };
        assert_eq!((output.routed.get(), output.held.get()), (8, 3));
        let own: Vec<_> = output
            .own
            .all()
            .iter()
            .map(|m| (m.name, m.reason, m.number.get()))
            .collect();
        assert_eq!(
            own,
            [
                ("dropped_total", Some("too_large"), 6),
                ("waiting", None, 8)
            ]
        );
        assert_eq!(
            (all.filters.len(), all.emitter.expect("one").records.get()),
            (1, 8)
        );
    }
}
