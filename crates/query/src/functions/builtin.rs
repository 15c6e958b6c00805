//! DataFusion's functions that mean what Trino's mean.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};

/// Trino's name, DataFusion's name. Where they are equal, the second is empty.
const SCALAR: &[(&str, &str)] = &[
    // Control.
    ("coalesce", ""),
    ("nullif", ""),
    ("struct", ""),
    // Numbers.
    ("abs", ""),
    ("acos", ""),
    ("asin", ""),
    ("atan", ""),
    ("atan2", ""),
    ("cbrt", ""),
    ("ceil", ""),
    ("cos", ""),
    ("cosh", ""),
    ("degrees", ""),
    ("exp", ""),
    ("floor", ""),
    ("ln", ""),
    ("log", ""),
    ("log2", ""),
    ("log10", ""),
    ("pi", ""),
    ("pow", "power"),
    ("radians", ""),
    ("random", ""),
    ("round", ""),
    ("sign", "signum"),
    ("sin", ""),
    ("sinh", ""),
    ("sqrt", ""),
    ("tan", ""),
    ("tanh", ""),
    // Text. The three trims are what TRIM(… FROM …) becomes.
    ("btrim", ""),
    ("trim", "btrim"),
    ("chr", ""),
    ("concat_ws", ""),
    ("lower", ""),
    ("lpad", ""),
    ("ltrim", ""),
    ("reverse", ""),
    ("rpad", ""),
    ("rtrim", ""),
    ("starts_with", ""),
    ("translate", ""),
    ("upper", ""),
    ("uuid", ""),
    // Binary values. digest(x, name) is what md5(x) and its like become.
    ("digest", ""),
    // Time.
    ("current_date", ""),
    ("now", ""),
    // Arrays and maps.
    ("array_distinct", ""),
    ("array_except", ""),
    ("array_intersect", ""),
    ("array_join", "array_to_string"),
    ("array_max", ""),
    ("array_min", ""),
    ("array_position", ""),
    ("array_remove", "array_remove_all"),
    ("array_sort", ""),
    ("array_sum", ""),
    ("array_union", ""),
    ("arrays_overlap", "array_has_any"),
    ("flatten", ""),
    ("map", ""),
    ("map_entries", ""),
    ("map_keys", ""),
    ("map_values", ""),
    ("sequence", "generate_series"),
    ("zip", "arrays_zip"),
];

const HIGHER_ORDER: &[&str] = &[
    "array_any_match",
    "array_filter",
    "array_first",
    "array_transform",
];

const AGGREGATE: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "min",
    "nth_value",
    "regr_intercept",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
];

const WINDOW: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

pub(super) fn scalar() -> HashMap<String, Arc<ScalarUDF>> {
    let mut all = datafusion::functions::all_default_functions();
    all.extend(datafusion::functions_nested::all_default_nested_functions());
    let named = |wanted: &str| {
        let found = all
            .iter()
            .find(|udf| udf.name() == wanted || udf.aliases().iter().any(|alias| alias == wanted));
        found.cloned()
    };
    SCALAR
        .iter()
        .filter_map(|(trino, datafusion)| {
            let udf = named(if datafusion.is_empty() {
                trino
            } else {
                datafusion
            })?;
            Some(((*trino).to_owned(), udf))
        })
        .collect()
}

pub(super) fn higher_order() -> HashMap<String, Arc<HigherOrderUDF>> {
    let all = datafusion::functions_nested::all_default_higher_order_functions();
    all.into_iter()
        .filter(|udf| HIGHER_ORDER.contains(&udf.name()))
        .map(|udf| (udf.name().to_owned(), udf))
        .collect()
}

pub(super) fn aggregate() -> HashMap<String, Arc<AggregateUDF>> {
    let all = datafusion::functions_aggregate::all_default_aggregate_functions();
    let named = |wanted: &str| {
        let found = all
            .iter()
            .find(|udf| udf.name() == wanted || udf.aliases().iter().any(|alias| alias == wanted));
        Some((wanted.to_owned(), Arc::clone(found?)))
    };
    AGGREGATE.iter().filter_map(|name| named(name)).collect()
}

pub(super) fn window() -> HashMap<String, Arc<WindowUDF>> {
    let all = datafusion::functions_window::all_default_window_functions();
    all.into_iter()
        .filter(|udf| WINDOW.contains(&udf.name()))
        .map(|udf| (udf.name().to_owned(), udf))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new version of DataFusion that renames a function shows here.
    #[test]
    fn every_name_of_the_lists_exists() {
        let scalar = scalar();
        let missing: Vec<_> = SCALAR
            .iter()
            .filter(|(name, _)| !scalar.contains_key(*name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(higher_order().len(), HIGHER_ORDER.len());
        let aggregate = aggregate();
        let missing: Vec<_> = AGGREGATE
            .iter()
            .filter(|name| !aggregate.contains_key(**name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        let window = window();
        let missing: Vec<_> = WINDOW
            .iter()
            .filter(|name| !window.contains_key(**name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
