//! What the worker's script calls.

use graticule_shared::codec::Chain;
use wasm_bindgen::prelude::*;

/// One array's chain, read once.
#[wasm_bindgen]
pub struct Decoder(Chain);

#[wasm_bindgen]
impl Decoder {
    #[wasm_bindgen(constructor)]
    pub fn new(chain: &str) -> Result<Decoder, JsError> {
        Ok(Self(Chain::from_text(chain)?))
    }

    pub fn decode(&self, stored: Vec<u8>) -> Result<Vec<u8>, JsError> {
        Ok(crate::decode(&self.0, stored)?)
    }
}
