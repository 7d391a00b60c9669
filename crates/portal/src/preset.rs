//! The macros of well-known trackers: data files of `presets/`, each with the public page that its names come from.

use std::sync::LazyLock;

use serde::Deserialize;

/// A tracker's macros.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// What it is called in an address: the file's name.
    #[serde(skip)]
    pub(crate) slug: &'static str,
    /// What people call it.
    pub(crate) name: String,
    /// Its click id.
    pub(crate) pub_click_id: String,
    /// Its user id; empty when it has none, as most have.
    #[serde(default)]
    pub(crate) pub_member_id: String,
    /// The page that says so.
    pub(crate) source: String,
    /// Where that page is.
    pub(crate) url: String,
}

macro_rules! presets {
    ($($slug:literal)*) => {
        const FILES: &[(&str, &str)] =
            &[$(($slug, include_str!(concat!("../presets/", $slug, ".toml")))),*];
    };
}

presets! {
    "affise"
    "bemob"
    "binom"
    "cake"
    "clickflare"
    "everflow"
    "keitaro"
    "redtrack"
    "tune"
    "voluum"
}

/// Every preset, by name. A file that does not read is left out; a test reads each.
pub(crate) static ALL: LazyLock<Vec<Preset>> =
    LazyLock::new(|| FILES.iter().filter_map(|(slug, text)| read(slug, text).ok()).collect());

fn read(slug: &'static str, text: &str) -> Result<Preset, toml::de::Error> {
    Ok(Preset { slug, ..toml::from_str(text)? })
}

/// The preset of an address.
pub(crate) fn find(slug: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.slug == slug)
}

#[cfg(test)]
mod tests {
    use domain::placeholder::{bare_name, is_placeholder};

    use super::{ALL, FILES, find, read};

    #[test]
    fn every_file_reads_and_is_in_the_list() {
        for (slug, text) in FILES {
            assert!(read(slug, text).is_ok(), "{slug}: {:?}", read(slug, text));
        }
        let mut files = 0;
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/presets")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(find(name.trim_end_matches(".toml")).is_some(), "{name} is offered to nobody");
            files += 1;
        }
        assert_eq!(files, ALL.len());
    }

    #[test]
    fn each_macro_is_told_as_one_when_it_is_not_replaced_and_each_has_a_source() {
        for preset in ALL.iter() {
            let macros = [&preset.pub_click_id, &preset.pub_member_id];
            for own in macros.into_iter().filter(|own| !own.is_empty()) {
                assert!(is_placeholder(own) && bare_name(own).is_some(), "{}: {own}", preset.name);
            }
            assert!(preset.url.starts_with("https://") && !preset.source.is_empty(), "{}", preset.name);
        }
    }
}
