//! Many small items in the order of an integer: stable, digit by digit, in time that grows as their number does.

/// Fewer are sorted by comparing them.
const FEW: usize = 512;
/// Digits of more bits would have more places to write to than a cache has lines.
const WIDEST: u32 = 11;

/// Sorts stably. Digits in which all numbers agree cost nothing, nor does what is in order already. The room is only lent.
pub(crate) fn by_number<T: Copy + Default>(items: &mut [T], room: &mut Vec<T>, number: impl Fn(&T) -> u64) {
    if items.is_sorted_by_key(&number) {
        return;
    }
    if items.len() < FEW {
        return items.sort_by_key(number);
    }
    let (any, all) = items.iter().map(&number).fold((0, u64::MAX), |(any, all), n| (any | n, all & n));
    let differ = any ^ all;
    let (low, high) = (differ.trailing_zeros(), u64::BITS - differ.leading_zeros());
    let digits = (high - low).div_ceil(WIDEST);
    let width = (high - low).div_ceil(digits);
    let length = items.len();
    if room.len() < length {
        room.resize(length, T::default());
    }
    let (mut from, mut to) = (items, &mut room[..length]);
    for digit in 0..digits {
        let of = |item: &T| (number(item) >> (low + digit * width)) as usize & ((1 << width) - 1);
        place(from, to, 1 << width, of);
        std::mem::swap(&mut from, &mut to);
    }
    if digits % 2 == 1 {
        to.copy_from_slice(from);
    }
}

/// One digit: counts how many items have each, and puts each behind those before it.
fn place<T: Copy>(from: &[T], to: &mut [T], digits: usize, of: impl Fn(&T) -> usize) {
    let mut places = vec![0_usize; digits];
    from.iter().for_each(|item| places[of(item)] += 1);
    let mut next = 0;
    for place in &mut places {
        (*place, next) = (next, next + *place);
    }
    for item in from {
        let place = &mut places[of(item)];
        to[*place] = *item;
        *place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// The order is that of a stable sort, whatever bits the numbers differ in, and the room may have been used before.
        #[test]
        fn digits_sort_as_comparing_does(
            numbers in prop::collection::vec(any::<u64>(), 0..2_000),
            again in prop::collection::vec(any::<u64>(), 0..2_000),
            mask in any::<u64>(),
            shift in 0_u32..64,
        ) {
            let mut room = Vec::new();
            for numbers in [numbers, again] {
                let mut items: Vec<(u64, u32)> = numbers.iter().map(|n| (n & mask) >> shift).zip(0..).collect();
                let mut compared = items.clone();
                compared.sort_by_key(|item| item.0);
                by_number(&mut items, &mut room, |item| item.0);
                prop_assert_eq!(items, compared);
            }
        }
    }
}
