//! Many visitors and a hasty advertiser at once, and a journal of everything that they were promised.
//!
//! What visit number `n` does follows from `n` alone, so what it is worth can be counted again afterwards without
//! asking the product.

pub(crate) mod oracle;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use testkit::http::{self, Answer};
use testkit::{Engine, block_on};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::world::{AT_MOST, Applied, Endpoint, NETWORK, TOKEN, apply, encoded};

/// Postbacks besides the one for everything: of an offer, and of one event.
const MORE_POSTBACKS: &str = r#"
[[postback]]
partner = "app"
slug = "flat"
offer = "flat"
url = "http://{partner}/postback/flat?conversion={conversion_id}"

[[postback]]
partner = "app"
slug = "ten"
offer = "levels"
event = "Level 10"
method = "POST_JSON"
url = "http://{partner}/postback/ten"
"#;

/// Every how many visits an old postback is sent once more.
const AGAIN_EVERY: u64 = 9;

/// Declares the network that the visits are about.
pub(crate) fn declare(engine: &Engine, endpoint: &Endpoint) -> Applied {
    let declaration = format!("{NETWORK}{MORE_POSTBACKS}").replace("{partner}", &endpoint.address());
    apply(engine, &declaration, &[])
}

/// A visitor who follows a link and does there what the offer pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Visit(pub(crate) u64);

impl Visit {
    /// The visit with this partner's click id.
    pub(crate) fn of(pub_click_id: &str) -> Option<Self> {
        pub_click_id.strip_prefix('c')?.parse().ok().map(Self)
    }

    /// The offer's slug.
    pub(crate) fn offer(self) -> &'static str {
        ["flat", "share", "levels"][usize::try_from(self.0 % 3).unwrap()]
    }

    /// The event's code; empty on single-event offers.
    pub(crate) fn event(self) -> &'static str {
        match (self.offer(), self.0 % 2) {
            ("levels", 0) => "install",
            ("levels", _) => "Level 10",
            _ => "",
        }
    }

    /// Every fourth visit is of somebody who comes several times to the same offer.
    pub(crate) fn member(self) -> String {
        if self.0.is_multiple_of(4) { format!("s{}", self.0 / 60) } else { format!("m{}", self.0) }
    }

    /// The sale's amount in micro-units, on the offer that pays a share.
    pub(crate) fn amount_micros(self) -> Option<i64> {
        let micros = i64::try_from(self.0 * 7_919_333 % 500_000_000).unwrap() + 1;
        (self.offer() == "share").then_some(micros)
    }

    /// How many copies of its postback are sent at once.
    fn copies(self) -> u64 {
        1 + self.0 % 3
    }

    fn link_query(self) -> String {
        format!("pub_click_id=c{}&pub_member_id={}", self.0, self.member())
    }

    fn postback_query(self, click: Uuid) -> String {
        let mut parts = vec![format!("token={TOKEN}&gk_click_id={click}")];
        if !self.event().is_empty() {
            parts.push(format!("cnv_event_id={}", encoded(self.event())));
        }
        if let Some(micros) = self.amount_micros() {
            parts.push(format!("cnv_amount={}.{:06}", micros / 1_000_000, micros % 1_000_000));
        }
        if self.0 % 5 < 2 {
            parts.push(format!("cnv_conversion_id=k{}", self.0));
        }
        parts.join("&")
    }
}

/// What an answer promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The hit is recorded as this click, and its visitor was sent on.
    Click(Uuid),
    /// The hit is recorded as this click of a member who came back, and who was not sent on.
    Return(Uuid),
    /// The postback is recorded.
    Postback {
        /// Its line in the inbound log.
        line: Uuid,
        /// The answer's code.
        code: String,
        /// The conversion that it names.
        conversion: Uuid,
        /// The conversion's status.
        status: String,
    },
}

/// A promise that was read to its last byte before it was written here.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The life of the server in which it was made, for messages.
    #[allow(dead_code, reason = "read by a person, when a promise was broken")]
    pub(crate) round: usize,
    /// The visit that it was made to.
    pub(crate) visit: Visit,
    /// What was promised.
    pub(crate) promise: Promise,
}

/// A postback that may or may not have been recorded: the advertiser sends it again.
type Owed = (Visit, Uuid);

/// The visits of one test, over all the lives of its server.
pub(crate) struct Traffic {
    links: HashMap<&'static str, String>,
    next: AtomicU64,
    round: AtomicUsize,
    journal: Mutex<Vec<Entry>>,
    written: watch::Sender<usize>,
    owed: Mutex<Vec<Owed>>,
    refused: Mutex<Vec<Answer>>,
    strange: Mutex<Vec<(Visit, Answer)>>,
}

impl Traffic {
    /// No visit yet.
    pub(crate) fn new(applied: &Applied) -> Arc<Self> {
        let link = |offer| {
            let id = applied.id("link", &format!("{offer}/app"));
            (offer, format!("/api/v1/offer-link/redirect/{id}"))
        };
        Arc::new(Self {
            links: ["flat", "share", "levels"].into_iter().map(link).collect(),
            next: AtomicU64::new(1),
            round: AtomicUsize::new(0),
            journal: Mutex::default(),
            written: watch::Sender::new(0),
            owed: Mutex::default(),
            refused: Mutex::default(),
            strange: Mutex::default(),
        })
    }

    /// Lets `clients` visitors in at once, one after the other each, until all begin `visits` or the server is gone.
    pub(crate) fn begin(self: &Arc<Self>, url: &str, clients: usize, visits: u64) -> Load {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        let last = Arc::new(AtomicU64::new(self.next.load(Ordering::Relaxed).saturating_add(visits)));
        let due = Arc::new(Mutex::new(std::mem::take(&mut *lock(&self.owed))));
        let mut tasks = JoinSet::new();
        block_on(async {
            for _ in 0..clients {
                let (traffic, due) = (Arc::clone(self), Arc::clone(&due));
                let client = Client { traffic, url: url.to_owned(), round, due };
                tasks.spawn(client.run(Arc::clone(&last)));
            }
        });
        Load { tasks, last, due, traffic: Arc::clone(self) }
    }

    /// Everything promised until now, in the order in which the answers ended.
    pub(crate) fn journal(&self) -> Vec<Entry> {
        lock(&self.journal).clone()
    }

    /// How many promises there are.
    pub(crate) fn promised(&self) -> usize {
        *self.written.borrow()
    }

    /// Waits until so many promises were made.
    pub(crate) fn wait_for(&self, promises: usize) {
        let mut written = self.written.subscribe();
        let enough = block_on(async {
            tokio::time::timeout(AT_MOST, written.wait_for(|count| *count >= promises)).await.is_ok()
        });
        assert!(enough, "{} of {promises} promises within {AT_MOST:?}", self.promised());
    }

    /// The answers until now that promised nothing, with status 503.
    pub(crate) fn refused(&self) -> Vec<Answer> {
        lock(&self.refused).clone()
    }

    /// Checks that every answer that promised nothing says so: what to do, and nothing that looks like a record.
    pub(crate) fn check_refused(&self) {
        for answer in self.refused() {
            let seconds: u64 = answer.header("retry-after").parse().unwrap_or_else(|_| panic!("{answer:?}"));
            let json = answer.json();
            let said = (json["code"].as_str(), json["isSuccessful"].as_bool(), json["data"].is_null());
            assert_eq!(said, (Some("not_recorded"), Some(false), true), "{answer:?}");
            assert!((1..=60).contains(&seconds) && answer.header("location").is_empty(), "{answer:?}");
        }
    }

    /// Whether clicks as well as postbacks are among the answers that promised nothing.
    pub(crate) fn refused_both(&self) -> bool {
        let (clicks, postbacks): (Vec<_>, Vec<_>) =
            self.refused().into_iter().partition(|answer| answer.header("x-click-verdict") == "not_recorded");
        !clicks.is_empty() && !postbacks.is_empty()
    }

    /// The answers until now that no visit may get, such as an unknown click for one that was promised.
    pub(crate) fn strange(&self) -> Vec<(Visit, Answer)> {
        lock(&self.strange).clone()
    }

    /// How many postbacks are still to be sent again.
    pub(crate) fn owed(&self) -> usize {
        lock(&self.owed).len()
    }

    fn write(&self, round: usize, visit: Visit, promise: Promise) {
        let mut journal = lock(&self.journal);
        journal.push(Entry { round, visit, promise });
        self.written.send_replace(journal.len());
    }

    /// The click of a visit that was answered long ago, to report it once more.
    fn old(&self, number: u64) -> Option<Owed> {
        let journal = lock(&self.journal);
        let place = usize::try_from(number.wrapping_mul(0x9e37_79b9)).ok()?.checked_rem(journal.len())?;
        let visit = journal[place].visit;
        journal.iter().find_map(|entry| match &entry.promise {
            Promise::Click(id) if entry.visit == visit => Some((visit, *id)),
            _ => None,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Visitors who are on their way.
pub(crate) struct Load {
    tasks: JoinSet<()>,
    last: Arc<AtomicU64>,
    due: Arc<Mutex<Vec<Owed>>>,
    traffic: Arc<Traffic>,
}

impl Load {
    /// Lets nobody else in, and waits until those on their way are done.
    pub(crate) fn finish(self) {
        self.last.store(0, Ordering::Relaxed);
        self.end();
    }

    /// Waits until the last of them is done, or has met a dead server.
    pub(crate) fn end(mut self) {
        block_on(async {
            loop {
                let next = tokio::time::timeout(AT_MOST, self.tasks.join_next()).await;
                let next =
                    next.unwrap_or_else(|_| panic!("visitors are still on their way after {AT_MOST:?}"));
                let Some(ended) = next else { break };
                ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            }
        });
        // What the server did not live to be asked.
        lock(&self.traffic.owed).append(&mut lock(&self.due));
    }
}

/// The server is gone.
struct Gone;

#[derive(Clone)]
struct Client {
    traffic: Arc<Traffic>,
    url: String,
    round: usize,
    /// What was left without an answer until now.
    due: Arc<Mutex<Vec<Owed>>>,
}

impl Client {
    async fn run(self, last: Arc<AtomicU64>) {
        loop {
            let Some((visit, click)) = lock(&self.due).pop() else { break };
            if self.report(visit, click).await.is_err() {
                return;
            }
        }
        loop {
            let number = self.traffic.next.fetch_add(1, Ordering::Relaxed);
            if number >= last.load(Ordering::Relaxed) || self.visit(Visit(number)).await.is_err() {
                return;
            }
            if number.is_multiple_of(AGAIN_EVERY)
                && let Some((visit, click)) = self.traffic.old(number)
                && self.report(visit, click).await.is_err()
            {
                return;
            }
        }
    }

    async fn visit(&self, visit: Visit) -> Result<(), Gone> {
        let link = &self.traffic.links[visit.offer()];
        let answer = self.get(&format!("{link}?{}", visit.link_query())).await?;
        match answer.status {
            302 => {
                let (_, id) = answer.header("location").split_once("click=").expect("a click id");
                self.traffic.write(self.round, visit, Promise::Click(uuid(id)));
                self.report(visit, uuid(id)).await
            }
            409 => {
                let id = uuid(answer.json()["responseId"].as_str().expect("a reference"));
                self.traffic.write(self.round, visit, Promise::Return(id));
                Ok(())
            }
            503 => {
                lock(&self.traffic.refused).push(answer);
                Ok(())
            }
            _ => {
                lock(&self.traffic.strange).push((visit, answer));
                Ok(())
            }
        }
    }

    /// Sends every copy of a visit's postback at once.
    async fn report(&self, visit: Visit, click: Uuid) -> Result<(), Gone> {
        let mut copies = JoinSet::new();
        for _ in 0..visit.copies() {
            let client = self.clone();
            copies.spawn(async move { client.copy(visit, click).await });
        }
        let mut all = Ok(());
        while let Some(copy) = copies.join_next().await {
            let copy = copy.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            all = all.and(copy);
        }
        all
    }

    async fn copy(&self, visit: Visit, click: Uuid) -> Result<(), Gone> {
        let owed = || lock(&self.traffic.owed).push((visit, click));
        let answer = match self.get(&format!("/postback?{}", visit.postback_query(click))).await {
            Ok(answer) => answer,
            Err(gone) => {
                owed();
                return Err(gone);
            }
        };
        let json = answer.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_else(|| panic!("{json}")).to_owned();
        match (answer.status, text(&json["code"]).as_str()) {
            (200, "recorded" | "duplicate" | "member_already_completed") => {
                let promise = Promise::Postback {
                    line: uuid(&text(&json["responseId"])),
                    code: text(&json["code"]),
                    conversion: uuid(&text(&json["data"]["conversionId"])),
                    status: text(&json["data"]["status"]),
                };
                self.traffic.write(self.round, visit, promise);
            }
            (503, "not_recorded") => {
                owed();
                lock(&self.traffic.refused).push(answer);
            }
            _ => lock(&self.traffic.strange).push((visit, answer)),
        }
        Ok(())
    }

    /// An answer counts when its last byte has come.
    async fn get(&self, target: &str) -> Result<Answer, Gone> {
        http::send(http::client().get(format!("{}{target}", self.url))).await.map_err(|_| Gone)
    }
}

/// An id as an answer or a database shows it, with or without dashes.
pub(crate) fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap_or_else(|error| panic!("`{text}` is no id: {error}"))
}
