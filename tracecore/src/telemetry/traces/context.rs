//! Where a span stands: its trace, its own id, and whether the trace is kept.
//!
//! The form is that of W3C Trace Context, level 1. Deliberately absent: `tracestate`, which is neither read nor passed on.
//! It is what other vendors remember of a trace, and a trace holds together without it.

use std::fmt;

use http::HeaderMap;
use opentelemetry::trace::{SpanContext as SdkContext, SpanId, TraceFlags, TraceId, TraceState};

/// The header that carries a [`SpanContext`].
const TRACEPARENT: &str = "traceparent";

/// `00-<32 digits>-<16 digits>-<2 digits>`, the whole of version 00 and the beginning of every later one.
const LENGTH: usize = 55;

/// The one version that is written, and the one whose length is known.
const VERSION: u8 = 0;

/// The version that no header may have.
const NO_VERSION: u8 = 0xff;

/// The bit of the flags that says that the trace is kept.
const SAMPLED: u8 = 1;

/// Which span of which trace: what a child needs to know of its parent. Shown as a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanContext {
    trace: u128,
    span: u64,
    sampled: bool,
    remote: bool,
}

impl SpanContext {
    /// A parent whose children are not kept.
    pub(crate) const NOT_KEPT: SpanContext = SpanContext { trace: 1, span: 1, sampled: false, remote: false };

    /// What the caller of a request says. Anything but exactly one well-formed `traceparent` is as if there were none: a
    /// trace that begins here is better than one that is not the caller's.
    pub fn from_traceparent(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        SpanContext::parse(value.as_bytes())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let (version, flags) = (hex(&known[..2])? as u8, hex(&known[53..])? as u8);
        let (trace, span) = (hex(&known[3..35])?, hex(&known[36..52])? as u64);
        let dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        // A later version may go on behind a dash.
        let ends = rest.is_empty() || version != VERSION && rest[0] == b'-';
        let valid = dashes && ends && version != NO_VERSION && trace != 0 && span != 0;
        valid.then_some(SpanContext { trace, span, sampled: flags & SAMPLED != 0, remote: true })
    }

    /// The id of the trace. Never 0.
    pub fn trace_id(self) -> u128 {
        self.trace
    }

    /// Whether the trace is kept.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }

    pub(super) fn of(context: &SdkContext) -> Option<Self> {
        context.is_valid().then(|| SpanContext {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            sampled: context.is_sampled(),
            remote: context.is_remote(),
        })
    }

    pub(super) fn to_sdk(self) -> SdkContext {
        let flags = if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        let (trace, span) = (TraceId::from(self.trace), SpanId::from(self.span));
        SdkContext::new(trace, span, flags, self.remote, TraceState::NONE)
    }
}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION:02x}-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// At most 32 digits; only those of lower case are allowed.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(values: &[&str]) -> Option<SpanContext> {
        let values = values.iter().map(|value| (http::HeaderName::from_static(TRACEPARENT), value.parse().unwrap()));
        SpanContext::from_traceparent(&values.collect())
    }

    #[test]
    fn a_traceparent_is_read_and_shown() {
        let context = read(&[PARENT]).unwrap();
        assert_eq!((context.to_string().as_str(), context.is_sampled()), (PARENT, true));
        assert_eq!(SpanContext::of(&context.to_sdk()), Some(context));
        let not_kept = PARENT.replace("-01", "-00");
        assert!(!read(&[&not_kept]).unwrap().is_sampled());
        // The other bits are for others.
        assert!(!read(&[&PARENT.replace("-01", "-fe")]).unwrap().is_sampled());
        // A later version is read as far as it is known.
        let later = PARENT.replacen("00", "01", 1);
        assert_eq!(read(&[&later]), Some(context));
        assert_eq!(read(&[&format!("{later}-more")]), Some(context));
    }

    #[test]
    fn what_is_no_traceparent_is_no_parent() {
        let changed = |from: &str, to: &str| PARENT.replacen(from, to, 1);
        let garbage = [
            String::new(),
            "garbage".to_owned(),
            PARENT.to_uppercase(),
            format!("{PARENT}-more"),
            format!("{PARENT}0"),
            format!("{}x", changed("00", "01")),
            changed("00", "ff"),
            changed("-01", ""),
            changed("-01", "-0"),
            changed("-01", "-0g"),
            changed("-4bf", "_4bf"),
            changed("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            changed("00f067aa0ba902b7", "0000000000000000"),
            changed("00f067aa0ba902b7", "00f067aa0ba902+7"),
        ];
        for value in &garbage {
            assert_eq!(read(&[value]), None, "{value:?}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[PARENT, PARENT]), None, "whose trace is it?");
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(TRACEPARENT, value);
                let _ = SpanContext::from_traceparent(&headers);
            }
        }
    }
}
