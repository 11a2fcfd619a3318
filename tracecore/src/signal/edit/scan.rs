//! Finding attributes in a run of fields, which were validated and are canonical: a `KeyValue` has one key at most, and
//! it stands before the value.

use std::ops::Range;

use super::super::schema::wire;
use super::super::view::wire::Fields;
use super::super::walk::take_short;

/// The wire type of a field with a length, as the low bits of its key.
pub(super) const LENGTH: u8 = wire::LENGTH;

/// The fields of `KeyValue`.
pub(super) const KEY: u32 = 1;
pub(super) const VALUE: u32 = 2;
const KEY_TAG: u8 = (KEY as u8) << 3 | LENGTH;
const VALUE_TAG: u8 = (VALUE as u8) << 3 | LENGTH;

/// Where an attribute is, and what is in it. Where it has no key, or no value, the range is empty and tells where to
/// write one.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// The whole field.
    pub(super) field: Range<usize>,
    /// Where its `KeyValue` begins; it ends with the field.
    pub(super) pair: usize,
    /// Where the field with the key begins; it ends with the key.
    pub(super) key_field: usize,
    /// The key.
    pub(super) key: Range<usize>,
}

impl Spot {
    /// The `KeyValue`.
    pub(super) fn pair<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.pair..self.field.end]
    }

    /// The field with the value, and where the value begins in it.
    pub(super) fn value(&self, bytes: &[u8]) -> (Range<usize>, usize) {
        let behind_key = &bytes[self.key.end..self.field.end];
        if let [VALUE_TAG, ref value @ ..] = *behind_key
            && let Some((value, rest)) = take_short(value)
        {
            let end = self.field.end - rest.len();
            return (self.key.end..end, end - value.len());
        }
        let mut fields = Fields::of(behind_key);
        while let Some(field) = fields.next_field() {
            if field.number == VALUE {
                let end = self.field.end - fields.rest().len();
                return (end - field.whole.len()..end, end - field.value.bytes().len());
            }
        }
        (self.field.end..self.field.end, self.field.end)
    }
}

/// Which attributes are wanted.
pub(super) trait Wanted {
    /// Whether some key of this length can be wanted: so most are passed over by a look at their lengths.
    #[inline]
    fn has_length(&self, length: usize) -> bool {
        let _ = length;
        true
    }

    /// Whether this key is wanted.
    fn has(&self, key: &[u8]) -> bool;
}

/// Those with this key.
impl Wanted for &str {
    #[inline]
    fn has_length(&self, length: usize) -> bool {
        length == self.len()
    }

    #[inline]
    fn has(&self, key: &[u8]) -> bool {
        key == self.as_bytes()
    }
}

/// Those with one of these keys.
impl Wanted for [&str; 2] {
    #[inline]
    fn has_length(&self, length: usize) -> bool {
        let [one, other] = self;
        length == one.len() || length == other.len()
    }

    #[inline]
    fn has(&self, key: &[u8]) -> bool {
        let [one, other] = self;
        key == one.as_bytes() || key == other.as_bytes()
    }
}

/// All.
pub(super) struct Any;

impl Wanted for Any {
    fn has(&self, _: &[u8]) -> bool {
        true
    }
}

/// Those whose key is wanted as a text.
pub(super) struct Where<F>(pub(super) F);

impl<F: Fn(&str) -> bool> Wanted for Where<F> {
    fn has(&self, key: &[u8]) -> bool {
        str::from_utf8(key).is_ok_and(&self.0)
    }
}

/// The first attribute in `bytes`, at `at` or behind, that is wanted. `tag` is the key of the field it is in.
#[inline]
pub(super) fn find(bytes: &[u8], at: usize, tag: u8, wanted: &impl Wanted) -> Option<Spot> {
    let mut rest = bytes.get(at..)?;
    loop {
        // Nearly all attributes begin with their key, and it and they are shorter than 128 bytes.
        if let [first, length @ 2..0x80, KEY_TAG, key_length @ 0..0x80, ref behind @ ..] = *rest
            && first == tag
            && let Some((in_pair, after)) = behind.split_at_checked(usize::from(length) - 2)
        {
            if wanted.has_length(key_length.into())
                && let Some(key) = in_pair.get(..key_length.into())
                && wanted.has(key)
            {
                let start = bytes.len() - rest.len();
                let key = start + 4..start + 4 + key.len();
                let field = start..bytes.len() - after.len();
                return Some(Spot { field, pair: start + 2, key_field: start + 2, key });
            }
            rest = after;
            continue;
        }
        rest = match *rest {
            [] => return None,
            [first, ..]
                if first != tag
                    && let Some(behind) = skip(rest) =>
            {
                behind
            }
            _ => {
                let start = bytes.len() - rest.len();
                let (spot, behind) = irregular(rest, start, tag)?;
                match spot {
                    Some(spot) if wanted.has(&bytes[spot.key.clone()]) => return Some(spot),
                    _ => behind,
                }
            }
        };
    }
}

/// How much of a message stands before its first attribute.
#[inline]
pub(super) fn before_attributes(message: &[u8], tag: u8) -> usize {
    let mut rest = message;
    while let [first, ..] = *rest {
        if first == tag {
            break;
        }
        // `find` looks again at what is written in another way.
        let Some(behind) = skip(rest) else { break };
        rest = behind;
    }
    message.len() - rest.len()
}

/// What is behind the first field, if it holds no attribute and is written as nearly all are: with a number below 16 or
/// of two digits, and fixed, one byte long, or with a length of one or two bytes.
#[inline(always)]
fn skip(field: &[u8]) -> Option<&[u8]> {
    let (first, value) = match field {
        [first @ 0..0x80, value @ ..] => (first, value),
        // Not a number below 16 in two digits, which would be that of an attribute perhaps.
        [first, 1..0x80, value @ ..] => (first, value),
        _ => return None,
    };
    match first & 7 {
        wire::LENGTH => take_short(value).map(|(_, behind)| behind),
        wire::FIXED64 => value.get(8..),
        wire::FIXED32 => value.get(4..),
        wire::VARINT if matches!(value, [0..0x80, ..]) => value.get(1..),
        _ => None,
    }
}

/// The first field, however it is written, if it is an attribute, and what is behind it.
fn irregular(rest: &[u8], start: usize, tag: u8) -> Option<(Option<Spot>, &[u8])> {
    let mut fields = Fields::of(rest);
    let field = fields.next_field()?;
    if field.number != u32::from(tag >> 3) {
        return Some((None, fields.rest()));
    }
    let end = start + field.whole.len();
    let body = field.value.bytes();
    let pair = end - body.len();
    let mut in_pair = Fields::of(body);
    let (mut key_field, mut key) = (pair, pair..pair);
    while let Some(field) = in_pair.next_field() {
        if field.number == KEY {
            let behind = end - in_pair.rest().len();
            (key_field, key) = (behind - field.whole.len(), behind - field.value.bytes().len()..behind);
            break;
        }
    }
    Some((Some(Spot { field: start..end, pair, key_field, key }), fields.rest()))
}
