//! What became of a test: the verdict, the final URL, and the story as every trace tells it.

use std::fmt::Write as _;

use askama::Template;
use domain::click::{Click, Marks};
use domain::id::ClickId;
use store::story::Story;

use crate::click_word::{self, Words};
use crate::component::UrlParts;
use crate::format::Format;
use crate::offer::Own;
use crate::refused::Refused;
use crate::site::Site;
use crate::trace_moment::{self, Moment};
use crate::viewer::Viewer;

/// Requests about one click that are counted.
const MOST_REQUESTS: i64 = 200;

/// A test as its partner sees it.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    /// Our id of the click.
    pub(super) id: String,
    /// The verdict in words.
    pub(super) verdict: Words,
    /// Its code.
    pub(super) code: &'static str,
    /// What a visitor was answered; empty for a redirect.
    pub(super) message: String,
    /// Where the visitor was sent.
    pub(super) sent_to: Option<UrlParts>,
    /// Whether that was the advertiser.
    pub(super) sends_on: bool,
    /// The story.
    pub(super) moments: Vec<Moment>,
    /// Whether there is a conversion that no postback is told of.
    pub(super) untold: bool,
    /// Whether there is nothing more to come by itself.
    pub(super) done: bool,
}

/// The trace alone, as the live stream sends it.
#[derive(Template)]
#[template(path = "offer/live.html")]
struct Part<'t> {
    trace: &'t Trace,
}

impl Trace {
    /// The trace as it stands in the page.
    pub(super) fn html(&self) -> Option<String> {
        Part { trace: self }.render().ok()
    }
}

/// The trace of a test click on the partner's own link; none for any other id.
pub(super) async fn of(
    site: &Site,
    viewer: &Viewer,
    own: Own,
    click: ClickId,
) -> Result<Option<Trace>, Refused> {
    let catalog = site.app.live.catalog.load_full();
    let read = site.app.db.read(move |tx| {
        let found = store::click::find(tx, click)?;
        let found = found.filter(|click| click.link == own.id && click.marks.has(Marks::TEST));
        let Some(click) = found else { return Ok(None) };
        let story = store::story::of_click(tx, &catalog, &click)?;
        Ok::<_, store::Error>(Some((click, story)))
    });
    Ok(read.await?.map(|(click, story)| told(&click, &viewer.cover(story), &viewer.format)))
}

/// What may grow about a test, as one value that differs whenever it did. Cheap, where the trace itself looks at every
/// rule again.
pub(super) async fn state(site: &Site, click: ClickId) -> Result<String, Refused> {
    let read = site.app.db.read(move |tx| {
        let mut state = format!("{} requests", store::inbound::by_click(tx, click, MOST_REQUESTS)?.len());
        for own in store::conversion::by_click(tx, click)? {
            // Writing into a String cannot fail, here and below.
            let _ = write!(state, "; conversion {} {}", own.id, own.version);
            for delivery in store::delivery::by_conversion(tx, own.id)? {
                let _ = write!(state, ", {} {}", delivery.state, delivery.attempts.len());
            }
        }
        Ok::<_, store::Error>(state)
    });
    Ok(read.await?)
}

fn told(click: &Click, story: &Story, format: &Format) -> Trace {
    let sends_on = click.verdict.sends_on() && !click.marks.has(Marks::REFUSED);
    let mut told = story.conversions.iter().flat_map(|own| &own.deliveries);
    let waits = told.any(|delivery| delivery.next_attempt.is_some());
    let destination = &click.facts.destination;
    Trace {
        id: click.id.to_string(),
        verdict: click_word::click(click),
        code: click.verdict.code(),
        message: click.facts.message.clone(),
        sent_to: (!destination.is_empty()).then(|| UrlParts::new(destination)),
        sends_on,
        moments: trace_moment::of(story, format),
        untold: story.conversions.iter().any(|own| own.deliveries.is_empty()),
        done: !sends_on || (!story.conversions.is_empty() && !waits),
    }
}
