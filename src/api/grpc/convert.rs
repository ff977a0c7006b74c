//! Wire to domain and back. Every message is taken apart field by field, so that a new field breaks the build here.

use tonic::Status;

use super::pb;
use crate::{
    api::status::status,
    domain::{
        audio::{AudioFormat, Encoding},
        change::{Imported, Recognition},
        channel::{ChannelSetup, Label},
        engine::EngineInfo,
        flag::{Evidence, Flag, FlagCode},
        id::{ChannelId, HearingId},
        language::{AllowedLanguages, LanguageTag},
        segment::{CaptionState, Segment, Word},
        time::{SampleRate, Span},
    },
    hearing::{live::Partial, service::NewHearing},
    record::{export::Format, store::HearingSummary},
};

pub(super) fn hearing_id(text: &str) -> Result<HearingId, Status> {
    text.parse().map_err(|e: crate::domain::id::IdError| status(&e))
}

pub(super) fn channel_id(number: u32) -> Result<ChannelId, Status> {
    u8::try_from(number)
        .ok()
        .and_then(ChannelId::new)
        .ok_or_else(|| Status::invalid_argument(format!("channel number {number} is not between 1 and 16")))
}

/// What a hearing is opened with.
pub(super) fn new_hearing(message: pb::OpenHearingRequest) -> Result<NewHearing, Status> {
    let pb::OpenHearingRequest { reference, channels, recognition, imported } = message;
    if !(1..=usize::from(ChannelId::MAX)).contains(&channels.len()) {
        return Err(Status::invalid_argument(format!("{} channels: a hearing has 1 to 16", channels.len())));
    }
    let recognition = match pb::Recognition::try_from(recognition) {
        Ok(pb::Recognition::Live | pb::Recognition::Unspecified) => Recognition::Live,
        Ok(pb::Recognition::Later) => Recognition::Later,
        Err(_) => return Err(Status::invalid_argument(format!("recognition {recognition} is neither live nor later"))),
    };
    Ok(NewHearing {
        reference,
        channels: channels.into_iter().map(channel).collect::<Result<Vec<_>, _>>()?,
        recognition,
        imported: imported.map(self::imported).transpose()?,
    })
}

fn imported(message: pb::Imported) -> Result<Imported, Status> {
    let pb::Imported { name, sha256 } = message;
    let name = Label::try_from(name).map_err(|e| status(&e))?;
    let sha256 = sha256.parse();
    Ok(Imported {
        name,
        sha256: sha256
            .map_err(|_unquoted| Status::invalid_argument("the SHA-256 of an import has 64 hexadecimal digits"))?,
    })
}

pub(super) fn imported_message(imported: &Imported) -> pb::Imported {
    pb::Imported { name: imported.name.as_str().to_owned(), sha256: imported.sha256.to_string() }
}

pub(super) fn channel(message: pb::Channel) -> Result<ChannelSetup, Status> {
    let pb::Channel { number, label, languages, format } = message;
    let id = channel_id(number)?;
    let tags = languages.iter().map(|tag| tag.parse()).collect::<Result<Vec<LanguageTag>, _>>();
    let tags = tags.map_err(|e| status(&e))?;
    Ok(ChannelSetup {
        id,
        label: Label::try_from(label).map_err(|e| status(&e))?,
        languages: AllowedLanguages::new(tags).map_err(|e| status(&e))?,
        format: audio_format(format, id)?,
    })
}

fn audio_format(message: Option<pb::AudioFormat>, channel: ChannelId) -> Result<AudioFormat, Status> {
    let Some(pb::AudioFormat { encoding, sample_rate_hz }) = message else {
        return Err(Status::invalid_argument(format!("channel {channel} has no audio format")));
    };
    let encoding = match pb::Encoding::try_from(encoding) {
        Ok(pb::Encoding::PcmS16le) => Encoding::PcmS16Le,
        Ok(pb::Encoding::PcmS24le) => Encoding::PcmS24Le,
        Ok(pb::Encoding::PcmF32le) => Encoding::PcmF32Le,
        Ok(pb::Encoding::Mulaw) => Encoding::MuLaw,
        Ok(pb::Encoding::Alaw) => Encoding::ALaw,
        Ok(pb::Encoding::Unspecified) | Err(_) => {
            return Err(Status::invalid_argument(format!(
                "channel {channel} has no known encoding (number {encoding})"
            )));
        }
    };
    Ok(AudioFormat { encoding, rate: SampleRate::try_from(sample_rate_hz).map_err(|e| status(&e))? })
}

pub(super) const fn encoding(encoding: Encoding) -> pb::Encoding {
    match encoding {
        Encoding::PcmS16Le => pb::Encoding::PcmS16le,
        Encoding::PcmS24Le => pb::Encoding::PcmS24le,
        Encoding::PcmF32Le => pb::Encoding::PcmF32le,
        Encoding::MuLaw => pb::Encoding::Mulaw,
        Encoding::ALaw => pb::Encoding::Alaw,
    }
}

pub(super) fn export_format(number: i32) -> Result<Format, Status> {
    match pb::ExportFormat::try_from(number) {
        Ok(pb::ExportFormat::Json) => Ok(Format::Json),
        Ok(pb::ExportFormat::Webvtt) => Ok(Format::WebVtt),
        Ok(pb::ExportFormat::Srt) => Ok(Format::Srt),
        Ok(pb::ExportFormat::Text) => Ok(Format::Text),
        Ok(pb::ExportFormat::Unspecified) | Err(_) => {
            Err(Status::invalid_argument(format!("export format {number} is not one of json, webvtt, srt, text")))
        }
    }
}

pub(super) const fn format_message(format: Format) -> pb::ExportFormat {
    match format {
        Format::Json => pb::ExportFormat::Json,
        Format::WebVtt => pb::ExportFormat::Webvtt,
        Format::Srt => pb::ExportFormat::Srt,
        Format::Text => pb::ExportFormat::Text,
    }
}

pub(super) fn channel_message(setup: &ChannelSetup) -> pb::Channel {
    pb::Channel {
        number: u32::from(setup.id.number()),
        label: setup.label.as_str().to_owned(),
        languages: setup.languages.tags().iter().map(LanguageTag::to_string).collect(),
        format: Some(pb::AudioFormat {
            encoding: encoding(setup.format.encoding).into(),
            sample_rate_hz: setup.format.rate.hz(),
        }),
    }
}

pub(super) fn span(span: Span, rate: SampleRate) -> pb::Span {
    pb::Span {
        start_sample: span.start().index(),
        end_sample: span.end().index(),
        start_ms: span.start().at(rate).millis(),
        end_ms: span.end().at(rate).millis(),
    }
}

fn word(word: &Word, rate: SampleRate) -> pb::Word {
    pb::Word {
        text: word.text.clone(),
        spaced: word.spaced,
        span: Some(span(word.span, rate)),
        score: word.score.value(),
    }
}

pub(super) fn partial(partial: &Partial) -> pb::PartialResult {
    let words = partial.words.iter().map(|w| pb::Word {
        text: w.text.clone(),
        spaced: w.spaced,
        span: Some(span(partial.rate.span_at(w.span), partial.rate)),
        score: w.score.value(),
    });
    pb::PartialResult {
        channel: u32::from(partial.channel.number()),
        span: Some(span(partial.span, partial.rate)),
        language: partial.language.to_string(),
        words: words.collect(),
        stable_words: u32::try_from(partial.stable).unwrap_or(u32::MAX),
    }
}

pub(super) fn evidence(evidence: &Evidence) -> pb::Evidence {
    pb::Evidence { measure: evidence.measure.clone(), value: evidence.value, limit: evidence.limit }
}

fn flag(flag: &Flag) -> pb::Flag {
    let code = match flag.code {
        FlagCode::LowWordScore => pb::FlagCode::LowWordScore,
        FlagCode::NoSpeechUnderWords => pb::FlagCode::NoSpeechUnderWords,
        FlagCode::Repetition => pb::FlagCode::Repetition,
        FlagCode::ImplausibleRate => pb::FlagCode::ImplausibleRate,
        FlagCode::UncertainLanguage => pb::FlagCode::UncertainLanguage,
        FlagCode::UnexpectedScript => pb::FlagCode::UnexpectedScript,
        FlagCode::ClippedAudio => pb::FlagCode::ClippedAudio,
        FlagCode::LowAudio => pb::FlagCode::LowAudio,
        FlagCode::SpeechWithoutWords => pb::FlagCode::SpeechWithoutWords,
        FlagCode::NonSpeechText => pb::FlagCode::NonSpeechText,
        FlagCode::CrossTalk => pb::FlagCode::CrossTalk,
        FlagCode::Overlap => pb::FlagCode::Overlap,
        FlagCode::EchoOfPrompt => pb::FlagCode::EchoOfPrompt,
        FlagCode::WeakText => pb::FlagCode::WeakText,
        FlagCode::LiveDisagrees => pb::FlagCode::LiveDisagrees,
        FlagCode::StockPhrase => pb::FlagCode::StockPhrase,
        FlagCode::AudioMissing => pb::FlagCode::AudioMissing,
        FlagCode::HeardTwice => pb::FlagCode::HeardTwice,
    };
    pb::Flag {
        code: code.into(),
        reason: flag.code.reason().to_owned(),
        evidence: flag.evidence.iter().map(evidence).collect(),
        first_word: u32::try_from(flag.words.start).unwrap_or(u32::MAX),
        end_word: u32::try_from(flag.words.end).unwrap_or(u32::MAX),
    }
}

pub(super) fn engine(info: &EngineInfo) -> pb::Engine {
    pb::Engine {
        name: info.engine.clone(),
        version: info.engine_version.clone(),
        model: info.model.clone(),
        model_sha256: info.model_sha256.to_string(),
        device: info.device.clone(),
        parameters: info.parameters.clone(),
    }
}

pub(super) fn segment(segment: &Segment, channels: &[ChannelSetup]) -> pb::Segment {
    let label = channels.iter().find(|c| c.id == segment.channel).map_or("", |c| c.label.as_str());
    pb::Segment {
        segment_id: segment.id.to_string(),
        channel: u32::from(segment.channel.number()),
        label: label.to_owned(),
        span: Some(span(segment.span, segment.rate)),
        language: segment.language.to_string(),
        language_posterior: segment.language_posterior.map(|p| p.value()),
        words: segment.words.iter().map(|w| word(w, segment.rate)).collect(),
        text: segment.text(),
        flags: segment.flags.iter().map(flag).collect(),
        captions: match segment.captions {
            CaptionState::Shown => pb::CaptionState::Shown,
            CaptionState::Withheld => pb::CaptionState::Withheld,
        }
        .into(),
        engine: Some(engine(&segment.engine)),
        speech: segment.speech.iter().map(|s| span(*s, segment.rate)).collect(),
        uncompared: segment.uncompared,
        replaced: segment.replaced.clone(),
        glossary_sha256: segment.glossary.map(|hash| hash.to_string()),
        leaning: segment.leaning.as_ref().map(ToString::to_string),
    }
}

pub(super) fn hearing(summary: &HearingSummary) -> pb::Hearing {
    let channels = summary.channels.iter().map(channel_message);
    pb::Hearing {
        hearing_id: summary.id.to_string(),
        reference: summary.reference.clone(),
        channels: channels.collect(),
        closed: summary.closed_at.is_some(),
        opened_at: summary.opened_at.to_string(),
        last_seq: summary.last.number(),
        recognition: match summary.recognition {
            Recognition::Live => pb::Recognition::Live,
            Recognition::Later => pb::Recognition::Later,
        }
        .into(),
        imported: summary.imported.as_ref().map(imported_message),
    }
}
