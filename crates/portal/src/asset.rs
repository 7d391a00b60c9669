//! The style sheet and the scripts: compiled in, and served under names that carry a hash of the content, so that a
//! browser asks for each once and never sees an old one.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use sha2::{Digest, Sha256};

use crate::page::{self, Answer};

/// One file of `static/`.
struct Asset {
    /// Its name in the folder.
    name: &'static str,
    content: &'static [u8],
    /// Its address, `/static/pitlane.0123456789ab.css`.
    url: String,
}

impl Asset {
    fn new(name: &'static str, content: &'static [u8]) -> Self {
        let digest = Sha256::digest(content);
        let hash = digest.iter().take(6).fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"));
        let (stem, end) = name.rsplit_once('.').unwrap_or((name, "bin"));
        Self { name, content, url: format!("/static/{stem}.{hash}.{end}") }
    }
}

macro_rules! assets {
    ($($name:literal)*) => {
        static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
            vec![$(Asset::new($name, include_bytes!(concat!("../static/", $name)))),*]
        });
    };
}

assets! {
    "pitlane.css"
    "icon.svg"
    "copy.js"
    "keyboard.js"
    "page.js"
    "chart.js"
    "offer.js"
}

/// The scripts that every page loads, in the order of their tags.
pub(crate) const SCRIPTS: [&str; 4] = ["page.js", "copy.js", "keyboard.js", "chart.js"];

/// The address of a file of `static/`; for one that is not there, an address that answers 404.
pub(crate) fn url(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("/static/absent", |asset| asset.url.as_str())
}

/// Answers a file under its hashed name, for a year. An old name answers 404: its page is gone as well.
pub(crate) async fn serve(Path(file): Path<String>) -> Answer {
    let wanted = |asset: &&Asset| asset.url.strip_prefix("/static/").is_some_and(|name| name == file);
    let Some(asset) = ASSETS.iter().find(wanted) else { return page::absent() };
    let mut answer = Response::new(Full::new(Bytes::from_static(asset.content)));
    *answer.status_mut() = StatusCode::OK;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(asset.name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    page::secure(headers);
    answer
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_file_is_served_for_good_under_its_hash_and_under_nothing_else() {
        for asset in ASSETS.iter() {
            let name = asset.url.strip_prefix("/static/").unwrap();
            let answer = serve(Path(name.to_owned())).await;
            assert_eq!(answer.status(), StatusCode::OK, "{name}");
            assert!(answer.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
            assert_ne!(answer.headers()[header::CONTENT_TYPE], "application/octet-stream", "{name}");
            assert_eq!(serve(Path(asset.name.to_owned())).await.status(), StatusCode::NOT_FOUND);
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_the_table() {
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/static")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(ASSETS.iter().any(|asset| asset.name == name), "{name} is served by nobody");
        }
        assert!(SCRIPTS.iter().all(|script| url(script) != "/static/absent"));
    }

    #[test]
    fn scripts_are_small_and_nothing_leads_elsewhere() {
        let scripts = ASSETS.iter().filter(|asset| kind(asset.name).starts_with("text/javascript"));
        let bytes: usize = scripts.map(|asset| asset.content.len()).sum();
        assert!(bytes <= 20 * 1024, "{bytes} bytes of scripts");
        for asset in ASSETS.iter() {
            let text = std::str::from_utf8(asset.content).unwrap().replace("http://www.w3.org/", "");
            assert!(!text.contains("http:") && !text.contains("https:"), "{} leads elsewhere", asset.name);
        }
    }
}
