//! What a recorder knows of its hearing: how far each channel was captured, how far it was sent, how far it is safe. It
//! says what is sent next and what may be let go of. No clock, no disk, no network: whoever drives it has those.
//!
//! A connection that breaks takes nothing along but what was on its way. The next one begins with the server's word on
//! where each channel stands, and everything after that is sent again, from the spool.

use crate::domain::{
    change::GapReason,
    fault::{Fault, FaultKind},
    id::ChannelId,
    time::{SamplePos, SampleRate, Span},
};

/// Why samples that were counted cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The spool had no room for them.
    NoRoom,
    /// They are not kept on an order.
    Withdrawn,
    /// The spool's file was damaged.
    Damaged,
    /// The server had acknowledged them, so they were let go of, and now it does not have them.
    LetGo,
    /// No recorder ran.
    Down,
    /// The sound device gave nothing.
    DeviceLost,
}

impl Absence {
    /// What the server is told. Of samples that are not stored on an order it knows better, and it does not look at the
    /// reason; why it lost what it had, the recorder cannot know.
    #[must_use]
    pub const fn reason(self) -> GapReason {
        match self {
            Self::NoRoom => GapReason::RecorderFull,
            Self::Damaged => GapReason::RecorderDamaged,
            Self::Down => GapReason::RecorderDown,
            Self::DeviceLost => GapReason::DeviceLost,
            Self::Withdrawn | Self::LetGo => GapReason::Unknown,
        }
    }
}

impl std::fmt::Display for Absence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "the recorder had no room for them",
            Self::Withdrawn => "an order says that they are not kept",
            Self::Damaged => "the recorder's file was damaged",
            Self::LetGo => "the server had acknowledged them and has them no more",
            Self::Down => "no recorder ran",
            Self::DeviceLost => "the sound device gave nothing",
        })
    }
}

/// Samples that were counted and are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub span: Span,
    /// Why.
    pub why: Absence,
}

/// What a recorder holds of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Nothing before this sample is held any more.
    pub from: SamplePos,
    /// The next sample that will be captured.
    pub end: SamplePos,
    /// What is not there between the two, in order, without overlaps.
    pub missing: Vec<Missing>,
}

impl Holding {
    /// A channel of which nothing was captured yet, and which begins at `at`.
    #[must_use]
    pub const fn empty(at: SamplePos) -> Self {
        Self { from: at, end: at, missing: Vec::new() }
    }
}

/// What is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// These samples.
    Audio {
        /// Of which channel.
        channel: ChannelId,
        /// Which; never empty.
        span: Span,
    },
    /// Word that these samples will never come.
    Gap {
        /// Of which channel.
        channel: ChannelId,
        /// Which, and why.
        missing: Missing,
    },
}

/// Why the server's word cannot be right.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SessionError {
    /// Other channels than the recorder's.
    #[error("the server has the channels {theirs} where the recorder has {ours}: this is another hearing's spool")]
    Channels {
        /// The recorder's.
        ours: String,
        /// The server's.
        theirs: String,
    },
    /// Samples acknowledged that were never sent.
    #[error("the server acknowledges channel {channel} up to sample {through}, and only {} were sent", sent.index())]
    Unsent {
        /// Which channel.
        channel: ChannelId,
        /// What it says.
        through: u64,
        /// What was sent.
        sent: SamplePos,
    },
}

impl Fault for SessionError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Channels { .. } => FaultKind::Conflict,
            Self::Unsent { .. } => FaultKind::Internal,
        }
    }
}

/// One channel.
#[derive(Clone, Debug)]
struct Lane {
    channel: ChannelId,
    rate: SampleRate,
    held: Holding,
    /// Where the running connection sends on.
    cursor: SamplePos,
    /// How far the server said that it has it. What it said last counts: a server can lose what it had.
    acknowledged: SamplePos,
}

impl Lane {
    /// What comes at the cursor, `most` samples at the most.
    fn step(&self, most: u64) -> Option<Step> {
        let channel = self.channel;
        let gap = |to: SamplePos, why| {
            let span = Span::new(self.cursor, to)?;
            Some(Step::Gap { channel, missing: Missing { span, why } })
        };
        if self.cursor < self.held.from {
            return gap(self.held.from, Absence::LetGo);
        }
        let next = self.held.missing.iter().find(|m| m.span.end() > self.cursor);
        if let Some(missing) = next
            && missing.span.start() <= self.cursor
        {
            return gap(missing.span.end(), missing.why);
        }
        let until = next.map_or(self.held.end, |m| m.span.start()).min(self.cursor.plus(most));
        let span = Span::new(self.cursor, until).filter(|s| !s.is_empty())?;
        Some(Step::Audio { channel, span })
    }
}

/// A recorder's side of a hearing.
///
/// ```
/// use vivavoce::api::recorder::session::{Holding, Session, Step};
/// use vivavoce::domain::{id::ChannelId, time::{SamplePos, SampleRate}};
/// let witness = ChannelId::new(1).unwrap();
/// let mut session = Session::new([(witness, SampleRate::ANALYSIS, Holding::empty(SamplePos::ZERO))]);
/// session.holds(0, &Holding { end: SamplePos::new(1_600), ..Holding::empty(SamplePos::ZERO) });
/// session.opened(&[(1, 0)]).unwrap();
/// assert!(matches!(session.next(1_000), Some(Step::Audio { span, .. }) if span.len() == 1_000));
/// session.broken();
/// session.opened(&[(1, 600)]).unwrap();
/// assert!(matches!(session.next(9_999), Some(Step::Audio { span, .. }) if span.start().index() == 600));
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    lanes: Vec<Lane>,
    connected: bool,
}

impl Session {
    /// A session over these channels and what is held of each, without a connection.
    #[must_use]
    pub fn new(channels: impl IntoIterator<Item = (ChannelId, SampleRate, Holding)>) -> Self {
        let lane = |(channel, rate, held): (ChannelId, SampleRate, Holding)| {
            let (cursor, acknowledged) = (held.from, SamplePos::ZERO);
            Lane { channel, rate, held, cursor, acknowledged }
        };
        Self { lanes: channels.into_iter().map(lane).collect(), connected: false }
    }

    /// Says what is held of the channel at `index` now.
    pub fn holds(&mut self, index: usize, held: &Holding) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.held.clone_from(held);
        }
    }

    /// A connection stands, and the server says where each channel goes on. Gives the channels of which it has more than
    /// was captured here. What is captured of those next is sent all the same: the server compares it with what it has,
    /// and where it differs the record says so.
    ///
    /// # Errors
    /// [`SessionError::Channels`].
    pub fn opened(&mut self, positions: &[(u32, u64)]) -> Result<Vec<(ChannelId, Span)>, SessionError> {
        let ours: Vec<u32> = self.lanes.iter().map(|l| l.channel.number().into()).collect();
        let mut theirs: Vec<u32> = positions.iter().map(|(channel, _)| *channel).collect();
        theirs.sort_unstable();
        if ours != theirs {
            let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            return Err(SessionError::Channels { ours: list(&ours), theirs: list(&theirs) });
        }
        let mut ahead = Vec::new();
        for lane in &mut self.lanes {
            let at = positions.iter().find(|(channel, _)| *channel == u32::from(lane.channel.number()));
            let at = at.map_or(SamplePos::ZERO, |(_, next)| SamplePos::new(*next));
            lane.cursor = at.min(lane.held.end);
            lane.acknowledged = at;
            ahead.extend(Span::new(lane.held.end, at).filter(|s| !s.is_empty()).map(|s| (lane.channel, s)));
        }
        self.connected = true;
        Ok(ahead)
    }

    /// The server acknowledges `channel` up to, not including, sample `through`. Late and repeated ones change nothing.
    ///
    /// # Errors
    /// [`SessionError::Unsent`], [`SessionError::Channels`].
    pub fn stored(&mut self, channel: u32, through: u64) -> Result<(), SessionError> {
        if !self.connected {
            return Ok(());
        }
        let Some(lane) = self.lanes.iter_mut().find(|l| u32::from(l.channel.number()) == channel) else {
            return Err(SessionError::Channels { ours: String::new(), theirs: channel.to_string() });
        };
        let sent = lane.cursor.max(lane.acknowledged);
        if through > sent.index() {
            return Err(SessionError::Unsent { channel: lane.channel, through, sent });
        }
        lane.acknowledged = lane.acknowledged.max(SamplePos::new(through));
        Ok(())
    }

    /// The connection is gone. Nothing is to be sent until [`Session::opened`].
    pub const fn broken(&mut self) {
        self.connected = false;
    }

    /// What is sent next: of the channel that is furthest behind, `most` samples at the most. It counts as sent.
    pub fn next(&mut self, most: u64) -> Option<Step> {
        if !self.connected {
            return None;
        }
        let waiting = self.lanes.iter_mut().filter_map(|lane| Some((lane.step(most)?, lane)));
        let (step, lane) = waiting.min_by_key(|(_, lane)| lane.cursor.at(lane.rate))?;
        lane.cursor = match step {
            Step::Audio { span, .. } => span.end(),
            Step::Gap { missing, .. } => missing.span.end(),
        };
        Some(step)
    }

    /// Whether something waits to be sent.
    #[must_use]
    pub fn wants_to_send(&self) -> bool {
        self.connected && self.lanes.iter().any(|lane| lane.step(1).is_some())
    }

    /// Up to where each channel is safe on the server: what is before may be destroyed here.
    #[must_use]
    pub fn safe(&self) -> Vec<SamplePos> {
        // Never beyond what was sent: what the server has more is not this recorder's.
        self.lanes.iter().map(|lane| lane.acknowledged.min(lane.cursor)).collect()
    }

    /// Whether everything that was captured is safe on the server.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.lanes.iter().all(|lane| lane.acknowledged.min(lane.cursor) >= lane.held.end)
    }
}

#[cfg(test)]
mod tests;
