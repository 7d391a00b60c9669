//! Charts, drawn here as SVG: they work without a script, in both themes, and as wide as their place. Horizontal places
//! are percentages and vertical ones pixels, so that text keeps its size whatever the width.

use std::fmt::Write as _;

use askama::filters::{Escaper, Html};
use domain::time::Timestamp;

use crate::format::Format;
use crate::icon::Svg;

/// Height of the drawing in pixels, and the part of it that data may use.
const HEIGHT: i64 = 216;
const TOP: i64 = 26;
const BOTTOM: i64 = 188;
/// The widest share of the width: hundredths of a percent, the unit of every horizontal place.
const FULL: i64 = 10_000;
/// How many words the horizontal axis has at most, and how many characters in all: so many fit on a phone.
const WORDS: usize = 6;
const ROW: usize = 50;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A thin line.
    Line,
    /// Columns from zero.
    Bar,
}

/// One place on the horizontal axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// As short as the axis needs it: `23 Nov`.
    pub(crate) short: String,
    /// Exact, for the table and the tip: `2026-11-23`.
    pub(crate) exact: String,
}

impl Mark {
    /// A day.
    pub(crate) fn day(at: Timestamp, format: &Format) -> Self {
        Self { short: format.short_day(at), exact: format.day(at) }
    }
}

/// One row of values; none where nothing is known, which is not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series {
    /// Its name.
    pub(crate) name: String,
    /// One value for each mark.
    pub(crate) values: Vec<Option<i64>>,
}

/// A line or bar chart of one or two series.
pub(crate) struct Chart {
    /// How it is drawn.
    pub(crate) kind: Kind,
    /// What it shows, for those who do not see it: `Clicks by day`.
    pub(crate) title: String,
    /// The horizontal axis.
    pub(crate) marks: Vec<Mark>,
    /// What it is about.
    pub(crate) main: Series,
    /// What it is compared with.
    pub(crate) second: Option<Series>,
    /// Whether the last mark is a period that has not ended.
    pub(crate) partial: bool,
    /// Writes a value.
    pub(crate) write: Box<dyn Fn(i64) -> String + Send + Sync>,
}

impl Chart {
    /// A chart of counts.
    pub(crate) fn counts(kind: Kind, title: &str, marks: Vec<Mark>, main: Series, format: &Format) -> Self {
        let format = format.clone();
        Self {
            kind,
            title: title.to_owned(),
            marks,
            main,
            second: None,
            partial: false,
            write: Box::new(move |count| format.count(count)),
        }
    }

    /// With a second, lighter series.
    pub(crate) fn against(mut self, second: Series) -> Self {
        self.second = Some(second);
        self
    }

    /// With the last mark drawn as not ended.
    pub(crate) fn unfinished(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    /// With another way to write values.
    pub(crate) fn written(mut self, write: impl Fn(i64) -> String + Send + Sync + 'static) -> Self {
        self.write = Box::new(write);
        self
    }

    /// The chart with its table beneath.
    pub(crate) fn figure(&self) -> Svg {
        let mut out = String::with_capacity(4096 + self.marks.len() * 400);
        out.push_str("<figure class=\"chart\">");
        self.drawing(&mut out);
        self.table(&mut out);
        out.push_str("</figure>");
        Svg(out)
    }

    fn all(&self) -> impl Iterator<Item = &Series> {
        std::iter::once(&self.main).chain(&self.second)
    }

    fn drawing(&self, out: &mut String) {
        let scale = Scale::of(self.all().flat_map(|series| series.values.iter().flatten().copied()));
        // Writing into a text never fails.
        let _ = write!(
            out,
            "<svg class=\"plot\" width=\"100%\" height=\"{HEIGHT}\" role=\"img\" tabindex=\"0\">\
             <title>{}</title><desc>{}</desc>",
            safe(&self.title),
            safe(&self.summary())
        );
        self.axes(out, &scale);
        // The comparison lies beneath what it is compared with.
        for (series, class) in self.second.iter().map(|s| (s, " second")).chain([(&self.main, "")]) {
            match self.kind {
                Kind::Line => self.line(out, series, class, &scale),
                Kind::Bar => self.columns(out, series, class, &scale),
            }
        }
        self.ticks(out, &scale);
        if self.kind == Kind::Line {
            self.names(out, &scale);
        }
        self.points(out, &scale);
        out.push_str("</svg>");
    }

    fn axes(&self, out: &mut String, scale: &Scale) {
        for tick in &scale.ticks {
            let (y, class) = (scale.y(*tick), if *tick == 0 { "base-line" } else { "grid-line" });
            let _ = write!(out, "<line class=\"{class}\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>");
        }
        let longest = self.marks.iter().map(|mark| mark.short.chars().count()).max().unwrap_or(0);
        let every = self.marks.len().div_ceil(WORDS).max(1);
        let every_on_phone = self.marks.len().div_ceil((ROW / (longest + 2)).clamp(1, WORDS)).max(1);
        let from_last = |at: usize| self.marks.len() - 1 - at;
        let shown = |at: usize| from_last(at).is_multiple_of(every);
        for (at, mark) in self.marks.iter().enumerate().filter(|(at, _)| shown(*at)) {
            let (x, anchor) = match (self.kind, at) {
                (Kind::Line, at) if at + 1 == self.marks.len() => (FULL, "end"),
                (Kind::Line, 0) => (0, "start"),
                _ => (self.x(at), "middle"),
            };
            let class = if from_last(at).is_multiple_of(every_on_phone) { "word" } else { "word wide" };
            let (x, y, word) = (share(x), BOTTOM + 18, safe(&mark.short));
            let _ = write!(
                out,
                "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{word}</text>"
            );
        }
    }

    /// What the lines of the grid stand for, over the data: the sides are its whole width.
    fn ticks(&self, out: &mut String, scale: &Scale) {
        for tick in scale.ticks.iter().filter(|tick| **tick != 0) {
            let text = (self.write)(*tick);
            let _ = write!(
                out,
                "<text class=\"tick\" x=\"0\" y=\"{}\">{}</text>",
                scale.y(*tick) - 4,
                safe(&text)
            );
        }
    }

    /// The place of a mark: on the line, or the middle of its slot.
    fn x(&self, at: usize) -> i64 {
        let (at, count) = (whole(at), whole(self.marks.len()));
        match self.kind {
            Kind::Line if count > 1 => at * FULL / (count - 1),
            Kind::Line => FULL / 2,
            Kind::Bar => (2 * at + 1) * FULL / (2 * count.max(1)),
        }
    }

    fn line(&self, out: &mut String, series: &Series, class: &str, scale: &Scale) {
        let last = series.values.len().saturating_sub(1);
        let (mut solid, mut dashed, mut alone) = (String::new(), String::new(), Vec::new());
        for (at, value) in series.values.iter().enumerate() {
            let Some(value) = value else { continue };
            let (x, y) = (self.x(at), scale.y(*value));
            let before = at.checked_sub(1).and_then(|before| Some((before, series.values[before]?)));
            let after = series.values.get(at + 1).copied().flatten();
            match before {
                Some((before, from)) if self.partial && class.is_empty() && at == last => {
                    let _ = write!(dashed, "M{} {}L{x} {y}", self.x(before), scale.y(from));
                }
                Some(_) => drop(write!(solid, "L{x} {y}")),
                None => drop(write!(solid, "M{x} {y}")),
            }
            if before.is_none() && after.is_none() {
                alone.push((x, y));
            }
        }
        let _ = write!(
            out,
            "<svg width=\"100%\" height=\"{HEIGHT}\" viewBox=\"0 0 {FULL} {HEIGHT}\" \
             preserveAspectRatio=\"none\" overflow=\"visible\">\
             <path class=\"line{class}\" vector-effect=\"non-scaling-stroke\" d=\"{solid}\"/>\
             <path class=\"line partial{class}\" vector-effect=\"non-scaling-stroke\" d=\"{dashed}\"/></svg>"
        );
        for (x, y) in alone {
            let _ = write!(out, "<circle class=\"dot{class}\" cx=\"{}\" cy=\"{y}\" r=\"2.5\"/>", share(x));
        }
    }

    fn columns(&self, out: &mut String, series: &Series, class: &str, scale: &Scale) {
        let slot = FULL / whole(self.marks.len()).max(1);
        let (wide, shift) = match (&self.second, class) {
            (None, _) => (slot * 7 / 10, -slot * 7 / 20),
            (Some(_), "") => (slot * 38 / 100, slot * 2 / 100),
            (Some(_), _) => (slot * 38 / 100, -slot * 40 / 100),
        };
        for (at, value) in series.values.iter().enumerate() {
            let Some(value) = value else { continue };
            let (zero, y) = (scale.y(0), scale.y(*value));
            let partial = if self.partial && class.is_empty() && at + 1 == series.values.len() {
                " partial"
            } else {
                ""
            };
            let _ = write!(
                out,
                "<rect class=\"column{class}{partial}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                share(self.x(at) + shift),
                zero.min(y),
                share(wide),
                (zero - y).abs()
            );
        }
    }

    /// The names at the ends of their lines, kept apart.
    fn names(&self, out: &mut String, scale: &Scale) {
        let end = |series: &Series| series.values.iter().rev().flatten().next().map(|value| scale.y(*value));
        let Some(second) = &self.second else { return };
        let (Some(main), Some(other)) = (end(&self.main), end(second)) else { return };
        let (main_y, other_y) = if main <= other { (main - 8, other + 16) } else { (main + 16, other - 8) };
        let places = [(&self.main, main_y, "name"), (second, other_y, "name second")];
        for (series, y, class) in places {
            let (y, name) = (y.clamp(10, BOTTOM - 4), safe(&series.name));
            let _ =
                write!(out, "<text class=\"{class}\" x=\"100%\" y=\"{y}\" text-anchor=\"end\">{name}</text>");
        }
    }

    /// What shows when a mark is pointed at: a hair line, a dot on each series, the exact values.
    fn points(&self, out: &mut String, scale: &Scale) {
        let slot = FULL / whole(self.marks.len()).max(1);
        for (at, mark) in self.marks.iter().enumerate() {
            let x = self.x(at);
            let mut lines = vec![mark.exact.clone()];
            let mut dots = String::new();
            for (series, class) in self.all().zip(["", "second"]) {
                let value = series.values.get(at).copied().flatten();
                lines.push(format!("{}: {}", series.name, self.say(value)));
                if let (Some(value), Kind::Line) = (value, self.kind) {
                    let (x, y) = (share(x), scale.y(value));
                    let _ = write!(dots, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\"/>");
                }
            }
            if self.partial && at + 1 == self.marks.len() {
                lines[0].push_str(" so far");
            }
            let _ = write!(
                out,
                "<g class=\"point\"><rect class=\"hit\" x=\"{}\" y=\"0\" width=\"{}\" height=\"{BOTTOM}\"/>\
                 <g class=\"mark\"><line x1=\"{x}\" x2=\"{x}\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/>{dots}</g>{}</g>",
                share(x - slot / 2),
                share(slot),
                tip(x, &lines),
                x = share(x)
            );
        }
    }

    fn say(&self, value: Option<i64>) -> String {
        value.map_or_else(|| "no data".to_owned(), &self.write)
    }

    fn summary(&self) -> String {
        let mut known = self
            .main
            .values
            .iter()
            .zip(&self.marks)
            .filter_map(|(value, mark)| Some((value.as_ref()?, mark)));
        let (Some(high), Some(low)) =
            (known.clone().max_by_key(|(v, _)| **v), known.clone().min_by_key(|(v, _)| **v))
        else {
            return format!("{}: no data.", self.main.name);
        };
        let tell = |(value, mark): (&i64, &Mark)| format!("{} at {}", (self.write)(*value), mark.exact);
        let gaps = self.main.values.len() - known.clone().count();
        let gaps = if gaps == 0 { String::new() } else { format!(" {gaps} without data.") };
        let last = known.next_back().map(tell).unwrap_or_default();
        let partial = if self.partial { ", which has not ended" } else { "" };
        format!(
            "{}: highest {}, lowest {}, last {last}{partial}.{gaps}",
            self.main.name,
            tell(high),
            tell(low)
        )
    }

    fn table(&self, out: &mut String) {
        let _ = write!(
            out,
            "<details class=\"more\"><summary>Table</summary><div class=\"table-wrap\" tabindex=\"0\" role=\"region\" \
             aria-label=\"Table: {}\"><table class=\"table\"><thead><tr><th scope=\"col\">At</th>",
            safe(&self.title)
        );
        for series in self.all() {
            let _ = write!(out, "<th scope=\"col\" class=\"num\">{}</th>", safe(&series.name));
        }
        out.push_str("</tr></thead><tbody>");
        for (at, mark) in self.marks.iter().enumerate() {
            let _ = write!(out, "<tr><th scope=\"row\">{}</th>", safe(&mark.exact));
            for series in self.all() {
                let value = self.say(series.values.get(at).copied().flatten());
                let _ = write!(out, "<td class=\"num\">{}</td>", safe(&value));
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div></details>");
    }
}

/// The vertical axis: round ticks from the lowest to the highest, always with zero.
struct Scale {
    low: i64,
    high: i64,
    ticks: Vec<i64>,
}

impl Scale {
    fn of(values: impl Iterator<Item = i64>) -> Self {
        let (low, high) =
            values.fold((0, 0), |(low, high): (i64, i64), value| (low.min(value), high.max(value)));
        let step = nice(high.saturating_sub(low).div_euclid(4).max(1));
        let (first, last) =
            (low.div_euclid(step), high.div_euclid(step) + i64::from(high.rem_euclid(step) > 0));
        // A step is at least a quarter of the span: five or six ticks.
        let ticks: Vec<i64> = (first..=last).map(|at| at.saturating_mul(step)).collect();
        Self { low: first.saturating_mul(step), high: last.saturating_mul(step).max(1), ticks }
    }

    fn y(&self, value: i64) -> i64 {
        let span = i128::from(self.high) - i128::from(self.low);
        let up = (i128::from(value) - i128::from(self.low)) * i128::from(BOTTOM - TOP) / span.max(1);
        BOTTOM - i64::try_from(up).unwrap_or(0)
    }
}

/// The next of 1, 2, 5, 10, 20, 50 … that is not less.
fn nice(least: i64) -> i64 {
    let mut decade: i64 = 1;
    loop {
        for factor in [1, 2, 5] {
            match decade.checked_mul(factor) {
                Some(step) if step < least => {}
                Some(step) => return step,
                None => return i64::MAX,
            }
        }
        let Some(next) = decade.checked_mul(10) else { return i64::MAX };
        decade = next;
    }
}

/// The exact values beside a hair line, on the side that has room.
fn tip(x: i64, lines: &[String]) -> String {
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    // A rough width of the text; the box may be a little wide, never too narrow.
    let (wide, high) = (whole(longest) * 13 / 2 + 16, whole(lines.len()) * 16 + 8);
    let left = if x < FULL / 2 { 10 } else { -10 - wide };
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let _ = write!(text, "<text x=\"{}\" y=\"{}\">{}</text>", left + 8, whole(at) * 16 + 16, safe(line));
    }
    format!(
        "<svg class=\"tip\" x=\"{}\" y=\"2\" overflow=\"visible\">\
         <rect x=\"{left}\" width=\"{wide}\" height=\"{high}\" rx=\"4\"/>{text}</svg>",
        share(x)
    )
}

/// A small line without axes for the side of a figure, which says the values itself.
pub(crate) fn sparkline(title: &str, values: &[Option<i64>]) -> Svg {
    if values.iter().flatten().count() < 2 {
        return Svg::NONE;
    }
    // The shape alone: the figure beside it says how much.
    let (low, high) = values.iter().flatten().fold((i64::MAX, i64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    let span = (i128::from(high) - i128::from(low)).max(1);
    let step = 1000 / whole(values.len() - 1).max(1);
    let mut path = String::new();
    let mut pen = 'M';
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            pen = 'M';
            continue;
        };
        let y = 26 - (i128::from(*value) - i128::from(low)) * 24 / span;
        let _ = write!(path, "{pen}{} {y}", whole(at) * step);
        pen = 'L';
    }
    Svg(format!(
        "<svg class=\"spark\" viewBox=\"0 0 1000 28\" width=\"120\" height=\"28\" \
         preserveAspectRatio=\"none\" role=\"img\">\
         <title>{}</title><path class=\"line\" vector-effect=\"non-scaling-stroke\" d=\"{path}\"/></svg>",
        safe(title)
    ))
}

/// Steps of which each keeps a part of the one before: how many, and which share went on.
pub(crate) fn funnel(title: &str, steps: &[(&str, i64)], format: &Format) -> Svg {
    let most = steps.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let told = steps.iter().map(|(name, count)| format!("{name}: {}", format.count(*count)));
    let summary = told.collect::<Vec<_>>().join(", ");
    let mut out = format!(
        "<figure class=\"chart\"><svg class=\"funnel\" width=\"100%\" height=\"{}\" role=\"img\">\
         <title>{}</title><desc>{}.</desc>",
        steps.len() * 44,
        safe(title),
        safe(&summary)
    );
    for (at, (name, count)) in steps.iter().enumerate() {
        let (y, before) = (at * 44, at.checked_sub(1).map(|before| steps[before].1));
        let kept = before.map(|before| format!("{} of the step before", format.percent(*count, before)));
        let wide = i64::try_from(i128::from(*count) * i128::from(FULL) / i128::from(most))
            .unwrap_or(0)
            .clamp(0, FULL);
        let _ = write!(
            out,
            "<text class=\"name\" x=\"0\" y=\"{}\">{}</text><text x=\"100%\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"step lost\" x=\"0\" y=\"{}\" width=\"100%\" height=\"10\" rx=\"2\"/>\
             <rect class=\"step\" x=\"0\" y=\"{}\" width=\"{}\" height=\"10\" rx=\"2\"/>",
            y + 12,
            safe(&format!("{name}  {}", format.count(*count))),
            y + 12,
            safe(&kept.unwrap_or_default()),
            y + 20,
            y + 20,
            share(wide)
        );
    }
    out.push_str("</svg></figure>");
    Svg(out)
}

/// A place or width as the attribute has it: `12.5%`.
fn share(hundredths: i64) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let hundredths = hundredths.abs();
    format!("{sign}{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// A text from outside, as text.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let _ = Html.write_escaped_str(&mut out, text);
    out
}

/// A number of marks or lines; there are never so many that it would not fit.
fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
