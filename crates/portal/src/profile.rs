//! The viewer's own account: zone, format of numbers and dates, password, sessions, second factor.

pub(crate) mod password;
pub(crate) mod sessions;
pub(crate) mod totp;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use domain::format::{Dates, Numbers, Style};
use jiff::tz::TimeZone;
use serde::Deserialize;
use store::user::{self, Reading};

use crate::component::{Choice, Mistakes, Tab};
use crate::page::{self, Answer, Section, Shell};
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

#[derive(Template)]
#[template(path = "account/profile.html")]
struct Page {
    shell: Shell,
    tabs: Vec<Tab>,
    role: &'static str,
    zones: Vec<Choice>,
    numbers: Vec<Choice>,
    dates: Vec<Choice>,
    mistakes: Mistakes,
}

/// What the page is asked with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    said: String,
}

/// What was just done, told once.
pub(crate) fn told(word: &str) -> Option<&'static str> {
    match word {
        "reading" => Some("Times, numbers and dates are shown as you chose."),
        "password" => Some("Your password is changed, and every other session has ended."),
        "ended" => Some("That session has ended."),
        "factor" => Some("The second factor is off, and its recovery codes no longer work."),
        _ => None,
    }
}

/// The account's pages.
pub(crate) fn tabs(at: &str) -> Vec<Tab> {
    let all =
        [("/profile", "Profile"), ("/profile/sessions", "Sessions"), ("/profile/totp", "Second factor")];
    all.iter().map(|(href, word)| Tab::new(*href, *word, *href == at)).collect()
}

/// The frame of an account's page, with what was just done.
pub(crate) fn shell(viewer: &Viewer, title: &str, said: &str) -> Shell {
    let shell = Shell::new(viewer, Section::Account, title, &viewer.user.email);
    match told(said) {
        Some(words) => shell.noting("good", words),
        None => shell,
    }
}

/// How times, numbers and dates are read, and the password.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Answer, Refused> {
    form(&site, &viewer, StatusCode::OK, Mistakes::default(), &asked.said).await
}

async fn form(
    site: &Site,
    viewer: &Viewer,
    status: StatusCode,
    mistakes: Mistakes,
    said: &str,
) -> Result<Answer, Refused> {
    let id = viewer.user.id;
    let own = site.app.db.read(move |tx| user::find(tx, id)).await?.ok_or(Refused::Absent)?;
    let page = Page {
        shell: shell(viewer, "Profile", said),
        tabs: tabs("/profile"),
        role: crate::team::word(viewer.role),
        zones: zones(&viewer.network.zone, own.reading.zone.as_deref()),
        numbers: numbers(own.reading.style.numbers),
        dates: dates(own.reading.style.dates, viewer),
        mistakes,
    };
    Ok(page::html(status, &page))
}

/// The network's zone first, and then every other.
fn zones(network: &str, own: Option<&str>) -> Vec<Choice> {
    let first = Choice::new("", format!("The network's: {network}"), own.is_none());
    let mut names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    names.retain(|name| name == "UTC" || name.contains('/') && !name.starts_with("Etc/"));
    names.sort_unstable();
    let rest = names.into_iter().map(|name| {
        let chosen = own == Some(name.as_str());
        Choice::new(name.clone(), name, chosen)
    });
    std::iter::once(first).chain(rest).collect()
}

/// Each way to write a number, shown by one.
fn numbers(own: Numbers) -> Vec<Choice> {
    let each = Numbers::ALL.iter().map(|one| Choice::new(one.code(), one.decimal("12345.60"), *one == own));
    each.collect()
}

/// Each way to write a date, shown by today's.
fn dates(own: Dates, viewer: &Viewer) -> Vec<Choice> {
    let today = crate::query::today(&viewer.zone, viewer.now);
    Dates::ALL.iter().map(|one| Choice::new(one.code(), one.day(today), *one == own)).collect()
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    zone: String,
    numbers: String,
    dates: String,
}

impl Given {
    fn read(self) -> Result<Reading, Mistakes> {
        let mut mistakes = Mistakes::default();
        let zone = Some(self.zone).filter(|zone| !zone.is_empty());
        if zone.as_deref().is_some_and(|zone| TimeZone::get(zone).is_err()) {
            mistakes.add("zone", "Choose one of the zones.");
        }
        let (numbers, dates) = (self.numbers.parse(), self.dates.parse());
        if numbers.is_err() {
            mistakes.add("numbers", "Choose one of the ways to write a number.");
        }
        if dates.is_err() {
            mistakes.add("dates", "Choose one of the ways to write a date.");
        }
        match (numbers, dates) {
            (Ok(numbers), Ok(dates)) if mistakes.is_empty() => {
                Ok(Reading { zone, style: Style { numbers, dates } })
            }
            _ => Err(mistakes),
        }
    }
}

/// Keeps how the viewer reads.
pub(crate) async fn save(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let reading = match given.read() {
        Ok(reading) => reading,
        Err(mistakes) => {
            return form(&site, &viewer, StatusCode::UNPROCESSABLE_ENTITY, mistakes, "").await;
        }
    };
    let id = viewer.user.id;
    site.app.db.write(move |tx| user::set_reading(tx, id, &reading)).await?;
    Ok(page::see_other("/profile?said=reading"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_can_be_chosen_and_the_own_one_is() {
        let zones = zones("Europe/Berlin", Some("Asia/Tokyo"));
        assert!(zones.len() > 300 && zones[0].word.contains("Europe/Berlin") && !zones[0].chosen);
        let chosen: Vec<&str> =
            zones.iter().filter(|zone| zone.chosen).map(|zone| zone.value.as_str()).collect();
        assert_eq!(chosen, ["Asia/Tokyo"]);
        assert!(zones[1..].iter().all(|zone| TimeZone::get(&zone.value).is_ok()));
    }

    #[test]
    fn mistakes_and_notices_render() {
        let mut mistakes = Mistakes::default();
        mistakes.add("password", "<script>");
        let page = Page {
            shell: Shell::sample(Section::Account, "Profile"),
            tabs: tabs("/profile"),
            role: "Owner",
            zones: zones("UTC", None),
            numbers: numbers(Numbers::PointComma),
            dates: Vec::new(),
            mistakes,
        };
        let text = page.render().unwrap();
        assert!(text.contains("<option value=\"point_comma\" selected>12.345,60</option>"), "{text}");
        assert!(!text.contains("<script>") && text.contains("&#60;script&#62;"));
        assert!(text.len() < 100_000, "{}", text.len());
    }
}
