//! The parameter contract as a stream: a constant is found soon, honest members are left alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use domain::sketch::{Seen, Sketch, WINDOW};

/// A small generator of our own, so that the stream is the same on every machine.
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// Draws members so that the k-th most active has a share of 1/k^exponent.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(members: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let shares = (1..=members).map(|rank| {
            sum += f64::from(rank).powf(-exponent);
            sum
        });
        Self(shares.collect())
    }

    fn draw(&self, stream: &mut Stream) -> u32 {
        #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
        let unit = (stream.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let target = unit * self.0.last().unwrap();
        u32::try_from(self.0.partition_point(|sum| *sum < target)).unwrap()
    }
}

fn hashes(stream: &mut Stream, member: u32, visitor: u32) -> Seen {
    Seen { click: stream.next(), member, visitor, second: member }
}

#[test]
fn honest_members_raise_no_alarm() {
    for (members, exponent) in [(1_000, 0.8), (10_000, 1.0), (10_000, 1.2), (200, 1.0)] {
        let zipf = Zipf::new(members, exponent);
        let mut stream = Stream(7);
        let mut sketch = Sketch::default();
        for click in 0..100_000 {
            let member = zipf.draw(&mut stream);
            let seen = hashes(&mut stream, member, member.wrapping_mul(31));
            assert!(
                !sketch.is_static(member),
                "alarm at click {click} for {members} members, exponent {exponent}"
            );
            assert!(!sketch.is_reused(seen.click));
            sketch.learn(seen);
        }
    }
}

#[test]
fn a_constant_is_flagged_within_200_clicks_and_forgiven_when_mended() {
    let mut stream = Stream(11);
    for share in [100, 80, 68] {
        let mut sketch = Sketch::default();
        let mut flagged = None;
        for click in 0..200_u32 {
            let constant = stream.below(100) < share;
            let member = if constant { 42 } else { 1_000 + click };
            sketch.learn(hashes(&mut stream, member, click));
            if sketch.is_static(42) {
                flagged.get_or_insert(click);
            }
        }
        assert!(flagged.is_some_and(|click| click < 200), "{share} %: {flagged:?}");
        for click in 0..u32::try_from(WINDOW).unwrap() {
            sketch.learn(hashes(&mut stream, 5_000 + click, click));
        }
        assert!(!sketch.is_static(42));
    }
}

#[test]
fn one_busy_member_is_no_constant() {
    let mut stream = Stream(13);
    let mut sketch = Sketch::default();
    for click in 0..10_000_u32 {
        let busy = stream.below(10) < 9;
        let member = if busy { 42 } else { 1_000 + click };
        sketch.learn(hashes(&mut stream, member, if busy { click % 5 } else { click }));
        assert!(!sketch.is_static(42), "a member with five devices at click {click}");
    }
}

#[test]
fn a_click_id_is_known_again_within_the_window() {
    let mut stream = Stream(17);
    let mut sketch = Sketch::default();
    let first = hashes(&mut stream, 1, 1);
    sketch.learn(first);
    for _ in 0..WINDOW - 1 {
        let seen = hashes(&mut stream, 2, 2);
        sketch.learn(seen);
        assert!(sketch.is_reused(first.click) && sketch.is_reused(seen.click));
    }
    sketch.learn(hashes(&mut stream, 3, 3));
    assert!(!sketch.is_reused(first.click));
}

#[test]
fn a_sketch_fits_into_four_kibibytes() {
    let bytes = Sketch::BYTES;
    assert!((1..=4096).contains(&bytes), "{bytes}");
}

#[test]
fn a_visitor_who_comes_back_is_a_repeat_for_a_while() {
    let mut sketch = Sketch::default();
    let first = Seen { click: 1, member: 7, visitor: 8, second: 1_000 };
    assert!(!sketch.is_repeat(first, 60));
    sketch.learn(first);
    let again = |second| Seen { click: 2, second, ..first };
    assert!(sketch.is_repeat(again(1_059), 60) && !sketch.is_repeat(again(1_060), 60));
    assert!(!sketch.is_repeat(Seen { member: 9, ..again(1_001) }, 60));
    assert!(!sketch.is_repeat(Seen { visitor: 9, ..again(1_001) }, 60));
}

#[test]
fn what_is_learnt_twice_counts_once_and_order_is_kept() {
    let mut stream = Stream(19);
    let mut sketch = Sketch::default();
    let all: Vec<Seen> = (0..250).map(|member| hashes(&mut stream, member, member)).collect();
    for seen in &all {
        sketch.learn(*seen);
        sketch.learn(*seen);
    }
    let kept: Vec<Seen> = sketch.seen().collect();
    assert_eq!(kept, all[all.len() - WINDOW..]);
    for seen in kept {
        assert_eq!(Seen::from_bytes(&seen.to_bytes()), seen);
    }
}
