//! The pages of the portal as a partner opens them, one at a time: how long the first byte takes with a month of
//! clicks and thousands of offers, and what each page weighs.

use serde_json::Value;

use crate::bench::{Bench, block_on};
use crate::closed_loop;
use crate::experiment::report;
use crate::failure::{During as _, Result, ensure};
use crate::history;
use crate::http::{Answer, Connection};
use crate::network;
use crate::statistic::{Sample, float};
use crate::subject::{Engine, Server, Subject};
use crate::table::{Table, figure};

const OFFERS: usize = 10_000;
const OFFERS_QUICK: usize = 500;
const CLICKS: u64 = 1_000_000;
/// Offers that the partner runs, of all that it sees.
const LINKS: usize = 200;
/// Conversions of today, so that there is money to show and a postback for each.
const CONVERSIONS: usize = 2_000;
/// How often each page is asked for.
const ASKED: usize = 30;
const EMAIL: &str = "owner@partner.example";

/// The pages, by their addresses; `{offer}` and the like stand for ids that other pages show.
const PAGES: [&str; 41] = [
    "/home",
    "/offers",
    "/offers?q=offer-99",
    "/offers?country=DE&type=CPA&sort=-payout",
    "/offers?link=Approved",
    "/offers/{offer}",
    "/offers/{offer}/customise",
    "/offers/{offer}/checklist",
    "/offers/{offer}/test",
    "/offers/{offer}/events",
    "/offers/{offer}/postbacks",
    "/offers/{offer}/activity",
    "/clicks",
    "/clicks?range=last-30-days",
    "/clicks?range=last-30-days&offer={slug}",
    "/clicks?range=last-30-days&country=CH&device=iOS",
    "/clicks?range=last-30-days&verdict=refused",
    "/clicks?range=last-30-days&pub_member_id=m-7",
    "/trace/{click}",
    "/conversions",
    "/conversions?range=last-30-days&offer={slug}",
    "/trace/{conversion}",
    "/reports",
    "/reports?range=last-30-days&by=offer",
    "/reports?range=last-30-days&by=day",
    "/reports?range=last-30-days&by=country",
    "/reports?range=last-30-days&by=verdict&by2=day",
    "/reports?range=last-7-days&by=offer",
    "/reports?range=today&by=hour",
    "/search?q=ffer-4",
    "/postbacks",
    "/postbacks/new",
    "/postbacks/builder",
    "/postbacks/{postback}",
    "/deliveries/{delivery}",
    "/tokens",
    "/team",
    "/profile",
    "/profile/sessions",
    "/help",
    "/design",
];

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let quick = bench.options.quick;
    let (offers, clicks) =
        if quick { (OFFERS_QUICK, bench.options.stored) } else { (OFFERS, bench.options.stored.max(CLICKS)) };
    let head = format!("{} clicks, {offers} offers", figure(float(clicks)));
    let mut tables = Vec::new();
    for engine in bench.engines() {
        let column = format!("{}: {head}", engine.name());
        let mut table = Table::new(&[&column, "p50 ms", "p95 ms", "most ms", "bytes"]);
        one(bench, engine, (offers, clicks), &mut table)?;
        tables.push(table.text());
        if engine == Engine::Sqlite {
            bench.remove("portal")?;
        }
    }
    Ok(tables.join("\n"))
}

fn one(bench: &Bench, engine: Engine, (offers, clicks): (usize, u64), table: &mut Table) -> Result<()> {
    let files = network::of_many_offers(offers, LINKS);
    let (first, more) = files.split_first().during("a network")?;
    let mut subject = Subject::declare_as(bench, engine, "portal", first)?;
    for file in more {
        subject.apply(file)?;
    }
    block_on(history::write(&subject.record, subject.mix(), clicks))?;
    let token = invite(&subject)?;
    // Nobody listens there: attempts that fail are worth a look, too.
    subject.apply(&network::postbacks(1, |_| "http://127.0.0.1:9/told".to_owned()))?;
    let server = subject.serve(&["--delivery-allow", "127.0.0.1/32"])?;
    convert(&server, &mut subject)?;
    server.stop()?;
    report::counted(&subject)?;
    let server = subject.serve(&[])?;
    block_on(look(&server, &token, table))?;
    server.stop()
}

/// Declares the partner's owner, and gives the token of the invitation.
fn invite(subject: &Subject<'_>) -> Result<String> {
    let partner = network::partner_slug(0);
    let user = format!("[[user]]\nemail = \"{EMAIL}\"\nrole = \"partner\"\npartner = \"{partner}\"\n");
    let things = subject.apply(&user)?;
    let token = things.iter().find(|thing| thing["kind"] == "user");
    let token = token.map(|thing| &thing["secrets"][0]["value"]).and_then(Value::as_str);
    token.map(str::to_owned).during("a user without an invitation")
}

/// Conversions of the partner's own clicks of today.
fn convert(server: &Server<'_>, subject: &mut Subject<'_>) -> Result<()> {
    let mix = subject.mix_of(&network::partner_slug(0));
    let clicks = block_on(closed_loop::click(server, subject, &mix, "sold", CONVERSIONS))?;
    let requests = closed_loop::postbacks(&clicks);
    let sent = closed_loop::send(&server.address, requests, f64::INFINITY, closed_loop::conversion);
    block_on(sent).map(drop)
}

/// A browser without scripts: one connection and the session's cookie.
struct Browser {
    connection: Connection,
    cookie: String,
}

impl Browser {
    /// Accepts the invitation, which logs in.
    async fn log_in(address: &str, token: &str) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let form = "password=a+horse+in+the+rain";
        let request = format!(
            "POST /invitation/{token} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n\
             Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let answer = connection.exchange(request.as_bytes()).await?;
        ensure(answer.status == 303, || format!("the invitation is not taken: {}", answer.head))?;
        let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.during("no session after the invitation")?.to_owned();
        Ok(Self { connection, cookie })
    }

    /// A page that is there.
    async fn open(&mut self, page: &str) -> Result<Answer<'_>> {
        let request = format!("GET {page} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {}\r\n\r\n", self.cookie);
        let answer = self.connection.exchange(request.as_bytes()).await?;
        ensure(answer.status == 200, || format!("{page}: {}", answer.head))?;
        Ok(answer)
    }
}

async fn look(server: &Server<'_>, token: &str, table: &mut Table) -> Result<()> {
    let mut browser = Browser::log_in(&server.address, token).await?;
    let mut ids = vec![("{slug}", "offer-7".to_owned())];
    for (name, page, before) in [
        ("{offer}", "/offers?link=Approved", "/offers/"),
        ("{click}", "/clicks", "/trace/"),
        ("{conversion}", "/conversions", "/trace/"),
        ("{postback}", "/postbacks", "/postbacks/"),
        ("{delivery}", "/postbacks/{postback}", "/deliveries/"),
    ] {
        let own = filled(page, &ids);
        let id = first_id(browser.open(&own).await?.body, before);
        ids.push((name, id.during(format!("{own} shows no {name}"))?));
    }
    for page in PAGES {
        let address = filled(page, &ids);
        let (mut times, mut bytes) = (Vec::new(), 0);
        // The first answer fills caches and does not count.
        browser.open(&address).await?;
        for _ in 0..ASKED {
            bytes = browser.open(&address).await?.body.len();
            times.push(browser.connection.first_byte().as_secs_f64() * 1e3);
        }
        let times = Sample::new(times);
        let [p50, p95, most] = [times.median(), times.percentile(95.0), times.most()].map(figure);
        table.row(&[format!("`{page}`"), p50, p95, most, bytes.to_string()]);
    }
    Ok(())
}

/// An address with ids in their places.
fn filled(page: &str, ids: &[(&str, String)]) -> String {
    ids.iter().fold(page.to_owned(), |page, (name, id)| page.replace(name, id))
}

/// The first id in a page that stands behind `before`.
fn first_id(page: &str, before: &str) -> Option<String> {
    let ids = page.split(before).skip(1).filter_map(|rest| rest.get(..36));
    ids.filter(|id| id.parse::<uuid::Uuid>().is_ok()).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::first_id;

    #[test]
    fn an_id_is_found_between_other_links() {
        let id = "0193a1b2-0000-7000-8000-000000000001";
        let page =
            format!("<a href=\"/postbacks/new\"><a href=\"/postbacks/{id}\"><a href=\"/postbacks/x\">");
        assert_eq!(first_id(&page, "/postbacks/").as_deref(), Some(id));
        assert_eq!(first_id(&page, "/offers/"), None);
    }
}
