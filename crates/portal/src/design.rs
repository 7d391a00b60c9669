//! The gallery: every component with its states, on one page, with made-up values. Whoever changes the style sheet
//! looks here first.

use askama::Template;
use axum::http::StatusCode;
use domain::time::{DAY_MS, Timestamp};

use crate::chart::{self, Chart, Kind, Mark, Series};
use crate::component::{Choice, Mistakes, Tab, UrlParts};
use crate::format::Format;
use crate::icon::{ICONS, Svg};
use crate::page::{self, Answer, Section, Shell};
use crate::viewer::Viewer;

/// Two weeks of clicks that never were, with one day on which nothing was counted.
const CLICKS: [Option<i64>; 14] = [
    Some(1_180),
    Some(1_240),
    Some(1_310),
    Some(1_120),
    Some(980),
    Some(1_420),
    Some(1_610),
    Some(1_580),
    None,
    Some(1_490),
    Some(1_720),
    Some(1_660),
    Some(1_810),
    Some(740),
];
/// The two weeks before them.
const BEFORE: [i64; 14] =
    [1_010, 1_050, 1_120, 990, 870, 1_100, 1_230, 1_260, 1_180, 1_150, 1_280, 1_310, 1_270, 1_190];

/// The address of an offer as it is shown before anything is filled in, and a wrong one.
const LINK: &str = "https://api.acme.example/api/v1/offer-link/redirect/0198c7b2-51a4-7c11-9a3e-2f6d90b1c4aa";

#[derive(Template)]
#[template(path = "design.html")]
struct Gallery {
    shell: Shell,
    tokens: [(&'static str, &'static str); 8],
    icons: Vec<&'static str>,
    tabs: Vec<Tab>,
    choices: Vec<Choice>,
    mistakes: Mistakes,
    right: UrlParts,
    wrong: UrlParts,
    line: Svg,
    bars: Svg,
    funnel: Svg,
    spark: Svg,
}

/// Shows the gallery.
pub(crate) async fn show(viewer: Viewer) -> Answer {
    page::html(
        StatusCode::OK,
        &Gallery::new(
            Shell::new(&viewer, Section::Account, "Design", "Every component with its states"),
            &viewer.format,
        ),
    )
}

impl Gallery {
    fn new(shell: Shell, format: &Format) -> Self {
        let mut mistakes = Mistakes::default();
        mistakes.add(
            "wrong-url",
            "It has no host. Write it like https://tracker.example/postback?cid={pub_click_id}.",
        );
        let wrong =
            format!("{LINK}?pub_click_id=cid&pub_member_id={{{{user}}}}&pub_sub_1=banner-7&utm_source=mail");
        Self {
            shell,
            tokens: [
                ("n", "Neutral, 12 steps"),
                ("accent", "Accent"),
                ("good", "Good"),
                ("attention", "Attention"),
                ("bad", "Bad"),
                ("info", "Information"),
                ("", ""),
                ("", ""),
            ],
            icons: ICONS.iter().map(|(name, _)| *name).collect(),
            tabs: vec![
                Tab::new("#tabs", "Offer Details", true),
                Tab::new("#tabs", "Checklist", false).counting("6 of 9"),
                Tab::new("#tabs", "Test", false),
                Tab::new("#tabs", "Events", false).counting("3"),
            ],
            choices: vec![Choice::new("day", "Day", true), Choice::new("country", "Country", false)],
            mistakes,
            right: UrlParts::new(&format!(
                "{LINK}?pub_click_id={{clickid}}&pub_member_id={{userid}}&pub_sub_1=banner-7"
            )),
            wrong: UrlParts::new(&wrong)
                .wrong(
                    "pub_click_id",
                    "`cid` stands for every click. Put your tracker's macro there, such as {clickid}.",
                )
                .wrong("utm_source", "Not one of our parameters: it is ignored."),
            line: trend(Kind::Line, format),
            bars: trend(Kind::Bar, format),
            funnel: chart::funnel(
                "From click to payout",
                &[("Clicks", 18_240), ("Unique clicks", 15_402), ("Conversions", 611), ("Paid", 574)],
                format,
            ),
            spark: chart::sparkline("Clicks of 14 days", &CLICKS),
        }
    }
}

fn trend(kind: Kind, format: &Format) -> Svg {
    // 2026-11-10, the first of fourteen days.
    let first = Timestamp::from_ms(1_794_268_800_000);
    let marks = (0..14).map(|day| Mark::day(first.plus_ms(day * DAY_MS), format)).collect();
    let main = Series { name: "Clicks".to_owned(), values: CLICKS.to_vec() };
    let before = Series { name: "14 days before".to_owned(), values: BEFORE.map(Some).to_vec() };
    Chart::counts(kind, "Clicks by day", marks, main, format).against(before).unfinished(true).figure()
}

#[cfg(test)]
mod contrast;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_renders_and_nothing_is_inline() {
        let text =
            Gallery::new(Shell::sample(Section::Account, "Design"), &Format::sample()).render().unwrap();
        for class in [
            "pill good",
            "btn-danger",
            "urlblock",
            "timeline",
            "kv",
            "stat",
            "tabs",
            "empty",
            "chips",
            "plot",
        ] {
            assert!(text.contains(class), "{class}");
        }
        assert!(!text.contains(" style=") && !text.contains("<script>") && !text.contains(" onclick"));
        assert!(text.len() < 100 * 1024, "{} bytes", text.len());
    }
}
