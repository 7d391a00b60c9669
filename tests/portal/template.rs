//! Which templates a sweep of pages has rendered: each is known by a text that only it has.

use std::path::{Path, PathBuf};

/// The shortest text that a template is known by, in bytes.
const LEAST: usize = 12;

/// A template without a text of its own: it only puts others together, and the test of the live trace reads it.
const ONLY_OTHERS: &str = "offer/live.html";

/// The templates of which nothing stands in any of these pages, by their names in the folder.
pub(crate) fn unrendered(pages: &[String]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../portal/templates");
    let mut files = Vec::new();
    collect(&folder, &mut files);
    let texts: Vec<(String, Vec<String>)> = files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(&folder).expect("inside").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(file).expect("a template");
            (
                name,
                if file.extension().is_some_and(|end| end == "html") {
                    literals(&text)
                } else {
                    shown(&text)
                },
            )
        })
        .collect();
    let of_another = |name: &str, own: &str| {
        texts.iter().any(|(other, texts)| other != name && texts.iter().any(|text| text.contains(own)))
    };
    let missing = texts.iter().filter(|(name, own)| {
        let own = own.iter().filter(|text| text.len() >= LEAST && !of_another(name, text));
        !own.clone().any(|text| pages.iter().any(|page| page.contains(text.as_str())))
    });
    let missing: Vec<String> = missing.map(|(name, _)| name.clone()).collect();
    assert!(missing.iter().any(|name| name == ONLY_OTHERS), "{ONLY_OTHERS} has a text of its own by now");
    missing.into_iter().filter(|name| name != ONLY_OTHERS).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of templates") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { collect(&path, into) } else { into.push(path) }
    }
}

/// What stands between the tags of a template.
fn literals(text: &str) -> Vec<String> {
    let (mut rest, mut found) = (text, Vec::new());
    while let Some(open) = rest.find(['{']) {
        let (before, tag) = rest.split_at(open);
        let end = match tag.as_bytes().get(1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            Some(b'#') => "#}",
            _ => {
                // A brace of the text itself parts it as well: that costs nothing.
                found.push(before.trim().to_owned());
                rest = &tag[1..];
                continue;
            }
        };
        found.push(before.trim().to_owned());
        rest = tag.split_once(end).map_or("", |(_, rest)| rest);
    }
    found.push(rest.trim().to_owned());
    found
}

/// The lines of an example as a page shows them, escaped.
fn shown(text: &str) -> Vec<String> {
    let safe = |line: &str| {
        line.replace('&', "&#38;")
            .replace('<', "&#60;")
            .replace('>', "&#62;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;")
    };
    text.lines().map(|line| safe(line.trim())).collect()
}

#[test]
fn a_template_is_known_by_its_own_text() {
    assert_eq!(
        literals("{# a #}<p class=\"x\">{{ b }} { c{% if d %}</p>\n"),
        ["", "<p class=\"x\">", "", "c", "</p>"]
    );
    assert!(unrendered(&[]).iter().any(|name| name == "home/show.html"));
}
