//! Bytes that are written one behind the other and read in the same order: the shape of whatever is packed.
//!
//! A text is its length and its bytes; a length and a number take one byte for each 7 bits, the lowest first.

/// What was read is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packed bytes are damaged: {0}")]
pub struct Damaged(pub(crate) &'static str);

/// Writes bytes.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// A number in one byte for each 7 bits.
    pub fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(0x80 | number.to_le_bytes()[0]);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    /// A text with its length before it.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }
}

/// Reads bytes from the front; what is left is its field.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next so many bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Damaged("cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next bytes, of which the type says how many.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged("cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Damaged> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// What [`Writer::number`] wrote, and nothing that it would have written otherwise.
    pub fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let overlong = byte == 0 && shift > 0;
            if overlong || (bits << shift) >> shift != bits {
                return Err(Damaged("no number"));
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damaged("no number"))
    }

    /// What [`Writer::text`] wrote.
    pub fn text(&mut self) -> Result<String, Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged("cut short"))?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Damaged("no text"))?;
        Ok(text.to_owned())
    }

    /// All that is left, as a text.
    pub fn rest(self) -> Result<String, Damaged> {
        let text = std::str::from_utf8(self.0).map_err(|_| Damaged("no text"))?;
        Ok(text.to_owned())
    }

    /// [`Damaged`] when something is left.
    pub fn end(self) -> Result<(), Damaged> {
        if self.0.is_empty() { Ok(()) } else { Err(Damaged("more than was expected")) }
    }
}
