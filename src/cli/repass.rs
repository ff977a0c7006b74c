//! `vivavoce repass`: a closed hearing is heard once more; where that gives other words, they are proposed.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{recording_profile, runtime, talk};
use crate::{
    api::grpc::{
        client::{Client, ClientError},
        repass::{RePassEvent, RePassSummary},
    },
    config::{Config, origin::Origin},
    domain::id::HearingId,
    hearing::repass::RePass,
    speech::profile::ProfileName,
};

/// Arguments of `vivavoce repass`. The model is named by `--model`, which every command has.
#[derive(Args, Debug)]
pub struct RepassArgs {
    /// The hearing's UUID
    #[arg(value_name = "HEARING")]
    hearing: HearingId,
    /// How patiently: archive, as good as the engine can, or final, as its record got it at once
    #[arg(long, default_value = "archive", value_name = "final|archive", value_parser = recording_profile)]
    profile: ProfileName,
    /// The summary as JSON
    #[arg(long)]
    json: bool,
    /// The server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// Asks the server for it, shows how far it is, and prints what came of it.
///
/// # Errors
/// What the server refuses.
pub fn run(args: &RepassArgs, config: &Config) -> anyhow::Result<()> {
    let server = args.server.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    // Settings that lie here may not be the server's: only a model that was named for this is asked for.
    let named = matches!(config.origin("recognition.model"), Origin::Flag(_));
    let wanted = RePass { model: named.then(|| config.recognition.model.clone()), profile: args.profile };
    let bar = progress_bar();
    let done = runtime()?.block_on(async {
        // The connection goes with it.
        let mut client = Client::connect(&server).await?;
        let mut passing = client.propose_revisions(args.hearing, &wanted).await?;
        while let Some(event) = passing.next().await? {
            match event {
                RePassEvent::Progress(at) => {
                    bar.set_length(at.of_ms / 1_000);
                    bar.set_position(at.heard_ms / 1_000);
                    bar.set_message(format!("{} proposed", at.proposed));
                }
                RePassEvent::Done(done) => return anyhow::Ok(done),
            }
        }
        Err(ClientError::CutShort.into())
    });
    bar.finish_and_clear();
    let done = done?;
    let text = if args.json { serde_json::to_string_pretty(&done)? } else { in_words(&done) };
    Ok(talk::data(&text)?)
}

fn in_words(done: &RePassSummary) -> String {
    let RePassSummary { model, model_sha256: _, utterances, proposed, proposed_before, failed, words, changed } = done;
    let mut lines = vec![
        format!("{utterances} utterances were heard once more with the model {model}"),
        format!(
            "{proposed} texts are proposed now, {proposed_before} were before; the record's own text stands as it is"
        ),
        format!("{changed} words would change of {words} that the record has there"),
    ];
    if *failed > 0 {
        lines.push(format!("{failed} utterances could not be decoded; the server's log has the reason"));
    }
    lines.join("\n")
}

/// indicatif hides it where stderr is no terminal.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("hearing it once more [{bar:30}] {percent:>3} %, {eta} left, {msg}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
