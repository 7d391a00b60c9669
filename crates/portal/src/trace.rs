//! The trace: the whole story of a click or conversion, for whoever has any id of it. Here is found whose it is and
//! what there is to tell; `trace_moment` says it in a partner's words.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::catalog::Catalog;
use domain::click::Click;
use store::story::{self, Brief, Kind, Story, Whose};
use store::{Error, Tx};

use crate::page::{self, Answer, Section, Shell};
use crate::site::Site;
use crate::table::{Cell, Row};
use crate::trace_moment::{self, Moment};
use crate::viewer::Viewer;
use crate::{click_word, conversion_word, format};

/// The longest id that is looked up, in bytes.
pub(crate) const MAX_ID_BYTES: usize = 500;
/// The most clicks that are listed.
const LISTED: usize = 50;

/// What an id leads to.
pub(crate) enum Told {
    /// Nothing of this partner's.
    Nothing,
    /// One click.
    One(Box<Story>),
    /// Several clicks.
    Several {
        /// What the id is.
        kinds: Vec<Kind>,
        /// The newest of them.
        briefs: Vec<Brief>,
        /// How many were found.
        total: usize,
        /// Whether there are still more.
        more: bool,
    },
}

/// Everything that the partner may find by an id, from one state of the record.
pub(crate) fn tell(tx: &mut Tx<'_>, catalog: &Catalog, asked: &str, whose: Whose) -> Result<Told, Error> {
    let found = story::find(tx, catalog, asked, whose)?;
    if let [only] = found.clicks.as_slice() {
        return Ok(Told::One(Box::new(story::of_click(tx, catalog, only)?)));
    }
    if found.clicks.is_empty() {
        return Ok(Told::Nothing);
    }
    let newest: Vec<&Click> = found.clicks.iter().take(LISTED).collect();
    let briefs =
        newest.into_iter().map(|click| story::brief(tx, catalog, click)).collect::<Result<_, _>>()?;
    Ok(Told::Several { kinds: found.kinds, briefs, total: found.clicks.len(), more: found.more })
}

/// Looks an id up for a viewer; one that nothing can have is not looked up.
pub(crate) async fn look_up(site: &Site, viewer: &Viewer, asked: &str) -> Result<Told, Error> {
    if asked.is_empty() || asked.len() > MAX_ID_BYTES || asked.contains('\0') {
        return Ok(Told::Nothing);
    }
    let (catalog, asked) = (site.app.live.catalog.load_full(), asked.to_owned());
    let whose = Whose::Partner(viewer.network.id, viewer.partner.id);
    let told = site.app.db.read(move |tx| tell(tx, &catalog, &asked, whose)).await?;
    Ok(match told {
        Told::One(story) => Told::One(Box::new(viewer.cover(*story))),
        other => other,
    })
}

/// A fact at the head of a story.
pub(crate) struct Fact {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) value: String,
    /// Where it leads; empty: nowhere.
    pub(crate) href: String,
    /// The kind of its pill; empty: none.
    pub(crate) pill: &'static str,
    /// Whether it is an id, to be copied.
    pub(crate) is_id: bool,
}

impl Fact {
    fn text(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into(), href: String::new(), pill: "", is_id: false }
    }

    fn id(name: &'static str, value: impl Into<String>) -> Self {
        Self { is_id: true, ..Self::text(name, value) }
    }

    fn pill(name: &'static str, kind: &'static str, word: impl Into<String>) -> Self {
        Self { pill: kind, ..Self::text(name, word) }
    }
}

#[derive(askama::Template)]
#[template(path = "trace/show.html")]
struct Page {
    shell: Shell,
    facts: Vec<Fact>,
    moments: Vec<Moment>,
    /// What came of it, in a sentence.
    end: String,
    more_requests: bool,
}

#[derive(askama::Template)]
#[template(path = "trace/several.html")]
struct Several {
    shell: Shell,
    asked: String,
    told: String,
    rows: Vec<Row>,
}

/// The story of an id, or the clicks that it leads to.
pub(crate) async fn show(State(site): State<Arc<Site>>, viewer: Viewer, Path(id): Path<String>) -> Answer {
    match look_up(&site, &viewer, &id).await {
        Ok(Told::One(story)) => one(&viewer, &story),
        Ok(Told::Several { kinds, briefs, total, more }) => {
            several(&viewer, &id, &kinds, &briefs, total, more)
        }
        Ok(Told::Nothing) => page::absent(),
        Err(error) => {
            tracing::error!(%error, "a trace cannot be read");
            page::unavailable()
        }
    }
}

fn one(viewer: &Viewer, story: &Story) -> Answer {
    let Some(click) = &story.click else { return page::absent() };
    let subtitle = format!("{}, {}", viewer.format.time(click.at.0), format::ago(click.at.0, viewer.now));
    let shell = Shell::new(viewer, Section::Clicks, "Trace", &subtitle).below("/clicks", "Clicks");
    let page = Page {
        shell,
        facts: facts(story),
        moments: trace_moment::of(story, &viewer.format),
        end: end(story),
        more_requests: story.more_requests,
    };
    page::html(StatusCode::OK, &page)
}

fn facts(story: &Story) -> Vec<Fact> {
    let Some(click) = &story.click else { return Vec::new() };
    let words = click_word::verdict(click.verdict);
    let mut facts = Vec::new();
    if let Some(owner) = &click.owner {
        let href = format!("/offers/{}", owner.offer);
        facts.push(Fact { href, ..Fact::text("Offer", &owner.offer_name) });
    }
    facts.push(Fact::id("Click id", click.id.to_string()));
    let ids = [("pub_click_id", &click.pub_click_id), ("pub_member_id", &click.pub_member_id)];
    facts.extend(ids.into_iter().filter_map(|(name, value)| Some(Fact::id(name, value.clone()?))));
    facts.push(Fact::pill("Verdict", words.kind, words.word));
    for conversion in &story.conversions {
        let (kind, word) = conversion_word::status(conversion.status);
        let why = conversion.reason.map(|reason| format!(": {}", conversion_word::reason(reason).0));
        let event = conversion.event.as_ref().map(|event| format!(" ({event})")).unwrap_or_default();
        let test = if conversion.test { ", a test" } else { "" };
        let word = format!("{word}{}{event}{test}", why.unwrap_or_default());
        facts.push(Fact::pill("Conversion", kind, word));
        facts.push(Fact::id("Conversion id", conversion.id.to_string()));
    }
    facts
}

/// What it all came to, in a sentence, with the next step where there is one.
fn end(story: &Story) -> String {
    let Some(click) = &story.click else { return String::new() };
    if story.conversions.is_empty() {
        return if click.verdict.sends_on() && click.sent_to.is_some() {
            "No conversion yet: the advertiser has reported none that counts for this click.".to_owned()
        } else {
            click_word::verdict(click.verdict).meaning.to_owned()
        };
    }
    let of = |state: &str| {
        let told = story.conversions.iter().flat_map(|own| &own.deliveries);
        told.filter(|told| told.state == state).count()
    };
    let (delivered, waiting, dead) = (of("delivered"), of("pending"), of("dead"));
    match delivered + waiting + dead {
        0 => "You were told nothing: no postback of yours asks for this, or it came later.".to_owned(),
        _ => format!("Your postbacks: {delivered} delivered, {waiting} waiting, {dead} given up."),
    }
}

fn several(
    viewer: &Viewer,
    asked: &str,
    kinds: &[Kind],
    briefs: &[Brief],
    total: usize,
    more: bool,
) -> Answer {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let or_more = if more { " or more" } else { "" };
    let total = viewer.format.len(total);
    let told = format!(
        "The id is the {} of {total}{or_more} clicks; the newest {} are here. Times in {}.",
        names.join(" and "),
        briefs.len(),
        format::zone(&viewer.zone, viewer.now)
    );
    let rows = briefs.iter().map(|brief| {
        let words = click_word::verdict(brief.verdict);
        let conversions =
            if brief.conversions.is_empty() { "none".to_owned() } else { brief.conversions.join(", ") };
        let cells = vec![
            Cell::text(viewer.format.time(brief.at.0)),
            Cell::text(brief.offer.clone().unwrap_or_default()),
            Cell::mono(brief.pub_click_id.clone().unwrap_or_default()),
            Cell::mono(brief.pub_member_id.clone().unwrap_or_default()),
            Cell::pill(words.kind, words.word, words.meaning),
            Cell::text(conversions),
        ];
        Row { href: format!("/trace/{}", brief.id), cells }
    });
    let rows = rows.collect();
    let shell = Shell::new(viewer, Section::Clicks, "Several clicks", asked).below("/clicks", "Clicks");
    page::html(StatusCode::OK, &Several { shell, asked: asked.to_owned(), told, rows })
}

/// A path of one more segment, whatever is in it.
pub(crate) fn path(base: &str, segment: &str) -> String {
    use std::fmt::Write as _;

    let mut path = format!("{base}/");
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}
