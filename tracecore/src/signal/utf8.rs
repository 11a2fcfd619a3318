//! UTF-8 validation for many short strings.
//!
//! `str::from_utf8` goes byte by byte once a text leaves ASCII. Here characters of up to three bytes are checked by
//! branch-free arithmetic on each byte and the two before it, 16 bytes a step, which the compiler turns into vector
//! instructions. The rules are those of table 3-7 of the Unicode Standard. A text that does not pass, or that has
//! longer characters, is left to `str::from_utf8`; so the arithmetic must never pass what is wrong, and that is what
//! the tests try.

/// Bytes a step: the width of the vector registers that every x86-64 and aarch64 has.
const WIDE: usize = 16;
/// Bytes a step for shorter texts.
const NARROW: usize = 8;
/// How many bytes before a byte decide what it may be.
const CONTEXT: usize = 2;

/// Whether `text` is UTF-8.
#[inline]
pub(super) fn is_utf8(text: &[u8]) -> bool {
    is_ascii(text) || is_multibyte(text)
}

/// Whether `text` is ASCII.
#[inline(always)]
pub(super) fn is_ascii(text: &[u8]) -> bool {
    // The last block overlaps the one before, so that there is no tail.
    if let Some(last) = text.last_chunk::<32>() {
        let mut rest = text;
        while let Some((block, behind)) = rest.split_first_chunk::<32>() {
            if !is_ascii_block(block) {
                return false;
            }
            rest = behind;
        }
        is_ascii_block(last)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<16>(), text.last_chunk::<16>()) {
        is_ascii_block(first) && is_ascii_block(last)
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)) & u64::from_ne_bytes([0x80; 8]) == 0
    } else {
        text.iter().fold(0, |bits, byte| bits | byte) < 0x80
    }
}

#[inline(always)]
fn is_ascii_block<const N: usize>(block: &[u8; N]) -> bool {
    block.iter().fold(0, |bits, byte| bits | byte) < 0x80
}

/// Whether `text`, which is not ASCII, is UTF-8.
#[inline(never)]
pub(super) fn is_multibyte(text: &[u8]) -> bool {
    let passes = if text.len() >= WIDE + CONTEXT {
        passes::<WIDE>(text)
    } else if text.len() >= NARROW + CONTEXT {
        passes::<NARROW>(text)
    } else {
        false
    };
    passes || str::from_utf8(text).is_ok()
}

/// Checks `text` in steps of `N` bytes, of which the last overlaps the one before. `true` only for valid text; `text`
/// is at least `N + CONTEXT` bytes long.
#[inline(always)]
fn passes<const N: usize>(text: &[u8]) -> bool {
    let mut faults = Faults::<N>::NONE;
    let mut rest = text;
    // An attribute starts with an ASCII tag and length: context enough. Other text gets two zeros.
    if !matches!(text, [0..0x80, 0..0x80, ..]) {
        let mut window = [0; WIDE + CONTEXT];
        window[CONTEXT..N + CONTEXT].copy_from_slice(&text[..N]);
        faults.window(&window[..N + CONTEXT]);
        rest = &text[N - CONTEXT..];
    }
    while rest.len() > N + CONTEXT {
        faults.window(rest);
        rest = &rest[N..];
    }
    faults.window(&text[text.len() - N - CONTEXT..]);
    let complete = !matches!(text, [.., 0xE0..=0xFF, _] | [.., 0xC0..=0xFF]);
    complete && faults.none()
}

/// The faults found at each position of a step.
struct Faults<const N: usize> {
    /// Bit 7 is set where a byte continues a character and should not, or does not and should.
    structure: [u8; N],
    /// Bit 5 is set where a second byte makes an overlong form (after E0) or a surrogate (after ED).
    range: [u8; N],
    /// The least byte, counted from C0 on: C0 and C1 start nothing.
    least: [u8; N],
    /// The greatest byte: F0 and above start a four-byte character, or nothing.
    greatest: [u8; N],
}

impl<const N: usize> Faults<N> {
    const NONE: Self = Faults { structure: [0; N], range: [0; N], least: [u8::MAX; N], greatest: [0; N] };

    /// A step over the `N` bytes behind the first [`CONTEXT`] bytes of `window`.
    #[inline(always)]
    fn window(&mut self, window: &[u8]) {
        match (window.first_chunk(), window[1..].first_chunk(), window[2..].first_chunk()) {
            (Some(before), Some(previous), Some(bytes)) => self.step(before, previous, bytes),
            // What is too short to be checked does not pass.
            _ => self.structure = [0xFF; N],
        }
    }

    #[inline(always)]
    fn step(&mut self, before: &[u8; N], previous: &[u8; N], bytes: &[u8; N]) {
        for i in 0..N {
            let (before, previous, byte) = (before[i], previous[i], bytes[i]);
            // Bit 7 stays from C0 (from E0) on.
            let must_continue = previous.saturating_sub(0xC0 - 0x80) | before.saturating_sub(0xE0 - 0x80);
            self.structure[i] |= must_continue ^ mask((byte as i8) < -0x40);
            let surrogate = mask(previous == 0xED);
            self.range[i] |= (mask(previous == 0xE0) | surrogate) & !(byte ^ surrogate);
            self.least[i] = self.least[i].min(byte.wrapping_sub(0xC0));
            self.greatest[i] = self.greatest[i].max(byte);
        }
    }

    #[inline(always)]
    fn none(&self) -> bool {
        let mut faults = 0;
        for i in 0..N {
            // Below 2, and from F0 on, the differences are not 0.
            let start = 2_u8.saturating_sub(self.least[i]) | self.greatest[i].saturating_sub(0xEF);
            faults |= self.structure[i] & 0x80 | self.range[i] & 0x20 | start;
        }
        faults == 0
    }
}

/// All bits or none.
#[inline(always)]
fn mask(condition: bool) -> u8 {
    if condition { 0xFF } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte of each row of the table, and its neighbours.
    const EDGES: [u8; 22] = [
        0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEE, 0xEF,
        0xF0, 0xF4, 0xF5, 0xFF,
    ];

    #[test]
    fn agrees_with_the_standard_library_on_every_edge() {
        let around =
            ["", "a", "key.of.ascii.text.only", "ключ", "Ж日本語のテキスト", "日本語のテキストがここにある", "😀"];
        let mut place = 0;
        for quad in (0..EDGES.len().pow(4)).map(|n| [1, 22, 484, 10648].map(|unit| EDGES[n / unit % EDGES.len()])) {
            // Each quadruple stands somewhere else, and most steps have it across their edge.
            place += 1;
            let (before, behind) = (around[place % 7], around[place / 7 % 7]);
            let text = [before.as_bytes(), &quad, behind.as_bytes()].concat();
            assert_eq!(is_utf8(&text), str::from_utf8(&text).is_ok(), "{text:02x?}");
        }
    }

    #[test]
    fn agrees_with_the_standard_library_at_every_length() {
        let text = "aЖ日b한é中Жc".repeat(12);
        for start in 0..text.len() {
            for end in start..text.len() {
                let part = &text.as_bytes()[start..end];
                assert_eq!(is_utf8(part), str::from_utf8(part).is_ok(), "{start}..{end}");
            }
        }
    }
}
