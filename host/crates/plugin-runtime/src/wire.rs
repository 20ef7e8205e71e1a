//! The JSON of Extism plug-ins, where it differs from the plain reading of a shape: bytes are
//! base64. It carries nothing anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, de};

/// Bytes that JSON has as standard base64 with padding.
pub(crate) fn base64_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    STANDARD.decode(text).map_err(de::Error::custom)
}
