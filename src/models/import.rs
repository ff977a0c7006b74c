//! Fine-tuned models that a court brings: converted into the store, with a note that makes them count like the manifest's.

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
};

use tempfile::NamedTempFile;

use crate::{
    domain::language::LanguageTag,
    models::{
        ModelError,
        convert::{self, quantise::Quantisation},
        digest::Fingerprinter,
        fetch,
        manifest::{self, ModelEntry, ModelKind, Recipe},
        progress::Progress,
        store::ModelStore,
    },
};

/// What an imported model is to be called and stored as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name, new to the store.
    pub name: String,
    /// How its matrices are to be stored.
    pub quantisation: Quantisation,
    /// The languages it is for, at least one.
    pub languages: Vec<LanguageTag>,
    /// Its licence, as an SPDX identifier where there is one.
    pub licence: String,
}

impl ModelStore {
    /// Converts the weights in `source` (CTranslate2 or Hugging Face) into the store as `import` says, and writes the
    /// note `NAME.toml` beside the file. Needs the memory of the model's largest matrix, and room for the result.
    ///
    /// # Errors
    /// [`ModelError::Convert`] for weights that cannot be served, with the reason; [`ModelError::Taken`],
    /// [`ModelError::Name`] and [`ModelError::NoLanguage`] for what `import` says; [`ModelError::Io`].
    pub fn import(
        &self,
        source: &Path,
        import: &Import,
        progress: &mut dyn Progress,
    ) -> Result<ModelEntry, ModelError> {
        let file = format!("ggml-{}.bin", import.name);
        manifest::check_name(&import.name)?;
        manifest::check_name(&file)?;
        if import.languages.is_empty() {
            return Err(ModelError::NoLanguage { name: import.name.clone() });
        }
        let note = self.note(&import.name);
        let known = self.list()?;
        if known.iter().any(|l| l.entry.name == import.name || l.entry.file == file) || note.exists() {
            return Err(ModelError::Taken { name: import.name.clone(), path: note });
        }
        let io = |path: &Path, source| ModelError::Io { path: path.to_owned(), source };
        fs::create_dir_all(self.dir()).map_err(|e| io(self.dir(), e))?;
        let temp = NamedTempFile::new_in(self.dir()).map_err(|e| io(self.dir(), e))?;
        let mut out = Fingerprinter::new(BufWriter::with_capacity(1 << 20, temp));
        let converted = convert::convert(source, import.quantisation, &mut out, progress)?;
        let (fingerprint, writer) = out.finish();
        let entry = ModelEntry {
            name: import.name.clone(),
            kind: ModelKind::Whisper,
            languages: import.languages.clone(),
            licence: import.licence.clone(),
            origin: "imported".to_owned(),
            file,
            size: fingerprint.size,
            sha256: fingerprint.sha256,
            quantisation: Some(import.quantisation),
            alignment_preset: None,
            alignment_heads: converted.alignment_heads,
            from: None,
            recipe: Recipe::AsIs,
            input: Vec::new(),
            source: Vec::new(),
        };
        // The model first: a note without its file reads as a model that is absent, a file without a note as nothing.
        let path = self.path(&entry);
        let temp = writer.into_inner().map_err(|e| io(&path, e.into_error()))?;
        fetch::persist(temp, &path).map_err(|e| io(&path, e))?;
        let mut temp = NamedTempFile::new_in(self.dir()).map_err(|e| io(self.dir(), e))?;
        temp.write_all(note_text(&entry).as_bytes()).map_err(|e| io(&note, e))?;
        fetch::persist(temp, &note).map_err(|e| io(&note, e))?;
        self.entry(&import.name)
    }
}

/// The note of an imported model, in the form of the manifest's entries.
fn note_text(entry: &ModelEntry) -> String {
    let mut text = String::from("# An imported model. The digest is compared every time the model is loaded.\n");
    let mut line = |key: &str, value: String| text.push_str(&format!("{key} = {value}\n"));
    line("name", quoted(&entry.name));
    line("kind", quoted("whisper"));
    let languages: Vec<String> = entry.languages.iter().map(|l| quoted(l.as_str())).collect();
    line("languages", format!("[{}]", languages.join(", ")));
    line("licence", quoted(&entry.licence));
    line("origin", quoted(&entry.origin));
    line("file", quoted(&entry.file));
    line("size", entry.size.to_string());
    line("sha256", quoted(&entry.sha256.to_string()));
    if let Some(quantisation) = entry.quantisation {
        line("quantisation", quoted(quantisation.name()));
    }
    line("alignment_heads", format!("{:?}", entry.alignment_heads));
    text
}

/// A TOML basic string: quotes, backslashes and control characters escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
