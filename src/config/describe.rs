//! The settings in force, written as a file of settings that says where each comes from.

use std::fmt::{Display, Write};

use super::Config;
use crate::speech::{
    profile::Profiles,
    stream::endpoint::{EndpointConfig, EndpointRule},
};

impl Config {
    /// All settings in force as TOML, each with its origin in a comment. Read as a file it gives the same settings.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        let mut group = "";
        for (key, value) in self.values() {
            let (this, name) = key.rsplit_once('.').unwrap_or(("", key));
            if this != group {
                let space = if group.is_empty() { "" } else { "\n" };
                group = this;
                // Writing to a String cannot fail.
                let _ = writeln!(out, "{space}[{this}]");
            }
            let _ = writeln!(out, "{:<48} # {}", format!("{name} = {value}"), self.origin(key));
        }
        out
    }

    /// Every key with its value as TOML.
    fn values(&self) -> Vec<(&'static str, String)> {
        let Self { server, data, recognition, profiles, log, origins: _ } = self;
        let Profiles { live, last, archive } = profiles;
        let endpoint = &last.endpoint;
        let step = recognition.partial_step.map_or(0, |step| step.as_millis());
        vec![
            ("server.listen", quoted(server.listen)),
            ("server.admin_listen", quoted(server.admin_listen)),
            ("server.max_streams", server.max_streams.to_string()),
            ("server.live_channels", server.live_channels.unwrap_or(0).to_string()),
            ("server.max_message_bytes", server.max_message_bytes.to_string()),
            ("server.drain_seconds", server.drain.as_secs().to_string()),
            ("data.dir", quoted(data.dir.display())),
            ("data.models", quoted(data.models.display())),
            ("data.reserve_mib", (data.reserve >> 20).to_string()),
            ("recognition.model", quoted(&recognition.model)),
            ("recognition.vad_model", quoted(&recognition.vad_model)),
            ("recognition.threads_per_worker", recognition.threads_per_worker.to_string()),
            ("recognition.workers", recognition.workers.to_string()),
            ("recognition.partial_step_ms", step.to_string()),
            ("recognition.beam", last.decoding.beam.to_string()),
            ("recognition.isolate", recognition.isolate.to_string()),
            ("recognition.glossary", quoted(recognition.glossary.as_deref().unwrap_or("".as_ref()).display())),
            ("endpoint.start_threshold", format!("{:?}", endpoint.start_threshold)),
            ("endpoint.stop_threshold", format!("{:?}", endpoint.stop_threshold)),
            ("endpoint.pre_roll_ms", endpoint.pre_roll_ms.to_string()),
            ("endpoint.post_roll_ms", endpoint.post_roll_ms.to_string()),
            ("endpoint.rules", rules(endpoint)),
            ("endpoint.longest_ms", endpoint.longest_ms.to_string()),
            ("endpoint.search_ms", endpoint.search_ms.to_string()),
            ("profiles.live.context_pad", live.decoding.context_pad.to_string()),
            ("profiles.live.prompt_tokens", live.decoding.prompt_tokens.to_string()),
            ("profiles.final.beam", last.decoding.beam.to_string()),
            ("profiles.final.beam_below", format!("{:?}", last.decoding.beam_below)),
            ("profiles.final.context_pad", last.decoding.context_pad.to_string()),
            ("profiles.final.lost_below", format!("{:?}", last.decoding.lost_below)),
            ("profiles.archive.beam", archive.decoding.beam.to_string()),
            ("profiles.archive.beam_below", format!("{:?}", archive.decoding.beam_below)),
            ("profiles.archive.context_pad", archive.decoding.context_pad.to_string()),
            ("profiles.archive.lost_below", format!("{:?}", archive.decoding.lost_below)),
            ("profiles.archive.rules", rules(&archive.endpoint)),
            ("profiles.archive.longest_ms", archive.endpoint.longest_ms.to_string()),
            ("profiles.archive.search_ms", archive.endpoint.search_ms.to_string()),
            ("log.format", quoted(log.format.as_str())),
            ("log.filter", quoted(&log.filter)),
        ]
    }
}

fn rules(endpoint: &EndpointConfig) -> String {
    let rule = |rule: &EndpointRule| format!("{{ after_ms = {}, silence_ms = {} }}", rule.after_ms, rule.silence_ms);
    format!("[{}]", endpoint.rules.iter().map(rule).collect::<Vec<_>>().join(", "))
}

/// A TOML basic string.
fn quoted(text: impl Display) -> String {
    let mut out = String::from('"');
    for letter in text.to_string().chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            control if control.is_control() => out.extend(format!("\\u{:04X}", u32::from(control)).chars()),
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}
