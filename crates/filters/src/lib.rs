//! What changes records on their way: one file per plugin, listed in [`ALL`].
//!
//! `parser.rs` is the template: options by derive, behaviour, tests.

mod parser;

use plugin::FilterPlugin;

/// Every filter.
pub static ALL: &[&FilterPlugin] = &[&parser::PLUGIN];
