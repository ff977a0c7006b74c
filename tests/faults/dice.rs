//! Numbers drawn from a seed: the same seed draws the same.

/// `SplitMix64` (<https://prng.di.unimi.it/splitmix64.c>): small, and good enough to choose moments.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own for the case `number`, so that one case can be run alone.
    pub(crate) fn of_case(seed: u64, point: &str, number: u64) -> Self {
        let mut dice = Self(seed ^ number.rotate_left(32));
        point.bytes().for_each(|byte| dice.0 = dice.draw() ^ u64::from(byte));
        dice
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// `from` to `to` - 1.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from))
    }

    /// Whether one of `of` comes up.
    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// A number that looks drawn and is a function of `n`.
pub(crate) const fn mixed(n: u64) -> u64 {
    let mut z = n;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
