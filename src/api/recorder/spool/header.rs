//! What the spool knows of its hearing: sealed, and written anew as a whole each time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    SpoolError,
    cipher::{self, Cipher, NONCE},
};
use crate::{api::recorder::orders::Heard, domain::channel::ChannelSetup, hearing::world::World};

const MAGIC: &[u8; 8] = b"VVSPOOL1";

/// What takes a hearing up again after a break. The token is a secret: it is in no log and no debug output.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The hearing's UUID.
    pub hearing: String,
    /// The token that opening it gave.
    pub token: String,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("hearing", &self.hearing).finish_non_exhaustive()
    }
}

/// What is known of the hearing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Its channels, in ascending order.
    pub(super) channels: Vec<ChannelSetup>,
    /// What is recorded, where it is a file: a digest of its beginning.
    pub(super) source: Option<String>,
    /// The hearing, once it is opened.
    pub(super) bound: Option<Bound>,
    /// Where the channels stand where no segment is left to say it.
    pub(super) ends: Vec<u64>,
    /// The recorder ended in good order and everything is safe on the server.
    pub(super) at_rest: bool,
    /// When the last audio was taken, where no segment is left to say it: milliseconds since 1970.
    #[serde(default)]
    pub(super) captured_at_ms: Option<i64>,
    /// Orders about what is recorded, as they were heard.
    #[serde(default)]
    pub(super) orders: Vec<Heard>,
}

pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join("spool.head")
}

/// Reads the header; `None` where there is none.
pub(super) fn read(folder: &Path, cipher: &Cipher) -> Result<Option<Header>, SpoolError> {
    let path = path_in(folder);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SpoolError::Io { what: "read", path, source }),
    };
    let sealed = || -> Option<Header> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let plain = (magic == MAGIC).then(|| cipher.open(nonce, magic, sealed)).flatten()?;
        serde_json::from_slice(&plain).ok()
    };
    sealed().map(Some).ok_or(SpoolError::Unreadable { path })
}

/// Writes the header in place of the one before it, synced.
pub(super) fn write(folder: &Path, header: &Header, cipher: &Cipher, world: &dyn World) -> Result<(), SpoolError> {
    let path = path_in(folder);
    let fresh = path.with_extension("new");
    let nonce = cipher::draw_nonce(world);
    let plain = serde_json::to_vec(header).expect("a header has no keys that are not text");
    let bytes = [MAGIC, nonce.as_slice(), &cipher.seal(&nonce, MAGIC, &plain)].concat();
    let put = || -> io::Result<()> {
        let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        cipher::sync_folder(folder)
    };
    put().map_err(|source| SpoolError::Io { what: "write", path: path.clone(), source })
}
