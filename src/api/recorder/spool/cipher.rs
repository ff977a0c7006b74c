//! How the spool is sealed: XChaCha20-Poly1305, keys, and the file that holds the key of all keys.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use super::SpoolError;
use crate::hearing::world::World;

/// Bytes of a key.
pub(super) const KEY: usize = 32;
/// Bytes of a nonce: long enough to be drawn without ever meeting another.
pub(super) const NONCE: usize = 24;
/// Bytes that sealing adds.
pub(super) const TAG: usize = 16;

/// A key; wiped when it is dropped.
pub(super) type Key = Zeroizing<[u8; KEY]>;

/// Seals and opens under one key. The cipher wipes what it knows of the key when it is dropped.
#[derive(Clone)]
pub(super) struct Cipher(XChaCha20Poly1305);

impl Cipher {
    pub(super) fn new(key: &Key) -> Self {
        Self(XChaCha20Poly1305::new((&**key).into()))
    }

    /// Seals `plain`, bound to `context`. No two texts may have the same nonce.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], context: &[u8], plain: &[u8]) -> Vec<u8> {
        let sealed = self.0.encrypt(nonce.into(), Payload { msg: plain, aad: context });
        sealed.expect("texts are far below the 256 GiB that the cipher takes")
    }

    /// Opens what [`Cipher::seal`] made; `None` where a bit of it, of the nonce or of the context is another.
    pub(super) fn open(&self, nonce: &[u8; NONCE], context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(nonce.into(), Payload { msg: sealed, aad: context }).ok()
    }
}

/// Draws a key.
pub(super) fn draw_key(world: &dyn World) -> Key {
    let mut key = Key::default();
    for half in key.chunks_mut(16) {
        half.copy_from_slice(&world.draw_bytes());
    }
    key
}

/// Draws a nonce.
pub(super) fn draw_nonce(world: &dyn World) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    nonce[..16].copy_from_slice(&world.draw_bytes());
    nonce[16..].copy_from_slice(&world.draw_bytes()[..8]);
    nonce
}

/// The key in the file at `path`, 64 hexadecimal digits. Where there is none and `fresh` says that nothing was sealed with
/// it, one is drawn and written for its owner's eyes alone.
pub(super) fn key_at(path: &Path, fresh: bool, world: &dyn World) -> Result<Key, SpoolError> {
    let fail = |source| SpoolError::Io { what: "read the key", path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(found) if found.mode() & 0o077 != 0 => {
            return Err(SpoolError::KeyOpen { path: path.to_owned(), mode: found.mode() & 0o777 });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && fresh => return make_key(path, world),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SpoolError::KeyGone { path: path.to_owned() });
        }
        Err(error) => return Err(fail(error)),
    }
    let text = Zeroizing::new(fs::read(path).map_err(fail)?);
    let mut key = Key::default();
    hex::decode_to_slice(text.trim_ascii(), &mut *key)
        .map_err(|_form| SpoolError::KeyForm { path: path.to_owned() })?;
    Ok(key)
}

fn make_key(path: &Path, world: &dyn World) -> Result<Key, SpoolError> {
    let key = draw_key(world);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let text = Zeroizing::new(hex::encode(*key));
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|source| SpoolError::Io { what: "write the key", path: path.to_owned(), source })?;
    Ok(key)
}

/// Makes names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}
