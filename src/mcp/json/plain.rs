//! Bytes within a string of JSON that stand for themselves: found many at once, since they are nearly all of a text.

/// Bytes of a long text that are looked at in one step, by the machine's wide registers.
const STEP: usize = 32;

/// How many there are from the first on, in whole steps: for long texts.
#[inline(never)]
pub(super) fn long_run(bytes: &[u8]) -> usize {
    // Without a branch, or it would be byte by byte.
    let all_plain = |step: &&[u8; STEP]| {
        let odd = step.iter().fold(0, |odd, byte| {
            let is = |special: u8| u8::from(*byte == special);
            odd | u8::from(*byte < b' ') | is(b'"') | is(b'\\')
        });
        odd == 0
    };
    let (steps, _) = bytes.as_chunks::<STEP>();
    STEP * steps.iter().take_while(all_plain).count()
}

/// How many of eight come before the first that does not stand for itself: a quotation mark, a backslash or a
/// control character.
pub(super) const fn plain_of(chunk: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(chunk);
    // The highest bit of each that does not. A borrow goes to later bytes only, which no longer matter.
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let stops = quote.wrapping_sub(ONES) & !quote
        | backslash.wrapping_sub(ONES) & !backslash
        | word.wrapping_sub(ONES * b' ' as u64) & !word;
    ((stops & HIGH).trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_plain(byte: u8) -> bool {
        byte >= b' ' && ![b'"', b'\\'].contains(&byte)
    }

    proptest! {
        #[test]
        fn many_at_once_are_found_as_one_by_one(
            plain in 0..200_usize,
            rest in proptest::collection::vec(any::<u8>(), 0..40),
            fill in any::<u8>(),
        ) {
            let fill = if is_plain(fill) { fill } else { b'x' };
            let bytes = [vec![fill; plain], rest].concat();
            let expected = bytes.iter().take_while(|byte| is_plain(**byte)).count();
            prop_assert_eq!(long_run(&bytes), expected - expected % STEP);
            if let Some(chunk) = bytes.first_chunk::<8>() {
                prop_assert_eq!(plain_of(*chunk), expected.min(8));
            }
        }
    }
}
