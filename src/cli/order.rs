//! `vivavoce order`: how a part of a hearing is treated.

use clap::{Args, ValueEnum};

use super::{runtime, screen::treatment, talk};
use crate::{
    api::grpc::{accounts::Treated, client::Client},
    config::Config,
    domain::{
        change::{IntervalClass, Order},
        channel::Label,
        id::{ChannelId, HearingId},
        time::SamplePos,
    },
    hearing::orders::{Request, Start},
};

/// Arguments of `vivavoce order`.
#[derive(Args, Debug)]
pub struct OrderArgs {
    /// The hearing's UUID
    #[arg(value_name = "HEARING")]
    hearing: HearingId,
    /// How it is treated
    #[arg(long, value_enum)]
    class: Class,
    /// The channel; without it every one
    #[arg(long, value_name = "NUMBER", value_parser = parse_channel)]
    channel: Option<ChannelId>,
    /// The first sample it holds for; without it from now on. For every channel: at the rate of the first
    #[arg(long, value_name = "SAMPLE")]
    from: Option<u64>,
    /// The sample after its last; without it up to where another order begins already, or for good
    #[arg(long, value_name = "SAMPLE")]
    to: Option<u64>,
    /// Who ordered it
    #[arg(long, value_name = "WHO")]
    by: String,
    /// Why
    #[arg(long, value_name = "WHY")]
    reason: String,
    /// The server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// How a part of a hearing is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Class {
    /// On the record again
    Open,
    /// Nothing is stored, and what was stored is destroyed
    OffTheRecord,
    /// Closed session: stored, and shown to who has the hearing's token
    Sealed,
    /// The microphone is muted: nothing is stored
    Muted,
}

impl Class {
    const fn interval(self) -> IntervalClass {
        match self {
            Self::Open => IntervalClass::Open,
            Self::OffTheRecord => IntervalClass::OffRecord,
            Self::Sealed => IntervalClass::Sealed,
            Self::Muted => IntervalClass::Muted,
        }
    }
}

fn parse_channel(text: &str) -> Result<ChannelId, String> {
    text.parse().ok().and_then(ChannelId::new).ok_or_else(|| "a number from 1 to 16".to_owned())
}

/// Gives the order, and says what it came to.
///
/// # Errors
/// What the server refuses.
pub fn run(args: &OrderArgs, config: &Config) -> anyhow::Result<()> {
    let server = args.server.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    let request = Request {
        channel: args.channel,
        start: args.from.map_or(Start::Now, |from| Start::At(SamplePos::new(from))),
        end: args.to.map(SamplePos::new),
        class: args.class.interval(),
        order: Order { by: Label::try_from(args.by.clone())?, reason: Label::try_from(args.reason.clone())? },
    };
    let ordered = runtime()?.block_on(async {
        let mut client = Client::connect(&server).await?;
        anyhow::Ok(client.order(args.hearing, &request).await?)
    })?;
    if ordered.intervals.is_empty() {
        talk::say("it is so already");
    }
    let lines = ordered.intervals.iter().map(|t| line(t, treatment(t.class)));
    let lines: Vec<_> = lines.chain(ordered.destroyed.iter().map(|t| line(t, "destroyed"))).collect();
    if !lines.is_empty() {
        talk::data(&lines.join("\n"))?;
    }
    Ok(())
}

fn line(treated: &Treated, what: &str) -> String {
    let Treated { channel, start_sample, end_sample, class: _ } = treated;
    let end = end_sample.map_or_else(String::new, |end| format!(" up to {end}"));
    format!("channel {channel}: {what} from sample {start_sample}{end}")
}
