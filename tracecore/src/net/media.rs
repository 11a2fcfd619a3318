//! The `Accept` header (RFC 9110 §12.5.1): which media type a client wants.

use http::HeaderMap;
use http::header::ACCEPT;

/// The value of the `Accept` header, its lines joined. Empty, which asks for nothing, where there is none or it is not
/// text.
pub(crate) fn accept(headers: &HeaderMap) -> String {
    let lines = headers.get_all(ACCEPT).iter().map(|line| line.to_str().ok());
    lines.collect::<Option<Vec<_>>>().unwrap_or_default().join(",")
}

/// The quality of a media type in thousandths: 1000 is wanted, 0 is refused.
type Quality = u16;

/// A parsed `Accept` header.
pub(crate) struct Accepted<'a>(Vec<Range<'a>>);

/// `text/*;version=1.0.0;q=0.5`.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: Quality,
}

impl<'a> Accepted<'a> {
    /// Parses the header; `None` for one that is malformed anywhere, which then says nothing.
    pub(crate) fn parse(header: &'a str) -> Option<Self> {
        let elements = split_unquoted(header, ',').map(str::trim).filter(|element| !element.is_empty());
        elements.map(Range::parse).collect::<Option<Vec<_>>>().map(Accepted)
    }

    /// The quality that the most specific matching range gives to `main/sub`.
    pub(crate) fn quality(&self, main: &str, sub: &str) -> Quality {
        let matching = self.0.iter().filter_map(|range| Some((range.precedence(main, sub)?, range.quality)));
        matching.max().map_or(0, |(_, quality)| quality)
    }

    /// The highest quality among the ranges that name `main/sub` itself, with a `version` that passes (`None` where the
    /// range gives none). Wildcards do not count.
    pub(crate) fn quality_by_name(&self, main: &str, sub: &str, version: impl Fn(Option<&str>) -> bool) -> Quality {
        let named = self.0.iter().filter(|range| range.main.eq_ignore_ascii_case(main));
        let named = named.filter(|range| range.sub.eq_ignore_ascii_case(sub) && version(range.version()));
        named.map(|range| range.quality).max().unwrap_or(0)
    }
}

impl<'a> Range<'a> {
    fn parse(element: &'a str) -> Option<Self> {
        let mut parts = split_unquoted(element, ';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        if !is_token(main) || !is_token(sub) || (main == "*" && sub != "*") {
            return None;
        }
        let mut range = Range { main, sub, parameters: Vec::new(), quality: 1000 };
        for part in parts {
            let (name, value) = part.split_once('=')?;
            if name.eq_ignore_ascii_case("q") {
                range.quality = parse_quality(value)?;
            } else {
                range.parameters.push((name, parse_value(name, value)?));
            }
        }
        Some(range)
    }

    /// How specifically this range means `main/sub`, if it does.
    fn precedence(&self, main: &str, sub: &str) -> Option<u8> {
        let same_main = self.main.eq_ignore_ascii_case(main);
        match (self.main, self.sub) {
            ("*", _) => Some(0),
            (_, "*") if same_main => Some(1),
            (_, wanted) if same_main && wanted.eq_ignore_ascii_case(sub) => Some(2),
            _ => None,
        }
    }

    fn version(&self) -> Option<&'a str> {
        self.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("version")).map(|(_, value)| *value)
    }
}

/// `0`, `1`, or either with up to three decimals, in the range 0 to 1.
fn parse_quality(text: &str) -> Option<Quality> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) || !matches!(whole, "0" | "1") {
        return None;
    }
    let thousandths: Quality = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

/// A token, or a quoted string without its quotes. What is escaped in it stays so: no version needs escapes.
fn parse_value<'a>(name: &str, value: &'a str) -> Option<&'a str> {
    let quoted = value.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
    match quoted {
        _ if !is_token(name) => None,
        Some(inner) => inner,
        None => is_token(value).then_some(value),
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Splits at `separator` where it does not stand in a quoted string.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c: char| {
        let splits = !quoted && c == separator;
        if !escaped && c == '"' {
            quoted = !quoted;
        }
        escaped = quoted && !escaped && c == '\\';
        splits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn quality(header: &str, media: &str) -> Quality {
        let (main, sub) = media.split_once('/').unwrap();
        Accepted::parse(header).expect("well formed").quality(main, sub)
    }

    #[test]
    fn the_most_specific_range_decides() {
        let header = "*/*;q=0.1, text/*;q=0.5, text/plain;q=0.25";
        assert_eq!(quality(header, "text/plain"), 250);
        assert_eq!(quality(header, "text/html"), 500);
        assert_eq!(quality(header, "application/json"), 100);
        assert_eq!(quality("text/plain", "application/json"), 0);
    }

    #[test]
    fn names_are_compared_without_case_and_empty_elements_are_skipped() {
        assert_eq!(quality(" , TEXT/Plain ; Q=0.5 ,", "text/plain"), 500);
        assert_eq!(quality("", "text/plain"), 0);
    }

    #[test]
    fn a_separator_in_quotes_separates_nothing() {
        assert_eq!(quality(r#"text/plain;a="x,y;z\"";q=0.3, application/json"#, "text/plain"), 300);
    }

    #[test]
    fn malformed_headers_say_nothing() {
        let malformed = [
            "json",
            "/",
            "text/",
            "*/json",
            "text/plain;q=",
            "text/plain;q=2",
            "text/plain;q=1.001",
            "text/plain;q=0.1234",
            "text/plain;q=-1",
            "text/plain;q",
            "text/plain;",
            "text/plain;version=\"1",
            "te xt/plain",
            "application/json, ;;",
        ];
        for header in malformed {
            assert!(Accepted::parse(header).is_none(), "{header} was accepted");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(header in "[\\PC;,=\"\\\\/*q.0-9]{0,60}") {
            if let Some(accepted) = Accepted::parse(&header) {
                proptest::prop_assert!(accepted.quality("text", "plain") <= 1000);
            }
        }
    }
}
