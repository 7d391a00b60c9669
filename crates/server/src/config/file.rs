//! The configuration file, with every mistake told by `file:line:column`.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use super::{Error, KEYS, Layer, Origin, Source, nearest};

/// A configuration file is a page or two; more is not one.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads a configuration file.
pub(super) fn read(path: &Path) -> Result<Source, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let name = path.display().to_string();
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(Error::File { place: name, message: "is too large for a configuration file".to_owned() });
    }
    parse(&name, &std::fs::read_to_string(path).map_err(unreadable)?)
}

/// Reads the text of a configuration file; `name` is only for messages.
pub(super) fn parse(name: &str, text: &str) -> Result<Source, Error> {
    let fault = |span: Option<Range<usize>>, message: String| {
        let (line, column) = line_and_column(text, span.map_or(0, |span| span.start));
        Error::File { place: format!("{name}:{line}:{column}"), message }
    };
    let table = DeTable::parse(text).map_err(|error| fault(error.span(), error.message().to_owned()))?;
    let mut keys = Vec::new();
    for (key, value) in table.get_ref() {
        let word = key.get_ref().as_ref();
        if !KEYS.contains(&word) {
            return Err(fault(Some(key.span()), unknown(word)));
        }
        keys.push((word.to_owned(), key.span().start, value.span()));
    }
    let layer: Layer = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let key = keys.iter().find(|(_, _, value)| value.start <= start && start < value.end);
        let subject = key.map(|(key, ..)| format!("`{key}`: ")).unwrap_or_default();
        fault(error.span(), format!("{subject}{}", error.message().trim_end()))
    })?;
    let places: HashMap<String, String> = keys
        .into_iter()
        .map(|(key, start, _)| (key, format!("{name}:{}", line_and_column(text, start).0)))
        .collect();
    let origin = move |key: &'static str| Origin::File(places.get(key).cloned().unwrap_or_default());
    Ok(Source { layer, origin: Box::new(origin) })
}

fn unknown(key: &str) -> String {
    match nearest(key, KEYS.iter().copied()) {
        Some(near) => format!("`{key}` is not a setting; did you mean `{near}`?"),
        None => format!("`{key}` is not a setting; `pitlane config default` lists them"),
    }
}

/// Both counted from 1, the column in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
