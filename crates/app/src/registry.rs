//! Every plugin that is compiled in.

use engine::Registry;

/// The lists of the plugin crates.
pub const REGISTRY: Registry = Registry {
    inputs: inputs::ALL,
    filters: filters::ALL,
    outputs: outputs::ALL,
};

/// The names of all plugins: inputs, filters, outputs.
pub fn names() -> [Vec<&'static str>; 3] {
    [
        REGISTRY.inputs.iter().map(|plugin| plugin.name).collect(),
        REGISTRY.filters.iter().map(|plugin| plugin.name).collect(),
        REGISTRY.outputs.iter().map(|plugin| plugin.name).collect(),
    ]
}
