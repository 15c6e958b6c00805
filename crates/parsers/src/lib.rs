//! From text to fields: one file per `Format` of a `[PARSER]` section, listed in [`ALL`], and what they share.
//!
//! | file | what |
//! |---|---|
//! | `json.rs`, `logfmt.rs`, `ltsv.rs`, `regex.rs` | the formats |
//! | `pairs.rs` | what formats of keys and values share |
//! | `time.rs`, `strptime.rs`, `zone_name.rs` | times in text: formats compiled once, the last second cached |
//! | `decoder.rs` | `Decode_Field`, `Decode_Field_As` |
//! | `types.rs` | `Types` |
//! | `cri.rs` | lines of containerd and CRI-O |
//! | `definitions.rs` | all `[PARSER]` and `[MULTILINE_PARSER]` sections of a configuration |
//! | `builtin.rs` | the multiline parsers that need no definition |

mod builtin;
mod complaint;
mod cri;
mod decoder;
mod definitions;
mod json;
mod logfmt;
mod ltsv;
mod pairs;
mod regex;
mod strptime;
mod time;
mod types;
mod zone_name;

use plugin::ParserPlugin;

pub use definitions::Definitions;

/// Every format.
pub static ALL: &[&ParserPlugin] = &[
    &json::PLUGIN,
    &logfmt::PLUGIN,
    &ltsv::PLUGIN,
    &regex::PLUGIN,
];
