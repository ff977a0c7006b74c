//! `vivavoce serve`

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{engine_settings, runtime, server_settings, talk};
use crate::{
    app::{Engine, Server, forbid_core_files},
    config::Config,
};

/// Arguments of `vivavoce serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// What keeps the server from starting or stopping well.
pub fn run(_args: &ServeArgs, config: &Config) -> anyhow::Result<()> {
    talk::log(config)?;
    forbid_core_files().context("cannot keep the system from writing core files, which would hold audio and text")?;
    let engine = Engine::load(&engine_settings(config, config.log.clone()))?;
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let server = Server::start(&server_settings(config), &engine).await?;
        talk::say(&format!(
            "vivavoce serves on {} (readiness and metrics: http://{}/readyz, /metrics); demo profile: loopback only, no encryption",
            server.address(),
            server.admin_address(),
        ));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        talk::say("stopping: streams are told, what was said gets its text");
        let stopped = server.stop().await;
        // What it decodes still is decoded again at the next start; one that hangs would keep the exit.
        engine.recognizer.give_up();
        stopped?;
        anyhow::Ok(())
    })
}
