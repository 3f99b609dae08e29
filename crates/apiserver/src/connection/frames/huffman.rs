//! Huffman decoding of HPACK (RFC 7541, appendix B) for paths: only ASCII characters with codes of
//! at most 15 bits. A string with any other character is not decoded.

/// For each code length from five bits on: the first code, and the characters with consecutive
/// codes.
const CODES: [(u32, &[u8]); 11] = [
    (0x0, b"012aceiost"),
    (0x14, b" %-./3456789=A_bdfghlmnpru"),
    (0x5c, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (0xf8, b"&*,;XZ"),
    (0, b""),
    (0x3f8, b"!\"()?"),
    (0x7fa, b"'+|"),
    (0xffa, b"#>"),
    (0x1ff8, b"\0$@[]~"),
    (0x3ffc, b"^}"),
    (0x7ffc, b"<`{"),
];
const LEN_MIN: usize = 5;

/// Decodes a string; `None` if it contains other characters or invalid padding.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes.len() * 8 / LEN_MIN);
    let (mut code, mut len) = (0_u32, 0_usize);
    for byte in bytes {
        for shift in (0..8).rev() {
            code = code << 1 | u32::from(byte >> shift & 1);
            len += 1;
            if len < LEN_MIN {
                continue;
            }
            let (first, characters) = *CODES.get(len - LEN_MIN)?;
            let index = usize::try_from(code.checked_sub(first).unwrap_or(u32::MAX)).ok()?;
            if let Some(character) = characters.get(index) {
                text.push(*character);
                (code, len) = (0, 0);
            }
        }
    }
    // Padding is the prefix of an incomplete code: all ones, less than a byte.
    (len < 8 && code == (1 << len) - 1).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of RFC 7541, appendix C.4 and C.6.
    #[test]
    fn the_examples_of_the_standard_are_decoded() {
        let www = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decode(&www).as_deref(), Some(&b"www.example.com"[..]));
        let no_cache = [0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
        assert_eq!(decode(&no_cache).as_deref(), Some(&b"no-cache"[..]));
        let url = [
            0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82,
            0xae, 0x43, 0xd3,
        ];
        assert_eq!(decode(&url).as_deref(), Some(&b"https://www.example.com"[..]));
        assert_eq!(decode(&[]), Some(Vec::new()));
        assert_eq!(
            decode(&[0xff, 0xff, 0xff, 0xff]),
            None,
            "the end-of-string code inside the string"
        );
        assert_eq!(decode(&[0x00, 0x00]), None, "padding of zeros");
    }
}
