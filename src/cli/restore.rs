//! `vivavoce restore`

use std::path::PathBuf;

use clap::Args;

use super::{
    backup::{keys_at, summary},
    talk,
};
use crate::{app, config::Config, record::backup::restoring::restore};

/// Arguments of `vivavoce restore`.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The backup: the folder named by its time
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The data folder to be made; it must not be there, or be empty
    #[arg(long, value_name = "DATADIR")]
    to: PathBuf,
    /// The folder of its keys, where they are kept apart from it
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

/// Verifies a backup and puts it back.
///
/// # Errors
/// Whatever is wrong with the backup; a folder that is in use.
pub fn run(args: &RestoreArgs, config: &Config) -> anyhow::Result<()> {
    talk::log_quietly(config)?;
    let verified = restore(&args.backup, &args.to, &keys_at(args.keys.as_ref()), &app::keys_under)?;
    talk::say(&summary(&verified.manifest));
    talk::say(&format!("verified and restored to {}: start the server with this as data.dir", args.to.display()));
    Ok(())
}
