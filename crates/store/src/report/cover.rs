//! How a range of time is covered by spans that are summed up: by the longest that fit, and by counts at the edges
//! where none fits.

use domain::report::Bucket;
use domain::time::Timestamp;

use super::sum::Span;

/// A stretch of time that is read in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// In sums of this span; none: in the counts.
    pub(super) span: Option<Span>,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Piece {
    fn is_empty(&self) -> bool {
        self.from >= self.until
    }

    /// Joins a piece that follows this one and is read in the same way.
    fn join(&mut self, next: &Self) -> bool {
        let joins = self.span == next.span && self.until == next.from;
        if joins {
            self.until = next.until;
        }
        joins
    }
}

/// The parts of a range in pieces, in order. No sum goes across a border of two parts.
pub(super) fn pieces(parts: &[Bucket], spans: &[Span]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for part in parts {
        cut(part.from, part.until, spans, &mut |piece| {
            if !pieces.last_mut().is_some_and(|last| last.join(&piece)) {
                pieces.push(piece);
            }
        });
    }
    pieces
}

/// `spans` are from the longest; each is a multiple of the next.
fn cut(from: Timestamp, until: Timestamp, spans: &[Span], take: &mut impl FnMut(Piece)) {
    if from >= until {
        return;
    }
    let Some((span, shorter)) = spans.split_first() else {
        return take(Piece { span: None, from, until });
    };
    let first = span.start(from.plus_ms(span.ms() - 1));
    let last = span.start(until);
    if first >= last {
        return cut(from, until, shorter, take);
    }
    cut(from, first, shorter, take);
    take(Piece { span: Some(*span), from: first, until: last });
    cut(last, until, shorter, take);
}

/// The stretches that are read from the counts: the pieces without a span, and in the others the quarters that are not
/// summed up. In order, and no two touch.
pub(super) fn counted(pieces: &[Piece], waiting: &[Piece]) -> Vec<Piece> {
    let summed = pieces.iter().filter(|piece| piece.span.is_some());
    let inside = summed.flat_map(|piece| {
        let behind = waiting.partition_point(|own| own.until <= piece.from);
        waiting[behind..].iter().take_while(|own| own.from < piece.until).map(|own| Piece {
            from: own.from.max(piece.from),
            until: own.until.min(piece.until),
            span: None,
        })
    });
    let mut all: Vec<Piece> =
        pieces.iter().copied().filter(|piece| piece.span.is_none()).chain(inside).collect();
    all.sort_by_key(|piece| piece.from);
    joined(all)
}

/// Pieces in order, those that touch as one.
pub(super) fn joined(pieces: impl IntoIterator<Item = Piece>) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        if !all.last_mut().is_some_and(|last| last.join(&piece)) {
            all.push(piece);
        }
    }
    all
}

/// The longest time, in milliseconds, such that a piece divided into runs of it from its beginning has every border of
/// the parts between two runs.
pub(super) fn run_ms(piece: &Piece, parts: &[Bucket]) -> i64 {
    let first = parts.partition_point(|part| part.until <= piece.from);
    let inside = parts[first..].iter().map(|part| part.until).take_while(|border| *border < piece.until);
    inside.fold(piece.until.ms() - piece.from.ms(), |run, border| divisor(run, border.ms() - piece.from.ms()))
}

/// The greatest common divisor of two positive numbers.
fn divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use domain::report::QUARTER_MS;

    use super::*;

    const ALL: &[Span] = &[Span::Day, Span::Hour, Span::Quarter];
    const LONG: &[Span] = &[Span::Day, Span::Hour];

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn part(from: &str, until: &str) -> Bucket {
        Bucket { name: String::new(), from: at(from), until: at(until) }
    }

    fn told(pieces: &[Piece]) -> Vec<String> {
        let hour = |at: Timestamp| at.to_string()[5..16].to_owned();
        pieces.iter().map(|one| format!("{:?} {} {}", one.span, hour(one.from), hour(one.until))).collect()
    }

    #[test]
    fn the_longest_spans_that_fit_are_taken_and_counts_at_the_edges() {
        let parts = [part("2026-11-01T18:15:00Z", "2026-11-04T18:15:00Z")];
        let expected = [
            "None 11-01T18:15 11-01T19:00",
            "Some(Hour) 11-01T19:00 11-02T00:00",
            "Some(Day) 11-02T00:00 11-04T00:00",
            "Some(Hour) 11-04T00:00 11-04T18:00",
            "None 11-04T18:00 11-04T18:15",
        ];
        assert_eq!(told(&pieces(&parts, LONG)), expected);
        let short = [part("2026-11-01T18:15:00Z", "2026-11-01T18:45:00Z")];
        assert_eq!(told(&pieces(&short, LONG)), ["None 11-01T18:15 11-01T18:45"]);
        assert_eq!(told(&pieces(&short, ALL)), ["Some(Quarter) 11-01T18:15 11-01T18:45"]);
        assert_eq!(pieces(&[], ALL), []);
    }

    #[test]
    fn a_sum_never_crosses_a_border_and_neighbours_are_read_together() {
        let berlin = [
            part("2026-11-01T23:00:00Z", "2026-11-02T23:00:00Z"),
            part("2026-11-02T23:00:00Z", "2026-11-03T23:00:00Z"),
        ];
        let all = pieces(&berlin, LONG);
        assert_eq!(told(&all), ["Some(Hour) 11-01T23:00 11-03T23:00"]);
        assert_eq!(run_ms(&all[0], &berlin), 24 * 4 * QUARTER_MS);
        let utc = [
            part("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
            part("2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"),
        ];
        let all = pieces(&utc, ALL);
        assert_eq!(told(&all), ["Some(Day) 11-01T00:00 11-03T00:00"]);
        let whole = [part("2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z")];
        assert_eq!(run_ms(&all[0], &whole), 2 * 24 * 4 * QUARTER_MS, "no border inside");
    }

    #[test]
    fn a_shift_of_the_clocks_makes_runs_shorter() {
        let parts = [
            part("2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z"),
            part("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            part("2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"),
        ];
        let all = pieces(&parts, &[Span::Hour]);
        assert_eq!((all.len(), run_ms(&all[0], &parts)), (1, 4 * QUARTER_MS));
    }

    #[test]
    fn what_waits_is_read_from_the_counts_once() {
        let parts = [part("2026-11-01T18:15:00Z", "2026-11-02T02:00:00Z")];
        let all = pieces(&parts, LONG);
        let quarter = |from: &str| {
            let from = at(from);
            Piece { span: None, from, until: from.plus_ms(QUARTER_MS) }
        };
        let waiting = joined([
            quarter("2026-11-01T18:30:00Z"),
            quarter("2026-11-01T19:00:00Z"),
            quarter("2026-11-01T19:15:00Z"),
            quarter("2026-11-02T01:45:00Z"),
            quarter("2026-11-02T02:00:00Z"),
        ]);
        let read = counted(&all, &waiting);
        assert_eq!(told(&read), ["None 11-01T18:15 11-01T19:30", "None 11-02T01:45 11-02T02:00"]);
    }
}
