//! The server: record, journal, engine and hearings behind the doors that they are reached by, until it is stopped.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{AppError, SystemWorld, engine::Engine, health::Health, keys, settings::ServerSettings};
use crate::{
    api::{
        admin::AdminServer,
        grpc::{Limits, TranscriptionService, server},
        readiness::{Part, PartState, Readiness},
    },
    hearing::{
        room::DiskRoom,
        service::{Hearings, Parts},
    },
    record::{
        keys::sealer::KeySealer,
        media::service::{AudioJournal, Settings as JournalSettings},
        store::{RecordStore, sqlite::SqliteStore},
    },
};

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    admin: AdminServer,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    hearings: Arc<Hearings>,
    store: Arc<dyn RecordStore>,
    drain: Duration,
}

impl Server {
    /// Opens the record, starts the journal, listens and serves.
    ///
    /// # Errors
    /// What cannot be opened or listened on.
    pub async fn start(settings: &ServerSettings, engine: &Engine) -> Result<Self, AppError> {
        let readiness = Arc::new(Readiness::default());
        let admin = AdminServer::start(settings.admin_listen, Arc::clone(&engine.metrics), Arc::clone(&readiness))?;
        readiness.set(Part::Engine, PartState::Ready);
        folder(&settings.data)?;
        let audio = settings.data.join("audio");
        folder(&audio)?;
        let keys = keys(&settings.data);
        let sealer = Arc::new(KeySealer::new(Arc::clone(&keys)));
        let store: Arc<dyn RecordStore> = Arc::new(SqliteStore::open(&settings.data.join("record.sqlite"), sealer)?);
        let metrics = Arc::clone(&engine.metrics);
        let synced = Arc::new(move |took| metrics.journal_synced(took));
        let hearings = Hearings::new(Parts {
            store: Arc::clone(&store),
            journal: AudioJournal::start(JournalSettings { synced, ..JournalSettings::under(audio, keys) })?,
            recognizer: Arc::clone(&engine.recognizer),
            pool: Arc::clone(&engine.pool),
            detectors: Arc::clone(&engine.detectors),
            front: engine.front.clone(),
            glossary: engine.glossary.clone(),
            max_streams: settings.max_streams,
            world: Arc::new(SystemWorld),
            metrics: Arc::clone(&engine.metrics),
        });
        let room = DiskRoom::new(settings.reserve, Box::new(AudioJournal::room));
        let hearings = hearings.keeping(room).carrying(settings.live_channels).proposing(engine.second.clone());
        let hearings = Arc::new(hearings);
        readiness.set(Part::Record, PartState::Ready);
        readiness.set(Part::Journal, PartState::Ready);
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&hearings).mind_the_load(stop.clone()));
        let health = Health {
            readiness: Arc::clone(&readiness),
            hearings: Arc::clone(&hearings),
            store: Arc::clone(&store),
            data: settings.data.clone(),
            alive: Arc::clone(&engine.alive),
        };
        tokio::spawn(health.mind(stop.clone()));
        let recovering = Arc::clone(&hearings);
        tokio::spawn(async move {
            if let Err(error) = recovering.recover().await {
                tracing::error!(%error, "open hearings could not be taken up");
            }
        });
        let failed = |source| AppError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let service = TranscriptionService::new(
            Arc::clone(&hearings),
            Limits { max_message_bytes: settings.max_message_bytes },
            &engine.languages,
            stop.clone(),
        );
        let task = server::serve(service, listener, settings.max_message_bytes, stop.clone()).await?;
        Ok(Self { address, admin, readiness, stop, task, hearings, store, drain: settings.drain })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health, readiness and metrics are served.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// The hearings it serves.
    #[must_use]
    pub const fn hearings(&self) -> &Arc<Hearings> {
        &self.hearings
    }

    /// Stops: streams are told, utterances that ended get their text, the record is closed. What is not done in the configured
    /// time is left to the next start, and connections that are still open are cut.
    ///
    /// # Errors
    /// What failed while stopping.
    pub async fn stop(self) -> Result<(), AppError> {
        self.readiness.drain();
        self.stop.cancel();
        // One time for all of it: whoever stops the server waits no longer.
        let deadline = tokio::time::Instant::now() + self.drain;
        let mut task = self.task;
        match tokio::time::timeout_at(deadline, &mut task).await {
            Ok(Ok(served)) => served?,
            Ok(Err(panicked)) => tracing::error!(error = %panicked, "the server's task panicked"),
            Err(_late) => {
                tracing::warn!(seconds = self.drain.as_secs(), "connections were still open; they are cut");
                task.abort();
            }
        }
        if tokio::time::timeout_at(deadline, self.hearings.adjourn()).await.is_err() {
            tracing::warn!("not everything said has its text yet; it gets it at the next start");
        }
        let closed = self.store.close().await;
        // Its thread waits for open requests; this runtime has nothing left to do meanwhile.
        tokio::task::block_in_place(|| self.admin.stop());
        Ok(closed?)
    }
}

/// Makes a folder that only its owner may look into. Its name, and those of folders made on the way, are there after a power
/// cut.
fn folder(path: &Path) -> Result<(), AppError> {
    use std::os::unix::fs::PermissionsExt;
    let fail = |source| AppError::Folder { path: path.to_owned(), source };
    let made: Vec<&Path> = path.ancestors().take_while(|a| !a.as_os_str().is_empty() && !a.exists()).collect();
    fs::create_dir_all(path).map_err(fail)?;
    if made.is_empty() {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
    for folder in made {
        let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(fail)?;
    }
    Ok(())
}
