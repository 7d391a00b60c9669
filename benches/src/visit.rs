//! Who follows tracking links: the same mix for every server under test, whoever sends it.
//!
//! Every request has a `pub_click_id` of its own. Members are drawn from 100,000 by Zipf's law: few come often, many
//! once. The three lists have lengths without a common divisor, so their combinations do not repeat for hours.

use std::fs;
use std::path::Path;

use crate::failure::{During as _, Result};

const MEMBERS: usize = 100_000;
/// A prime.
const DRAWS: usize = 131_071;
/// A prime.
const TAILS: usize = 251;

/// What browsers say that come from the apps of partners, one a line.
const USER_AGENTS: &str = include_str!("user_agents.txt");

/// The mix of requests.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    /// Paths of tracking links, up to and with `?pub_member_id=`.
    links: Vec<String>,
    members: Vec<usize>,
    /// From behind the click id to the end of the request.
    tails: Vec<String>,
}

impl Mix {
    /// The mix for these tracking links, by their ids. It is always the same.
    pub(crate) fn new(link_ids: &[String]) -> Self {
        let links = link_ids.iter().map(|id| format!("/api/v1/offer-link/redirect/{id}?pub_member_id=m-"));
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        let members = zipf(&mut chance);
        let tails = (0..TAILS).map(|_| tail(&mut chance)).collect();
        Self { links: links.collect(), members, tails }
    }

    /// The `number`-th request of the run `tag`, as it goes over the wire.
    pub(crate) fn request(&self, tag: &str, number: usize) -> String {
        let link = &self.links[number % self.links.len()];
        let (member, tail) = (self.members[number % DRAWS], &self.tails[number % TAILS]);
        format!("GET {link}{member}&pub_click_id={tag}-{number}{tail}")
    }

    /// Like [`Mix::request`], from a member who never came before, for conversions: a member completes an offer once.
    pub(crate) fn newcomer(&self, tag: &str, number: usize) -> String {
        let (link, tail) = (&self.links[number % self.links.len()], &self.tails[number % TAILS]);
        format!("GET {link}{tag}-{number}&pub_click_id={tag}-{number}{tail}")
    }

    /// Writes the lists where `wrk.lua` reads them, one entry a line.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let members: Vec<String> = self.members.iter().map(usize::to_string).collect();
        let tails = self.tails.iter().map(|tail| tail.trim_end().replace("\r\n", "\\r\\n"));
        let lists = [("links", self.links.clone()), ("members", members), ("tails", tails.collect())];
        for (name, lines) in lists {
            fs::write(dir.join(name), lines.join("\n") + "\n").during(format!("write the list of {name}"))?;
        }
        Ok(())
    }
}

/// None to three sub parameters and a browser.
fn tail(chance: &mut Chance) -> String {
    let subs = ["&pub_sub_1=wall-", "&pub_sub_2=slot-", "&pub_sub_3=ab-"];
    let given = subs.iter().take(chance.below(4)).map(|sub| format!("{sub}{}", chance.below(40)));
    let given: String = given.collect::<Vec<_>>().concat();
    let agent = USER_AGENTS.lines().nth(chance.below(USER_AGENTS.lines().count())).unwrap_or_default();
    format!(
        "{given} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {agent}\r\n\
         Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: de-DE,de;q=0.9,en;q=0.8\r\n\r\n"
    )
}

/// Member numbers; the first is drawn a hundred times as often as the hundredth.
fn zipf(chance: &mut Chance) -> Vec<usize> {
    let mut sum = 0.0;
    let mut until = Vec::with_capacity(MEMBERS);
    for rank in 1..=MEMBERS {
        #[allow(clippy::cast_precision_loss, reason = "at most 100,000")]
        let weight = 1.0 / rank as f64;
        sum += weight;
        until.push(sum);
    }
    let draws = (0..DRAWS).map(|_| {
        let drawn = chance.share() * sum;
        until.partition_point(|end| *end <= drawn).min(MEMBERS - 1)
    });
    draws.collect()
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// At least 0, less than 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// At least 0, less than `bound`, which is small.
    #[allow(clippy::cast_possible_truncation, reason = "less than a usize")]
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{DRAWS, MEMBERS, Mix};

    fn mix() -> Mix {
        Mix::new(&["one".to_owned(), "two".to_owned()])
    }

    #[test]
    fn every_request_has_its_own_click_id_and_the_mix_is_always_the_same() {
        let (mix, again) = (mix(), self::mix());
        let ids: HashSet<String> = (0..5_000)
            .map(|number| {
                let request = mix.request("t", number);
                assert_eq!(request, again.request("t", number));
                request.split("pub_click_id=").nth(1).unwrap().split(['&', ' ']).next().unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids.len(), 5_000);
    }

    #[test]
    fn few_members_come_often_and_many_once() {
        let members = mix().members;
        let first = members.iter().filter(|member| **member == 0).count();
        // 1 / (ln 100,000 + 0.577) of all draws, about 8 %.
        assert!((DRAWS * 7 / 100..DRAWS * 10 / 100).contains(&first), "{first}");
        assert!(members.iter().all(|member| *member < MEMBERS));
        assert!(members.iter().collect::<HashSet<_>>().len() > 20_000);
    }
}
