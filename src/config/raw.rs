//! The settings as they were typed, each with where it was typed.

use figment::{
    Figment, Metadata, Profile, Provider,
    error::{Actual, Kind},
    value::{Dict, Map, Value},
};
use serde::Deserialize;

use super::{KeyFault, KeyProblem, flags::FlagOverrides, nearest::nearest, origin::Origin};
use crate::speech::stream::endpoint::{EndpointConfig, EndpointRule};

/// All settings as typed: nothing is required, nothing is checked beyond its form.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) server: RawServer,
    pub(super) data: RawData,
    pub(super) recognition: RawRecognition,
    pub(super) endpoint: EndpointConfig,
    pub(super) profiles: RawProfiles,
    pub(super) log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawServer {
    pub(super) listen: Option<String>,
    pub(super) admin_listen: Option<String>,
    pub(super) max_streams: Option<i64>,
    pub(super) live_channels: Option<i64>,
    pub(super) max_message_bytes: Option<i64>,
    pub(super) drain_seconds: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawData {
    pub(super) dir: Option<String>,
    pub(super) models: Option<String>,
    pub(super) reserve_mib: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRecognition {
    pub(super) model: Option<String>,
    pub(super) vad_model: Option<String>,
    pub(super) threads_per_worker: Option<i64>,
    pub(super) workers: Option<i64>,
    pub(super) partial_step_ms: Option<i64>,
    pub(super) beam: Option<i64>,
    pub(super) isolate: Option<bool>,
    pub(super) glossary: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawProfiles {
    pub(super) live: RawLive,
    #[serde(rename = "final")]
    pub(super) last: RawFinal,
    pub(super) archive: RawArchive,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLive {
    pub(super) context_pad: Option<i64>,
    pub(super) prompt_tokens: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawFinal {
    pub(super) beam: Option<i64>,
    pub(super) beam_below: Option<f32>,
    pub(super) context_pad: Option<i64>,
    pub(super) lost_below: Option<f32>,
}

/// Where no text is awaited, utterances end by rules of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawArchive {
    pub(super) beam: Option<i64>,
    pub(super) beam_below: Option<f32>,
    pub(super) context_pad: Option<i64>,
    pub(super) lost_below: Option<f32>,
    pub(super) rules: Option<Vec<EndpointRule>>,
    pub(super) longest_ms: Option<u32>,
    pub(super) search_ms: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) format: Option<String>,
    pub(super) filter: Option<String>,
}

/// Every key, and whether it is text: a variable's or flag's value is taken for text as it stands, and read for the rest.
pub(super) const KEYS: [(&str, Form); 39] = [
    ("server.listen", Form::Text),
    ("server.admin_listen", Form::Text),
    ("server.max_streams", Form::Parsed),
    ("server.live_channels", Form::Parsed),
    ("server.max_message_bytes", Form::Parsed),
    ("server.drain_seconds", Form::Parsed),
    ("data.dir", Form::Text),
    ("data.models", Form::Text),
    ("data.reserve_mib", Form::Parsed),
    ("recognition.model", Form::Text),
    ("recognition.vad_model", Form::Text),
    ("recognition.threads_per_worker", Form::Parsed),
    ("recognition.workers", Form::Parsed),
    ("recognition.partial_step_ms", Form::Parsed),
    ("recognition.beam", Form::Parsed),
    ("recognition.isolate", Form::Parsed),
    ("recognition.glossary", Form::Text),
    ("endpoint.start_threshold", Form::Parsed),
    ("endpoint.stop_threshold", Form::Parsed),
    ("endpoint.pre_roll_ms", Form::Parsed),
    ("endpoint.post_roll_ms", Form::Parsed),
    ("endpoint.rules", Form::Parsed),
    ("endpoint.longest_ms", Form::Parsed),
    ("endpoint.search_ms", Form::Parsed),
    ("profiles.live.context_pad", Form::Parsed),
    ("profiles.live.prompt_tokens", Form::Parsed),
    ("profiles.final.beam", Form::Parsed),
    ("profiles.final.beam_below", Form::Parsed),
    ("profiles.final.context_pad", Form::Parsed),
    ("profiles.final.lost_below", Form::Parsed),
    ("profiles.archive.beam", Form::Parsed),
    ("profiles.archive.beam_below", Form::Parsed),
    ("profiles.archive.context_pad", Form::Parsed),
    ("profiles.archive.lost_below", Form::Parsed),
    ("profiles.archive.rules", Form::Parsed),
    ("profiles.archive.longest_ms", Form::Parsed),
    ("profiles.archive.search_ms", Form::Parsed),
    ("log.format", Form::Text),
    ("log.filter", Form::Text),
];

/// How the text of a variable or flag becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it stands.
    Text,
    /// As TOML would read it: a number, a list.
    Parsed,
}

/// What a group is called in a message.
const GROUP: &str = "a group of settings";

/// The prefix of the variables.
const PREFIX: &str = "VIVAVOCE_";

/// What one place says.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    origin: Origin,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.origin.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

impl Layer {
    pub(super) fn new(origin: Origin, values: Dict) -> Self {
        Self { origin, values }
    }

    /// One key with the text of a variable or flag.
    fn one(origin: Origin, key: &str, text: &str) -> Self {
        let form = KEYS.iter().find(|(known, _)| *known == key).map_or(Form::Text, |(_, form)| *form);
        let value = match form {
            Form::Text => Value::from(text),
            Form::Parsed => text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {}),
        };
        let values = match figment::util::nest(key, value.clone()) {
            Value::Dict(_, dict) if !key.split('.').any(str::is_empty) => dict,
            // `.x` or `a..b`: nothing can be found there, and as one name it is told as unknown.
            _ => Dict::from([(key.to_owned(), value)]),
        };
        Self { origin, values }
    }

    /// Takes out what stands in a group's place and is none: serde would read a list as the group's keys in their order.
    fn keep_groups(&mut self, faults: &mut Vec<KeyFault>) {
        keep(&mut self.values, "", &mut |key, value| {
            let problem = KeyProblem::Form { found: found_in_words(value.to_actual()), expected: GROUP.to_owned() };
            faults.push(KeyFault { key, origin: self.origin.clone(), problem });
        });
    }

    /// Takes the setting at `path` out; only its groups and its key count, what is inside a list goes with its key.
    /// False where there is no such setting.
    fn remove(&mut self, path: &[String]) -> bool {
        let depth = if path.first().is_some_and(|group| group == GROUPS_WITHIN.0) { 3 } else { 2 };
        let Some((key, groups)) = path[..path.len().min(depth)].split_last() else { return false };
        let mut values = Some(&mut self.values);
        for group in groups {
            values = values.and_then(|values| values.get_mut(group)).and_then(|value| match value {
                Value::Dict(_, keys) => Some(keys),
                // In anything else there is no setting.
                _ => None,
            });
        }
        values.is_some_and(|values| values.remove(key).is_some())
    }
}

/// Takes out, and tells of, what stands in the place of a group and is none, in the groups of `within` (`""` for all of them).
fn keep(values: &mut Dict, within: &str, tell: &mut impl FnMut(String, &Value)) {
    let names: Vec<&str> = if within.is_empty() { groups().collect() } else { GROUPS_WITHIN.1.to_vec() };
    for name in names {
        let key = if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
        match values.get_mut(name) {
            None => {}
            Some(Value::Dict(_, keys)) if name == GROUPS_WITHIN.0 => keep(keys, name, tell),
            Some(Value::Dict(..)) => {}
            Some(value) => {
                tell(key, value);
                values.remove(name);
            }
        }
    }
}

/// The layers of the environment, in order of names. Variables of other tools that share the prefix are let be; one that
/// begins with a group's name and lacks the double underscore is a fault, since it was meant.
pub(super) fn variables(environment: impl Iterator<Item = (String, String)>, faults: &mut Vec<KeyFault>) -> Vec<Layer> {
    let mut found: Vec<_> = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    found.sort();
    let mut layers = Vec::new();
    for (name, text) in found {
        let rest = name[PREFIX.len()..].to_ascii_lowercase();
        let origin = Origin::Variable(name);
        match rest.split_once("__") {
            Some((group, key)) if !group.is_empty() && !key.is_empty() => {
                layers.push(Layer::one(origin, &rest.replace("__", "."), &text));
            }
            _ if groups().any(|group| rest.strip_prefix(group).is_some_and(|rest| rest.starts_with('_'))) => {
                let key = rest.replacen('_', ".", 1);
                let written =
                    nearest(&key).map(|key| format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__")));
                faults.push(KeyFault { key, origin, problem: KeyProblem::Separator { written } });
            }
            _ => {}
        }
    }
    layers
}

/// The layers of the flags; `--set` comes after those with a name.
pub(super) fn flags(flags: &FlagOverrides, faults: &mut Vec<KeyFault>) -> Vec<Layer> {
    let named = flags.named().map(|(flag, key, text)| Layer::one(Origin::Flag(flag.to_owned()), key, text));
    let mut layers: Vec<_> = named.collect();
    for setting in &flags.set {
        let origin = Origin::Flag(format!("--set {setting}"));
        match setting.split_once('=') {
            Some((key, text)) if !key.is_empty() => layers.push(Layer::one(origin, key, text)),
            _ => faults.push(KeyFault { key: setting.clone(), origin, problem: KeyProblem::NoValue }),
        }
    }
    layers
}

/// The names of the groups.
pub(super) fn groups() -> impl Iterator<Item = &'static str> {
    ["server", "data", "recognition", "endpoint", GROUPS_WITHIN.0, "log"].into_iter()
}

/// The one group that has groups, and theirs.
const GROUPS_WITHIN: (&str, [&str; 3]) = ("profiles", ["live", "final", "archive"]);

/// Settings as typed, each with its origin.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) raw: RawConfig,
    figment: Figment,
}

impl Typed {
    /// Lays the layers over each other, later ones on top. A setting of the wrong form is noted in `faults` and taken out,
    /// so that the rest can still be looked at and every fault is told at once.
    pub(super) fn merge(mut layers: Vec<Layer>, faults: &mut Vec<KeyFault>) -> Self {
        for layer in &mut layers {
            layer.keep_groups(faults);
        }
        loop {
            let figment = layers.iter().fold(Figment::new(), |all, layer| all.merge(layer.clone()));
            let error = match figment.extract::<RawConfig>() {
                Ok(raw) => return Self { raw, figment },
                Err(error) => error,
            };
            let key = error.path.join(".");
            // The last layer that has the setting is the one that counted.
            let Some(place) = layers.iter_mut().rev().find_map(|l| l.remove(&error.path).then_some(&l.origin)) else {
                // Every value lies in a layer, so this cannot come about; it must not go round for ever.
                faults.push(KeyFault { key, origin: Origin::BuiltIn, problem: problem(error) });
                return Self { raw: RawConfig::default(), figment };
            };
            faults.push(KeyFault { key, origin: place.clone(), problem: problem(error) });
        }
    }

    /// Where a key was set.
    pub(super) fn origin(&self, key: &str) -> Origin {
        Origin::of(self.figment.find_metadata(key))
    }
}

fn problem(error: figment::Error) -> KeyProblem {
    let key = error.path.join(".");
    match error.kind {
        Kind::UnknownField(_, known) => KeyProblem::Unknown { nearest: nearest(&key), known },
        Kind::MissingField(field) => KeyProblem::Missing { field: field.into_owned() },
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            KeyProblem::Form { found: found_in_words(found), expected: in_words(&expected) }
        }
        // Numbers beyond 64 bits and the like: serde's own words are the best there are.
        other => KeyProblem::Form { found: other.to_string(), expected: "another value".to_owned() },
    }
}

/// What serde found, in a person's words.
fn found_in_words(found: Actual) -> String {
    match found {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("the text {:?}", text.chars().take(80).collect::<String>()),
        Actual::Char(letter) => format!("the text {:?}", letter.to_string()),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a group".to_owned(),
        // The rest of serde's data model is not in TOML.
        other => other.to_string(),
    }
}

/// What serde expects, in a person's words.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "i64" => "a whole number",
        "u32" => "a whole number from 0 to 4294967295",
        "f32" => "a number",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "a string" => "text",
        _ if expected.starts_with("struct ") => GROUP,
        other => other,
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serde tells its fields when it meets a stranger.
    fn known_fields(key: &str) -> Vec<&'static str> {
        let layer = Layer::one(Origin::BuiltIn, key, "0");
        match Figment::from(layer).extract::<RawConfig>().unwrap_err().kind {
            Kind::UnknownField(_, known) => known.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_table_names_every_key_there_is() {
        assert_eq!(known_fields("zzz"), groups().collect::<Vec<_>>());
        assert_eq!(known_fields("profiles.zzz"), GROUPS_WITHIN.1);
        let within = |group: &str| match group {
            "profiles" => GROUPS_WITHIN.1.iter().map(|name| format!("{group}.{name}")).collect(),
            group => vec![group.to_owned()],
        };
        let all: Vec<_> = groups()
            .flat_map(within)
            .flat_map(|group| {
                known_fields(&format!("{group}.zzz")).into_iter().map(move |key| format!("{group}.{key}"))
            })
            .collect();
        let table: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(table, all);
    }
}
