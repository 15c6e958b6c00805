//! The functions of Athena's SQL, one file per family.
//!
//! Some are DataFusion's own, where name and meaning agree ([`builtin`]); some are other expressions in
//! disguise, rewritten before planning ([`crate::trino`]); the rest is written here. Nothing else is
//! found by name, so that a query that runs here also means the same in Athena.
//!
//! Missing, besides geospatial, machine-learning and colour functions: `map_agg`, `multimap_agg`,
//! `histogram`, `map_union`, `approx_most_frequent`, `numeric_histogram`, `checksum`, `geometric_mean`, the
//! sketches (`approx_set`, `merge`, `tdigest_agg`, `qdigest_agg`), `max`/`min`/`max_by`/`min_by` with a
//! count; `reduce`, `zip_with`, `map_filter`, `transform_keys`, `transform_values`, `map_concat`,
//! `combinations`, `ngrams`, `shuffle`, `slice`; `json_query`, `json_value`, `json_exists` and `CAST … AS
//! JSON`; `split_to_map`, `format`, `normalize`, `soundex`, `word_stem`; `from_unixtime_nanos`,
//! `human_readable_seconds`, `parse_duration`; the type IPADDRESS; `xxhash64`, `murmur3`, `crc32`, `hmac_*`.

mod array;
mod binary;
mod builtin;
mod cast;
mod date_math;
mod date_parts;
mod date_text;
mod json;
mod json_path;
mod math;
mod regex;
mod scalar;
mod string;
mod url;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};

use scalar::Definition;

/// Everything that a query may call, by the name it has after rewriting.
pub(crate) struct Registry {
    scalar: HashMap<String, Arc<ScalarUDF>>,
    higher_order: HashMap<String, Arc<HigherOrderUDF>>,
    aggregate: HashMap<String, Arc<AggregateUDF>>,
    window: HashMap<String, Arc<WindowUDF>>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// The one registry.
pub(crate) fn registry() -> &'static Registry {
    &REGISTRY
}

impl Registry {
    fn new() -> Registry {
        let mut scalar = builtin::scalar();
        for definition in definitions() {
            scalar.insert(
                definition.name.to_owned(),
                Arc::new(scalar::udf(definition)),
            );
        }
        Registry {
            scalar,
            higher_order: builtin::higher_order(),
            aggregate: builtin::aggregate(),
            window: builtin::window(),
        }
    }

    /// A scalar function; casts are functions named after their type.
    pub(crate) fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalar
            .get(name)
            .cloned()
            .or_else(|| cast::named(name).map(Arc::new))
    }

    pub(crate) fn higher_order(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.higher_order.get(name).cloned()
    }

    pub(crate) fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregate.get(name).cloned()
    }

    pub(crate) fn window(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.window.get(name).cloned()
    }

    /// Whether a call of this name can be planned.
    pub(crate) fn is_known(&self, name: &str) -> bool {
        // Two that the planner knows by itself.
        matches!(name, "unnest" | "map")
            || self.scalar.contains_key(name)
            || self.higher_order.contains_key(name)
            || self.aggregate.contains_key(name)
            || self.window.contains_key(name)
            || cast::named(name).is_some()
    }

    /// All names, for suggestions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let scalar = self.scalar.keys().chain(self.higher_order.keys());
        scalar
            .chain(self.aggregate.keys())
            .chain(self.window.keys())
            .map(String::as_str)
    }
}

fn definitions() -> impl Iterator<Item = &'static Definition> {
    [
        array::FUNCTIONS,
        binary::FUNCTIONS,
        date_math::FUNCTIONS,
        date_text::FUNCTIONS,
        json::FUNCTIONS,
        math::FUNCTIONS,
        regex::FUNCTIONS,
        string::FUNCTIONS,
        url::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .chain(date_parts::functions())
}
