//! The keys that the engine takes from the sections of plugins.

use crate::{
    FilterCommon, InputCommon, LogLevel, NetOptions, NetServerOptions, OptionSpec, Options,
    OutputCommon, SectionKind,
};
use crate::{ServiceOptions, TlsOptions};

/// Keys about addresses and tokens that Fluent Bit takes from every input and output, whether or not the plugin uses them.
/// A plugin that does use them has options of the same names with its own defaults.
#[derive(Options)]
#[expect(
    dead_code,
    reason = "only the table is used: the values belong to the plugins"
)]
struct AddressKeys {
    /// Where to connect to, or which address to listen on.
    #[option(name = "host")]
    host: Option<String>,
    /// The port of the host.
    #[option(name = "port")]
    port: Option<u16>,
    /// Whether to use IPv6.
    #[option(name = "ipv6")]
    ipv6: Option<bool>,
    /// The address to listen on.
    #[option(name = "listen")]
    listen: Option<String>,
    /// Settings of OAuth 2.
    #[option(name = "oauth2", prefix)]
    oauth2: Vec<(String, String)>,
}

/// Keys that Fluent Bit takes from every custom plugin.
#[derive(Options)]
#[expect(dead_code, reason = "only the table is used")]
struct CustomKeys {
    /// A name for this instance.
    #[option(name = "alias")]
    alias: Option<String>,
    /// How much this instance says.
    #[option(name = "log_level")]
    log_level: Option<LogLevel>,
}

/// The table of these keys for a kind of section.
pub fn engine_keys(kind: SectionKind) -> Vec<OptionSpec> {
    match kind {
        SectionKind::Input => [
            InputCommon::table(),
            AddressKeys::table(),
            NetOptions::table(),
            NetServerOptions::table(),
            TlsOptions::table(),
        ]
        .concat(),
        SectionKind::Filter => FilterCommon::table(),
        SectionKind::Output => {
            let mut address = AddressKeys::table();
            address.retain(|spec| spec.name != "listen");
            [
                OutputCommon::table(),
                address,
                NetOptions::table(),
                TlsOptions::table(),
            ]
            .concat()
        }
        SectionKind::Custom => CustomKeys::table(),
        SectionKind::Service => ServiceOptions::table(),
        _ => Vec::new(),
    }
}
