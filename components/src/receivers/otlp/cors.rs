//! Cross-origin resource sharing (<https://fetch.spec.whatwg.org/#http-cors-protocol>): whether a page of another origin
//! may send from a browser.
//!
//! Invariant: without the setting no answer says a word about it, and browsers then refuse.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use super::config::Cors;

/// Headers that a page may send without being allowed to: what a browser sends anyway, and what OTLP needs.
const ALWAYS_ALLOWED: [&str; 6] =
    ["accept", "accept-language", "content-language", "content-type", "content-encoding", "x-requested-with"];

/// What an answer says to the page that asked, if it may ask.
pub(super) fn allow(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) -> bool {
    answer.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.get(ORIGIN) else { return false };
    let allowed = origin.to_str().is_ok_and(|origin| {
        cors.allowed_origins.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &origin.to_ascii_lowercase()))
    });
    if allowed {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        // Browsers send beacons with credentials, and nobody here asks for any.
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    allowed
}

/// What the answer to a preflight request says: nothing that would allow it, if it is not allowed.
pub(super) fn preflight(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) {
    let posts = request.get(ACCESS_CONTROL_REQUEST_METHOD).is_some_and(|method| method == "POST");
    let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
    let headers = asked.is_none_or(|asked| asked.to_str().is_ok_and(|asked| are_allowed(cors, asked)));
    if !posts || !headers || !allow(cors, request, answer) {
        return;
    }
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    if let Some(asked) = asked {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    if cors.max_age > 0 {
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age));
    }
}

fn are_allowed(cors: &Cors, asked: &str) -> bool {
    let allowed = cors.allowed_headers.iter().map(String::as_str).chain(ALWAYS_ALLOWED);
    asked.split(',').map(str::trim).all(|name| allowed.clone().any(|one| one == "*" || one.eq_ignore_ascii_case(name)))
}

/// Whether `text` is `pattern`, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').map_or(("", rest), |(middle, last)| (middle, last));
    for piece in middle.split('*') {
        // The first place leaves the most for the pieces behind it.
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        let cases = [
            ("*", "https://example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://example.com.evil.org", false),
            ("https://example.com", "https://example.com", true),
            ("https://example.com", "https://example.com.evil.org", false),
            ("http://*.a.*.b", "http://x.a.y.b", true),
            ("http://*.a.*.b", "http://x.a.b", false),
            ("ab*ba", "aba", false),
        ];
        for (pattern, origin, expected) in cases {
            assert_eq!(matches(pattern, origin), expected, "{pattern} {origin}");
        }
    }
}
