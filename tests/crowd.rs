//! Many senders at once, on one server or several.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::http::{self, Answer};
use testkit::{Engine, Server, block_on, for_each_engine};

use crate::PITLANE;
use crate::world::{TO_THIS_MACHINE, TOKEN, World, click_id};

/// How many send at once.
const SENDERS: usize = 64;

/// A network that several servers answer for.
pub(crate) struct Crowd<'e> {
    /// The network, its partner and the first server.
    pub(crate) world: World<'e>,
    /// The other servers.
    pub(crate) others: Vec<Server>,
}

impl<'e> Crowd<'e> {
    /// [`crate::world::NETWORK`] and more, on so many servers.
    pub(crate) fn start(engine: &'e Engine, more: &str, servers: usize) -> Self {
        let world = World::with(engine, more, &[]);
        let others = (1..servers).map(|_| PITLANE.serve(engine, &TO_THIS_MACHINE)).collect();
        Self { world, others }
    }

    /// Ends every server in order.
    pub(crate) fn stop(self) {
        for server in self.others {
            server.stop();
        }
        self.world.stop();
    }

    /// Sends every `GET`, [`SENDERS`] at once, to the servers in turn, and gives the answers in the order of the
    /// targets.
    pub(crate) fn send(&self, targets: &[String]) -> Vec<Answer> {
        let bases: Vec<&str> =
            std::iter::once(self.world.server()).chain(&self.others).map(Server::url).collect();
        let urls: Vec<String> = targets
            .iter()
            .zip(bases.iter().cycle())
            .map(|(target, base)| format!("{base}{target}"))
            .collect();
        let (urls, next) = (Arc::new(urls), Arc::new(AtomicUsize::new(0)));
        let sender = || {
            let (urls, next, client) = (Arc::clone(&urls), Arc::clone(&next), http::client());
            async move {
                let mut answers = Vec::new();
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < urls.len())
                {
                    let answer = http::send(client.get(&urls[at])).await.expect("an answer");
                    answers.push((at, answer));
                }
                answers
            }
        };
        let mut answers = block_on(async {
            let senders: Vec<_> = (0..SENDERS).map(|_| tokio::spawn(sender())).collect();
            let mut answers = Vec::with_capacity(urls.len());
            for sender in senders {
                answers.extend(sender.await.expect("a sender that ends"));
            }
            answers
        });
        answers.sort_unstable_by_key(|(at, _)| *at);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Reports results: the code and the conversion of each answer.
    pub(crate) fn report(&self, queries: &[String]) -> Vec<(String, String)> {
        let targets = queries.iter().map(|query| format!("/postback?token={TOKEN}&{query}"));
        let read = |answer: Answer| {
            assert!(matches!(answer.status, 200 | 409), "{answer:?}");
            (answer.code(), answer.json()["data"]["conversionId"].as_str().expect("a conversion").to_owned())
        };
        self.send(&targets.collect::<Vec<_>>()).into_iter().map(read).collect()
    }

    /// Follows links, each given by its offer and member, and gives our click ids.
    pub(crate) fn clicks<'a>(&self, visits: impl Iterator<Item = (&'a str, String)>) -> Vec<String> {
        let target = |(at, (offer, member)): (usize, (&str, String))| {
            let path = self.world.path(&format!("{offer}/app"));
            format!("{path}?pub_click_id=click-{at}-{member}&pub_member_id={member}")
        };
        self.send(&visits.enumerate().map(target).collect::<Vec<_>>()).iter().map(click_id).collect()
    }
}

/// Runs a test with one server on each engine and with two on one PostgreSQL.
pub(crate) fn for_each_crowd(more: &str, test: impl Fn(&Crowd<'_>)) {
    let run = |engine: &Engine, servers| {
        let crowd = Crowd::start(engine, more, servers);
        test(&crowd);
        crowd.stop();
    };
    for_each_engine(|engine| run(engine, 1));
    run(&Engine::postgres(), 2);
}
