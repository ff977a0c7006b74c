//! The text tokens of a model, from whichever vocabulary file its folder has.
//!
//! Every such file spells a token as GPT-2 does: each byte is a printable character, itself where it is one, else one of
//! those from U+0100 on in the order of the bytes (`bytes_to_unicode` in OpenAI's gpt-2 `encoder.py`).

use std::{collections::HashMap, path::Path};

use serde::Deserialize;

use crate::models::convert::{ConvertError, ggml::WhisperShape, read_json, read_small};

/// The one text token of multilingual Whisper that is the empty string; some vocabularies leave it out.
const EMPTY_TOKEN: usize = 50_256;

/// The longest spelling of a token, bytes of text. Whisper's longest has 128 characters.
const MOST_TOKEN_CHARS: usize = 1_024;

/// The byte strings of tokens 0 up to [`WhisperShape::text_tokens`], from the first of `vocabulary.txt`,
/// `vocabulary.json`, `tokenizer.json` and `vocab.json` that `dir` holds.
///
/// # Errors
/// [`ConvertError::NoVocabulary`] where there is none, [`ConvertError::Token`] where one lacks a token or spells it with a
/// character that stands for no byte, and [`ConvertError::Json`] or [`ConvertError::Io`] where one cannot be read.
pub fn table(dir: &Path, shape: &WhisperShape) -> Result<Vec<Vec<u8>>, ConvertError> {
    for (name, read) in READERS {
        let path = dir.join(name);
        if path.is_file() {
            return bytes(&path, &read(&path)?, shape.text_tokens());
        }
    }
    Err(ConvertError::NoVocabulary { dir: dir.to_owned() })
}

/// Spellings by token number; `None` where the file has no such token.
type Spellings = Vec<Option<String>>;
type Reader = fn(&Path) -> Result<Spellings, ConvertError>;

/// CTranslate2's two forms, one token a line or one JSON list, then those of the Hugging Face tokenizers.
const READERS: [(&str, Reader); 4] = [
    ("vocabulary.txt", lines),
    ("vocabulary.json", |path| Ok(read_json::<Vec<String>>(path)?.into_iter().map(Some).collect())),
    ("tokenizer.json", |path| numbered(path, read_json::<Tokenizer>(path)?.model.vocab)),
    ("vocab.json", |path| numbered(path, read_json(path)?)),
];

#[derive(Deserialize)]
struct Tokenizer {
    model: TokenizerModel,
}

#[derive(Deserialize)]
struct TokenizerModel {
    vocab: HashMap<String, u64>,
}

fn lines(path: &Path) -> Result<Spellings, ConvertError> {
    let bytes = read_small(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|source| ConvertError::NotText {
        path: path.to_owned(),
        what: "the vocabulary",
        source,
    })?;
    Ok(text.split('\n').map(|line| Some(line.strip_suffix('\r').unwrap_or(line).to_owned())).collect())
}

fn numbered(path: &Path, vocabulary: HashMap<String, u64>) -> Result<Spellings, ConvertError> {
    // Special tokens may be numbered above the text; ids beyond any Whisper vocabulary are refused, not made room for.
    const MOST: usize = 65_536;
    let mut spellings: Spellings = vec![None; MOST];
    let mut sorted: Vec<(u64, String)> = vocabulary.into_iter().map(|(spelling, id)| (id, spelling)).collect();
    sorted.sort();
    for (id, spelling) in sorted {
        let refuse = || ConvertError::Token { path: path.to_owned(), id };
        let place = usize::try_from(id).ok().and_then(|i| spellings.get_mut(i)).ok_or_else(refuse)?;
        if place.replace(spelling).is_some() {
            return Err(refuse());
        }
    }
    Ok(spellings)
}

fn bytes(path: &Path, spellings: &Spellings, count: usize) -> Result<Vec<Vec<u8>>, ConvertError> {
    let alphabet = alphabet();
    let mut tokens = Vec::with_capacity(count);
    for id in 0..count {
        let spelling = match spellings.get(id) {
            Some(Some(spelling)) => spelling.as_str(),
            _ if id == EMPTY_TOKEN => "",
            _ => return Err(ConvertError::Token { path: path.to_owned(), id: id as u64 }),
        };
        let token: Option<Vec<u8>> = spelling.chars().map(|c| alphabet.get(&c).copied()).collect();
        match token {
            Some(token) if token.len() <= MOST_TOKEN_CHARS && (id == EMPTY_TOKEN || !token.is_empty()) => {
                tokens.push(token);
            }
            _ => return Err(ConvertError::Token { path: path.to_owned(), id: id as u64 }),
        }
    }
    Ok(tokens)
}

/// Which byte each character of a spelling stands for.
fn alphabet() -> HashMap<char, u8> {
    let mut next = 0x100_u32;
    let mut map = HashMap::with_capacity(256);
    for byte in 0..=u8::MAX {
        let printable = matches!(byte, 33..=126 | 161..=172 | 174..=255);
        let character = if printable {
            char::from(byte)
        } else {
            next += 1;
            char::from_u32(next - 1).expect("U+0100 to U+0143 are characters")
        };
        map.insert(character, byte);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spelling: &str, expected: Option<&[u8]>) {
        let path = Path::new("vocabulary.txt");
        let found = bytes(path, &vec![Some(spelling.to_owned())], 1).ok().map(|mut t| t.remove(0));
        assert_eq!(found.as_deref(), expected, "{spelling:?}");
    }

    #[test]
    fn spellings_become_the_bytes_they_stand_for() {
        check("Ġthe", Some(b" the"));
        check("Ċ", Some(b"\n"));
        check("Ã©", Some("é".as_bytes()));
        check("Ń", Some(b"\xad"));
        check("!", Some(b"!"));
        check(" a", None);
        check("日", None);
        check("", None);
    }

    #[test]
    fn the_alphabet_has_every_byte_once() {
        let mut all: Vec<u8> = alphabet().into_values().collect();
        all.sort_unstable();
        assert_eq!(all, (0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn a_number_given_twice_or_out_of_range_is_refused() {
        let path = Path::new("vocab.json");
        let map = |pairs: &[(&str, u64)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        assert!(matches!(numbered(path, map(&[("a", 1), ("b", 1)])), Err(ConvertError::Token { id: 1, .. })));
        assert!(matches!(numbered(path, map(&[("a", u64::MAX)])), Err(ConvertError::Token { .. })));
        assert_eq!(
            numbered(path, map(&[("a", 0), ("b", 2)])).unwrap()[..3],
            [Some("a".into()), None, Some("b".into())]
        );
    }
}
