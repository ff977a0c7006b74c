//! The real models: fetched, verified, damaged, quantised, loaded by the engine.

use std::fs;

use vivavoce::models::{
    ModelError,
    convert::{self, quantise::Quantisation},
    digest,
    progress::Silent,
    store::ModelStore,
};

use crate::support::models::store_with;

#[test]
fn base_converts_to_the_same_bytes_every_time_and_quantises_to_the_manifests() {
    let store = store_with(&["base"]);
    let base = store.load("base").unwrap();
    for (name, quantisation) in [("base-q8_0", Quantisation::Q8_0), ("base-q5_1", Quantisation::Q5_1)] {
        let mut out = Vec::new();
        convert::requantise(&base.bytes, quantisation, &mut out, &mut Silent).unwrap();
        assert_eq!(digest::of_bytes(&out), store.entry(name).unwrap().fingerprint(), "{name}");
    }
    let mut same = Vec::new();
    convert::requantise(&base.bytes, Quantisation::F16, &mut same, &mut Silent).unwrap();
    assert!(same == base.bytes, "f16 to f16 changes nothing");
}
