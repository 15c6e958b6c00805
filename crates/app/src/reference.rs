//! The reference pages, made from the option tables: `docs/reference/` holds exactly what stands in the code.

use config::{
    MultilineParserOptions, OptionSpec, Options, ParserOptions, ServiceOptions, reference_page,
};

use crate::registry::REGISTRY;

/// Every page: its path below `docs/reference`, and its text.
pub fn pages() -> Vec<(String, String)> {
    let mut pages = vec![
        page(
            "service",
            "[SERVICE]",
            ServiceOptions::about(),
            &ServiceOptions::table(),
        ),
        page(
            "parser",
            "[PARSER]",
            ParserOptions::about(),
            &ParserOptions::table(),
        ),
        page(
            "multiline_parser",
            "[MULTILINE_PARSER]",
            MultilineParserOptions::about(),
            &MultilineParserOptions::table(),
        ),
        page(
            "input",
            "Options of every input",
            config::InputCommon::about(),
            &config::InputCommon::table(),
        ),
        page(
            "filter",
            "Options of every filter",
            config::FilterCommon::about(),
            &config::FilterCommon::table(),
        ),
        page(
            "output",
            "Options of every output",
            config::OutputCommon::about(),
            &config::OutputCommon::table(),
        ),
    ];
    for (kind, name, about, table) in REGISTRY.tables() {
        pages.push(page(
            &format!("{kind}s/{name}"),
            &format!("{kind} {name}"),
            about,
            &table,
        ));
    }
    pages
}

fn page(path: &str, title: &str, about: &str, table: &[OptionSpec]) -> (String, String) {
    (format!("{path}.md"), reference_page(title, about, table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// With `UPDATE=1` in the environment the pages are written instead.
    #[test]
    fn the_pages_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        for (path, text) in pages() {
            let file = folder.join(&path);
            if std::env::var_os("UPDATE").is_some() {
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
                std::fs::write(&file, &text).expect("written");
            }
            let committed = std::fs::read_to_string(&file).unwrap_or_default();
            let update = "UPDATE=1 cargo test -p flumen --no-default-features reference";
            assert!(
                committed == text,
                "docs/reference/{path} is not what the code says; run: {update}"
            );
        }
    }

    #[test]
    fn every_table_is_sound() {
        for (kind, name, _, table) in REGISTRY.tables() {
            assert_eq!(
                config::table_faults(&table),
                Vec::<String>::new(),
                "{kind} {name}"
            );
        }
    }
}
