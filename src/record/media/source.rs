//! A source of bytes read by position. Seeks only where it must, since a buffered reader forgets its buffer at each seek.

use std::io::{self, Read, Seek, SeekFrom};

/// What a [`super::reader::FrameReader`] reads from.
#[derive(Debug)]
pub(super) struct Source<R> {
    inner: R,
    /// Where the next byte comes from; `u64::MAX` where it is not known.
    position: u64,
}

impl<R: Read + Seek> Source<R> {
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, position: u64::MAX }
    }

    /// Reads from `at` until `buffer` is full or the source ends; how many bytes came.
    pub(super) fn read(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.position, u64::MAX) != at {
            self.inner.seek(SeekFrom::Start(at))?;
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match self.inner.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position = at + filled as u64;
        Ok(filled)
    }

    /// The length now.
    pub(super) fn len(&mut self) -> io::Result<u64> {
        self.position = u64::MAX;
        self.inner.seek(SeekFrom::End(0))
    }
}
