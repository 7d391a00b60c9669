//! Ranges of addresses with a value each, for a binary search.

/// An address as a number.
pub(crate) trait Number: Copy + Ord {
    /// The lowest.
    const LOWEST: Self;

    /// The one after it, unless it is the highest.
    fn next(self) -> Option<Self>;
}

impl Number for u32 {
    const LOWEST: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    const LOWEST: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// The whole space of addresses, cut where the value changes.
pub(crate) struct Ranges<A, V> {
    /// Where each piece begins; the first at the lowest address.
    starts: Box<[A]>,
    /// What holds from there; none in a gap.
    values: Box<[Option<V>]>,
}

impl<A: Number, V: Copy + PartialEq> Ranges<A, V> {
    /// From ranges with both ends included, in any order. Where two overlap, the one that begins first counts.
    pub(crate) fn new(mut list: Vec<(A, A, V)>) -> Self {
        list.sort_by_key(|(first, ..)| *first);
        let mut pieces = Pieces { starts: Vec::new(), values: Vec::new() };
        // The first address that nothing was said about yet; none when the highest is covered.
        let mut open = Some(A::LOWEST);
        for (first, last, value) in list {
            let Some(from) = open else { break };
            let first = first.max(from);
            if first > last {
                continue;
            }
            if first > from {
                pieces.push(from, None);
            }
            pieces.push(first, Some(value));
            open = last.next();
        }
        if let Some(from) = open {
            pieces.push(from, None);
        }
        Self { starts: pieces.starts.into(), values: pieces.values.into() }
    }

    /// The value at the address.
    pub(crate) fn at(&self, address: A) -> Option<V> {
        let after = self.starts.partition_point(|start| *start <= address);
        self.values.get(after.checked_sub(1)?).copied().flatten()
    }

    /// How many pieces have a value; neighbours with the same one are one.
    pub(crate) fn count(&self) -> usize {
        self.values.iter().flatten().count()
    }
}

struct Pieces<A, V> {
    starts: Vec<A>,
    values: Vec<Option<V>>,
}

impl<A, V: PartialEq> Pieces<A, V> {
    fn push(&mut self, start: A, value: Option<V>) {
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn every_address_is_in_one_piece() {
        let ranges: Ranges<u32, char> =
            Ranges::new(vec![(20, 29, 'b'), (10, 19, 'a'), (30, 39, 'b'), (50, u32::MAX, 'c')]);
        let cases = [(0, None), (9, None), (10, Some('a')), (19, Some('a')), (20, Some('b'))];
        for (address, value) in cases {
            assert_eq!(ranges.at(address), value, "{address}");
        }
        for (address, value) in
            [(39, Some('b')), (40, None), (49, None), (50, Some('c')), (u32::MAX, Some('c'))]
        {
            assert_eq!(ranges.at(address), value, "{address}");
        }
        assert_eq!(ranges.count(), 3, "20-29 and 30-39 are one piece");
    }

    #[test]
    fn of_two_that_overlap_the_first_counts() {
        let ranges = Ranges::new(vec![(0u32, 9, 'a'), (5, 14, 'b'), (6, 7, 'c')]);
        assert_eq!(
            [4, 5, 9, 10, 14, 15].map(|at| ranges.at(at)),
            [Some('a'), Some('a'), Some('a'), Some('b'), Some('b'), None]
        );
    }

    #[test]
    fn nothing_and_everything_are_ranges_too() {
        assert_eq!(Ranges::<u128, ()>::new(Vec::new()).at(1), None);
        let all = Ranges::new(vec![(0, u128::MAX, ()), (3, 4, ())]);
        assert_eq!([0, 3, u128::MAX].map(|at| all.at(at)), [Some(()); 3]);
        let backwards = Ranges::new(vec![(9u32, 3, ())]);
        assert_eq!(backwards.at(5), None);
    }
}
