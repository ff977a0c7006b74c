//! `vivavoce evaluate`: what a file of transcripts is worth against a manifest of references.

use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;

use crate::evaluation::{
    render,
    report::{Options, compare},
};

/// Word and character error rates of transcripts, a row a language.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// Tab-separated, first line the columns: `id`, `language`, `duration_s`, `reference_text`, perhaps `file`.
    pub manifest: PathBuf,
    /// What was put out: a line is an id, a tab and the text. An id that is missing counts as an empty answer.
    #[arg(long, value_name = "FILE.tsv")]
    pub hypotheses: PathBuf,
    /// The same of another system: adds the difference with its 95 % interval.
    #[arg(long, value_name = "FILE.tsv")]
    pub baseline: Option<PathBuf>,
    /// Leave out items whose id or file contains this, such as degraded/; may be given more than once.
    #[arg(long, value_name = "PART")]
    pub skip: Vec<String>,
    /// JSON in place of the table.
    #[arg(long)]
    pub json: bool,
    /// The seed of the interval's draws.
    #[arg(long, default_value_t = Options::default().seed)]
    pub seed: u64,
}

/// Reads the tables and prints the report on standard output.
///
/// # Errors
/// Where a file cannot be read, is not UTF-8, or is not such a table, and where standard output cannot be written.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<()> {
    let manifest = read(&args.manifest)?;
    let hypotheses = read(&args.hypotheses)?;
    let baseline = args.baseline.as_deref().map(read).transpose()?;
    let options = Options { skip: args.skip.clone(), seed: args.seed, ..Options::default() };
    let report = compare(&manifest, &hypotheses, baseline.as_deref(), options)?;
    let text = if args.json { format!("{:#}\n", render::to_json(&report)) } else { render::to_text(&report) };
    stdout().write_all(text.as_bytes()).context("standard output cannot be written")
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
