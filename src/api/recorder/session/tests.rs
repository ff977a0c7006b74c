//! Any order of captures, cuts, late word and restarts: the server ends with what was captured.

use proptest::prelude::*;

use super::*;

fn id(number: u8) -> ChannelId {
    ChannelId::new(number).unwrap()
}

fn span(start: u64, end: u64) -> Span {
    Span::new(SamplePos::new(start), SamplePos::new(end)).unwrap()
}

fn held(from: u64, end: u64) -> Holding {
    Holding { from: SamplePos::new(from), end: SamplePos::new(end), missing: Vec::new() }
}

fn one(holding: Holding) -> Session {
    Session::new([(id(1), SampleRate::ANALYSIS, holding)])
}

fn audio(start: u64, end: u64) -> Option<Step> {
    Some(Step::Audio { channel: id(1), span: span(start, end) })
}

fn gap(start: u64, end: u64, why: Absence) -> Option<Step> {
    Some(Step::Gap { channel: id(1), missing: Missing { span: span(start, end), why } })
}

#[test]
fn what_was_acknowledged_and_is_gone_is_a_gap_where_the_server_lost_it() {
    let mut session = one(held(500, 900));
    assert_eq!(session.opened(&[(1, 200)]).unwrap(), []);
    assert_eq!(session.next(1_000), gap(200, 500, Absence::LetGo));
    assert_eq!(session.next(1_000), audio(500, 900));
    assert_eq!(session.next(1_000), None);
}

#[test]
fn what_there_was_no_room_for_is_a_gap_between_what_was_kept() {
    let missing = vec![Missing { span: span(100, 300), why: Absence::NoRoom }];
    let mut session = one(Holding { missing, ..held(0, 400) });
    session.opened(&[(1, 0)]).unwrap();
    assert_eq!(session.next(80), audio(0, 80));
    assert_eq!(session.next(80), audio(80, 100));
    assert_eq!(session.next(80), gap(100, 300, Absence::NoRoom));
    assert_eq!(session.next(1_000), audio(300, 400));
    // A break inside the gap: the rest of it is told.
    session.broken();
    session.opened(&[(1, 250)]).unwrap();
    assert_eq!(session.next(80), gap(250, 300, Absence::NoRoom));
}

#[test]
fn a_server_that_has_more_than_was_captured_is_told_of_and_compares_what_comes() {
    let mut session = one(held(0, 400));
    assert_eq!(session.opened(&[(1, 1_000)]).unwrap(), [(id(1), span(400, 1_000))]);
    assert_eq!(session.safe(), [SamplePos::new(400)]);
    assert!(session.is_settled());
    session.stored(1, 1_000).unwrap();
    session.holds(0, &held(0, 600));
    assert!(!session.is_settled(), "what was not sent is not safe");
    assert_eq!(session.next(1_000), audio(400, 600));
    assert!(session.is_settled());
}

#[test]
fn word_of_other_channels_or_of_samples_never_sent_is_refused() {
    let mut session = one(held(0, 400));
    assert!(matches!(session.opened(&[(2, 0)]), Err(SessionError::Channels { .. })));
    assert!(matches!(session.opened(&[(1, 0), (2, 0)]), Err(SessionError::Channels { .. })));
    assert_eq!(session.next(9), None, "there is no connection");
    session.opened(&[(1, 0)]).unwrap();
    session.next(100).unwrap();
    assert_eq!(
        session.stored(1, 101),
        Err(SessionError::Unsent { channel: id(1), through: 101, sent: SamplePos::new(100) })
    );
    assert!(session.stored(7, 0).is_err());
    session.stored(1, 60).unwrap();
    session.stored(1, 20).unwrap();
    assert_eq!(session.safe(), [SamplePos::new(60)], "late word takes nothing back");
}

#[test]
fn the_channel_that_is_furthest_behind_goes_first_at_whatever_rate() {
    let slow = SampleRate::try_from(8_000).unwrap();
    let mut session = Session::new([(id(1), SampleRate::ANALYSIS, held(0, 1_600)), (id(4), slow, held(0, 800))]);
    session.opened(&[(4, 0), (1, 0)]).unwrap();
    let mut sent = Vec::new();
    while let Some(step) = session.next(200) {
        let Step::Audio { channel, span } = step else { panic!("{step:?}") };
        sent.push((channel.number(), span.end().index()));
    }
    assert_eq!(sent[..5], [(1, 200), (4, 200), (1, 400), (1, 600), (4, 400)]);
    assert_eq!(sent.len(), 12);
}

/// What happens to a recorder and its server.
#[derive(Clone, Debug)]
enum Event {
    /// So many samples are captured of a channel.
    Capture(usize, u64),
    /// So many steps of at most so many samples go out, and the server takes them.
    Send(usize, u64),
    /// The server syncs and says so; the word is on its way.
    Acknowledge,
    /// The oldest, or with true the newest, word on its way arrives; it may come again.
    Hear(bool),
    /// The connection breaks. With true the server crashes too: it keeps only what it synced.
    Cut(bool),
    Connect,
    /// The recorder crashes: only the spool is left, of which segments of so many samples were destroyed once safe.
    Crash(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0..2_usize, 1..400_u64).prop_map(|(lane, n)| Event::Capture(lane, n)),
        6 => (1..4_usize, 1..150_u64).prop_map(|(steps, most)| Event::Send(steps, most)),
        3 => Just(Event::Acknowledge),
        3 => any::<bool>().prop_map(Event::Hear),
        2 => any::<bool>().prop_map(Event::Cut),
        4 => Just(Event::Connect),
        1 => (1..300_u64).prop_map(Event::Crash),
    ];
    prop::collection::vec(event, 1..120)
}

/// The sample of a channel at a position: any other one would be seen.
fn sample(lane: usize, at: u64) -> u64 {
    at * 2 + lane as u64
}

struct Model {
    session: Session,
    spool: [Holding; 2],
    /// What the server wrote, and how much of it is synced.
    server: [(Vec<u64>, u64); 2],
    on_its_way: Vec<(u32, u64)>,
    connected: bool,
}

impl Model {
    fn new() -> Self {
        let spool = [held(0, 0), held(0, 0)];
        Self { session: Self::session(&spool), spool, server: Default::default(), on_its_way: vec![], connected: false }
    }

    fn session(spool: &[Holding; 2]) -> Session {
        let lane = |i: usize, number| (id(number), SampleRate::ANALYSIS, spool[i].clone());
        Session::new([lane(0, 1), lane(1, 2)])
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Capture(lane, samples) => {
                self.spool[lane].end = self.spool[lane].end.plus(samples);
                self.session.holds(lane, &self.spool[lane]);
            }
            Event::Send(steps, most) => {
                for _ in 0..steps {
                    let Some(step) = self.session.next(most) else { break };
                    self.take(step);
                }
            }
            Event::Acknowledge if self.connected => {
                for (number, (written, synced)) in (1..).zip(&mut self.server) {
                    *synced = written.len() as u64;
                    self.on_its_way.push((number, *synced));
                }
            }
            Event::Hear(newest) => {
                let heard = if newest { self.on_its_way.last() } else { self.on_its_way.first() };
                if let Some(&(channel, through)) = heard {
                    self.session.stored(channel, through).unwrap();
                }
                // The newest stays: it comes again.
                if !newest && !self.on_its_way.is_empty() {
                    self.on_its_way.remove(0);
                }
            }
            Event::Cut(crash) => {
                self.session.broken();
                self.connected = false;
                self.on_its_way.clear();
                for (written, synced) in &mut self.server {
                    if crash {
                        written.truncate(usize::try_from(*synced).unwrap());
                    }
                }
            }
            Event::Connect => {
                self.happen(&Event::Cut(false));
                let mut positions = Vec::new();
                for (number, (written, synced)) in (1..).zip(&mut self.server) {
                    *synced = written.len() as u64;
                    positions.push((number, *synced));
                }
                assert_eq!(self.session.opened(&positions).unwrap(), []);
                self.connected = true;
            }
            Event::Crash(segment) => {
                for (held, safe) in self.spool.iter_mut().zip(self.session.safe()) {
                    held.from = held.from.max(SamplePos::new(safe.index() / segment * segment));
                }
                self.happen(&Event::Cut(false));
                self.session = Self::session(&self.spool);
            }
            Event::Acknowledge => {}
        }
    }

    /// The server's side: it takes what follows, and nothing else.
    fn take(&mut self, step: Step) {
        let Step::Audio { channel, span } = step else { panic!("nothing is missing: {step:?}") };
        let lane = usize::from(channel.number() - 1);
        let written = &mut self.server[lane].0;
        assert_eq!(span.start().index(), written.len() as u64, "in order");
        assert!(self.spool[lane].from <= span.start() && span.end() <= self.spool[lane].end, "held");
        written.extend((span.start().index()..span.end().index()).map(|at| sample(lane, at)));
    }
}

proptest! {
    #[test]
    fn the_server_ends_with_what_was_captured(events in events()) {
        let mut model = Model::new();
        for event in &events {
            model.happen(event);
            for (safe, (_, synced)) in model.session.safe().iter().zip(&model.server) {
                prop_assert!(safe.index() <= *synced, "only what is synced is let go of");
            }
        }
        model.happen(&Event::Connect);
        while let Some(step) = model.session.next(1_000) {
            model.take(step);
        }
        model.happen(&Event::Acknowledge);
        while !model.on_its_way.is_empty() {
            model.happen(&Event::Hear(false));
        }
        prop_assert!(model.session.is_settled());
        for lane in 0..2 {
            let end = model.spool[lane].end.index();
            let expected: Vec<u64> = (0..end).map(|at| sample(lane, at)).collect();
            prop_assert_eq!(&model.server[lane].0, &expected);
        }
    }
}
