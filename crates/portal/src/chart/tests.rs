//! Charts are read here as text: places of data, gaps, ends, and what a screen reader says.

use super::*;

fn days(count: usize) -> Vec<Mark> {
    let day = |at| Timestamp::from_ms(whole(at) * domain::time::DAY_MS);
    (0..count).map(|at| Mark::day(day(at), &Format::sample())).collect()
}

fn chart(kind: Kind, values: &[Option<i64>]) -> Chart {
    let main = Series { name: "Clicks".to_owned(), values: values.to_vec() };
    Chart::counts(kind, "Clicks by day", days(values.len()), main, &Format::sample())
}

#[test]
fn ticks_are_round_and_hold_every_value() {
    for (values, ticks) in [
        (vec![0], vec![0]),
        (vec![1], vec![0, 1]),
        (vec![7, 3], vec![0, 1, 2, 3, 4, 5, 6, 7]),
        (vec![97], vec![0, 50, 100]),
        (vec![1_234_567], vec![0, 500_000, 1_000_000, 1_500_000]),
        (vec![-30, 70], vec![-50, 0, 50, 100]),
    ] {
        let scale = Scale::of(values.iter().copied());
        assert_eq!(scale.ticks, ticks, "{values:?}");
        assert!(values.iter().all(|value| (TOP..=BOTTOM).contains(&scale.y(*value))), "{values:?}");
    }
    for value in [i64::MAX, i64::MIN] {
        let scale = Scale::of([value].into_iter());
        assert!(scale.ticks.len() <= 8 && (0..=HEIGHT).contains(&scale.y(value)));
    }
}

#[test]
fn a_gap_is_a_gap_and_a_lonely_value_a_dot() {
    let text = chart(Kind::Line, &[Some(4), Some(2), None, Some(1), None]).figure().0;
    assert!(text.contains("d=\"M0 26L2500 107M7500 148\""), "{text}");
    assert!(text.contains("<circle class=\"dot\" cx=\"75.00%\""));
    assert!(text.contains("<td class=\"num\">no data</td>") && text.contains("2 without data."));
}

#[test]
fn the_period_that_has_not_ended_is_dashed_and_said() {
    let whole = chart(Kind::Line, &[Some(1), Some(4), Some(2)]).figure().0;
    assert!(whole.contains("class=\"line partial\" vector-effect=\"non-scaling-stroke\" d=\"\""));
    let text = chart(Kind::Line, &[Some(1), Some(4), Some(2)]).unfinished(true).figure().0;
    assert!(
        text.contains("class=\"line partial\" vector-effect=\"non-scaling-stroke\" d=\"M5000 26L10000 107\"")
    );
    assert!(text.contains("which has not ended") && text.contains("1970-01-03 so far"));
    let bars = chart(Kind::Bar, &[Some(1), Some(4)]).unfinished(true).figure().0;
    assert_eq!(bars.matches("class=\"column partial\"").count(), 1);
}

#[test]
fn columns_start_at_zero() {
    let text = chart(Kind::Bar, &[Some(4), Some(2)]).figure().0;
    assert!(text.contains(&format!("y=\"{TOP}\" width=\"35.00%\" height=\"{}\"", BOTTOM - TOP)), "{text}");
    assert!(text.contains("y=\"107\" width=\"35.00%\" height=\"81\""));
}

#[test]
fn the_summary_says_highest_lowest_and_last() {
    let text = chart(Kind::Line, &[Some(4), Some(2), Some(3)]).figure().0;
    let summary = "Clicks: highest 4 at 1970-01-01, lowest 2 at 1970-01-02, last 3 at 1970-01-03.";
    assert!(text.contains(&format!("<desc>{summary}</desc>")), "{text}");
    assert!(chart(Kind::Line, &[None]).figure().0.contains("no data."));
    assert!(chart(Kind::Line, &[]).figure().0.contains("no data."));
}

#[test]
fn names_from_outside_never_become_markup() {
    let canary = "<script>alert(1)</script>";
    let series = || Series { name: canary.to_owned(), values: vec![Some(1), Some(2)] };
    let mark = Mark { short: canary.to_owned(), exact: canary.to_owned() };
    let marks = vec![mark.clone(), mark];
    for kind in [Kind::Line, Kind::Bar] {
        let chart = Chart::counts(kind, canary, marks.clone(), series(), &Format::sample()).against(series());
        assert!(!chart.written(|_| "<script>".to_owned()).figure().0.contains("<script"));
    }
    assert!(!funnel(canary, &[(canary, 3), (canary, 1)], &Format::sample()).0.contains("<script"));
    assert!(!sparkline(canary, &[Some(1), Some(2)]).0.contains("<script"));
}

#[test]
fn at_most_as_many_words_as_a_phone_has_room_for() {
    for count in [1, 2, 7, 31, 400] {
        let text = chart(Kind::Bar, &vec![Some(1); count]).figure().0;
        let words = text.matches("text-anchor=\"middle\"").count();
        assert!((1..=WORDS).contains(&words), "{words} of {count}");
    }
}

#[test]
fn a_spark_needs_two_values_and_a_funnel_says_what_went_on() {
    assert_eq!(sparkline("x", &[Some(1), None]), Svg::NONE);
    assert!(sparkline("x", &[Some(0), None, Some(2)]).0.contains("M0 26M1000 2"));
    let text = funnel("From click to payout", &[("Clicks", 200), ("Conversions", 50)], &Format::sample()).0;
    assert!(text.contains("25.0\u{a0}% of the step before") && text.contains("width=\"25.00%\""));
}
