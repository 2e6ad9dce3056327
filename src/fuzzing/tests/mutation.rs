//! Changes of valid bytes: small ones that look like damage, and those that an attacker would try.

use proptest::prelude::*;

/// One change. Its kind decides what its numbers mean; smaller numbers change less.
#[derive(Clone, Debug)]
pub(super) struct Mutation {
    kind: u8,
    at: u32,
    operand: u32,
    amount: u16,
}

impl Arbitrary for Mutation {
    type Parameters = ();
    type Strategy = BoxedStrategy<Mutation>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Mutation> {
        let parts = (0..KINDS, any::<u32>(), any::<u32>(), any::<u16>());
        parts.prop_map(|(kind, at, operand, amount)| Mutation { kind, at, operand, amount }).boxed()
    }
}

const KINDS: u8 = 16;

/// Pieces to insert into texts.
const PIECES: [&[u8]; 66] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\\",
    b"null",
    b"true",
    b"false",
    b"{}",
    b"[]",
    b"\"\"",
    b"0",
    b"-0",
    b"1",
    b"-1",
    b"1e999",
    b"1.5",
    b"NaN",
    b"127",
    b"255",
    b"65536",
    b"2147483648",
    b"4294967296",
    b"9007199254740993",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999999",
    b"+1",
    b"0x10",
    b"00",
    // Not UTF-8: a lone byte, an overlong one, half a surrogate, the start of a character.
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98",
    // Escapes of surrogates, and of characters that move a cursor or a line.
    b"\\ud83d",
    b"\\ude00\\ud83d",
    b"\\u0000",
    b"\\u001b[31m",
    b"\\u202e",
    b"\\n",
    b"\\u007f",
    b"\\u009b",
    b"\0",
    b"\x1b[2J",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"\x7f",
    "\u{85}".as_bytes(),
    "\u{9b}31m".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{661}".as_bytes(),
    "\u{2028}".as_bytes(),
    b"%00",
    b"%ff",
    b"..",
    b"/",
    b"'",
    b"=",
];

/// Replacements for stored integers.
const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    4,
    7,
    8,
    32,
    127,
    128,
    251,
    255,
    256,
    65_535,
    1 << 16,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 60,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// One of `seeds` with all these changes; at most `longest` bytes.
pub(super) fn mutate_seed(seeds: &[Vec<u8>], from: u32, changes: &[Mutation], longest: usize) -> Vec<u8> {
    let mut bytes = pick(seeds, from).clone();
    for change in changes {
        change.apply(&mut bytes, seeds, longest);
        bytes.truncate(longest);
    }
    bytes
}

fn pick_piece(by: u32) -> &'static [u8] {
    PIECES[by as usize % PIECES.len()]
}

fn pick<T>(of: &[T], by: u32) -> &T {
    &of[by as usize % of.len()]
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], longest: usize) {
        let Mutation { kind, at, operand, amount } = *self;
        let at = at as usize % (bytes.len() + 1);
        // Mostly a few bytes, rarely many.
        let short = 1 + amount as usize % if amount.is_multiple_of(7) { 4096 } else { 16 };
        let end = (at + short).min(bytes.len());
        let put = |bytes: &mut Vec<u8>, piece: &[u8]| drop(bytes.splice(at..at, piece.iter().copied()));
        match kind {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (operand % 8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = operand as u8;
                }
            }
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                put(bytes, &piece);
            }
            5 => put(bytes, pick_piece(operand)),
            6 => {
                // Continues as another seed from some offset on.
                let other = pick(seeds, operand);
                let from = amount as usize % (other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            7 => {
                let number = pick(&NUMBERS, operand).wrapping_add(u64::from(amount % 3)).wrapping_sub(1);
                let width = [1, 2, 4, 8][amount as usize / 3 % 4];
                let mut number = number.to_le_bytes();
                if amount >= 1 << 15 {
                    number[..width].reverse();
                }
                let end = (at + width).min(bytes.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            8 => replace_run(bytes, at, u8::is_ascii_digit, pick_piece(14 + operand % 21)),
            9 => replace_run(bytes, at, |byte| byte.is_ascii_alphanumeric() || *byte == b'_', pick_piece(operand)),
            10 => {
                // The same piece repeated: `[[[[[`, or ten thousand entries.
                let piece =
                    if operand.is_multiple_of(2) { bytes[at..end].to_vec() } else { pick_piece(operand / 2).to_vec() };
                let times = 1 << (amount % 24);
                let times = usize::min(times, longest.saturating_sub(bytes.len()) / piece.len().max(1));
                put(bytes, &piece.repeat(times));
            }
            11 => {
                // Swaps two parts.
                let other = operand as usize % (bytes.len() + 1);
                let (first, second) = (at.min(other), at.max(other));
                let length = short.min(second - first).min(bytes.len() - second);
                let (before, behind) = bytes.split_at_mut(second);
                before[first..first + length].swap_with_slice(&mut behind[..length]);
            }
            12 => {
                // Inserts a part of this or another seed at another offset.
                let other = pick(seeds, operand);
                let from = operand as usize / seeds.len() % (other.len() + 1);
                put(bytes, &other[from..(from + short).min(other.len())]);
            }
            13 => replace_text(bytes, at, pick_piece(operand)),
            14 => replace_text(bytes, at, &b"k".repeat(amount as usize)),
            _ => {
                let mut state = u64::from(operand) << 16 | u64::from(amount);
                let random = (0..short).map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                });
                drop(bytes.splice(at..at, random.collect::<Vec<_>>()));
            }
        }
    }
}

/// Replaces the next run of matching bytes.
fn replace_run(bytes: &mut Vec<u8>, at: usize, matches: impl Fn(&u8) -> bool, piece: &[u8]) {
    let Some(start) = bytes[at..].iter().position(&matches).map(|start| at + start) else { return };
    let end = bytes[start..].iter().position(|byte| !matches(byte)).map_or(bytes.len(), |length| start + length);
    bytes.splice(start..end, piece.iter().copied());
}

/// Replaces the next text in quotes.
fn replace_text(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let quote = |from: usize| bytes[from..].iter().position(|byte| *byte == b'"').map(|place| from + place);
    let Some(open) = quote(at) else { return };
    let Some(close) = quote(open + 1) else { return };
    bytes.splice(open + 1..close, piece.iter().copied());
}
