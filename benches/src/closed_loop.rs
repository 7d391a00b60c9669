//! A list of requests, sent once each by some senders who wait for their answers, as advertisers' servers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{During as _, Failure, Result, ensure};
use crate::http::{Answer, Connection};
use crate::network::TOKEN;
use crate::statistic::{Sample, float};
use crate::subject::{Server, Subject};
use crate::visit::Mix;

/// Senders, each with a connection of its own.
const SENDERS: usize = 64;

/// What the senders saw; each list is in the order of the requests.
#[derive(Debug)]
pub(crate) struct Told<T> {
    pub(crate) answers: Vec<T>,
    /// When each answer had been read.
    pub(crate) at: Vec<Instant>,
    /// How long each took.
    pub(crate) took_us: Sample,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
}

impl<T> Told<T> {
    pub(crate) fn per_second(&self) -> f64 {
        float(self.answers.len() as u64) / self.elapsed.as_secs_f64()
    }
}

/// Sends every request, as fast as they are answered, or at most `per_second` of them.
pub(crate) async fn send<T: Send + 'static>(
    address: &str,
    requests: Vec<String>,
    per_second: f64,
    read: fn(&Answer<'_>) -> Result<T>,
) -> Result<Told<T>> {
    let mut connections = Vec::new();
    for _ in 0..SENDERS {
        connections.push(Connection::open(address).await?);
    }
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let senders: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = requests.get(number) else { return Ok::<_, Failure>(answers) };
                    let due = began + Duration::from_secs_f64(float(number as u64) / per_second);
                    tokio::time::sleep_until(due.into()).await;
                    let sent = Instant::now();
                    let answer = read(&connection.exchange(request.as_bytes()).await?)?;
                    answers.push((number, answer, Instant::now(), sent.elapsed()));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for sender in senders {
        all.extend(sender.await.during("a sender")??);
    }
    let elapsed = began.elapsed();
    all.sort_by_key(|(number, ..)| *number);
    let took_us = all.iter().map(|(.., took)| took.as_secs_f64() * 1e6).collect();
    let at = all.iter().map(|(_, _, at, _)| *at).collect();
    Ok(Told { answers: all.into_iter().map(|(_, answer, ..)| answer).collect(), at, took_us, elapsed })
}

/// Makes so many clicks of members who never came before, and gives our ids of them.
pub(crate) async fn click(
    server: &Server<'_>,
    subject: &mut Subject<'_>,
    mix: &Mix,
    tag: &str,
    count: usize,
) -> Result<Vec<String>> {
    let requests = (0..count).map(|number| mix.newcomer(tag, number)).collect();
    let told = send(&server.address, requests, f64::INFINITY, click_id).await?;
    subject.acknowledged += count as u64;
    Ok(told.answers)
}

fn click_id(answer: &Answer<'_>) -> Result<String> {
    let id = answer.header("location").and_then(|to| to.split_once("click=")?.1.get(..36));
    let id = id.filter(|_| answer.is_sent_on()).map(str::to_owned);
    id.during(format!("a click was not sent on: {}", answer.head))
}

/// The advertiser's postbacks for these clicks, each with a key of its own.
pub(crate) fn postbacks(click_ids: &[String]) -> Vec<String> {
    let each = click_ids.iter().enumerate().map(|(number, id)| {
        format!(
            "GET /postback?gk_click_id={id}&token={TOKEN}&cnv_conversion_id=order-{number}-{id} HTTP/1.1\r\n\
             Host: 127.0.0.1\r\nUser-Agent: shop/1.0\r\n\r\n"
        )
    });
    each.collect()
}

/// The answer's code and the conversion that it names.
pub(crate) fn conversion(answer: &Answer<'_>) -> Result<(String, String)> {
    let text = |key: &str| {
        let (_, rest) = answer.body.split_once(&format!("\"{key}\":\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    ensure(answer.status == 200, || format!("a postback was refused: {} {}", answer.status, answer.body))?;
    let named = text("code").zip(text("conversionId"));
    named.during(format!("a postback was answered {}", answer.body))
}
