//! One channel, as the thread of the journals knows it.

use std::{collections::VecDeque, mem};

use tokio::{sync::watch, time::Instant};

use super::{
    MediaError,
    service::{Opened, Reply, Request},
    writer::{JournalWriter, Opening},
};
use crate::domain::time::SamplePos;

/// One open channel.
pub(super) struct Slot {
    pub(super) state: State,
    /// Dropped when the disk failed, so that whoever watches learns of it.
    pub(super) durable: Option<watch::Sender<SamplePos>>,
    /// What was asked while the writer was away. Each caller waits for its answer, so that there are as many as callers.
    pub(super) waiting: VecDeque<Waiting>,
    /// When the oldest bytes were written that no sync was begun for.
    pub(super) oldest: Option<Instant>,
}

pub(super) enum State {
    Idle(Box<JournalWriter>),
    /// A sync is under way; these callers wait for it.
    Syncing(Box<JournalWriter>, Vec<Reply<SamplePos>>),
    /// The writer is away.
    Away,
}

pub(super) enum Waiting {
    Open(Opening, Reply<Opened>),
    Request(Request),
}

impl Slot {
    /// Whether somebody holds the channel, and its disk has not failed.
    pub(super) fn is_held(&self) -> bool {
        self.durable.as_ref().is_some_and(|durable| durable.receiver_count() > 0)
    }

    /// Writes, where that is what is asked; gives back any other request.
    pub(super) fn write(&mut self, writer: &mut JournalWriter, request: Request) -> Option<Request> {
        let (written, reply) = match request {
            Request::Append(first, class, bytes, reply) => (writer.append(first, class, &bytes), reply),
            Request::Skip(first, to, why, reply) => (writer.skip(first, to, why), reply),
            other @ (Request::Sync(_) | Request::Destroy(..) | Request::Close(_)) => return Some(other),
        };
        if writer.failed() {
            self.durable = None;
        } else if written.is_ok() {
            self.oldest.get_or_insert_with(Instant::now);
        }
        // A caller that went away does not get its answer; what it asked for is done all the same.
        drop(reply.send(written));
        None
    }
}

impl Request {
    /// Answers for a channel that is not open.
    pub(super) fn refuse(self) {
        match self {
            Self::Append(_, _, _, reply) | Self::Skip(_, _, _, reply) | Self::Sync(reply) | Self::Close(reply) => {
                drop(reply.send(Err(MediaError::Stopped)));
            }
            Self::Destroy(_, reply) => drop(reply.send(Err(MediaError::Stopped))),
        }
    }
}

/// Tells whoever watches how far the samples are safe.
pub(super) fn tell(durable: &watch::Sender<SamplePos>, safe: SamplePos) {
    durable.send_if_modified(|at| mem::replace(at, safe) != safe);
}
