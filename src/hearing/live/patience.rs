//! Appending to a record that cannot take anything just now: no room, a full disk. The audio is safe meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    domain::{
        actor::{Actor, ActorKind, Attribution, Purpose},
        change::Change,
        fault::{Fault, FaultKind},
        id::HearingId,
    },
    hearing::world::World,
    record::store::{RecordError, RecordStore},
};

/// How long to wait before what the record could not take is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Appends what the part `id` of the service found, and tries again for as long as what keeps the record from taking it may pass;
/// gives how long the record took in the end.
///
/// If the future is dropped, the change is in the record or it is not.
///
/// # Errors
/// What trying again cannot help.
pub(super) async fn append(
    store: &dyn RecordStore,
    world: &dyn World,
    hearing: HearingId,
    id: &str,
    change: Change,
) -> Result<Duration, RecordError> {
    let mut pause = tokio::time::interval(PAUSE);
    loop {
        pause.tick().await;
        let actor = Actor { kind: ActorKind::Service, id: id.to_owned() };
        let by = Attribution { actor, purpose: Purpose::Collection, at: world.now() };
        let began = Instant::now();
        match store.append(hearing, change.clone(), by).await {
            Ok(_receipt) => return Ok(began.elapsed()),
            Err(error) if passes(error.kind()) => {
                tracing::warn!(hearing.id = %hearing, %error, change = change.name(), "the record cannot take a change; trying again");
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether what kept the record from taking a change may pass.
pub(in crate::hearing) const fn passes(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Overloaded { .. } | FaultKind::Unavailable | FaultKind::TimedOut)
}
