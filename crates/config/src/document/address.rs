//! Plugin names of the form `name://host:port/uri`.

use crate::{Diagnostic, Diagnostics, Entry, Section, ValueKind};

/// Splits a name of the form `name://host:port/uri`: the plugin's name stays, the rest becomes keys that a network plugin
/// takes and any other plugin may leave. What is written as a key of its own has precedence.
pub fn split_address(section: &mut Section, diagnostics: &mut Diagnostics) {
    let Some(entry) = section.entries.iter_mut().find(|entry| entry.key == "name") else {
        return;
    };
    let position = entry.value.position.clone();
    let ValueKind::Text { text, .. } = &mut entry.value.kind else {
        return;
    };
    let Some((plugin, rest)) = text
        .split_once("://")
        .filter(|(plugin, _)| !plugin.is_empty())
    else {
        return;
    };
    let (plugin, rest) = (plugin.to_owned(), rest.to_owned());
    *text = plugin;
    let Some(address) = Address::parse(&rest) else {
        let finding = Diagnostic::error(&position, format!("'{rest}' is not an address"));
        diagnostics
            .push(finding.with_help("write name://host:port/uri, an IPv6 address in brackets"));
        return;
    };
    for (key, value) in address.keys() {
        if section.entry(key).is_none() {
            let mut entry = Entry::plain(key, position.clone(), value, position.clone());
            entry.implied = true;
            section.entries.push(entry);
        }
    }
}

/// The parts behind `://`.
struct Address<'a> {
    host: &'a str,
    is_ipv6: bool,
    port: Option<&'a str>,
    uri: Option<&'a str>,
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (host, is_ipv6, rest) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']')?;
                (host, true, rest)
            }
            None => {
                let (host, rest) = text.split_at(text.find([':', '/']).unwrap_or(text.len()));
                (host, false, rest)
            }
        };
        if host.is_empty() {
            return None;
        }
        let (before_uri, uri) = match rest.find('/') {
            Some(at) => (&rest[..at], Some(&rest[at..])),
            None => (rest, None),
        };
        let port = before_uri.strip_prefix(':').filter(|port| !port.is_empty());
        Some(Self {
            host,
            is_ipv6,
            port,
            uri,
        })
    }

    fn keys(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        // The same host is the one to connect to and the one to listen on: the plugin knows which of them it needs.
        let keys = [
            ("host", Some(self.host)),
            ("listen", Some(self.host)),
            ("ipv6", self.is_ipv6.then_some("on")),
            ("port", self.port),
            ("uri", self.uri),
        ];
        keys.into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
    }
}
