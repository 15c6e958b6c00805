//! Which SerDe classes there are and how their properties are read.

use crate::catalog::SerDeInfo;
use crate::error::{Error, ErrorKind, Result};
use crate::types::HiveType;

use super::delimited::{DelimitedOptions, DelimitedReader};
use super::openx::{OpenXOptions, OpenXReader};
use super::regex::{RegexOptions, RegexReader};
use super::{ReadColumn, RowReader};

pub(crate) const OPENX: &str = "org.openx.data.jsonserde.JsonSerDe";
pub(crate) const LAZY_SIMPLE: &str = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
const REGEX: &str = "org.apache.hadoop.hive.serde2.RegexSerDe";
const CONTRIB_REGEX: &str = "org.apache.hadoop.hive.contrib.serde2.RegexSerDe";

/// A table's SerDe with its properties read.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    OpenX(OpenXOptions),
    Delimited(DelimitedOptions),
    Regex(RegexOptions),
}

impl Format {
    /// The reader for a table's SerDe; an error if there is none or its properties make no sense.
    pub(crate) fn of(serde: &SerDeInfo) -> Result<Format> {
        let properties = &serde.properties;
        let format = match serde.class.as_str() {
            OPENX => OpenXOptions::from_properties(properties).map(Format::OpenX),
            LAZY_SIMPLE => DelimitedOptions::from_properties(properties).map(Format::Delimited),
            REGEX | CONTRIB_REGEX => RegexOptions::from_properties(properties).map(Format::Regex),
            other => return Err(unknown_serde(other)),
        };
        format.map_err(|fault| Error::new(ErrorKind::HiveInvalidMetadata, fault))
    }

    /// What is wrong with a column of this type, if the SerDe cannot fill it.
    pub(crate) fn column_fault(&self, hive_type: &HiveType) -> Option<&'static str> {
        let nested = matches!(
            hive_type,
            HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_)
        );
        match self {
            Format::OpenX(_) => None,
            _ if nested => Some("array, map and struct columns need the OpenX JSON SerDe"),
            _ => None,
        }
    }

    pub(crate) fn reader(&self, columns: &[ReadColumn]) -> Box<dyn RowReader> {
        match self {
            Format::OpenX(options) => Box::new(OpenXReader::new(columns, options.clone())),
            Format::Delimited(options) => Box::new(DelimitedReader::new(columns, options.clone())),
            Format::Regex(options) => Box::new(RegexReader::new(columns, options.clone())),
        }
    }
}

fn unknown_serde(class: &str) -> Error {
    const KNOWN: [&str; 3] = [OPENX, LAZY_SIMPLE, REGEX];
    let message = format!(
        "return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. Cannot validate serde: {class}"
    );
    let help = crate::error::nearest(class, KNOWN).map_or_else(
        || format!("Flumen reads {}", KNOWN.join(", ")),
        |near| format!("did you mean '{near}'? Flumen reads {}", KNOWN.join(", ")),
    );
    Error::new(ErrorKind::ExecutionError, message).with_help(help)
}
