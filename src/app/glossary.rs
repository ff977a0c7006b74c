//! The glossary that the settings name, read from its file.

use std::{fs, path::Path, sync::Arc};

use super::AppError;
use crate::{
    domain::glossary::{Draft, Glossary},
    speech::confidence::scripts,
};

/// Reads and looks through a glossary, a TOML file.
///
/// # Errors
/// [`AppError::GlossaryFile`] where it cannot be read, [`AppError::GlossaryForm`] where it is written otherwise,
/// [`AppError::Glossary`] where its terms cannot be told.
pub(super) fn load(path: &Path) -> Result<Arc<Glossary>, AppError> {
    let place = || path.to_owned();
    let text = fs::read_to_string(path).map_err(|source| AppError::GlossaryFile { path: place(), source })?;
    let draft: Draft = toml::from_str(&text).map_err(|source| AppError::GlossaryForm { path: place(), source })?;
    let glossary = Glossary::new(draft, scripts::belongs);
    Ok(Arc::new(glossary.map_err(|source| AppError::Glossary { path: place(), source })?))
}
