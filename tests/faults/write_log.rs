//! What the shim wrote down of a server: every change of a file, every sync, every answer that was sent, in one order.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use prost::Message;
use vivavoce::api::grpc::pb::{self, stream_response::Kind as Out};

/// A file or a folder, as the file system numbers it.
pub(crate) type Node = u64;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A file was opened; it was made by this, or emptied.
    Opened {
        folder: Node,
        name: String,
        file: Node,
        made: bool,
        emptied: bool,
    },
    Written {
        file: Node,
        offset: u64,
        bytes: Vec<u8>,
    },
    Length {
        file: Node,
        length: u64,
    },
    Syncing {
        file: Node,
        number: u64,
    },
    Synced {
        file: Node,
        number: u64,
    },
    Renamed {
        from: (Node, String),
        to: (Node, String),
        file: Node,
    },
    Removed {
        folder: Node,
        name: String,
    },
    Folder {
        folder: Node,
        name: String,
        made: Node,
    },
    Linked {
        folder: Node,
        name: String,
        file: Node,
    },
    /// The root of what is watched.
    Root(Node),
    /// What a client was told.
    Told(Told),
    /// Nothing that matters here.
    Idle,
}

/// What a client was told that the server must stand by.
#[derive(Debug)]
pub(crate) enum Told {
    /// A channel is on disk up to here.
    Stored { channel: u32, through: u64 },
    /// A text of the record.
    Final(Box<pb::FinalResult>),
}

/// What one process did.
#[derive(Debug, Default)]
pub(crate) struct WriteLog {
    pub(crate) events: Vec<Event>,
    /// Where each record begins in the file.
    offsets: Vec<u64>,
}

impl WriteLog {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let (mut log, mut at, mut sockets) = (Self::default(), 0, HashMap::<u64, Answers>::new());
        while at < bytes.len() {
            let number = |from: usize| u32::from_ne_bytes(bytes[from..from + 4].try_into().unwrap()) as usize;
            let wide = |from: usize| u64::from_ne_bytes(bytes[from..from + 8].try_into().unwrap());
            let (text, data) = (number(at + 4), number(at + 8));
            let numbers = [wide(at + 16), wide(at + 24), wide(at + 32), wide(at + 40)];
            let name = String::from_utf8(bytes[at + 48..at + 48 + text].to_vec()).unwrap();
            let (kind, end) = (bytes[at], at + 48 + text + data);
            let data = &bytes[at + 48 + text..end];
            log.offsets.push(at as u64);
            match kind {
                9 => {
                    let told = sockets.entry(numbers[0]).or_default().push(data);
                    log.events.push(Event::Idle);
                    for told in told {
                        log.offsets.push(at as u64);
                        log.events.push(Event::Told(told));
                    }
                }
                10 => {
                    sockets.remove(&numbers[0]);
                    log.events.push(Event::Idle);
                }
                _ => log.events.push(event(kind, numbers, name, data)),
            }
            at = end;
        }
        log
    }

    /// How many events the first `bytes` of the file hold.
    pub(crate) fn events_within(&self, bytes: u64) -> usize {
        self.offsets.partition_point(|at| *at < bytes)
    }
}

fn event(kind: u8, n: [u64; 4], name: String, data: &[u8]) -> Event {
    match kind {
        1 => Event::Opened { folder: n[0], name, file: n[1], made: n[2] == 1, emptied: n[3] == 1 },
        2 => Event::Written { file: n[0], offset: n[1], bytes: data.to_vec() },
        3 => Event::Length { file: n[0], length: n[1] },
        4 => Event::Syncing { file: n[0], number: n[1] },
        5 => Event::Synced { file: n[0], number: n[1] },
        6 => {
            let (old, new) = name.split_once('\0').unwrap();
            Event::Renamed { from: (n[0], old.to_owned()), to: (n[1], new.to_owned()), file: n[2] }
        }
        7 => Event::Removed { folder: n[0], name },
        8 => Event::Folder { folder: n[0], name, made: n[1] },
        11 => Event::Root(n[0]),
        12 => Event::Linked { folder: n[1], name, file: n[0] },
        other => panic!("the shim wrote a record of kind {other}"),
    }
}

/// The bytes of a connection that the server sent: HTTP/2 frames, in them gRPC messages by stream.
#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
    messages: BTreeMap<u32, Vec<u8>>,
}

impl Answers {
    fn push(&mut self, bytes: &[u8]) -> Vec<Told> {
        self.bytes.extend_from_slice(bytes);
        let mut told = Vec::new();
        while self.bytes.len() >= 9 {
            let length = u32::from_be_bytes([0, self.bytes[0], self.bytes[1], self.bytes[2]]) as usize;
            if self.bytes.len() < 9 + length {
                break;
            }
            let stream = u32::from_be_bytes(self.bytes[5..9].try_into().unwrap()) & 0x7fff_ffff;
            let frame: Vec<u8> = self.bytes.drain(..9 + length).collect();
            if frame[3] == 0 {
                assert_eq!(frame[4] & 8, 0, "a padded frame");
                told.extend(self.messages(stream, &frame[9..]));
            }
        }
        told
    }

    /// Takes whole messages of a stream. Only the answers of `Stream` have the two that are looked for.
    fn messages(&mut self, stream: u32, data: &[u8]) -> Vec<Told> {
        let pending = self.messages.entry(stream).or_default();
        pending.extend_from_slice(data);
        let mut told = Vec::new();
        while pending.len() >= 5 {
            let length = u32::from_be_bytes(pending[1..5].try_into().unwrap()) as usize;
            if pending.len() < 5 + length {
                break;
            }
            let message: Vec<u8> = pending.drain(..5 + length).skip(5).collect();
            let Ok(response) = pb::StreamResponse::decode(&message[..]) else { continue };
            if response.encode_to_vec() != message {
                continue;
            }
            match response.kind {
                Some(Out::Stored(stored)) => {
                    told.push(Told::Stored { channel: stored.channel, through: stored.durable_through_sample });
                }
                Some(Out::Final(text)) => told.push(Told::Final(Box::new(text))),
                _ => {}
            }
        }
        told
    }
}
