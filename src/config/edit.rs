//! A file of settings with some of them changed: whatever else stands in it, comments and order, stays as it was written.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, Value};

use super::ConfigError;

/// The text of a file of settings with these keys (`group.name`) set, each with what is said of it behind it. `file` is named
/// where the text is no TOML.
///
/// # Errors
/// [`ConfigError::Syntax`] for text that is no TOML, or has something else in the place of a group.
pub fn with_settings(file: &Path, text: &str, settings: &[(&str, Value, String)]) -> Result<String, ConfigError> {
    // Read the way settings are read, so that a fault is told in the same words.
    let _checked: figment::value::Dict = toml::from_str(text)
        .map_err(|source| ConfigError::Syntax { path: file.to_owned(), source: Box::new(source) })?;
    let mut document: DocumentMut =
        text.parse().map_err(|source| ConfigError::Edit { path: file.to_owned(), source: Box::new(source) })?;
    for (key, value, note) in settings {
        let (group, name) = key.split_once('.').unwrap_or(("", key));
        let table = document.entry(group).or_insert(Item::Table(Table::new()));
        let Some(table) = table.as_table_like_mut() else {
            return Err(ConfigError::NoGroup { path: file.to_owned(), group: group.to_owned() });
        };
        let mut value = value.clone();
        value.decor_mut().set_prefix(" ");
        value.decor_mut().set_suffix(format!(" # {note}"));
        match table.get_mut(name).and_then(Item::as_value_mut) {
            Some(before) => {
                // A person's own words behind the setting stay.
                let own = before.decor().suffix().and_then(|s| s.as_str()).filter(|s| s.contains('#') && !ours(s));
                if let Some(own) = own {
                    value.decor_mut().set_suffix(own.to_owned());
                }
                *before = value;
            }
            None => drop(table.insert(name, Item::Value(value))),
        }
    }
    Ok(document.to_string())
}

/// How a note of this program begins.
pub const MARK: &str = "vivavoce tune: ";

fn ours(suffix: &str) -> bool {
    suffix.trim_start().trim_start_matches('#').trim_start().starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str) -> String {
        let settings = [
            ("recognition.workers", Value::from(2), format!("{MARK}two")),
            ("server.live_channels", Value::from(5), format!("{MARK}five")),
        ];
        with_settings(Path::new("court.toml"), text, &settings).unwrap()
    }

    #[test]
    fn what_is_set_is_set_and_all_else_stays() {
        let text =
            "# Room 4\n[server]\nlisten = \"127.0.0.1:7\" # ours\n\n[recognition]\nbeam = 3\nworkers = 8 # old\n";
        let after = edited(text);
        assert_eq!(
            after,
            "# Room 4\n[server]\nlisten = \"127.0.0.1:7\" # ours\nlive_channels = 5 # vivavoce tune: five\n\n[recognition]\nbeam = 3\nworkers = 2 # old\n"
        );
        assert_eq!(edited(&after), after);
        let later = after.replace("five", "six");
        assert_eq!(edited(&later), after, "its own notes are kept true");
    }

    #[test]
    fn an_empty_file_gets_its_groups() {
        let after = edited("");
        let all: toml::Table = toml::from_str(&after).unwrap();
        assert_eq!(all["recognition"]["workers"].as_integer(), Some(2));
        assert_eq!(all["server"]["live_channels"].as_integer(), Some(5));
        assert!(after.contains("# vivavoce tune: two"), "{after}");
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_its_name() {
        let refused = |text: &str| {
            let settings = [("server.live_channels", Value::from(5), String::new())];
            with_settings(Path::new("court.toml"), text, &settings).unwrap_err().to_string()
        };
        assert!(refused("[server").contains("court.toml"));
        assert!(refused("server = 3").contains("server"));
    }
}
