//! Puts records on the road anew, under another tag (upstream `plugins/filter_rewrite_tag`).
//!
//! Obligations travel with the records: one that is moved takes its own along, a copy gets a fork, so that the source is
//! answered when both are delivered.

mod rule;
mod targets;
#[cfg(test)]
mod tests;

use config::Options;
use plugin::{BuildError, Counter, Filter, FilterCall, FilterContext, FilterPlugin, Log};
use record::{Batch, TagFault};

use crate::emitter::{Emissions, EmitterOptions};
use rule::{Rule, RuleOptions};
use targets::Targets;

/// `rewrite_tag`.
pub static PLUGIN: FilterPlugin = FilterPlugin::new::<RewriteTag>("rewrite_tag");

/// Gives records that match a rule another tag: they go through all filters again, from the first one on, and are routed by
/// the new tag. The first rule that matches counts.
///
/// A filter must not match what it emits itself. If it does, the records keep the tag that they have and go on, with a
/// message; so do records that go round between several filters, after 32 times, and those whose new tag would be empty, hold
/// control characters, or be longer than 65,531 bytes.
#[derive(Clone, Debug, Options)]
pub struct RewriteTagOptions {
    /// `KEY PATTERN NEW_TAG KEEP`. May be repeated.
    ///
    /// KEY is a record accessor (`$name`, `$a['b']`) whose value must be text. NEW_TAG is a template: `$TAG` is the tag that
    /// the record has, `$TAG[0]` its first part, `$1` what the first group has matched (`$0` the whole match, if there are
    /// groups), `$name` a field. KEEP tells whether the record goes on under its old tag too.
    #[option(name = "rule", multiple)]
    pub rule: Vec<RuleOptions>,
    #[option(flatten)]
    pub emitter: EmitterOptions,
}

struct RewriteTag {
    rules: Vec<Rule>,
    emissions: Emissions,
    targets: Targets,
    /// The tag that is being made.
    tag: Vec<u8>,
    bad_tags: Counter,
    log: Log,
}

impl Filter for RewriteTag {
    type Options = RewriteTagOptions;

    fn build(
        options: RewriteTagOptions,
        context: &FilterContext,
    ) -> Result<RewriteTag, BuildError> {
        if options.rule.is_empty() {
            context.log.warn(format_args!(
                "no rules are defined: every record keeps its tag"
            ));
        }
        Ok(RewriteTag {
            rules: options.rule.iter().map(Rule::new).collect(),
            emissions: Emissions::new(&options.emitter, context),
            targets: Targets::default(),
            tag: Vec::new(),
            bad_tags: context.metrics.counter(
                "refused_tags_total",
                "Records that kept their tag because the new one could not be a tag.",
            ),
            log: context.log.clone(),
        })
    }

    fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>) {
        if self.emissions.made(batch) {
            let matches = |rules: &mut Vec<Rule>, record: usize| {
                let record = batch.records()[record];
                rules.iter_mut().any(|rule| rule.matches(batch, &record))
            };
            if (0..batch.len()).any(|record| matches(&mut self.rules, record)) {
                let what = "the filter matches the records that it emits";
                self.emissions.tell_cycle(batch, what);
            }
            return;
        }
        for index in 0..batch.len() {
            self.sort(batch, index);
        }
        if self.targets.is_empty() {
            return;
        }
        let Some(emission) = self.emissions.again(batch) else {
            self.targets.clear();
            return;
        };
        self.emissions.count(self.targets.records());
        self.targets
            .emit(batch, emission, &self.emissions, call.emit);
    }
}

impl RewriteTag {
    /// Finds the new tag of one record, if it gets one.
    fn sort(&mut self, batch: &Batch, index: usize) {
        let record = batch.records()[index];
        self.tag.clear();
        let tag = &mut self.tag;
        let mut rules = self.rules.iter_mut();
        let Some(keep) = rules.find_map(|rule| rule.new_tag(batch, &record, tag)) else {
            return;
        };
        if let Err(fault) = self.targets.add(tag, index as u32, keep) {
            self.tell_bad_tag(fault);
        }
    }

    fn tell_bad_tag(&mut self, fault: TagFault) {
        if self.bad_tags.get() == 0 {
            let tag = String::from_utf8_lossy(&self.tag[..self.tag.len().min(200)]).into_owned();
            self.log.warn(format_args!(
                "a new tag cannot be one: {fault} ({tag:?}); such records keep their tag (counted in refused_tags_total)"
            ));
        }
        self.bad_tags.add(1);
    }
}
