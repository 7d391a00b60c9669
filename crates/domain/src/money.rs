//! Money: whole micro-units (a millionth of the currency's unit) with a currency. Never a float.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

/// Micro-units in one unit of a currency.
pub const MICROS: i64 = 1_000_000;

/// The largest amount taken from outside, in units: far above any real one, far below overflow.
const MAX_UNITS: i64 = 1_000_000_000;

/// Why a text is not money, a currency or a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal.
    #[error(
        "`{0}` is not a plain decimal amount; write it like 12.50 (digits, one point, at most six decimals)"
    )]
    NotPlain(String),
    /// Larger than anything the system takes.
    #[error("`{0}` is more than 1000000000 units")]
    TooLarge(String),
    /// Not an ISO 4217 code.
    #[error("`{0}` is not an ISO 4217 currency code; write it like USD")]
    Currency(String),
    /// A percentage over 100 or with too many decimals.
    #[error("`{0}` is not a percentage between 0 and 100 with at most six decimals")]
    Percent(String),
}

/// An ISO 4217 currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// How many decimals are usual for it: 2 for USD, 0 for JPY.
    pub fn decimals(self) -> usize {
        iso_currency::Currency::from_code(self.code())
            .and_then(iso_currency::Currency::exponent)
            .map_or(2, usize::from)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let refused = || MoneyError::Currency(text.to_owned());
        let upper = text.to_ascii_uppercase();
        iso_currency::Currency::from_code(&upper).ok_or_else(refused)?;
        Ok(Self(upper.as_bytes().try_into().map_err(|_| refused())?))
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Micro-units; 12.50 USD is 12 500 000.
    pub micros: i64,
    /// Its currency.
    pub currency: Currency,
}

impl Money {
    /// Nothing, in this currency.
    pub const fn zero(currency: Currency) -> Self {
        Self { micros: 0, currency }
    }

    /// The plain decimal without the currency: `12.50`, `0.125`, `1200` for yen.
    pub fn plain(self) -> String {
        plain(self.micros, self.currency.decimals())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.plain(), self.currency)
    }
}

/// Micro-units as a plain decimal with at least `decimals` decimals and no further trailing zeros.
fn plain(micros: i64, decimals: usize) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let digits = format!("{rest:06}");
    let used = digits.trim_end_matches('0').len().max(decimals.min(6));
    if used == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &digits[..used]) }
}

/// Reads a plain, non-negative decimal (`12`, `12.5`, `0.000001`) as micro-units.
pub fn parse_micros(text: &str) -> Result<i64, MoneyError> {
    let refused = || MoneyError::NotPlain(text.to_owned());
    let plain = text.len() <= 24
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && text.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit());
    if !plain {
        return Err(refused());
    }
    let value = Decimal::from_str_exact(text).map_err(|_| refused())?.normalize();
    if value.scale() > 6 {
        return Err(refused());
    }
    if value > Decimal::from(MAX_UNITS) {
        return Err(MoneyError::TooLarge(text.to_owned()));
    }
    (value * Decimal::from(MICROS)).to_i64().ok_or_else(refused)
}

/// A share of an amount, in millionths of a percent: 12.5 % is 12 500 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(i64);

impl Percent {
    const WHOLE: i64 = 100 * MICROS;

    /// From millionths of a percent, 0 to 100 000 000.
    pub fn from_millionths(millionths: i64) -> Result<Self, MoneyError> {
        if (0..=Self::WHOLE).contains(&millionths) {
            Ok(Self(millionths))
        } else {
            Err(MoneyError::Percent(plain(millionths, 0)))
        }
    }

    /// Millionths of a percent.
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// This share of `micros`, rounded half to even, once.
    pub fn of(self, micros: i64) -> i64 {
        let product = i128::from(micros) * i128::from(self.0);
        let whole = i128::from(Self::WHOLE);
        let (quotient, rest) = (product.div_euclid(whole), product.rem_euclid(whole));
        let up = match (rest * 2).cmp(&whole) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => quotient % 2 != 0,
        };
        // A share of at most 100 % is never larger than the amount it is taken of, so it fits.
        i64::try_from(quotient + i128::from(up)).unwrap_or(micros)
    }
}

impl FromStr for Percent {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let micros = parse_micros(text).map_err(|_| MoneyError::Percent(text.to_owned()))?;
        Self::from_millionths(micros).map_err(|_| MoneyError::Percent(text.to_owned()))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", plain(self.0, 0))
    }
}

/// What one conversion is worth to one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// A fixed amount, in micro-units of the offer's currency.
    Flat(i64),
    /// A share of the sale's amount, in the currency of the sale.
    Share(Percent),
}

impl Rate {
    /// What this rate gives for a sale of `amount` on an offer kept in `currency`. A share of no amount is
    /// nothing.
    pub fn of(self, amount: Option<Money>, currency: Currency) -> Money {
        match (self, amount) {
            (Self::Flat(micros), _) => Money { micros, currency },
            (Self::Share(share), Some(sale)) => {
                Money { micros: share.of(sale.micros), currency: sale.currency }
            }
            (Self::Share(_), None) => Money::zero(currency),
        }
    }
}
