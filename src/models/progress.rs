//! How a long piece of work says how far it is.

/// Listens to downloads and conversions. The command line draws a bar; a service may log or do nothing.
pub trait Progress {
    /// A piece of work begins, of `total` units (bytes, or values of a model) where that is known.
    fn begin(&mut self, what: &str, total: Option<u64>);

    /// `units` more are done.
    fn advance(&mut self, units: u64);

    /// The piece of work has ended.
    fn end(&mut self);

    /// Something worth saying, such as a source that was skipped and why.
    fn note(&mut self, text: &str);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _what: &str, _total: Option<u64>) {}

    fn advance(&mut self, _units: u64) {}

    fn end(&mut self) {}

    fn note(&mut self, _text: &str) {}
}
