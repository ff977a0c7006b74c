//! The settings that the command line can override.

use clap::Args;

/// Settings given as flags. Each is kept as it was typed; faults are found where all sources come together.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Settings (override file and environment)")]
pub struct FlagOverrides {
    /// Address and port of the gRPC service: `server.listen`.
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Address and port of health, readiness and metrics: `server.admin_listen`.
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<String>,
    /// Folder of the record and the audio: `data.dir`.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Folder of the model files: `data.models`.
    #[arg(long, global = true, value_name = "DIR")]
    pub models_dir: Option<String>,
    /// Name of the speech model: `recognition.model`.
    #[arg(long, global = true, value_name = "NAME")]
    pub model: Option<String>,
    /// Threads that decode side by side: `recognition.workers`.
    #[arg(long, global = true, value_name = "COUNT")]
    pub workers: Option<String>,
    /// How log lines are written, `text` or `json`: `log.format`.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged, such as `info` or `vivavoce=debug`: `log.filter`.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// Any other setting, such as `server.max_streams=4`; may be given more than once.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl FlagOverrides {
    /// Each flag that has a key of its own: its name, its key, its text. `--set` is not among them.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        let Self { listen, admin_listen, data_dir, models_dir, model, workers, log_format, log_filter, set: _ } = self;
        [
            ("--listen", "server.listen", listen),
            ("--admin-listen", "server.admin_listen", admin_listen),
            ("--data-dir", "data.dir", data_dir),
            ("--models-dir", "data.models", models_dir),
            ("--model", "recognition.model", model),
            ("--workers", "recognition.workers", workers),
            ("--log-format", "log.format", log_format),
            ("--log-filter", "log.filter", log_filter),
        ]
        .into_iter()
        .filter_map(|(flag, key, text)| Some((flag, key, text.as_deref()?)))
    }
}
