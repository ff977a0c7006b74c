//! The real models, fetched once and shared by all tests.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use vivavoce::models::{progress::Silent, store::ModelStore};

/// The store that tests share, with the models `names` in it: the folder in `VIVAVOCE_MODELS`, else `models-cache` in the
/// target folder. What is missing is fetched, under a lock, so that test binaries may run side by side.
pub(crate) fn store_with(names: &[&str]) -> ModelStore {
    let store = ModelStore::open(dir()).unwrap();
    fs::create_dir_all(store.dir()).unwrap();
    let lock = File::create(store.dir().join(".lock")).unwrap();
    lock.lock().unwrap();
    for name in names {
        store.fetch(name, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    }
    store
}

/// The folder of recordings that tests share, with its `manifest.tsv`: real voices where Debian's packages can be had.
pub(crate) fn recordings() -> PathBuf {
    let dir = dir().join("recordings");
    fs::create_dir_all(&dir).unwrap();
    let lock = File::create(dir.join(".lock")).unwrap();
    lock.lock().unwrap();
    vivavoce::models::recordings::prepare(&dir, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    dir
}

#[expect(clippy::disallowed_methods, reason = "where tests keep models is no setting of the product")]
pub(crate) fn dir() -> PathBuf {
    if let Ok(dir) = std::env::var("VIVAVOCE_MODELS") {
        return dir.into();
    }
    // The test binary lies in TARGET/release/deps.
    let binary = std::env::current_exe().unwrap();
    binary.ancestors().nth(3).unwrap().join("models-cache")
}
