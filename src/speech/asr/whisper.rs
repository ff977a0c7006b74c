//! whisper.cpp through whisper-rs: weights, how they decode for the record (`decoder`) and while people speak (`partial`), and
//! what is called from native code (`native`).

pub mod compiled;
mod decoder;
mod native;
mod partial;
mod passages;

use std::sync::Arc;

use serde_json::json;
use whisper_rs::{DtwMode, DtwModelPreset, DtwParameters, WhisperContext, WhisperContextParameters, WhisperError};

use self::decoder::WhisperDecoder;
use super::{AsrError, Decoder, KnownLanguages, Pass, Recognizer};
use crate::{
    domain::{
        engine::{EngineInfo, Sha256Hash},
        language::LanguageTag,
    },
    speech::profile::{Decoding, Profile},
};

const ENGINE: &str = "whisper.cpp";

/// How the engine runs. Of the profiles all goes into the record.
#[derive(Clone, Debug)]
pub struct WhisperOptions {
    /// For text while people speak.
    pub partial: Profile,
    /// For the record.
    pub last: Profile,
    /// Which heads of the decoder follow the sound.
    pub alignment: AlignmentHeads,
}

/// Which heads of the decoder's cross-attention follow the sound: word times are read from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlignmentHeads {
    /// Those that OpenAI published with the model of this name: `tiny`, `base`, `small`, `medium`.
    Published(String),
    /// These pairs of layer and head.
    Given(Vec<(u16, u16)>),
    /// Not known: the upper two layers, which is rougher.
    Unknown,
}

impl WhisperOptions {
    const fn of(&self, pass: Pass) -> &Decoding {
        match pass {
            Pass::Partial => &self.partial.decoding,
            Pass::Final => &self.last.decoding,
        }
    }
}

/// Whisper weights that were checked against their hash.
#[derive(Debug)]
pub struct WhisperWeights<'a> {
    /// The name in the manifest.
    pub name: &'a str,
    /// SHA-256 of `bytes`.
    pub sha256: Sha256Hash,
    /// The file in ggml form, validated.
    pub bytes: &'a [u8],
}

/// whisper.cpp with one set of weights.
#[derive(Debug)]
pub struct Whisper {
    context: Arc<WhisperContext>,
    options: WhisperOptions,
    partial: EngineInfo,
    last: EngineInfo,
    languages: KnownLanguages,
}

impl Whisper {
    /// Loads weights. The buffer is the one that was hashed; nothing is read from disk again.
    ///
    /// # Errors
    /// [`AsrError::Engine`] where whisper.cpp refuses them.
    pub fn load(weights: &WhisperWeights<'_>, options: WhisperOptions) -> Result<Self, AsrError> {
        whisper_rs::install_logging_hooks();
        let heads = match &options.alignment {
            AlignmentHeads::Given(heads) => heads.iter().map(|&head| native_head(head)).collect(),
            AlignmentHeads::Published(_) | AlignmentHeads::Unknown => Vec::new(),
        };
        let mut parameters = WhisperContextParameters::default();
        // Flash attention is slower on CPUs in this version and excludes alignment.
        parameters.flash_attn(false);
        parameters.use_gpu(cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal")));
        if options.last.decoding.align_words || options.partial.decoding.align_words {
            let mode = if heads.is_empty() { preset(&options.alignment) } else { DtwMode::Custom { aheads: &heads } };
            parameters.dtw_parameters(DtwParameters { mode, ..DtwParameters::default() });
        }
        let context = WhisperContext::new_from_buffer_with_params(weights.bytes, parameters)
            .map_err(|error| engine_error("load the weights", &error))?;
        let info = |pass: &str, profile: &Profile| EngineInfo {
            engine: ENGINE.to_owned(),
            engine_version: whisper_rs::get_whisper_version().to_owned(),
            model: weights.name.to_owned(),
            model_sha256: weights.sha256,
            device: if cfg!(feature = "cuda") { "cuda:0" } else { "cpu" }.to_owned(),
            parameters: describe(pass, profile),
        };
        Ok(Self {
            languages: known_languages(context.is_multilingual()),
            context: Arc::new(context),
            partial: info("partial", &options.partial),
            last: info("final", &options.last),
            options,
        })
    }
}

fn native_head((layer, head): (u16, u16)) -> whisper_rs::whisper_rs_sys::whisper_ahead {
    whisper_rs::whisper_rs_sys::whisper_ahead { n_text_layer: i32::from(layer), n_head: i32::from(head) }
}

fn preset(alignment: &AlignmentHeads) -> DtwMode<'static> {
    let AlignmentHeads::Published(name) = alignment else { return DtwMode::TopMost { n_top: 2 } };
    let model_preset = match name.as_str() {
        "tiny" => DtwModelPreset::Tiny,
        "base" => DtwModelPreset::Base,
        "small" => DtwModelPreset::Small,
        "medium" => DtwModelPreset::Medium,
        _ => return DtwMode::TopMost { n_top: 2 },
    };
    DtwMode::ModelPreset { model_preset }
}

fn describe(pass: &str, profile: &Profile) -> String {
    profile.parameters(json!({
        "least_context": decoder::LEAST_CONTEXT, "most_tokens_a_second": decoder::MOST_TOKENS_A_SECOND, "pass": pass,
        "single_segment": true, "suppress_blank": true, "temperature": 0,
    }))
}

impl Recognizer for Whisper {
    fn info(&self, pass: Pass) -> &EngineInfo {
        match pass {
            Pass::Partial => &self.partial,
            Pass::Final => &self.last,
        }
    }

    fn languages(&self) -> &KnownLanguages {
        &self.languages
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>, AsrError> {
        let (context, options) = (Arc::clone(&self.context), self.options.clone());
        Ok(Box::new(WhisperDecoder::new(context, options, self.last.model.clone())?))
    }
}

/// Codes beside Whisper's own, each with Whisper's: it writes Javanese with one that ISO 639 withdrew, and Chinese dialects
/// as `zh` and `yue`.
const OTHER_CODES: [(&str, &str); 2] = [("jv", "jw"), ("cmn", "zh")];

fn language_id(language: &LanguageTag) -> Option<i32> {
    let code = language.primary();
    let own = OTHER_CODES.iter().find(|(other, _)| *other == code).map_or(code, |(_, own)| own);
    whisper_rs::get_lang_id(own)
}

fn known_languages(multilingual: bool) -> KnownLanguages {
    if !multilingual {
        return KnownLanguages::Codes(vec!["en".to_owned()]);
    }
    let own = (0..=whisper_rs::get_lang_max_id()).filter_map(whisper_rs::get_lang_str);
    KnownLanguages::Codes(own.chain(OTHER_CODES.map(|(code, _)| code)).map(str::to_owned).collect())
}

fn engine_error(action: &'static str, error: &WhisperError) -> AsrError {
    let code = match error {
        WhisperError::GenericError(code) => *code,
        _ => 0,
    };
    tracing::debug!(action, %error, "whisper.cpp refused");
    AsrError::Engine { engine: ENGINE.to_owned(), action: action.to_owned(), code }
}
