//! A probability: finite, between 0 and 1.

use serde::{Deserialize, Serialize};

/// A probability by construction: never NaN, never outside 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Probability(f32);

impl Probability {
    /// Nothing speaks for it.
    pub const ZERO: Self = Self(0.0);
    /// Certain.
    pub const ONE: Self = Self(1.0);

    /// `value` if it is a probability.
    ///
    /// ```
    /// use vivavoce::domain::probability::Probability;
    /// assert!(Probability::new(f32::NAN).is_none());
    /// assert!(Probability::new(1.5).is_none());
    /// assert_eq!(Probability::new(0.25).unwrap().value(), 0.25);
    /// ```
    #[must_use]
    pub fn new(value: f32) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The nearest probability: what an engine returns may be 1.000001; NaN becomes 0.
    #[must_use]
    pub fn clamped(value: f32) -> Self {
        if value.is_nan() { Self::ZERO } else { Self(value.clamp(0.0, 1.0)) }
    }

    /// 0 to 1.
    #[must_use]
    pub const fn value(self) -> f32 {
        self.0
    }
}
