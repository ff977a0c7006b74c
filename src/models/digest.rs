//! SHA-256 of what passes by, and how large it was.

use std::{
    fmt,
    io::{self, Read, Write},
};

use sha2::{Digest, Sha256};

use crate::domain::engine::Sha256Hash;

/// What identifies a file: its digest and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 of the whole file.
    pub sha256: Sha256Hash,
    /// Bytes.
    pub size: u64,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA-256 {} ({} bytes)", self.sha256, self.size)
    }
}

/// Passes bytes on to `W` and takes their fingerprint.
pub(super) struct Fingerprinter<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Fingerprinter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    /// What was written, and where to.
    pub(super) fn finish(self) -> (Fingerprint, W) {
        (Fingerprint { sha256: Sha256Hash::new(self.hash.finalize().into()), size: self.size }, self.inner)
    }
}

impl<W: Write> Write for Fingerprinter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The fingerprint of `bytes`.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> Fingerprint {
    Fingerprint { sha256: Sha256Hash::new(Sha256::digest(bytes).into()), size: bytes.len() as u64 }
}

/// The fingerprint of what `reader` gives up to its end.
///
/// # Errors
/// Those of the reader.
pub fn of_reader(reader: &mut dyn Read) -> io::Result<Fingerprint> {
    let mut printer = Fingerprinter::new(io::sink());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(printer.finish().0),
            n => printer.write_all(&buffer[..n])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_agree_with_the_published_test_vector() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b"abc").sha256.to_string(), expected);
        assert_eq!(of_reader(&mut &b"abc"[..]).unwrap(), of_bytes(b"abc"));
        let mut printer = Fingerprinter::new(Vec::new());
        printer.write_all(b"abc").unwrap();
        assert_eq!(printer.finish(), (of_bytes(b"abc"), b"abc".to_vec()));
    }
}
