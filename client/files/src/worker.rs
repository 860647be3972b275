//! What `client/js/files-worker.js` calls.

use wasm_bindgen::prelude::*;

use crate::Store;

#[wasm_bindgen]
pub struct File(Store);

#[wasm_bindgen]
impl File {
    /// # Errors
    /// The file is of no known format, or damaged; in words.
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, bytes: Vec<u8>) -> Result<File, JsError> {
        Ok(Self(Store::open(name, bytes)?))
    }

    /// The object at `key`, such as `sst/c/0/0/0`; `undefined` where there is none.
    ///
    /// # Errors
    /// The file's bytes do not decode; in words.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, JsError> {
        Ok(self.0.get(key)?)
    }
}
