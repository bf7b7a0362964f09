//! Bytes as lower-case hexadecimal digits, without the machinery of formatting: every request has some.

/// Writes as many bytes as `text` has room for two digits each.
pub fn write(bytes: &[u8], text: &mut [u8]) {
    for (byte, digits) in bytes.iter().zip(text.as_chunks_mut::<2>().0) {
        *digits = digits_of(*byte);
    }
}

/// Reads as many bytes as there is room for. Lower case only; None for any other character.
pub fn read(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    for ([high, low], byte) in text.as_chunks::<2>().0.iter().zip(bytes) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(())
}

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
const fn digits_of(byte: u8) -> [u8; 2] {
    const DIGITS: [[u8; 2]; 256] = digits();
    DIGITS[byte as usize]
}

#[expect(clippy::indexing_slicing, reason = "bounded, and const")]
const fn digits() -> [[u8; 2]; 256] {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_byte_has_its_digits() {
        for byte in 0..=u8::MAX {
            let mut text = [b'?'; 3];
            super::write(&[byte], &mut text);
            assert_eq!(text.as_slice(), format!("{byte:02x}?").as_bytes());
            let mut back = [0];
            assert_eq!((super::read(&text, &mut back), back), (Some(()), [byte]));
        }
    }
}
