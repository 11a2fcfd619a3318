//! Counts the items of a request and finds its marks, from the wire form, with an eye on little else.
//!
//! It knows three levels of messages and skips the rest. It trusts its input as far as a bench may: what it cannot read
//! is an error of the collector under test, and is counted as such.

use crate::requests::number;
use crate::signal::Signal;

/// What was found in a request.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Spans, data points or log records.
    pub(crate) items: u64,
    /// The numbers of the marks.
    pub(crate) marks: Vec<u32>,
}

/// Reads a request; `None` if it is not OTLP.
pub(crate) fn read(signal: Signal, request: &[u8]) -> Option<Found> {
    let mut found = Found::default();
    for resource in Fields(request) {
        for scope in resource?.message(1).map(Fields).into_iter().flatten() {
            for item in scope?.message(2).map(Fields).into_iter().flatten() {
                let Some(item) = item?.message(2) else { continue };
                match signal {
                    Signal::Traces => found.add(item, SPAN_ID)?,
                    Signal::Logs => found.add(item, LOG_TIME)?,
                    Signal::Metrics => found.points(item)?,
                }
            }
        }
    }
    Some(found)
}

/// `Span.span_id`.
const SPAN_ID: u32 = 2;
/// `LogRecord.time_unix_nano`.
const LOG_TIME: u32 = 1;
/// `start_time_unix_nano` of every kind of point.
const POINT_START: u32 = 2;
/// The fields of `Metric` that hold points.
const POINTS: [u32; 5] = [5, 7, 9, 10, 11];

impl Found {
    fn points(&mut self, metric: &[u8]) -> Option<()> {
        for field in Fields(metric) {
            let field = field?;
            let Some(data) = POINTS.iter().find_map(|number| field.message(*number)) else { continue };
            for point in Fields(data) {
                if let Some(point) = point?.message(1) {
                    self.add(point, POINT_START)?;
                }
            }
        }
        Some(())
    }

    /// Counts an item, and reads it as far as the field that may be a mark.
    fn add(&mut self, item: &[u8], marked: u32) -> Option<()> {
        self.items += 1;
        for field in Fields(item) {
            let field = field?;
            if field.number == marked
                && let Ok(bytes) = field.bytes.try_into()
            {
                self.marks.extend(number(u64::from_le_bytes(bytes)));
            }
            if field.number >= marked {
                break;
            }
        }
        Some(())
    }
}

/// A field of a message. The value of a varint is not kept.
struct Field<'a> {
    number: u32,
    delimited: bool,
    bytes: &'a [u8],
}

impl<'a> Field<'a> {
    fn message(&self, number: u32) -> Option<&'a [u8]> {
        (self.delimited && self.number == number).then_some(self.bytes)
    }
}

/// The fields of a message, as far as they can be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        let delimited = tag & 7 == 2;
        let length = match tag & 7 {
            0 => {
                self.varint()?;
                0
            }
            1 => 8,
            2 => usize::try_from(self.varint()?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Field { number, delimited, bytes })
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (place, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::prepare;

    #[test]
    fn counts_the_items_and_finds_the_mark_of_every_signal() {
        for signal in Signal::ALL {
            for mut request in prepare(signal, 250, 2) {
                let found = read(signal, &request.bytes).unwrap();
                assert_eq!((found.items, &found.marks[..]), (250, &[0][..]), "{signal}");
                request.set_mark(4711);
                assert_eq!(read(signal, &request.bytes).unwrap().marks, [4711], "{signal}");
            }
        }
    }

    #[test]
    fn says_that_a_request_is_cut_short() {
        let request = &prepare(Signal::Traces, 3, 1)[0].bytes;
        assert!(read(Signal::Traces, &request[..request.len() - 1]).is_none());
    }
}
