//! `vivavoce ledger`: what became of every sample.

use clap::Args;

use super::{runtime, screen::clock, talk};
use crate::{
    api::grpc::{accounts::Accounts, client::Client},
    config::Config,
    domain::id::HearingId,
};

/// Arguments of `vivavoce ledger`.
#[derive(Args, Debug)]
pub struct LedgerArgs {
    /// The hearing's UUID
    #[arg(value_name = "HEARING")]
    hearing: HearingId,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// The server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// Prints the accounts of each channel.
///
/// # Errors
/// What the server refuses.
pub fn run(args: &LedgerArgs, config: &Config) -> anyhow::Result<()> {
    let server = args.server.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    let channels = runtime()?.block_on(async {
        let mut client = Client::connect(&server).await?;
        anyhow::Ok(client.ledger(args.hearing).await?)
    })?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&channels)?,
        false => table(&channels),
    };
    Ok(talk::data(&text)?)
}

/// A line a channel, in samples; below them each run that is not simply speech or silence.
fn table(channels: &[Accounts]) -> String {
    let heads = ["channel", "length", "speech", "non-speech", "off record", "muted", "gap", "pending"];
    let row = |a: &Accounts| {
        let counts = [a.speech_samples, a.non_speech_samples, a.off_record_samples, a.muted_samples];
        let counts = [a.length_samples].into_iter().chain(counts).chain([a.gap_samples, a.pending_samples]);
        [a.channel.to_string()].into_iter().chain(counts.map(|n| n.to_string())).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> =
        std::iter::once(heads.map(ToOwned::to_owned).to_vec()).chain(channels.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    for (channel, run) in channels.iter().flat_map(|c| c.runs.iter().map(|run| (c.channel, run))) {
        let (from, to) = (clock(run.start_ms), clock(run.end_ms));
        let account = run.account.replace('_', " ");
        let why = run.gap_reason.map_or_else(String::new, |reason| format!(": {}", reason.as_str()));
        lines.push(format!(
            "channel {channel}, {from} to {to} (samples {} to {}): {account}{why}",
            run.start_sample, run.end_sample
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::grpc::accounts::Run, domain::change::GapReason};

    #[test]
    fn the_table_has_a_line_for_each_channel_and_each_thing_that_needs_a_reason() {
        let run = Run {
            start_sample: 8_000,
            end_sample: 20_000,
            start_ms: 1_000,
            end_ms: 2_500,
            account: "gap",
            gap_reason: Some(GapReason::RecorderFull),
        };
        let one = Accounts {
            channel: 1,
            length_samples: 480_000,
            speech_samples: 400_000,
            non_speech_samples: 60_000,
            off_record_samples: 8_000,
            muted_samples: 0,
            gap_samples: 12_000,
            pending_samples: 0,
            runs: vec![run],
        };
        assert_eq!(
            table(&[one]),
            "channel  length  speech  non-speech  off record  muted    gap  pending\n\
             \x20     1  480000  400000       60000        8000      0  12000        0\n\
             channel 1, 0:00:01.0 to 0:00:02.5 (samples 8000 to 20000): gap: the recorder's disk was full"
        );
    }
}
