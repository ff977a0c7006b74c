//! The numbers that stand for encodings and classes. Written to disk, never reused.

use crate::domain::{audio::Encoding, change::IntervalClass};

pub(super) const fn encoding_number(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::PcmS16Le => 1,
        Encoding::PcmS24Le => 2,
        Encoding::PcmF32Le => 3,
        Encoding::MuLaw => 4,
        Encoding::ALaw => 5,
    }
}

pub(super) fn encoding_of(number: u8) -> Option<Encoding> {
    Encoding::ALL.into_iter().find(|e| encoding_number(*e) == number)
}

pub(super) const fn class_number(class: IntervalClass) -> u8 {
    match class {
        IntervalClass::Open => 1,
        IntervalClass::OffRecord => 2,
        IntervalClass::Sealed => 3,
        IntervalClass::Muted => 4,
    }
}

pub(super) fn class_of(number: u8) -> Option<IntervalClass> {
    [IntervalClass::Open, IntervalClass::OffRecord, IntervalClass::Sealed, IntervalClass::Muted]
        .into_iter()
        .find(|c| class_number(*c) == number)
}
