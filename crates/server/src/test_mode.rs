//! `pitlane link test`: makes a link whose clicks are tests, for a while.

use domain::catalog::Catalog;
use domain::id::LinkId;
use domain::link::Link;
use domain::test_mode::{self, Key, PARAMETER};
use domain::time::{HOUR_MS, Timestamp};
use domain::visit::Param;
use serde_json::json;
use store::Tx;
use url::Url;
use web::link_check::PATH;

use crate::cli::{Place, say};
use crate::failure::Failure;
use crate::terminal::line;
use crate::{clock, session, wire};

/// The longest text that is shown in full, in characters.
const MOST: usize = 4_000;

/// What `pitlane link test` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// A tracking link, or its id; ids that it lacks are made up
    link: String,
    /// How long it works, in hours
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=720))]
    hours: i64,
    /// Write one JSON object: url, expires
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Command {
    /// Makes the link; makes the network's key, too, the first time.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let effective = self.place.load()?;
        let base = effective.settings.base_url();
        let asked = Asked::read(&self.link, &base)?;
        let ambient = clock::ambient();
        let expires = ambient.now().plus_ms(self.hours * HOUR_MS);
        let id = asked.link;
        let made = session::run(&effective, async |db| {
            let made: Result<_, store::Error> = db
                .write(move |tx| {
                    let catalog = store::catalog::load(tx)?;
                    catalog
                        .links
                        .get(&id)
                        .map(|link| Ok((key(tx, &catalog, link)?, link.clone())))
                        .transpose()
                })
                .await;
            made.map_err(|error| wire::database_failure(error, &effective.target))
        })?;
        let (key, link) = made.ok_or_else(|| unknown(id))?;
        let marker = format!("{:016x}", (ambient.random)());
        let url = asked.complete(&link, &test_mode::sign(&key, id, expires), &marker);
        let ends = Timestamp::from_ms(expires.seconds() * 1_000);
        if self.json {
            return say(&format!("{}\n", json!({ "url": url.as_str(), "expires": ends.to_string() })));
        }
        say(&format!(
            "{url}\n\nUntil {ends} its clicks are tests: everything runs, down to the partner's postback with\n\
             `x-pitlane-test: 1`, and no money, cap, member's place or report is touched.\n",
        ))
    }
}

/// The key of the link's network.
fn key(tx: &mut Tx<'_>, catalog: &Catalog, link: &Link) -> Result<Key, store::Error> {
    let network = link.offer.network.id;
    match catalog.test_keys.get(&network) {
        Some(key) => Ok(key.clone()),
        None => store::test_mode::key(tx, clock::ambient(), network),
    }
}

fn unknown(id: LinkId) -> Failure {
    Failure::new(format!("there is no link {id}")).next("`pitlane apply` prints the tracking links")
}

/// A link to be made a test link.
struct Asked {
    link: LinkId,
    /// The whole link; none when only its id is known.
    url: Option<Url>,
    base: String,
}

impl Asked {
    fn read(text: &str, base: &str) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        if let Ok(link) = text.parse() {
            return Ok(Self { link, url: None, base });
        }
        let shown = line(text, MOST);
        let wrong = || {
            Failure::usage(format!("`{shown}` is neither a link's id nor a tracking link")).next(format!(
                "give its id, or the whole link in quotes: 'http://api.NETWORK.DOMAIN{PATH}LINK'"
            ))
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let path = url.path().strip_prefix(PATH).filter(|_| matches!(url.scheme(), "http" | "https"));
        let link = path.and_then(|link| link.parse().ok()).ok_or_else(wrong)?;
        Ok(Self { link, url: Some(url), base })
    }

    /// The link with its parameters as they are, the ids that it lacks, and the value.
    fn complete(&self, link: &Link, value: &str, marker: &str) -> String {
        let (start, query) = if let Some(url) = &self.url {
            let whole = url.as_str().split(['?', '#']).next().unwrap_or_default();
            (whole.to_owned(), url.query().unwrap_or_default())
        } else {
            let base = self.base.replace("{network}", &link.offer.network.label);
            (format!("{base}{PATH}{}", self.link), "")
        };
        let named = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let mut pairs: Vec<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty() && named(pair) != PARAMETER)
            .map(str::to_owned)
            .collect();
        for param in [Param::ClickId, Param::MemberId] {
            if !pairs.iter().any(|pair| named(pair) == param.code()) {
                pairs.push(format!("{param}=test-{marker}"));
            }
        }
        pairs.push(format!("{PARAMETER}={value}"));
        format!("{start}?{}", pairs.join("&"))
    }
}
