//! The engine in processes of its own: the same words, and nothing but a restart where one aborts, is killed or is stopped.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc::sync_channel},
    time::{Duration, Instant},
};

use vivavoce::{
    api::grpc::pb,
    app::isolation::arguments,
    domain::{hypothesis::Hypothesis, language::AllowedLanguages, time::Tick},
    speech::asr::{
        AsrError, CancelFlag, DecodeRequest, Decoder, Lead, MAX_WINDOW, Pass, Recognizer,
        child::{ChildRecognizer, ChildSettings, Loss},
    },
    telemetry::log::LogSettings,
};

use crate::support::{
    program::{Served, signal},
    server::{Heard, Open, audio, channel, connect, engine, engine_settings, http, start},
    speech::Speech,
};

/// Nothing here takes that long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// One test at a time: each has engines that compute, and a machine may have two cores.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn settings() -> ChildSettings {
    let engine = engine_settings();
    let mut settings = ChildSettings::new(
        env!("CARGO_BIN_EXE_vivavoce").into(),
        arguments(&engine, &LogSettings::default()),
        engine.model,
    );
    settings.patience.still = Duration::from_secs(4);
    settings
}

/// The recogniser, and what it tells of lost processes.
fn recognizer(settings: ChildSettings) -> (ChildRecognizer, std::sync::mpsc::Receiver<Loss>) {
    let (tell, losses) = sync_channel(16);
    (ChildRecognizer::start(settings, Arc::new(move |loss| tell.send(loss).unwrap())).unwrap(), losses)
}

/// Real speech at 16 kHz, a window at most.
fn window() -> Vec<f32> {
    let speech = Speech::english();
    assert_eq!((speech.format.sample_rate_hz, speech.channels), (16_000, 1));
    let mut samples = speech.samples();
    samples.truncate(MAX_WINDOW);
    samples
}

fn decode(decoder: &mut dyn Decoder, samples: &[f32], pass: Pass) -> Result<Hypothesis, AsrError> {
    decode_on(1, decoder, samples, pass)
}

fn decode_on(threads: u8, decoder: &mut dyn Decoder, samples: &[f32], pass: Pass) -> Result<Hypothesis, AsrError> {
    let languages = AllowedLanguages::new(vec!["fr".parse().unwrap(), "en".parse().unwrap()]).unwrap();
    let request =
        DecodeRequest { samples, start: Tick::new(77), languages: &languages, pass, lead: &Lead::default(), threads };
    decoder.decode(&request, &CancelFlag::default())
}

/// What the engine in this process makes of [`window`].
fn undisturbed() -> &'static Hypothesis {
    static HEARD: OnceLock<Hypothesis> = OnceLock::new();
    HEARD.get_or_init(|| {
        let mut decoder = engine().recognizer.decoder().unwrap();
        let heard = decode(&mut *decoder, &window(), Pass::Final).unwrap();
        assert!(heard.words.len() > 5);
        heard
    })
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

/// Processor time used, in hundredths of a second.
fn worked(pid: u32) -> u64 {
    stat(pid).map_or(0, |fields| fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
}

/// Whether it is there and no mere entry of a dead one.
fn lives(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z")
}

/// Looks until `holds`; fails after [`DEADLINE`].
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::yield_now();
    }
}

/// The engine processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let number = |path: PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| number(entry.unwrap().path()));
    all.filter(|child| stat(*child).is_some_and(|fields| fields[0] != "Z" && fields[1] == pid.to_string())).collect()
}

/// A decode takes the threads of idle workers, so that how many it has depends on load; its text must not.
#[test]
fn what_is_heard_does_not_depend_on_how_many_threads_listen() {
    let _alone = alone();
    let (recognizer, losses) = recognizer(settings());
    let mut decoder = recognizer.decoder().unwrap();
    let whole = window();
    for pass in [Pass::Partial, Pass::Final] {
        for seconds in [2, 5, 9, 30] {
            let samples = &whole[..whole.len().min(seconds * 16_000)];
            let one = decode_on(1, &mut *decoder, samples, pass).unwrap();
            assert!(!one.words.is_empty());
            for threads in [2, 3] {
                assert_eq!(decode_on(threads, &mut *decoder, samples, pass).unwrap(), one, "{pass:?}, {seconds} s");
            }
        }
    }
    assert!(losses.try_recv().is_err());
}

#[test]
fn an_engine_in_a_process_hears_what_one_in_this_process_hears() {
    let _alone = alone();
    let (recognizer, losses) = recognizer(settings());
    let inside = &engine().recognizer;
    for pass in [Pass::Partial, Pass::Final] {
        assert_eq!(recognizer.info(pass), inside.info(pass));
    }
    for language in ["en", "fr-CA", "jv", "cmn", "yue", "qu", "eo"] {
        let tag = language.parse().unwrap();
        assert_eq!(recognizer.knows(&tag), inside.knows(&tag), "{language}");
    }
    assert!(!recognizer.knows(&"qu".parse().unwrap()) && recognizer.knows(&"jv".parse().unwrap()));
    let mut one = recognizer.decoder().unwrap();
    let mut other = recognizer.decoder().unwrap();
    let processes = recognizer.processes();
    assert_eq!(processes.len(), 2, "a process a decoder");
    let samples = window();
    assert_eq!(decode(&mut *one, &samples, Pass::Final).unwrap(), *undisturbed());
    assert_eq!(decode(&mut *other, &samples, Pass::Final).unwrap(), *undisturbed());
    let partial = decode(&mut *engine().recognizer.decoder().unwrap(), &samples, Pass::Partial).unwrap();
    assert_eq!(decode(&mut *one, &samples, Pass::Partial).unwrap(), partial);
    // What the engine refuses is no loss of a process.
    let refused = AsrError::Window { samples: 0 };
    assert_eq!(decode(&mut *one, &[], Pass::Final).unwrap_err(), refused);
    let languages = AllowedLanguages::only("qu".parse().unwrap());
    let unknown = DecodeRequest {
        samples: &samples,
        start: Tick::ZERO,
        languages: &languages,
        pass: Pass::Final,
        lead: &Lead::default(),
        threads: 1,
    };
    let error = one.decode(&unknown, &CancelFlag::default()).unwrap_err();
    assert!(matches!(error, AsrError::UnknownLanguage { .. }), "{error}");
    assert_eq!(losses.try_iter().count(), 0);
    drop((one, other));
    assert!(processes.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()), "they are gone and reaped");
}

/// Does `harm` to the process while it decodes; what comes of the decode must be what comes of an undisturbed one.
#[track_caller]
fn survives(harm: &str, expected: Loss) {
    let (recognizer, losses) = recognizer(settings());
    let mut decoder = recognizer.decoder().unwrap();
    let [victim] = recognizer.processes()[..] else { panic!("one process") };
    let samples = window();
    assert_eq!(decode(&mut *decoder, &samples, Pass::Final).unwrap(), *undisturbed());
    let loaded = worked(victim);
    let heard = std::thread::scope(|scope| {
        scope.spawn(|| {
            // From 200 ms of work on it is amid the window, which takes a second or more.
            wait_until("the decode begins", || worked(victim) > loaded + 20);
            signal(harm, victim);
        });
        decode(&mut *decoder, &samples, Pass::Final).unwrap()
    });
    assert_eq!(heard, *undisturbed());
    assert_eq!(losses.try_iter().collect::<Vec<_>>(), [expected]);
    let [next] = recognizer.processes()[..] else { panic!("one process") };
    assert!(next != victim && !lives(victim) && lives(next));
    drop(decoder);
    assert!(!lives(next));
}

#[test]
fn a_process_killed_amid_a_decode_costs_a_restart() {
    let _alone = alone();
    survives("KILL", Loss::Killed { signal: 9 });
}

#[test]
fn a_process_stopped_amid_a_decode_costs_a_restart() {
    let _alone = alone();
    survives("STOP", Loss::Hung);
}

#[test]
fn a_process_stopped_between_decodes_costs_a_restart() {
    let _alone = alone();
    let (recognizer, losses) = recognizer(settings());
    let mut decoder = recognizer.decoder().unwrap();
    let samples = window();
    assert_eq!(decode(&mut *decoder, &samples, Pass::Final).unwrap(), *undisturbed());
    signal("STOP", recognizer.processes()[0]);
    assert_eq!(decode(&mut *decoder, &samples, Pass::Final).unwrap(), *undisturbed());
    signal("KILL", recognizer.processes()[0]);
    assert_eq!(decode(&mut *decoder, &samples, Pass::Final).unwrap(), *undisturbed());
    assert_eq!(losses.try_iter().collect::<Vec<_>>(), [Loss::Hung, Loss::Killed { signal: 9 }]);
}

#[test]
fn an_abort_amid_a_decode_costs_a_restart_and_one_at_every_try_an_error() {
    let _alone = alone();
    let mut every_second = settings();
    every_second.arguments.push("--abort-on=2".into());
    let (recognizer, losses) = recognizer(every_second);
    let mut decoder = recognizer.decoder().unwrap();
    let samples = window();
    assert_eq!(decode(&mut *decoder, &samples, Pass::Final).unwrap(), *undisturbed());
    assert_eq!(losses.try_iter().count(), 0);
    assert_eq!(decode(&mut *decoder, &samples, Pass::Final).unwrap(), *undisturbed());
    assert_eq!(losses.try_iter().collect::<Vec<_>>(), [Loss::Killed { signal: 6 }]);

    let mut always = settings();
    always.arguments.push("--abort-on=1".into());
    let (recognizer, losses) = self::recognizer(always);
    let mut decoder = recognizer.decoder().unwrap();
    let error = decode(&mut *decoder, &samples, Pass::Final).unwrap_err();
    assert_eq!(error, AsrError::ProcessLost { tries: 3, last: "signal 6 ended it".to_owned() });
    assert_eq!(losses.try_iter().collect::<Vec<_>>(), [Loss::Killed { signal: 6 }; 3]);
}

#[test]
fn a_decode_that_is_given_up_ends_soon_and_keeps_its_process() {
    let _alone = alone();
    let (recognizer, losses) = recognizer(settings());
    let mut decoder = recognizer.decoder().unwrap();
    let [process] = recognizer.processes()[..] else { panic!("one process") };
    let samples = window();
    decode(&mut *decoder, &samples, Pass::Final).unwrap();
    let (loaded, cancel) = (worked(process), CancelFlag::default());
    let languages = AllowedLanguages::only("en".parse().unwrap());
    let request = DecodeRequest {
        samples: &samples,
        start: Tick::ZERO,
        languages: &languages,
        pass: Pass::Final,
        lead: &Lead::default(),
        threads: 1,
    };
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the decode begins", || worked(process) > loaded + 20);
            cancel.cancel();
        });
        decoder.decode(&request, &cancel)
    });
    assert_eq!(outcome.unwrap_err(), AsrError::Cancelled);
    assert_eq!((losses.try_iter().count(), recognizer.processes()), (0, vec![process]));
    assert_eq!(decode(&mut *decoder, &samples, Pass::Final).unwrap(), *undisturbed());
}

#[test]
fn signals_that_are_meant_for_the_server_do_not_end_its_engine() {
    let _alone = alone();
    let (recognizer, losses) = recognizer(settings());
    let mut decoder = recognizer.decoder().unwrap();
    for name in ["TERM", "INT", "HUP"] {
        signal(name, recognizer.processes()[0]);
    }
    assert_eq!(decode(&mut *decoder, &window(), Pass::Final).unwrap(), *undisturbed());
    assert_eq!(losses.try_iter().count(), 0);
}

/// Streams `speech` in a new hearing; `harm` is done to every engine process once one of them decodes, with half of the speech
/// still to come: whichever process is asked next has been harmed.
async fn heard(served: &Served, speech: &Speech, harm: Option<&str>) -> Heard {
    let mut client = connect(served.address.parse().unwrap()).await;
    let channels = vec![channel(1, "witness", &["en"], speech.format)];
    let request = pb::OpenHearingRequest { reference: "case 7 of 2026".to_owned(), channels, ..Default::default() };
    let hearing = client.open_hearing(request).await.unwrap().into_inner().hearing_id;
    let first = vec![pb::stream_request::Kind::Start(start(&hearing))];
    let open = Open::new(&mut client, first).await.unwrap();
    let processes = children(served.child.id());
    assert_eq!(processes.len(), 2, "the engine runs in processes of its own");
    let work = || processes.iter().map(|pid| worked(*pid)).sum::<u64>();
    let (before, chunks) = (work(), speech.chunks_ms(100).collect::<Vec<_>>());
    let half = chunks.len() / 2;
    for (number, chunk) in chunks.into_iter().enumerate() {
        if let Some(harm) = harm.filter(|_| number == half) {
            tokio::task::block_in_place(|| wait_until("a decode begins", || work() > before + 5));
            processes.iter().for_each(|pid| signal(harm, *pid));
        }
        open.send(audio(1, chunk)).await;
    }
    open.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hearing_whose_engines_are_killed_and_stopped_gets_the_same_text() {
    let dir = tempfile::tempdir().unwrap();
    let speech = Speech::english();
    let mut calm = None;
    for (harm, reason) in [(None, None), (Some("KILL"), Some("killed")), (Some("STOP"), Some("hung"))] {
        let own = dir.path().join(reason.unwrap_or("calm"));
        fs::create_dir(&own).unwrap();
        let served = Served::start(&own, "info");
        wait_until("both workers have a process", || children(served.child.id()).len() == 2);
        let heard = heard(&served, &speech, harm).await;
        assert!(heard.finished.is_some(), "{reason:?}");
        assert!(speech.word_errors(&heard.text(1)) < 15.0, "{}", heard.text(1));
        assert_eq!(heard.comparable(), *calm.get_or_insert_with(|| heard.comparable()), "{reason:?}");
        let (_, metrics) = http(served.admin.parse().unwrap(), "/metrics").await;
        let losses = |reason: &str| {
            let name = format!("vivavoce_engine_restarts_total{{reason=\"{reason}\"}} ");
            let count = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
            count.parse::<u32>().unwrap()
        };
        let lost: Vec<&str> = ["killed", "hung"].into_iter().filter(|reason| losses(reason) > 0).collect();
        assert_eq!(lost, reason.into_iter().collect::<Vec<_>>());
        let processes = children(served.child.id());
        served.signal("TERM");
        let (code, said) = tokio::task::spawn_blocking(|| served.end()).await.unwrap();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.contains("an engine's process was lost"), harm.is_some(), "{said}");
        assert!(harm.is_some() || !said.contains("ERROR"), "decodes that were given up are no errors: {said}");
        assert!(!processes.is_empty() && processes.iter().all(|pid| !lives(*pid)), "none is left over");
    }
}

#[test]
fn engines_end_with_a_server_that_is_killed_also_those_that_are_stopped() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path(), "info");
    wait_until("both workers have a process", || children(served.child.id()).len() == 2);
    let processes = children(served.child.id());
    let name = fs::read_to_string(format!("/proc/{}/comm", processes[0])).unwrap();
    assert_eq!(name.trim_end(), "vivavoce-engine");
    signal("STOP", processes[0]);
    served.signal("KILL");
    let (code, _) = served.end();
    assert_eq!(code, None, "a signal ended it");
    for pid in processes {
        wait_until("the engine's process ends", || !lives(pid));
    }
}
