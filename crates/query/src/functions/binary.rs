//! Binary values: encodings and digests.

use datafusion::arrow::array::AsArray;

use crate::error::Error;

use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

use Param::{Varbinary, Varchar};

macro_rules! bytes_to_text {
    ($name:literal, $convert:expr) => {
        Definition {
            name: $name,
            overloads: &[Overload {
                params: &[Varbinary],
                variadic: false,
                returns: Returns::Varchar,
                body: |call| {
                    let convert: fn(&[u8]) -> String = $convert;
                    call.map_text(|row| Ok(Some(convert(bytes(call, row)))))
                },
            }],
        }
    };
}

macro_rules! text_to_bytes {
    ($name:literal, $convert:expr) => {
        Definition {
            name: $name,
            overloads: &[Overload {
                params: &[Varchar],
                variadic: false,
                returns: Returns::Varbinary,
                body: |call| {
                    let convert: fn(&str) -> Result<Vec<u8>, Error> = $convert;
                    call.map_bytes(|row| convert(call.text(0).value(row)).map(Some))
                },
            }],
        }
    };
}

pub(super) static FUNCTIONS: &[Definition] = &[
    text_to_bytes!("to_utf8", |text| Ok(text.as_bytes().to_vec())),
    bytes_to_text!("from_utf8", |bytes| String::from_utf8_lossy(bytes)
        .into_owned()),
    bytes_to_text!("to_hex", |bytes| bytes
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()),
    text_to_bytes!("from_hex", from_hex),
    bytes_to_text!("to_base64", |bytes| base64_simd::STANDARD
        .encode_to_string(bytes)),
    text_to_bytes!("from_base64", |text| {
        base64_simd::STANDARD
            .decode_to_vec(text.as_bytes())
            .map_err(|_| invalid(format!("'{text}' is not base64")))
    }),
    bytes_to_text!("to_base64url", |bytes| base64_simd::URL_SAFE
        .encode_to_string(bytes)),
    text_to_bytes!("from_base64url", |text| {
        base64_simd::URL_SAFE
            .decode_to_vec(text.as_bytes())
            .map_err(|_| invalid(format!("'{text}' is not base64url")))
    }),
];

fn bytes(call: &Call, row: usize) -> &[u8] {
    call.args[0].as_binary::<i32>().value(row)
}

fn from_hex(text: &str) -> Result<Vec<u8>, Error> {
    let fault = || invalid(format!("'{text}' is not hexadecimal"));
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(fault());
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|start| u8::from_str_radix(&text[start..start + 2], 16).map_err(|_| fault()))
        .collect()
}
