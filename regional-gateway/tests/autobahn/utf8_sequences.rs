//! The sequences of bytes of 6.5 to 6.23, and which of them are UTF-8.
//!
//! They are, as the suite says, those of Markus Kuhn's stress test for UTF-8 decoders.

const GREEK: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// First bytes of sequences whose last byte is missing, from the shortest to the longest: once with the least bits in
/// them, once with the most.
const CUT_SHORT: [&[u8]; 10] = [
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
];

type Sequences = Vec<(bool, Vec<u8>)>;

fn all_are(is_valid: bool, sequences: &[&[u8]]) -> Sequences {
    sequences.iter().map(|bytes| (is_valid, bytes.to_vec())).collect()
}

/// By the second number of their cases.
pub fn all() -> Vec<(u32, Sequences)> {
    vec![
        (5, some_words()),
        (6, prefixes()),
        // The first and the last of each length.
        (7, all_are(true, &[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"])),
        (8, all_are(false, &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"])),
        (9, all_are(true, &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"])),
        (10, all_are(false, &[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"])),
        (11, boundaries()),
        (12, continuations()),
        (13, lonely_starts()),
        (14, all_are(false, &CUT_SHORT)),
        (15, vec![(false, CUT_SHORT.concat())]),
        (16, all_are(false, &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"])),
        (
            17,
            overlong(&[
                b"\xc0\xaf",
                b"\xe0\x80\xaf",
                b"\xf0\x80\x80\xaf",
                b"\xf8\x80\x80\x80\xaf",
                b"\xfc\x80\x80\x80\x80\xaf",
            ]),
        ),
        (
            18,
            overlong(&[
                b"\xc1\xbf",
                b"\xe0\x9f\xbf",
                b"\xf0\x8f\xbf\xbf",
                b"\xf8\x87\xbf\xbf\xbf",
                b"\xfc\x83\xbf\xbf\xbf\xbf",
            ]),
        ),
        (
            19,
            overlong(&[
                b"\xc0\x80",
                b"\xe0\x80\x80",
                b"\xf0\x80\x80\x80",
                b"\xf8\x80\x80\x80\x80",
                b"\xfc\x80\x80\x80\x80\x80",
            ]),
        ),
        (20, surrogates()),
        (21, pairs_of_surrogates()),
        (22, no_characters()),
        (23, specials()),
    ]
}

fn some_words() -> Sequences {
    let words: [&[u8]; 5] =
        [b"hello\x24world", b"hello\xc2\xa2world", b"hello\xe2\x82\xacworld", b"hello\xf0\xa4\xad\xa2world", GREEK];
    all_are(true, &words)
}

/// Whole only where a character ends.
fn prefixes() -> Sequences {
    let ends = [2, 5, 7, 9, 11];
    (1..=GREEK.len()).map(|end| (ends.contains(&end), GREEK[..end].to_vec())).collect()
}

fn boundaries() -> Sequences {
    let valid: [&[u8]; 4] = [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"];
    [all_are(true, &valid), all_are(false, &[b"\xf4\x90\x80\x80"])].concat()
}

fn continuations() -> Sequences {
    let ones: [&[u8]; 2] = [b"\x80", b"\xbf"];
    let rows = (2..=6).map(|length| b"\x80\xbf".iter().copied().cycle().take(length).collect());
    // All but the last, which the suite's loop leaves out.
    let every = std::iter::once((0x80..0xbf).collect());
    [all_are(false, &ones), rows.chain(every).map(|bytes| (false, bytes)).collect()].concat()
}

/// First bytes of sequences of each length, each with a space behind it; the last of each range is left out as well.
fn lonely_starts() -> Sequences {
    let ranges = [0xc0..0xdf, 0xe0..0xef, 0xf0..0xf7, 0xf8..0xfb, 0xfc..0xfd];
    ranges.into_iter().map(|starts| (false, starts.flat_map(|start: u8| [start, b' ']).collect())).collect()
}

fn overlong(sequences: &[&[u8]; 5]) -> Sequences {
    all_are(false, sequences)
}

fn surrogates() -> Sequences {
    let single: [[u8; 2]; 7] =
        [[0xa0, 0x80], [0xad, 0xbf], [0xae, 0x80], [0xaf, 0xbf], [0xb0, 0x80], [0xbe, 0x80], [0xbf, 0xbf]];
    single.into_iter().map(|[a, b]| (false, vec![0xed, a, b])).collect()
}

fn pairs_of_surrogates() -> Sequences {
    let high = [[0xa0, 0x80], [0xad, 0xbf], [0xae, 0x80], [0xaf, 0xbf]];
    let low = [[0xb0, 0x80], [0xbf, 0xbf]];
    let pairs = high.into_iter().flat_map(|high| low.map(|low| (high, low)));
    pairs.map(|([a, b], [c, d])| (false, vec![0xed, a, b, 0xed, c, d])).collect()
}

/// The last two code points of every plane: no characters, but UTF-8.
fn no_characters() -> Sequences {
    let planes = (0..=16_u32).flat_map(|plane| [0xfffe, 0xffff].map(|low| (plane << 16) | low));
    planes.map(|code_point| (true, char::from_u32(code_point).unwrap().to_string().into_bytes())).collect()
}

fn specials() -> Sequences {
    (0xb9..=0xbf).map(|last| (true, vec![0xef, 0xbf, last])).collect()
}

#[test]
fn the_tables_agree_with_the_standard_library() {
    for (part, sequences) in all() {
        for (is_valid, bytes) in sequences {
            assert_eq!(std::str::from_utf8(&bytes).is_ok(), is_valid, "6.{part}: {bytes:x?}");
        }
    }
}
