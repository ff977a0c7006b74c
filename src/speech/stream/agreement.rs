//! Which words of a partial are settled: those on which two hypotheses in a row agree (LocalAgreement-2, Macháček et al.
//! 2023), compared without case and punctuation.

/// What was heard last, for the next comparison.
#[derive(Debug, Default)]
pub struct Agreement {
    previous: Vec<String>,
    stable: usize,
}

impl Agreement {
    /// Takes the words of the next partial of the same utterance; returns how many of the first are settled. The number
    /// never falls within an utterance unless the text got shorter.
    pub fn observe<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> usize {
        let current: Vec<String> = words.map(fold).collect();
        let agreed = current.iter().zip(&self.previous).take_while(|(a, b)| a == b).count();
        self.stable = agreed.max(self.stable).min(current.len());
        self.previous = current;
        self.stable
    }

    /// Forgets the utterance.
    pub fn reset(&mut self) {
        self.previous.clear();
        self.stable = 0;
    }
}

/// A word without case and punctuation.
fn fold(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_settle_when_two_hypotheses_agree_on_them() {
        let mut agreement = Agreement::default();
        assert_eq!(agreement.observe(["And", "so", "my"].into_iter()), 0);
        assert_eq!(agreement.observe(["and", "so,", "mine", "fellow"].into_iter()), 2);
        assert_eq!(agreement.observe(["And", "so", "my", "fellow"].into_iter()), 2);
        agreement.reset();
        assert_eq!(agreement.observe(["And"].into_iter()), 0);
    }
}
