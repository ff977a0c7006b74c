//! Real voices out of Debian packages.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::models::{
    fetch::{FetchError, package::last_line},
    progress::Progress,
    recordings::Recording,
};

/// The prompts taken, by name: whole sentences that all five sets have, without digits.
const PROMPTS: [&str; 12] = [
    "agent-incorrect",
    "auth-incorrect",
    "conf-invalid",
    "conf-onlyperson",
    "conf-waitforleader",
    "confbridge-pin-bad",
    "pbx-invalidpark",
    "privacy-prompt",
    "privacy-unident",
    "queue-periodic-announce",
    "ss-noservice",
    "vm-whichbox",
];

/// One set of prompts. The voice is named in the set's CREDITS.
struct Set {
    code: &'static str,
    language: &'static str,
    folder: &'static str,
    speaker: &'static str,
    sex: &'static str,
    region: &'static str,
}

const SETS: [Set; 5] = [
    set("en", "en-US", "en_US_f_Allison", "Allison Smith", "f", "US"),
    set("fr", "fr-CA", "fr_CA_f_June", "June Wallack", "f", "Canada"),
    set("es", "es-MX", "es_MX_f_Allison", "Allison Smith", "f", "Mexican Spanish, US voice"),
    set("it", "it-IT", "it_IT_m_Carlo", "Carlo", "m", "Italy"),
    set("ru", "ru-RU", "ru_RU_f_IvrvoiceRU", "IvrvoiceRU", "f", "Russia"),
];

const fn set(
    code: &'static str,
    language: &'static str,
    folder: &'static str,
    speaker: &'static str,
    sex: &'static str,
    region: &'static str,
) -> Set {
    Set { code, language, folder, speaker, sex, region }
}

/// What the lists misspell in these prompts, and what is said: language, as written, as it should be.
const CORRECTIONS: [(&str, &str, &str); 17] = [
    ("en", "represenatives", "representatives"),
    ("en", "a more a amiable", "a more amiable"),
    ("fr", "Veuillez recomposez", "Veuillez recomposer"),
    ("fr", "Veuillez demeurez", "Veuillez demeurer"),
    ("fr", "presentement occupes", "présentement occupés"),
    ("fr", "l'arrivé du", "l'arrivée du"),
    ("es", "umero", "úmero"),
    ("es", "ontrasena", "ontraseña"),
    ("es", "invalido", "inválido"),
    ("es", "unica", "única"),
    ("es", "comenzara", "comenzará"),
    ("es", "lider", "líder"),
    ("es", "extension", "extensión"),
    ("es", "introdusca", "introduzca"),
    ("es", "telefono", "teléfono"),
    ("es", "marcado esta fuera", "marcado está fuera"),
    ("es", "mesaje por favor, entre un número de buzon", "mensaje por favor, entre un número de buzón"),
];

/// Downloads and unpacks the packages into `work`, and copies the recordings taken into `dir`.
pub(super) fn gather(
    apt: &str,
    work: &Path,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<Vec<Recording>, FetchError> {
    let mut packages = vec!["pocketsphinx-testdata".to_owned()];
    for set in &SETS {
        packages.push(format!("asterisk-core-sounds-{}", set.code));
        packages.push(format!("asterisk-core-sounds-{}-wav", set.code));
    }
    progress.begin("downloading recordings (Debian packages, about 100 MB)", None);
    run(Command::new(apt).current_dir(work).args(["--quiet", "download"]).args(&packages), "apt-get download")?;
    progress.end();
    let tree = work.join("tree");
    for entry in list(work)? {
        if entry.extension().is_some_and(|e| e == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&entry).arg(&tree), "dpkg-deb -x")?;
        }
    }
    let share = tree.join("usr/share");
    let mut rows = prompts(&share, dir)?;
    rows.extend(librivox(&share, dir)?);
    Ok(rows)
}

fn run(command: &mut Command, name: &str) -> Result<(), FetchError> {
    let output = match command.stdin(Stdio::null()).env("LC_ALL", "C").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FetchError::NoClient { tried: name.to_owned() });
        }
        output => output.map_err(|source| FetchError::Io { path: PathBuf::from(name), source })?,
    };
    if output.status.success() {
        return Ok(());
    }
    Err(FetchError::Client { command: name.to_owned(), said: last_line(&String::from_utf8_lossy(&output.stderr)) })
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, FetchError> {
    let io = |source| FetchError::Io { path: dir.to_owned(), source };
    let mut paths =
        fs::read_dir(dir).map_err(io)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(io)?;
    paths.sort();
    Ok(paths)
}

fn prompts(share: &Path, dir: &Path) -> Result<Vec<Recording>, FetchError> {
    let mut texts = BTreeMap::new();
    for set in &SETS {
        let path = share.join(format!("doc/asterisk-core-sounds-{0}/core-sounds-{0}.txt.gz", set.code));
        texts.insert(set.code, prompt_texts(set.code, &unpacked(&path)?));
    }
    let text = |code: &str, prompt: &str| texts[code].get(prompt).cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for set in &SETS {
        for prompt in PROMPTS {
            let from = share.join("asterisk/sounds").join(set.folder).join(format!("{prompt}.wav"));
            let file = format!("{}/{prompt}.wav", set.code);
            copy(&from, &dir.join(&file))?;
            rows.push(Recording {
                id: format!("{}-{prompt}", set.code),
                file,
                language: set.language,
                text: text(set.code, prompt),
                translation_en: if set.code == "en" { String::new() } else { text("en", prompt) },
                translation_fr: if set.code == "fr" { String::new() } else { text("fr", prompt) },
                speaker: set.speaker,
                sex: set.sex,
                region: set.region,
                source: format!("Debian asterisk-core-sounds-{}-wav", set.code),
                licence: "CC-BY-SA-3.0",
            });
        }
    }
    Ok(rows)
}

/// The list of a set, `name: text` a line, `;` before a comment, some with a byte order mark.
pub(super) fn prompt_texts(code: &str, list: &str) -> BTreeMap<String, String> {
    list.trim_start_matches('\u{feff}')
        .lines()
        .filter(|line| !line.starts_with(';'))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, text)| (name.trim().to_owned(), corrected(code, text.trim())))
        .collect()
}

fn corrected(code: &str, text: &str) -> String {
    let mut text = text.to_owned();
    for (_, wrong, right) in CORRECTIONS.iter().filter(|(language, ..)| *language == code) {
        text = text.replace(wrong, right);
    }
    text
}

fn unpacked(path: &Path) -> Result<String, FetchError> {
    // The longest list has 60 kB unpacked.
    const MOST: u64 = 1 << 20;
    let io = |source| FetchError::Io { path: path.to_owned(), source };
    let mut text = String::new();
    let file = flate2::read::GzDecoder::new(File::open(path).map_err(io)?);
    file.take(MOST).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// Five sentences of *Sense and Sensibility*, read for LibriVox.
fn librivox(share: &Path, dir: &Path) -> Result<Vec<Recording>, FetchError> {
    let folder = share.join("pocketsphinx/test/data/librivox");
    let path = folder.join("transcription");
    let text = fs::read_to_string(&path).map_err(|source| FetchError::Io { path, source })?;
    let mut rows = Vec::new();
    for (name, text) in text.lines().filter_map(transcription) {
        let number = name.rsplit('-').next().unwrap_or(name);
        let file = format!("en/librivox-{number}.wav");
        copy(&folder.join(format!("{name}.wav")), &dir.join(&file))?;
        rows.push(Recording {
            id: format!("en-librivox-{number}"),
            file,
            language: "en",
            text: corrected("en", text),
            speaker: "a reader of LibriVox",
            sex: "unknown",
            source: "Debian pocketsphinx-testdata".to_owned(),
            licence: "public domain (LibriVox)",
            ..Recording::default()
        });
    }
    Ok(rows)
}

/// The name and text of a line `<s> text </s> (name)`; none where the name could lead elsewhere.
pub(super) fn transcription(line: &str) -> Option<(&str, &str)> {
    let (text, name) = line.strip_prefix("<s>")?.split_once("</s>")?;
    let name = name.trim().strip_prefix('(')?.strip_suffix(')')?;
    (!name.contains(['/', '\\'])).then_some((name, text.trim()))
}

fn copy(from: &Path, to: &Path) -> Result<(), FetchError> {
    let io = |source| FetchError::Io { path: from.to_owned(), source };
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(io)?;
    }
    fs::copy(from, to).map(drop).map_err(io)
}
