//! Orders of jobs, by hand and drawn at random.

use proptest::prelude::*;

use super::*;

const SHOWN: Urgency = Urgency::Shown { step: Duration::from_secs(1) };

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// All that is decoded from `now` on, one at a time and a millisecond each.
fn order<T>(schedule: &mut Schedule<T>, now: Instant) -> Vec<T> {
    let mut all = Vec::new();
    for n in 0.. {
        match schedule.next(now + ms(n), |_| false) {
            Some(Next::Decode(work, _)) => all.push(work),
            Some(Next::Drop(_)) => {}
            None => break,
        }
    }
    all
}

#[test]
fn live_texts_come_first_then_what_is_shown_then_what_was_said_before_then_files() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    for (stream, urgency, name) in
        [(1, Urgency::Late, "file"), (2, Urgency::Behind, "behind"), (3, SHOWN, "partial"), (4, Urgency::Live, "final")]
    {
        assert_eq!(schedule.push(stream, urgency, now, name), None);
    }
    assert_eq!(order(&mut schedule, now), ["final", "partial", "behind", "file"]);
}

#[test]
fn a_partial_that_waited_its_step_is_before_a_final_that_comes_then() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.push(1, SHOWN, now, "old partial");
    schedule.push(2, SHOWN, now + ms(700), "partial");
    schedule.push(3, Urgency::Live, now + ms(900), "final");
    assert_eq!(order(&mut schedule, now + ms(900)), ["old partial", "final", "partial"]);
}

#[test]
fn a_partial_is_replaced_by_the_next_which_has_its_turn() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.push(1, SHOWN, now, "first");
    schedule.push(2, SHOWN, now + ms(100), "other");
    assert_eq!(schedule.push(1, SHOWN, now + ms(200), "second"), Some("first"));
    assert_eq!(schedule.lengths(), (0, 2));
    assert_eq!(order(&mut schedule, now + ms(200)), ["second", "other"]);
}

#[test]
fn what_is_stale_or_unwanted_is_dropped_before_anything_is_decoded() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.push(1, Urgency::Live, now, "final");
    schedule.push(2, SHOWN, now, "stale");
    schedule.push(3, Urgency::Live, now, "given up");
    let then = now + ms(2_001);
    let mut dropped = Vec::new();
    let decoded = loop {
        match schedule.next(then, |work| *work == "given up") {
            Some(Next::Drop(work)) => dropped.push(work),
            Some(Next::Decode(work, waited)) => break (work, waited),
            None => unreachable!("there is a final"),
        }
    };
    dropped.sort_unstable();
    assert_eq!(dropped, ["given up", "stale"]);
    assert_eq!(decoded, ("final", ms(2_001)));
    assert_eq!(schedule.next(then, |_| false), None);
}

#[test]
fn a_partial_at_the_edge_of_its_time_is_still_decoded() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.push(1, SHOWN, now, ());
    assert!(matches!(schedule.next(now + ms(2_000), |()| false), Some(Next::Decode((), _))));
}

#[derive(Clone, Copy, Debug)]
struct Given {
    stream: u64,
    urgency: Urgency,
    /// Since the one before, ms.
    after: u64,
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let urgency = prop_oneof![
        Just(Urgency::Live),
        (200_u64..3_000).prop_map(|step| Urgency::Shown { step: ms(step) }),
        Just(Urgency::Behind),
        Just(Urgency::Late),
    ];
    let one = (0_u64..6, urgency, 0_u64..400).prop_map(|(stream, urgency, after)| Given { stream, urgency, after });
    proptest::collection::vec(one, 1..120)
}

/// What became of a job: when it came, and when it was begun (`None` where it was dropped or replaced).
#[derive(Clone, Copy, Debug)]
struct Fate {
    given: Given,
    came: Duration,
    begun: Option<(Duration, usize)>,
}

/// One worker that takes `cost` for each decode: jobs come at their times and are decoded as the schedule says.
fn simulate(given: &[Given], cost: u64) -> Vec<Fate> {
    let start = Instant::now();
    let (mut schedule, mut fates) = (Schedule::default(), Vec::<Fate>::new());
    let (mut now, mut came, mut begun) = (Duration::ZERO, Duration::ZERO, 0);
    let mut rest = given.iter().copied().peekable();
    loop {
        while let Some(next) = rest.next_if(|next| came + ms(next.after) <= now) {
            came += ms(next.after);
            fates.push(Fate { given: next, came, begun: None });
            schedule.push(next.stream, next.urgency, start + came, fates.len() - 1);
        }
        match (schedule.next(start + now, |_| false), rest.peek()) {
            (Some(Next::Decode(index, _)), _) => {
                fates[index].begun = Some((now, begun));
                (now, begun) = (now + ms(cost), begun + 1);
            }
            (Some(Next::Drop(_)), _) => {}
            (None, Some(next)) => now = now.max(came + ms(next.after)),
            (None, None) => return fates,
        }
    }
}

proptest! {
    /// Whatever comes and however slow decoding is: no text is ever dropped.
    #[test]
    fn every_text_is_decoded(given in given(), cost in 1_u64..5_000) {
        for fate in simulate(&given, cost) {
            let shown = matches!(fate.given.urgency, Urgency::Shown { .. });
            prop_assert!(shown || fate.begun.is_some(), "{fate:?}");
        }
    }

    /// Nothing starves: what comes after a text is due is not decoded before it. (The second text of a stream is due a
    /// second later, and so on; a partial that replaces an older one has that one's turn.)
    #[test]
    fn nothing_that_comes_after_a_deadline_overtakes(given in given(), cost in 1_u64..5_000) {
        let fates = simulate(&given, cost);
        for (index, text) in fates.iter().enumerate() {
            let Some((_, turn)) = text.begun else { continue };
            let spread: u32 = u32::try_from(fates[..index].iter().filter(|f| {
                f.given.stream == text.given.stream && !matches!(f.given.urgency, Urgency::Shown { .. })
            }).count()).unwrap();
            let own = fates[..=index].iter().filter(|f| f.given.stream == text.given.stream);
            let due = own.map(|f| f.came + f.given.urgency.allowance()).max().unwrap() + SPREAD * spread;
            let has_a_turn = |place: usize, other: &Fate| {
                let same = |f: &&Fate| f.given.stream == other.given.stream && f.begun.is_none();
                matches!(other.given.urgency, Urgency::Shown { .. }) && fates[..place].iter().any(|f| same(&f))
            };
            for (place, other) in fates.iter().enumerate().filter(|(_, other)| other.came > due) {
                if has_a_turn(place, other) {
                    continue;
                }
                prop_assert!(other.begun.is_none_or(|(_, at)| at > turn), "{other:?} before {text:?}");
            }
        }
    }

    /// Texts of one stream keep their order.
    #[test]
    fn texts_of_a_stream_are_decoded_in_their_order(given in given(), cost in 1_u64..5_000) {
        let fates = simulate(&given, cost);
        for stream in 0..6 {
            let turns: Vec<_> = fates
                .iter()
                .filter(|f| f.given.stream == stream && !matches!(f.given.urgency, Urgency::Shown { .. }))
                .map(|f| f.begun.unwrap().1)
                .collect();
            prop_assert!(turns.is_sorted(), "{turns:?}");
        }
    }

    /// A file waits as long as there is a text of a hearing in session that came in the same ten minutes.
    #[test]
    fn live_texts_come_before_files(given in given(), cost in 1_u64..2_000) {
        let fates = simulate(&given, cost);
        let live = |f: &&Fate| matches!(f.given.urgency, Urgency::Live) && f.begun.is_some_and(|(at, _)| at < ms(300_000));
        for text in fates.iter().filter(live) {
            // What a stream brings of both is decoded in its order.
            let files = |f: &&Fate| f.given.urgency == Urgency::Late && f.given.stream != text.given.stream;
            let mixed = fates.iter().any(|f| f.given.stream == text.given.stream && f.given.urgency != Urgency::Live);
            for file in fates.iter().filter(files).filter(|_| !mixed) {
                let (Some((began, turn)), Some((_, own))) = (file.begun, text.begun) else { continue };
                prop_assert!(began < text.came || turn > own, "{file:?} before {text:?}");
            }
        }
    }

    /// However many texts a stream brings at once, another's waits for few of them.
    #[test]
    fn a_flood_on_one_channel_holds_no_other_up(flood in 1_usize..40, after in 0_u64..3_000) {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        for _ in 0..flood {
            schedule.push(1, Urgency::Live, start, 1);
        }
        let now = start + ms(after);
        schedule.push(2, Urgency::Live, now, 2);
        let before = order(&mut schedule, now).iter().position(|stream| *stream == 2).unwrap();
        prop_assert!(before <= 4, "{before} of {flood}");
    }
}
