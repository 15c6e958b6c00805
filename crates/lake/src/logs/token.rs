//! Tokens that say where a listing goes on. To clients they are opaque.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::face::invalid;
use crate::aws_json::ApiError;

/// Makes a token of a place.
pub fn write(place: &impl Serialize) -> String {
    // Places are plain tuples, which always serialize.
    let json = serde_json::to_vec(place).unwrap_or_default();
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(json)
}

/// Reads a token.
pub fn read<T: DeserializeOwned>(token: Option<&str>) -> Result<Option<T>, ApiError> {
    let Some(token) = token else {
        return Ok(None);
    };
    base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(token)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .map(Some)
        .ok_or_else(wrong)
}

/// A token that is not one of ours.
pub fn wrong() -> ApiError {
    invalid("The specified nextToken is invalid.")
}
