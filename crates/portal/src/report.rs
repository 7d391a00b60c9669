//! Reports: figures by group. What is asked stands in the address; `report_view` makes a table and a chart of the
//! answer.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use domain::click::Verdict;
use domain::report::{Ask, Dimension, Filter as Only, Refused, Report};
use store::report::{AskError, ask, ask_clicks};
use store::saved_view::{self, SavedView};

use crate::click_word;
use crate::component::Choice;
use crate::format::Format;
use crate::icon::Svg;
use crate::page::{self, Answer, Section, Shell};
use crate::query::{Query, Range};
use crate::report_view::{self, Figure, Lines, Measure};
use crate::site::Site;
use crate::table::{self, Filter, MOST_IN_FILE, Period};
use crate::viewer::{HIDDEN, Viewer};

pub(crate) const PATH: &str = "/reports";
const FILE: &str = "/reports.csv";
const RANGE: &str = "last-7-days";
/// Lines on the page.
const LINES: usize = 200;

/// What a partner may group and filter by, with its words.
pub(crate) const DIMENSIONS: [(Dimension, &str); 25] = [
    (Dimension::Day, "Day"),
    (Dimension::Hour, "Hour"),
    (Dimension::Week, "Week"),
    (Dimension::Month, "Month"),
    (Dimension::Offer, "Offer"),
    (Dimension::Event, "Event"),
    (Dimension::Status, "Conversion status"),
    (Dimension::Country, "Country"),
    (Dimension::Device, "Device"),
    (Dimension::Verdict, "Verdict"),
    (Dimension::Sub1, "pub_sub_1"),
    (Dimension::Sub2, "pub_sub_2"),
    (Dimension::Sub3, "pub_sub_3"),
    (Dimension::Sub4, "pub_sub_4"),
    (Dimension::Sub5, "pub_sub_5"),
    (Dimension::Sub6, "pub_sub_6"),
    (Dimension::Sub7, "pub_sub_7"),
    (Dimension::Sub8, "pub_sub_8"),
    (Dimension::Sub9, "pub_sub_9"),
    (Dimension::Sub10, "pub_sub_10"),
    (Dimension::Sub11, "pub_sub_11"),
    (Dimension::Sub12, "pub_sub_12"),
    (Dimension::Sub13, "pub_sub_13"),
    (Dimension::Sub14, "pub_sub_14"),
    (Dimension::Sub15, "pub_sub_15"),
];

/// What a query asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The groups, at most two.
    pub(crate) by: Vec<Dimension>,
    /// The measure of the chart.
    pub(crate) measure: Measure,
    /// Whether the period before stands beside it.
    pub(crate) compared: bool,
    filters: Vec<Only>,
}

/// The answers to it.
pub(crate) struct Answers {
    /// The report.
    pub(crate) report: Report,
    /// The same of the period before.
    pub(crate) before: Option<Report>,
    /// Clicks by verdict; none where clicks cannot be counted.
    pub(crate) refused: Option<Report>,
}

#[derive(askama::Template)]
#[template(path = "report/show.html")]
struct Page {
    shell: Shell,
    period: Period,
    by: Vec<Choice>,
    by2: Vec<Choice>,
    measures: Vec<Choice>,
    filters: Vec<Filter>,
    compared: bool,
    /// What is asked in the form and not one of its fields.
    sort: String,
    /// What cannot be answered, and why; empty: everything was.
    wrong: String,
    lines: Lines,
    chart: Svg,
    figures: Vec<Figure>,
    refused: Vec<(String, &'static str, String, String)>,
    as_of: String,
    file: String,
    query: String,
    views: Vec<(String, String, String)>,
    may_keep: bool,
    many: String,
}

impl Asked {
    /// What a query asks for; whatever it names that there is not is left out.
    pub(crate) fn read(query: &Query) -> Self {
        let dimension = |name: &str| {
            let asked = query.get(name)?;
            DIMENSIONS.iter().map(|(own, _)| *own).find(|own| own.code() == asked)
        };
        let mut by: Vec<Dimension> = match query.get("by") {
            None => vec![Dimension::Day],
            Some(_) => dimension("by").into_iter().collect(),
        };
        by.extend(dimension("by2").filter(|second| !by.contains(second)));
        let filtered = DIMENSIONS.iter().filter(|(own, _)| !own.is_time());
        let filters = filtered.flat_map(|(own, _)| {
            query.all(own.code()).map(|value| Only { dimension: *own, value: value.to_owned() })
        });
        let measure = query.get("chart").and_then(Measure::from_code).unwrap_or(Measure::Clicks);
        Self { filters: filters.collect(), measure, compared: query.get("compare").is_some(), by }
    }

    fn ask(&self, by: &[Dimension], range: &Range, viewer: &Viewer) -> Result<Ask, Refused> {
        let ask = Ask::new(viewer.network.id, range.from, range.to, viewer.zone.clone())?;
        let hidden = |own: &Only| own.dimension == Dimension::Event && !viewer.shows_event(&own.value);
        // To look for an event that partners are not shown finds as little as to look for one that is not there.
        let of = |own: &Only| {
            if hidden(own) { Only { value: HIDDEN.to_owned(), ..own.clone() } } else { own.clone() }
        };
        let filters = self.filters.iter().map(of).collect();
        ask.of_partner(viewer.partner.id).filtered(filters)?.grouped(by.to_vec())
    }

    /// Asks the record, in one state of it. Nobody's revenue is in the answers.
    async fn answers(&self, site: &Site, viewer: &Viewer, range: &Range) -> Result<Answers, AskError> {
        let question = self.ask(&self.by, range, viewer)?;
        let previous = range.previous(&viewer.zone).filter(|_| self.compared);
        let before = previous.map(|range| self.ask(&self.by, &range, viewer)).transpose()?;
        let refused = self.ask(&[Dimension::Verdict], range, viewer)?;
        let refused = Some(refused).filter(Ask::counts_clicks);
        let (catalog, now) = (site.app.live.catalog.load_full(), viewer.now);
        let read = move |tx: &mut store::Tx<'_>| -> Result<Answers, AskError> {
            let refused = refused.as_ref().map(|own| ask_clicks(tx, &catalog, own, now)).transpose()?;
            let mut one = |own: &Ask| ask(tx, &catalog, own, now).map(Report::without_revenue);
            Ok(Answers {
                report: one(&question)?,
                before: before.as_ref().map(&mut one).transpose()?,
                refused,
            })
        };
        site.app.db.read(read).await
    }
}

/// A report.
pub(crate) async fn show(State(site): State<Arc<Site>>, viewer: Viewer, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(raw.as_deref());
    let period = Period::read(&query, PATH, RANGE, &viewer);
    let asked = Asked::read(&query);
    let (answers, wrong) = match asked.answers(&site, &viewer, &period.range).await {
        Ok(answers) => (Some(answers), String::new()),
        Err(AskError::Store(error)) => return failed(&error),
        Err(refused) => (None, format!("{refused}.")),
    };
    let views = match views(&site, &viewer).await {
        Ok(views) => views,
        Err(error) => return failed(&error),
    };
    page::html(StatusCode::OK, &Page::new(&viewer, &query, period, &asked, answers.as_ref(), wrong, views))
}

/// The same report as a file.
pub(crate) async fn file(State(site): State<Arc<Site>>, viewer: Viewer, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(raw.as_deref());
    let period = Period::read(&query, PATH, RANGE, &viewer);
    let asked = Asked::read(&query);
    let answers = match asked.answers(&site, &viewer, &period.range).await {
        Ok(answers) => answers,
        Err(AskError::Store(error)) => return failed(&error),
        Err(refused) => {
            return page::notice(StatusCode::BAD_REQUEST, "No such report", &format!("{refused}."));
        }
    };
    let lines = report_view::lines(&asked, &answers, &query, &viewer, MOST_IN_FILE);
    let rows = lines.rows.iter().map(|cells| cells.iter().flat_map(table::Cell::file).collect()).collect();
    table::file(&format!("report-{}", period.range.text), &lines.file_head, rows, lines.left_out > 0)
}

fn failed(error: &store::Error) -> Answer {
    tracing::error!(%error, "a report cannot be made");
    page::unavailable()
}

async fn views(site: &Site, viewer: &Viewer) -> Result<Vec<SavedView>, store::Error> {
    let (network, user) = (viewer.network.id, viewer.user.id);
    site.app.db.read(move |tx| saved_view::of_user(tx, network, user, PATH)).await
}

impl Page {
    fn new(
        viewer: &Viewer,
        query: &Query,
        period: Period,
        asked: &Asked,
        answers: Option<&Answers>,
        wrong: String,
        views: Vec<SavedView>,
    ) -> Self {
        let lines = answers.map(|answers| report_view::lines(asked, answers, query, viewer, LINES));
        let lines = lines.unwrap_or_default();
        let many = match lines.left_out {
            0 => String::new(),
            more => format!(
                "{} more lines are not shown. The file has them; or filter, or ask for a shorter range.",
                viewer.format.len(more)
            ),
        };
        let view = |view: SavedView| {
            let href = Query::read(Some(&view.query)).url(PATH);
            (view.name, href, view.query)
        };
        Self {
            shell: Shell::new(viewer, Section::Reports, "Reports", &period.words),
            by: choices(asked.by.first().copied(), "Nothing: one line"),
            by2: choices(asked.by.get(1).copied(), "Nothing else"),
            measures: Measure::ALL
                .iter()
                .map(|own| Choice::new(own.code(), own.word(), *own == asked.measure))
                .collect(),
            filters: filters(query, viewer),
            compared: asked.compared,
            sort: query.get("sort").unwrap_or_default().to_owned(),
            wrong,
            chart: answers
                .map_or(Svg::NONE, |answers| report_view::chart(asked, answers, &period.range, viewer)),
            figures: Figure::ALL.to_vec(),
            refused: answers
                .and_then(|own| own.refused.as_ref())
                .map(|own| refused(own, &viewer.format))
                .unwrap_or_default(),
            as_of: answers.map(|own| viewer.format.time(own.report.as_of)).unwrap_or_default(),
            file: query.url(FILE),
            query: query.to_string(),
            views: views.into_iter().map(view).collect(),
            may_keep: viewer.may_change(),
            lines,
            many,
            period,
        }
    }
}

fn choices(chosen: Option<Dimension>, none: &str) -> Vec<Choice> {
    let each = DIMENSIONS.iter().map(|(own, word)| Choice::new(own.code(), *word, chosen == Some(*own)));
    std::iter::once(Choice::new("none", none, chosen.is_none())).chain(each).collect()
}

fn filters(query: &Query, viewer: &Viewer) -> Vec<Filter> {
    let verdicts =
        Verdict::ALL.iter().filter(|own| !matches!(own, Verdict::LinkUnknown | Verdict::NotRecorded));
    let verdicts = verdicts.map(|own| (own.code().to_owned(), click_word::verdict(*own).word.to_owned()));
    let devices =
        domain::visitor::Device::ALL.iter().map(|own| (own.code().to_owned(), own.code().to_owned()));
    let mut filters = vec![
        Filter::offers(query, viewer),
        Filter::text(query, "country", "Country", "such as DE"),
        Filter::choice(query, "device", "Device", "Any device", devices),
        Filter::choice(query, "verdict", "Verdict", "Any verdict", verdicts),
    ];
    // What was asked for by an address stays in the form.
    let more = DIMENSIONS.iter().filter(|(own, _)| own.sub().is_some() || own.is_of_conversion());
    let more = more.filter(|(own, _)| query.get(own.code()).is_some());
    filters.extend(more.map(|(own, word)| Filter::text(query, own.code(), word, "exactly")));
    filters
}

/// Refused clicks by reason: the reason, what it means, how many, and their share of the clicks.
fn refused(report: &Report, format: &Format) -> Vec<(String, &'static str, String, String)> {
    let all = report.total().clicks.unwrap_or_default().counted;
    let mut refused: Vec<(i64, Verdict)> = Vec::new();
    for (key, line) in &report.lines {
        let verdict = key.first().and_then(|(_, code)| code.parse::<Verdict>().ok());
        let count = line.clicks.map_or(0, |clicks| clicks.refused());
        refused.extend(verdict.filter(|_| count > 0).map(|verdict| (count, verdict)));
    }
    refused.sort_by(|a, b| b.cmp(a));
    let shown = refused.into_iter().map(|(count, verdict)| {
        let words = click_word::verdict(verdict);
        (words.word.to_owned(), words.meaning, format.count(count), format.percent(count, all))
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_groups_by_no_partner_and_no_margin() {
        let asked =
            Asked::read(&Query::read(Some("by=partner&by2=link&partner=x&offer=a&offer=b&chart=revenue")));
        assert_eq!((asked.by.as_slice(), asked.measure), (&[][..], Measure::Clicks));
        assert_eq!(asked.filters.len(), 2);
        assert_eq!(Asked::read(&Query::default()).by, [Dimension::Day]);
        let twice = Asked::read(&Query::read(Some("by=country&by2=country")));
        assert_eq!(twice.by, [Dimension::Country]);
    }
}
