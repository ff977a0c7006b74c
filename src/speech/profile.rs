//! Profiles: all that can change a text beside the engine and its model, as data under a name. The whole of one is kept with
//! every segment, so that what made a text need not be looked for in a file of settings that has changed since.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::stream::endpoint::{EndpointConfig, EndpointRule};
use crate::speech::vad::thresholds;

/// Encoder positions (20 ms each) of a whole window of 30 s: with so many beyond the audio the context is never cut.
pub const WHOLE_CONTEXT: u16 = 1_500;

/// What a text is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileName {
    /// Shown while people speak, and forgotten.
    Live,
    /// What the record gets at once.
    Final,
    /// As good as the engine can, however long it takes: of recordings and closed hearings.
    Archive,
}

impl ProfileName {
    /// As it is written in settings and in the record.
    ///
    /// ```
    /// use vivavoce::speech::profile::ProfileName;
    /// assert_eq!("archive".parse(), Ok(ProfileName::Archive));
    /// assert!("Archive".parse::<ProfileName>().is_err());
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Final => "final",
            Self::Archive => "archive",
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that no profile has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no profile: live, final or archive is needed")]
pub struct NoProfile {
    found: String,
}

impl FromStr for ProfileName {
    type Err = NoProfile;

    fn from_str(text: &str) -> Result<Self, NoProfile> {
        let all = [Self::Live, Self::Final, Self::Archive];
        let named = all.into_iter().find(|name| name.as_str() == text);
        named.ok_or_else(|| NoProfile { found: text.chars().take(80).collect() })
    }
}

/// How a window is decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoding {
    /// 1 for greedy search, more for beam search.
    pub beam: u8,
    /// Beams are searched only where what greedy search found has a lower mean log probability than this: what people say clearly
    /// costs a third less so. 0: always.
    pub beam_below: f32,
    /// Encoder positions (20 ms each) beyond the audio; from [`WHOLE_CONTEXT`] on the context is never cut. Below about 32 the
    /// decoder loops; windows under 256 positions in all loop too (measured on base, clips of real speech).
    pub context_pad: u16,
    /// Whether words are aligned to the sound by cross-attention (one more decoder pass a window).
    pub align_words: bool,
    /// Tokens of what was said before that the decoder reads, at most.
    pub prompt_tokens: u16,
    /// A decode whose tokens have a lower mean log probability than this has lost its way: it is done again with twice the
    /// context.
    pub lost_below: f32,
}

/// All that can change a text beside the engine and its model. Threads are no part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub profile: ProfileName,
    /// How a window is decoded.
    pub decoding: Decoding,
    /// The name of the model that detects speech.
    pub detector: String,
    /// When speech begins and goes on by the detector's probabilities, and where utterances are cut.
    pub endpoint: EndpointConfig,
}

/// A profile for each use.
#[derive(Clone, Debug, PartialEq)]
pub struct Profiles {
    /// For text that is shown while people speak. It is cut as the final one is.
    pub live: Profile,
    /// For the record, at once.
    pub last: Profile,
    /// For recordings and closed hearings.
    pub archive: Profile,
}

impl Profiles {
    /// The built-in ones, with speech detected by the model `detector`.
    #[must_use]
    pub fn built_in(detector: &str) -> Self {
        let last = Decoding {
            beam: 5,
            beam_below: -0.5,
            context_pad: 128,
            align_words: true,
            prompt_tokens: 0,
            lost_below: -1.0,
        };
        // Greedy and not aligned: it is shown for a second. It reads less than the half of its context that whisper.cpp itself
        // allows of what was said before.
        let live = Decoding { beam: 1, align_words: false, prompt_tokens: 120, ..last.clone() };
        let archive = Decoding { beam_below: 0.0, context_pad: WHOLE_CONTEXT, ..last.clone() };
        let profile =
            |profile, decoding, endpoint| Profile { profile, decoding, detector: detector.to_owned(), endpoint };
        Self {
            live: profile(ProfileName::Live, live, EndpointConfig::default()),
            last: profile(ProfileName::Final, last, EndpointConfig::default()),
            archive: profile(ProfileName::Archive, archive, patient()),
        }
    }

    /// The profile of this name.
    #[must_use]
    pub const fn of(&self, name: ProfileName) -> &Profile {
        match name {
            ProfileName::Live => &self.live,
            ProfileName::Final => &self.last,
            ProfileName::Archive => &self.archive,
        }
    }

    /// The same with the profile `name` in the place of the final one, whose name it does not take.
    #[must_use]
    pub fn recording(&self, name: ProfileName) -> Self {
        Self { last: self.of(name).clone(), ..self.clone() }
    }
}

/// Where utterances end when nobody waits for the text: longer pauses and longer utterances give each word more context.
#[must_use]
pub fn patient() -> EndpointConfig {
    let rule = |after_ms, silence_ms| EndpointRule { after_ms, silence_ms };
    EndpointConfig {
        rules: vec![rule(0, 1_600), rule(8_000, 1_200), rule(16_000, 800), rule(22_000, 400)],
        // With the lead-in it stays under the 30 s that an engine takes.
        longest_ms: 28_000,
        search_ms: 8_000,
        pre_roll_ms: thresholds::LEAD_IN_MS,
        ..EndpointConfig::default()
    }
}

impl Profile {
    /// As it goes into the record: JSON with sorted keys, the decoding's own beside the others; with what the engine adds.
    #[must_use]
    pub fn parameters(&self, engine: serde_json::Value) -> String {
        let Self { profile, decoding, detector, endpoint } = self;
        let written = [
            as_written(&serde_json::json!({ "profile": profile, "detector": detector })),
            as_written(decoding),
            as_written(&serde_json::json!({ "endpoint": as_written(endpoint) })),
            engine,
        ];
        let mut all = serde_json::Map::new();
        for object in written {
            if let serde_json::Value::Object(keys) = object {
                all.extend(keys);
            }
        }
        serde_json::Value::Object(all).to_string()
    }
}

/// A value by way of its text: a float of 32 bits is written as the shortest number that is it, and not with the digits of one
/// of 64.
fn as_written(value: &impl Serialize) -> serde_json::Value {
    let text = serde_json::to_string(value);
    text.and_then(|text| serde_json::from_str(&text)).unwrap_or(serde_json::Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_can_work_and_is_found_by_its_name() {
        let profiles = Profiles::built_in("silero-vad");
        for name in [ProfileName::Live, ProfileName::Final, ProfileName::Archive] {
            let profile = profiles.of(name);
            assert_eq!((profile.profile, profile.endpoint.check()), (name, Ok(())), "{name}");
        }
        assert_eq!(profiles.live.endpoint, profiles.last.endpoint);
        let archive = profiles.recording(ProfileName::Archive);
        assert_eq!((archive.last, archive.live), (profiles.archive, profiles.live));
    }

    #[test]
    fn the_whole_of_a_profile_is_written_with_sorted_keys_and_can_be_read_back() {
        for profile in [Profiles::built_in("a").archive, Profiles::built_in("b").live] {
            let written = profile.parameters(serde_json::json!({ "pass": "final", "temperature": 0 }));
            let read: serde_json::Value = serde_json::from_str(&written).unwrap();
            let keys: Vec<&str> = written.split('"').skip(1).step_by(2).filter(|key| read.get(key).is_some()).collect();
            assert!(keys.is_sorted(), "{written}");
            // What serde tells of the types is all of their fields.
            for (value, within) in [
                (serde_json::to_value(&profile.decoding).unwrap(), &read),
                (serde_json::to_value(&profile.endpoint).unwrap(), &read["endpoint"]),
            ] {
                for key in value.as_object().unwrap().keys() {
                    assert!(within.get(key).is_some(), "{key} is not in {written}");
                }
            }
            for key in ["profile", "detector", "endpoint", "pass", "temperature"] {
                assert!(read.get(key).is_some(), "{key} is not in {written}");
            }
            assert!(written.contains("\"stop_threshold\":0.35") && written.contains("\"lost_below\":-1"), "{written}");
            let decoding: Decoding = serde_json::from_value(serde_json::to_value(&profile.decoding).unwrap()).unwrap();
            assert_eq!(decoding, profile.decoding);
            assert_eq!(serde_json::from_str::<Profile>(&serde_json::to_string(&profile).unwrap()).unwrap(), profile);
        }
    }
}
