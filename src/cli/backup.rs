//! `vivavoce backup`

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::talk;
use crate::{
    app,
    config::Config,
    record::backup::{
        KeysAt,
        manifest::{KeyChoice, Manifest},
        taking::{Taking, take},
        verifying::verify,
    },
};

/// Arguments of `vivavoce backup`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// The folder in which the backup gets a folder of its own, named by the time
    #[arg(required = true, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Leave the keys out: without them nothing in the backup opens
    #[arg(long)]
    without_keys: bool,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Verify a backup: every byte, every journal, the record, and that all of it opens
    Verify(VerifyArgs),
}

/// Arguments of `vivavoce backup verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The backup: the folder named by its time
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The folder of its keys, where they are kept apart from it
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

/// Takes a backup of the data folder in the settings, or verifies one. `now` is what the machine's clock shows.
///
/// # Errors
/// What keeps it from being taken; whatever is wrong with the one that is verified.
pub fn run(args: &BackupArgs, config: &Config, now: Timestamp) -> anyhow::Result<()> {
    talk::log_quietly(config)?;
    match (&args.command, &args.into) {
        (Some(BackupCommand::Verify(args)), _) => check(args),
        (None, Some(into)) => {
            let keys = if args.without_keys { KeyChoice::LeftOut } else { KeyChoice::Included };
            let data = config.data.dir.clone();
            fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
            let device = |path: &PathBuf| fs::metadata(path).map(|metadata| metadata.dev()).ok();
            if device(&data) == device(into) {
                talk::say("warning: the backup lies on the disk that it is a backup of; both are lost with it");
            }
            let taken = take(&Taking { data, into: into.clone(), keys, now })?;
            talk::say(&summary(&taken.manifest));
            talk::say(match keys {
                KeyChoice::Included => {
                    "warning: the keys lie in its folder keys: whoever has the backup can read all of it, also what an \
                     order destroys later. Keep it like the hearings themselves"
                }
                KeyChoice::LeftOut => {
                    "it has no keys: keep those of the data folder in another place, for nothing opens without them"
                }
            });
            talk::data(&taken.path.display().to_string())?;
            Ok(())
        }
        // Clap asks for the folder.
        (None, None) => Ok(()),
    }
}

fn check(args: &VerifyArgs) -> anyhow::Result<()> {
    let verified = verify(&args.backup, &keys_at(args.keys.as_ref()), &app::keys_under)?;
    talk::say(&summary(&verified.manifest));
    talk::say(match verified.opened {
        true => "whole: every byte is as it was, every journal and the record agree, and everything opens",
        false => {
            "whole as far as can be told without keys: every byte is as it was, every journal and the record agree"
        }
    });
    Ok(())
}

/// Where the keys are.
pub(super) fn keys_at(folder: Option<&PathBuf>) -> KeysAt {
    folder.map_or(KeysAt::Backup, |folder| KeysAt::Folder(folder.clone()))
}

/// What a backup holds, in a line.
pub(super) fn summary(manifest: &Manifest) -> String {
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let journals = manifest.hearings.iter().flat_map(|h| &h.channels).filter(|c| c.end.is_some()).count();
    let open = manifest.hearings.iter().filter(|h| !h.closed).count();
    format!(
        "taken at {}: hearings {} ({open} open), audio journals {journals}, {:.1} MB",
        manifest.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        manifest.hearings.len(),
        bytes as f64 / 1e6
    )
}
