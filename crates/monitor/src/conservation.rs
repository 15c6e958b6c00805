//! Conservation: no record appears or vanishes without being counted.
//!
//! * The road, over all instances: read + created by filters = removed by filters + returned + routed + unrouted.
//! * Every output: delivered + left out + dropped, as answers count them, are the records whose sources were told; and what
//!   was routed there is settled, returned or still held.
//!
//! All counters change on the shard's thread, between two of its waits, so that a look from that thread sees a consistent
//! picture.

use crate::{OutputCounters, Pipeline};

/// Everything that does not add up, in words with its figures. `pipeline` holds every instance there ever was.
pub fn imbalances(pipeline: &Pipeline) -> Vec<String> {
    let road = road(pipeline);
    let outputs = pipeline.outputs.iter().flat_map(output);
    road.into_iter().chain(outputs).collect()
}

fn road(pipeline: &Pipeline) -> Option<String> {
    let inputs = || pipeline.inputs.iter().chain(&pipeline.emitter);
    let filters = &pipeline.filters;
    let read: u64 = inputs().map(|input| input.records.get()).sum();
    let added: u64 = filters.iter().map(|filter| filter.added.get()).sum();
    let removed: u64 = filters.iter().map(|filter| filter.dropped.get()).sum();
    let returned: u64 = filters.iter().map(|filter| filter.returned.get()).sum();
    let routed: u64 = inputs().map(|input| input.routed.get()).sum();
    let unrouted: u64 = inputs().map(|input| input.unrouted.get()).sum();
    (read + added != removed + returned + routed + unrouted).then(|| {
        format!(
            "conservation: {read} records read and {added} made by filters, but {removed} removed by filters, {returned} \
             returned, {routed} routed and {unrouted} unrouted"
        )
    })
}

fn output(output: &OutputCounters) -> Vec<String> {
    let name = &output.name;
    let (routed, settled) = (output.routed.get(), output.settled.get());
    let (answered, returned, held) = (output.answered(), output.returned.get(), output.held.get());
    let mut found = Vec::new();
    if answered != settled {
        found.push(format!(
            "conservation: output {name} counts {answered} records as delivered, left out or dropped, but the sources of \
             {settled} were told"
        ));
    }
    if settled + returned + held > routed {
        found.push(format!(
            "conservation: output {name} was given {routed} records, but settled {settled}, returned {returned} and holds \
             {held}"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FilterCounters, InputCounters};

    fn pipeline() -> Pipeline {
        let input = InputCounters::new("tail.0".into(), Default::default());
        let filter = FilterCounters::new("grep.0".into(), Default::default());
        let output = OutputCounters::new("null.0".into(), Default::default());
        let emitter = InputCounters::new("emitter".into(), Default::default());
        input.records.add(10);
        filter.dropped.add(4);
        emitter.records.add(1);
        emitter.unrouted.add(1);
        input.routed.add(6);
        output.routed.add(6);
        output.records.add(3);
        output.dropped.add(1);
        output.settled.add(4);
        output.held.set(2);
        Pipeline {
            inputs: vec![input],
            filters: vec![filter],
            outputs: vec![output],
            emitter: Some(emitter),
        }
    }

    #[test]
    fn what_adds_up_is_silent_and_what_does_not_is_named() {
        assert_eq!(imbalances(&pipeline()), [""; 0]);
        let changes: [fn(&Pipeline); 4] = [
            |pipeline| pipeline.inputs[0].records.add(1),
            |pipeline| pipeline.filters[0].added.add(1),
            |pipeline| pipeline.outputs[0].records.add(1),
            |pipeline| pipeline.outputs[0].held.set(3),
        ];
        for change in changes {
            let changed = pipeline();
            change(&changed);
            let found = imbalances(&changed);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("conservation: "), "{found:?}");
        }
    }
}
