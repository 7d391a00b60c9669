//! Reports: what can be asked, in which days, and what a line of the answer holds. Money is never summed over
//! currencies: there is no value here that could hold such a sum.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::conversion::Status;
use crate::id::{NetworkId, PartnerId};
use crate::money::{Currency, Money};
use crate::time::{DAY_MS, MINUTE_MS, Timestamp};
use crate::visit::Param;

/// What is counted is counted by quarters of an hour, UTC.
pub const QUARTER_MS: i64 = 15 * MINUTE_MS;

/// The longest range of one report.
const MAX_DAYS: i64 = 400;
/// The most lines that a grouping by time may have.
const MAX_BUCKETS: usize = 1_500;
/// How many dimensions one report groups by.
const MAX_GROUPS: usize = 2;

/// The first moment of the quarter of an hour that holds `at`.
pub fn quarter(at: Timestamp) -> Timestamp {
    Timestamp::from_ms(at.ms().div_euclid(QUARTER_MS) * QUARTER_MS)
}

codes! {
    /// What a report can be grouped or filtered by.
    Dimension, "dimension" {
        /// A calendar day of the zone.
        Day => "day",
        /// An hour of the zone.
        Hour => "hour",
        /// A week of the zone, from Monday.
        Week => "week",
        /// A month of the zone.
        Month => "month",
        /// The offer, by slug.
        Offer => "offer",
        /// The event of a multi-event offer, by its code.
        Event => "event",
        /// The partner, by slug.
        Partner => "partner",
        /// The link, as `offer/partner`.
        Link => "link",
        /// The visitor's country.
        Country => "country",
        /// The visitor's device.
        Device => "device",
        /// The visitor's operating system.
        Os => "os",
        /// The verdict on the click.
        Verdict => "verdict",
        /// The status of the conversion.
        Status => "status",
        /// Sub parameter 1.
        Sub1 => "pub_sub_1",
        /// Sub parameter 2.
        Sub2 => "pub_sub_2",
        /// Sub parameter 3.
        Sub3 => "pub_sub_3",
        /// Sub parameter 4.
        Sub4 => "pub_sub_4",
        /// Sub parameter 5.
        Sub5 => "pub_sub_5",
        /// Sub parameter 6.
        Sub6 => "pub_sub_6",
        /// Sub parameter 7.
        Sub7 => "pub_sub_7",
        /// Sub parameter 8.
        Sub8 => "pub_sub_8",
        /// Sub parameter 9.
        Sub9 => "pub_sub_9",
        /// Sub parameter 10.
        Sub10 => "pub_sub_10",
        /// Sub parameter 11.
        Sub11 => "pub_sub_11",
        /// Sub parameter 12.
        Sub12 => "pub_sub_12",
        /// Sub parameter 13.
        Sub13 => "pub_sub_13",
        /// Sub parameter 14.
        Sub14 => "pub_sub_14",
        /// Sub parameter 15.
        Sub15 => "pub_sub_15",
    }
}

impl Dimension {
    /// Whether it divides time.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Hour | Self::Week | Self::Month)
    }

    /// The sub parameter that it is.
    pub fn sub(self) -> Option<Param> {
        Param::sub((self as usize).checked_sub(Self::Sub1 as usize)? + 1)
    }

    /// Whether only a click has it: its conversions have it through their click.
    pub fn is_of_click(self) -> bool {
        matches!(self, Self::Country | Self::Device | Self::Os | Self::Verdict) || self.sub().is_some()
    }

    /// Whether only a conversion has it: clicks cannot be counted by it.
    pub const fn is_of_conversion(self) -> bool {
        matches!(self, Self::Event | Self::Status)
    }
}

/// Only lines with this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of what.
    pub dimension: Dimension,
    /// As a report shows it.
    pub value: String,
}

/// A question, checked.
#[derive(Debug, Clone)]
pub struct Ask {
    network: NetworkId,
    partner: Option<PartnerId>,
    from: Timestamp,
    until: Timestamp,
    zone: TimeZone,
    by: Vec<Dimension>,
    filters: Vec<Filter>,
}

/// Why a question cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The range ends before it begins.
    #[error("the range from {0} to {1} is empty")]
    Empty(Timestamp, Timestamp),
    /// Too long a range.
    #[error("a report covers at most {MAX_DAYS} days; ask for a shorter range")]
    TooLong,
    /// Too many lines of time.
    #[error("that would be more than {MAX_BUCKETS} lines of time; ask for a shorter range or a longer unit")]
    TooManyLines,
    /// A border inside a quarter of an hour.
    #[error("{0} is inside a quarter of an hour; reports begin and end at :00, :15, :30 or :45")]
    InsideQuarter(Timestamp),
    /// A zone whose offset is no multiple of 15 minutes.
    #[error("the zone's offset at {0} is no multiple of 15 minutes; use UTC")]
    OddOffset(Timestamp),
    /// Too many groups, or one twice.
    #[error("a report is grouped by at most {MAX_GROUPS} different things, of which one may be time")]
    Groups,
    /// A filter on time.
    #[error("`{0}` cannot be filtered by; give the range instead")]
    TimeFilter(Dimension),
    /// No such zone.
    #[error("`{0}` is no time zone; write it like Asia/Kathmandu or UTC")]
    Zone(String),
    /// Neither a date nor a time.
    #[error("`{0}` is neither a day (2026-11-22) nor a point in time (2026-11-22T20:15:00Z)")]
    Moment(String),
}

/// The zone of this IANA name.
pub fn zone(name: &str) -> Result<TimeZone, Refused> {
    TimeZone::get(name).map_err(|_| Refused::Zone(name.to_owned()))
}

/// The first moment of a day of the zone, or the point in time that is written out.
pub fn beginning(text: &str, zone: &TimeZone) -> Result<Timestamp, Refused> {
    moment(text, zone, Some)
}

/// The first moment behind a day of the zone, or the point in time that is written out.
pub fn end(text: &str, zone: &TimeZone) -> Result<Timestamp, Refused> {
    moment(text, zone, |day| day.tomorrow().ok())
}

fn moment(text: &str, zone: &TimeZone, which: impl Fn(Date) -> Option<Date>) -> Result<Timestamp, Refused> {
    let wrong = || Refused::Moment(text.to_owned());
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let day = text.parse::<Date>().ok().and_then(which).ok_or_else(wrong)?;
    let start = day.to_zoned(zone.clone()).map_err(|_| wrong())?;
    Ok(Timestamp::from_ms(start.timestamp().as_millisecond()))
}

impl Ask {
    /// Everything of a network from a moment until before another, in the days of a zone.
    pub fn new(
        network: NetworkId,
        from: Timestamp,
        until: Timestamp,
        zone: TimeZone,
    ) -> Result<Self, Refused> {
        if from >= until {
            return Err(Refused::Empty(from, until));
        }
        if until.ms().saturating_sub(from.ms()) > MAX_DAYS * DAY_MS {
            return Err(Refused::TooLong);
        }
        if let Some(inside) = [from, until].into_iter().find(|at| quarter(*at) != *at) {
            return Err(Refused::InsideQuarter(inside));
        }
        Ok(Self { network, partner: None, from, until, zone, by: Vec::new(), filters: Vec::new() })
    }

    /// Only what is this partner's.
    #[must_use]
    pub fn of_partner(self, partner: PartnerId) -> Self {
        Self { partner: Some(partner), ..self }
    }

    /// A line for each value of these, at most two.
    pub fn grouped(self, by: Vec<Dimension>) -> Result<Self, Refused> {
        let times = by.iter().filter(|dimension| dimension.is_time()).count();
        let twice = by.len() == MAX_GROUPS && by[0] == by[1];
        if by.len() > MAX_GROUPS || times > 1 || twice {
            return Err(Refused::Groups);
        }
        let asked = Self { by, ..self };
        asked.buckets().map(|_| asked)
    }

    /// Only what has these values; of one dimension any of them.
    pub fn filtered(self, filters: Vec<Filter>) -> Result<Self, Refused> {
        match filters.iter().find(|filter| filter.dimension.is_time()) {
            Some(filter) => Err(Refused::TimeFilter(filter.dimension)),
            None => Ok(Self { filters, ..self }),
        }
    }

    /// Whose figures.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// Whose alone.
    pub fn partner(&self) -> Option<PartnerId> {
        self.partner
    }

    /// From the first moment until before the second.
    pub fn range(&self) -> (Timestamp, Timestamp) {
        (self.from, self.until)
    }

    /// What the lines are grouped by.
    pub fn by(&self) -> &[Dimension] {
        &self.by
    }

    /// The dimensions that decide, by group or by filter.
    pub fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        self.by.iter().copied().chain(self.filters.iter().map(|filter| filter.dimension))
    }

    /// Whether a value of a dimension passes the filters.
    pub fn passes(&self, dimension: Dimension, value: &str) -> bool {
        let mut own = self.filters.iter().filter(|filter| filter.dimension == dimension).peekable();
        own.peek().is_none() || own.any(|filter| filter.value == value)
    }

    /// Whether a dimension is filtered by.
    pub fn has_filter(&self, dimension: Dimension) -> bool {
        self.filters.iter().any(|filter| filter.dimension == dimension)
    }

    /// Whether clicks can be counted for it: they have neither event nor status.
    pub fn counts_clicks(&self) -> bool {
        !self.dimensions().any(Dimension::is_of_conversion)
    }

    /// The range in the parts that it is grouped by; one part without a name when it is not grouped by time.
    ///
    /// A part is a run of quarters that bear the same name in the zone, so that every shift of its clocks and every
    /// offset of 15 minutes is as it should be without a rule of its own.
    pub fn buckets(&self) -> Result<Vec<Bucket>, Refused> {
        let whole = || Bucket { name: String::new(), from: self.from, until: self.until };
        let Some(unit) = self.by.iter().find(|dimension| dimension.is_time()) else {
            return Ok(vec![whole()]);
        };
        let mut buckets: Vec<Bucket> = Vec::new();
        let mut at = self.from;
        while at < self.until {
            let (name, until) = (self.name(*unit, at)?, at.plus_ms(QUARTER_MS));
            match buckets.last_mut() {
                Some(last) if last.name == name => last.until = until,
                _ => buckets.push(Bucket { name, from: at, until }),
            }
            if buckets.len() > MAX_BUCKETS {
                return Err(Refused::TooManyLines);
            }
            at = until;
        }
        Ok(buckets)
    }

    fn name(&self, unit: Dimension, at: Timestamp) -> Result<String, Refused> {
        let odd = || Refused::OddOffset(at);
        let local = jiff::Timestamp::from_millisecond(at.ms()).map_err(|_| odd())?;
        let local = local.to_zoned(self.zone.clone());
        if i64::from(local.offset().seconds()) * 1_000 % QUARTER_MS != 0 {
            return Err(odd());
        }
        let date = local.date();
        Ok(match unit {
            // The hour that comes twice when clocks go back differs by its offset.
            Dimension::Hour => local.strftime("%Y-%m-%d %H:00%:z").to_string(),
            Dimension::Week => {
                let behind = i64::from(date.weekday().to_monday_zero_offset());
                let monday = date.checked_sub(jiff::Span::new().days(behind)).map_err(|_| odd())?;
                monday.to_string()
            }
            Dimension::Month => date.strftime("%Y-%m").to_string(),
            _ => date.to_string(),
        })
    }
}

/// A part of a report's range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name: `2026-11-22`, `2026-11-22 20:00+05:45`, the Monday of a week, `2026-11`.
    pub name: String,
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment behind it.
    pub until: Timestamp,
}

/// How many clicks. Tests are in none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clicks {
    /// Every hit.
    pub hits: i64,
    /// Hits that count: neither a bot's nor fetched ahead.
    pub counted: i64,
    /// Of those, the ones that repeat no other.
    pub unique: i64,
    /// Of the counted, those that went on to the advertiser. The others were refused.
    pub sent_on: i64,
    /// Hits of bots.
    pub bots: i64,
    /// Hits fetched ahead.
    pub prefetches: i64,
}

impl Clicks {
    /// Counted clicks that were not sent on to the advertiser.
    pub fn refused(&self) -> i64 {
        self.counted - self.sent_on
    }

    /// So many that are like these.
    pub fn times(self, count: i64) -> Self {
        Self {
            hits: self.hits * count,
            counted: self.counted * count,
            unique: self.unique * count,
            sent_on: self.sent_on * count,
            bots: self.bots * count,
            prefetches: self.prefetches * count,
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.counted += other.counted;
        self.unique += other.unique;
        self.sent_on += other.sent_on;
        self.bots += other.bots;
        self.prefetches += other.prefetches;
    }
}

/// Conversions and money of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takings {
    /// Conversions that wait.
    pub pending: i64,
    /// Conversions that pay.
    pub success: i64,
    /// Conversions that do not count.
    pub rejected: i64,
    /// What the advertisers owe for the successful ones, in micro-units; none for eyes that may not see it.
    pub revenue_micros: Option<i64>,
    /// What the partners get for the successful ones, in micro-units.
    pub payout_micros: i64,
}

impl Takings {
    /// Conversions of one status with their worth. Only successful ones are paid.
    pub fn of(status: Status, conversions: i64, revenue_micros: i64, payout_micros: i64) -> Self {
        let mut takings = Self { revenue_micros: Some(0), ..Self::default() };
        match status {
            Status::Pending => takings.pending = conversions,
            Status::Rejected => takings.rejected = conversions,
            Status::Success => {
                takings.success = conversions;
                takings.revenue_micros = Some(revenue_micros);
                takings.payout_micros = payout_micros;
            }
        }
        takings
    }

    /// Adds others of the same currency.
    pub fn add(&mut self, other: &Self) {
        self.pending += other.pending;
        self.success += other.success;
        self.rejected += other.rejected;
        let sum = self.revenue_micros.unwrap_or(0) + other.revenue_micros.unwrap_or(0);
        self.revenue_micros = self.revenue_micros.or(other.revenue_micros).map(|_| sum);
        self.payout_micros += other.payout_micros;
    }

    /// What stays with the network, in micro-units.
    pub fn margin_micros(&self) -> Option<i64> {
        self.revenue_micros.map(|revenue| revenue - self.payout_micros)
    }

    /// What one counted click earned its partner, in micro-units, rounded down; none without clicks.
    pub fn earned_per_click_micros(&self, clicks: &Clicks) -> Option<i64> {
        (clicks.counted > 0).then(|| self.payout_micros.div_euclid(clicks.counted))
    }
}

/// Figures of one currency, or of clicks alone.
pub type ByCurrency = BTreeMap<Currency, Takings>;

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// Its clicks; none where clicks cannot be counted.
    pub clicks: Option<Clicks>,
    /// Its conversions and money.
    pub takings: ByCurrency,
}

impl Line {
    /// Adds conversions of a currency.
    pub fn take(&mut self, currency: Currency, takings: &Takings) {
        self.takings.entry(currency).or_default().add(takings);
    }

    /// Adds another line, currency by currency.
    pub fn add(&mut self, other: &Self) {
        if let Some(clicks) = &other.clicks {
            self.clicks.get_or_insert_default().add(clicks);
        }
        for (currency, takings) in &other.takings {
            self.take(*currency, takings);
        }
    }

    /// Conversions that count, of every currency.
    pub fn conversions(&self) -> i64 {
        self.takings.values().map(|takings| takings.pending + takings.success).sum()
    }

    /// Conversions that count, for a hundred counted clicks, in hundredths of a percent, rounded down; none without
    /// clicks.
    pub fn conversion_rate(&self) -> Option<i64> {
        let clicks = self.clicks.filter(|clicks| clicks.counted > 0)?;
        Some(self.conversions().saturating_mul(10_000).div_euclid(clicks.counted))
    }
}

/// A value of a group: where it stands among the times, and as it is shown.
pub type Value = (usize, String);

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Everything that was recorded before is in it.
    pub as_of: Timestamp,
    /// By the values of the groups, in order.
    pub lines: BTreeMap<Vec<Value>, Line>,
}

impl Report {
    /// All lines together; money still by currency.
    pub fn total(&self) -> Line {
        let mut total = Line::default();
        for line in self.lines.values() {
            total.add(line);
        }
        total
    }

    /// As a partner may see it: without revenue and margin.
    #[must_use]
    pub fn without_revenue(mut self) -> Self {
        for takings in self.lines.values_mut().flat_map(|line| line.takings.values_mut()) {
            takings.revenue_micros = None;
        }
        self
    }
}

/// Micro-units in their currency.
pub fn money(micros: i64, currency: Currency) -> Money {
    Money { micros, currency }
}
