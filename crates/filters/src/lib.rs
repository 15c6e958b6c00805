//! What changes records on their way: one file per plugin, listed in [`ALL`].
//!
//! `parser.rs` is the template: options by derive, behaviour, tests.

mod emitter;
mod multiline;
mod parser;
mod rewrite_tag;
#[cfg(test)]
mod test_road;

use plugin::FilterPlugin;

/// Every filter.
pub static ALL: &[&FilterPlugin] = &[&multiline::PLUGIN, &parser::PLUGIN, &rewrite_tag::PLUGIN];
