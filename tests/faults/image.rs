//! The data folder as it may look after a power cut: all that was synced is there; of the rest, any part.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

use crate::{
    dice::Dice,
    write_log::{Event, Node},
};

/// What a disk writes whole or not at all, bytes; some do not even that.
const SECTOR: u64 = 512;

/// Which part of what was not synced is there.
#[derive(Clone, Copy, Debug)]
enum Luck {
    /// Nothing of it.
    None,
    /// All that happened before some moment.
    Until(usize),
    /// Each sector and each name by itself, some sectors torn.
    Each,
}

/// A change of a file.
enum Edit<'a> {
    Bytes(u64, &'a [u8]),
    Length(u64),
}

/// A change of a folder.
enum Name<'a> {
    Here(&'a str, Node),
    Gone(&'a str),
}

/// All that happened to the files, by the number of the event.
#[derive(Default)]
struct History<'a> {
    root: Node,
    edits: HashMap<Node, Vec<(usize, Edit<'a>)>>,
    names: HashMap<Node, Vec<(usize, Name<'a>)>>,
    folders: HashSet<Node>,
    /// What was done before this event is on disk.
    synced: HashMap<Node, usize>,
}

/// Makes in `folder` the root as it may look when the power goes after `events`.
pub(crate) fn after_power_cut<'a>(events: impl Iterator<Item = &'a Event>, dice: &mut Dice, folder: &Path) {
    let history = History::of(events);
    let last = history.edits.values().flatten().map(|edit| edit.0).max().unwrap_or_default();
    let luck = match dice.below(4) {
        0 => Luck::None,
        1 => Luck::Until(dice.below(last as u64 + 2) as usize),
        _ => Luck::Each,
    };
    history.build(history.root, folder, luck, dice);
}

impl<'a> History<'a> {
    fn of(events: impl Iterator<Item = &'a Event>) -> Self {
        let (mut history, mut syncing) = (Self::default(), HashMap::new());
        for (at, event) in events.enumerate() {
            history.follow(at, event, &mut syncing);
        }
        history
    }

    fn follow(&mut self, at: usize, event: &'a Event, syncing: &mut HashMap<(Node, u64), usize>) {
        match event {
            Event::Root(node) => self.root = *node,
            Event::Opened { folder, name, file, made, emptied } => {
                if *made {
                    // The number of a file that is gone may be given again.
                    self.edits.remove(file);
                    self.synced.remove(file);
                    self.name(at, *folder, Name::Here(name, *file));
                }
                if *emptied {
                    self.edit(at, *file, Edit::Length(0));
                }
            }
            Event::Written { file, offset, bytes } => self.edit(at, *file, Edit::Bytes(*offset, bytes)),
            Event::Length { file, length } => self.edit(at, *file, Edit::Length(*length)),
            Event::Syncing { file, number } => drop(syncing.insert((*file, *number), at)),
            Event::Synced { file, number } => {
                let began = syncing.remove(&(*file, *number)).expect("a sync begins before it ends");
                self.synced.insert(*file, began);
            }
            Event::Renamed { from, to, file } => {
                self.name(at, from.0, Name::Gone(&from.1));
                self.name(at, to.0, Name::Here(&to.1, *file));
            }
            Event::Removed { folder, name } => self.name(at, *folder, Name::Gone(name)),
            Event::Folder { folder, name, made } => {
                self.folders.insert(*made);
                self.name(at, *folder, Name::Here(name, *made));
            }
            Event::Linked { folder, name, file } => self.name(at, *folder, Name::Here(name, *file)),
            Event::Told(_) | Event::Idle => {}
        }
    }

    fn edit(&mut self, at: usize, file: Node, edit: Edit<'a>) {
        self.edits.entry(file).or_default().push((at, edit));
    }

    fn name(&mut self, at: usize, folder: Node, name: Name<'a>) {
        self.names.entry(folder).or_default().push((at, name));
    }

    fn synced(&self, node: Node) -> usize {
        self.synced.get(&node).copied().unwrap_or_default()
    }

    /// Makes the folder `node` at `place`.
    fn build(&self, node: Node, place: &Path, luck: Luck, dice: &mut Dice) {
        fs::create_dir_all(place).unwrap();
        let mut names = BTreeMap::new();
        for (at, name) in self.names.get(&node).into_iter().flatten() {
            let kept = *at < self.synced(node)
                || match luck {
                    Luck::None => false,
                    Luck::Until(until) => *at < until,
                    Luck::Each => dice.one_in(2),
                };
            match name {
                Name::Here(name, file) if kept => drop(names.insert(*name, *file)),
                Name::Gone(name) if kept => drop(names.remove(name)),
                Name::Here(..) | Name::Gone(_) => {}
            }
        }
        for (name, child) in names {
            // SQLite makes this one anew: it is memory that processes share.
            if name.ends_with("-shm") {
                continue;
            }
            let place = place.join(name);
            if self.folders.contains(&child) {
                self.build(child, &place, luck, dice);
            } else {
                fs::write(place, self.content(child, luck, dice)).unwrap();
            }
        }
    }

    /// What a file holds.
    fn content(&self, file: Node, luck: Luck, dice: &mut Dice) -> Vec<u8> {
        let edits = self.edits.get(&file).map_or(&[][..], Vec::as_slice);
        let sure = edits.partition_point(|edit| edit.0 < self.synced(file));
        let mut content = Vec::new();
        edits[..sure].iter().for_each(|(_, edit)| edit.apply(&mut content));
        let Luck::Each = luck else {
            let until = match luck {
                Luck::Until(until) => edits.partition_point(|edit| edit.0 < until).max(sure),
                Luck::None | Luck::Each => sure,
            };
            edits[sure..until].iter().for_each(|(_, edit)| edit.apply(&mut content));
            return content;
        };
        // Every state that the file was in since; each sector is taken from one of them, and so is the length.
        let mut states = vec![content.clone()];
        for (_, edit) in &edits[sure..] {
            edit.apply(&mut content);
            states.push(content.clone());
        }
        mixed(&states, dice)
    }
}

/// A file whose sectors are each of one of these states, or torn between two.
fn mixed(states: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    if let [only] = states {
        return only.clone();
    }
    let length = states[dice.below(states.len() as u64) as usize].len();
    let mut content = vec![0; length];
    for start in (0..length).step_by(SECTOR as usize) {
        let end = length.min(start + SECTOR as usize);
        let mut choose = || &states[dice.below(states.len() as u64) as usize];
        let (one, other) = (choose(), choose());
        let torn = if dice.one_in(8) { dice.below(SECTOR) as usize } else { SECTOR as usize };
        for (within, byte) in content[start..end].iter_mut().enumerate() {
            let from = if within < torn { one } else { other };
            *byte = from.get(start + within).copied().unwrap_or_default();
        }
    }
    content
}

impl Edit<'_> {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length as usize, 0),
            Self::Bytes(offset, bytes) => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[start..end].copy_from_slice(bytes);
            }
        }
    }
}
