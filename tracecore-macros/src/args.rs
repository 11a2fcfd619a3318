//! What stands in the brackets: the arguments of a component's attribute, and the helper attributes of the derives.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, LitStr, Meta, Path, Token, Type, bracketed};

use crate::errors::Errors;
use crate::names::{is_component_name, nearest, suggestion};

/// The keys of a component's attribute.
const KEYS: [&str; 9] = ["aliases", "signals", "config", "data", "telemetry", "error", "stability", "since", "example"];
/// The variants of `Signal`.
const SIGNALS: [&str; 3] = ["Traces", "Metrics", "Logs"];
/// The variants of `Stability`.
const STABILITIES: [&str; 3] = ["Development", "Beta", "Stable"];

/// The arguments of `#[receiver]`, `#[processor]` and `#[exporter]`, as far as they could be understood.
#[derive(Default)]
pub(crate) struct ComponentArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    pub(crate) signals: Option<Vec<Ident>>,
    pub(crate) config: Option<Type>,
    pub(crate) data: Option<Type>,
    pub(crate) telemetry: Option<Type>,
    pub(crate) error: Option<Type>,
    pub(crate) stability: Option<Ident>,
    pub(crate) since: Option<LitStr>,
    pub(crate) example: Option<LitStr>,
}

impl ComponentArgs {
    /// Reads the arguments of the attribute `role`.
    pub(crate) fn parse(role: &str, args: TokenStream, errors: &mut Errors) -> Self {
        let mut parsed = ComponentArgs::default();
        let mut given = Vec::new();
        let read = |input: ParseStream<'_>| {
            if input.peek(LitStr) {
                parsed.name = Some(input.parse()?);
            } else {
                let message = format!("the name comes first, as in `#[{role}(\"clock\")]`");
                errors.push(syn::Error::new(input.span(), message));
            }
            while !input.is_empty() {
                if parsed.name.is_some() || !given.is_empty() {
                    input.parse::<Token![,]>()?;
                }
                if input.is_empty() {
                    break;
                }
                let key: Ident = input.parse()?;
                input.parse::<Token![=]>()?;
                if given.contains(&key) {
                    errors.at(&key, format!("`{key}` is given twice"));
                }
                if let Err(error) = parsed.value(&key, input, errors) {
                    errors.push(error);
                    skip_value(input)?;
                }
                given.push(key);
            }
            Ok(())
        };
        if let Err(error) = read.parse2(args) {
            errors.push(error);
        }
        parsed.check_names(errors);
        parsed
    }

    fn value(&mut self, key: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        match key.to_string().as_str() {
            "aliases" => self.aliases = list(input)?,
            "signals" => {
                let signals = list(input)?;
                if signals.is_empty() {
                    errors.at(key, "a component has at least one signal: leave `signals` out for all three");
                }
                self.signals = Some(known(signals, "signal", &SIGNALS, errors));
            }
            "config" => self.config = Some(input.parse()?),
            "data" => self.data = Some(input.parse()?),
            "telemetry" => self.telemetry = Some(input.parse()?),
            "error" => self.error = Some(input.parse()?),
            "stability" => self.stability = known(vec![input.parse()?], "stability", &STABILITIES, errors).pop(),
            "since" => self.since = Some(input.parse()?),
            "example" => self.example = Some(input.parse()?),
            // A name with a key is reported already, as one that does not come first.
            "name" if self.name.is_none() => self.name = Some(input.parse()?),
            unknown => {
                errors.at(key, format!("unknown key `{unknown}`: {}", suggestion(unknown, &KEYS)));
                skip_value(input)?;
            }
        }
        Ok(())
    }

    /// Every name that the component claims: its own, then its aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &LitStr> {
        self.name.iter().chain(&self.aliases)
    }

    /// Drops what cannot be a name, so that no claim is made on it.
    fn check_names(&mut self, errors: &mut Errors) {
        let mut seen = Vec::new();
        let mut valid = |name: &LitStr| {
            let text = name.value();
            if !is_component_name(&text) {
                errors.at(
                    name,
                    format!("`{text}` cannot name a component: use up to 63 of `a-z`, `0-9` and `_`, a letter first"),
                );
                return false;
            }
            if seen.contains(&text) {
                errors.at(name, format!("`{text}` stands here twice"));
                return false;
            }
            seen.push(text);
            true
        };
        self.name = self.name.take().filter(&mut valid);
        self.aliases.retain(valid);
        if let Some(since) = &self.since
            && !is_release(&since.value())
        {
            errors.at(since, "write a release, as in `since = \"0.1.0\"`");
        }
    }
}

/// Three numbers with dots between them.
fn is_release(text: &str) -> bool {
    text.split('.').filter(|part| part.parse::<u16>().is_ok()).count() == 3 && text.matches('.').count() == 2
}

/// `[A, B]`.
fn list<T: Parse>(input: ParseStream<'_>) -> syn::Result<Vec<T>> {
    let content;
    bracketed!(content in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

/// The words that are among the known ones, each once.
fn known(words: Vec<Ident>, what: &str, known: &[&str], errors: &mut Errors) -> Vec<Ident> {
    let mut kept: Vec<Ident> = Vec::new();
    for word in words {
        let text = word.to_string();
        if !known.contains(&text.as_str()) {
            errors.at(&word, format!("there is no {what} `{text}`: {}", suggestion(&text, known)));
        } else if kept.contains(&word) {
            errors.at(&word, format!("`{text}` stands here twice"));
        } else {
            kept.push(word);
        }
    }
    kept
}

/// Goes on to the next comma that is not inside brackets.
fn skip_value(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// The helper attribute `name` among these, the first if it is given twice.
pub(crate) fn helper<'a>(attrs: &'a [Attribute], name: &str, errors: &mut Errors) -> Option<&'a Attribute> {
    let mut found = attrs.iter().filter(|attr| attr.path().is_ident(name));
    let first = found.next();
    for again in found {
        errors.at(again, format!("`#[{name}]` is given twice"));
    }
    first
}

/// What stands in the attribute's parentheses, read as `T`. `example` is what to write.
pub(crate) fn argument<T: Parse>(attr: &Attribute, example: &str, errors: &mut Errors) -> Option<T> {
    let parsed = attr.parse_args();
    if parsed.is_err() {
        errors.at(attr, format!("write `#[{example}]`"));
    }
    parsed.ok()
}

/// What stands in the attribute's parentheses, read as a list. `example` is what to write.
pub(crate) fn arguments<T: Parse>(attr: &Attribute, example: &str, errors: &mut Errors) -> Vec<T> {
    match attr.parse_args_with(Punctuated::<T, Token![,]>::parse_terminated) {
        Ok(list) if !list.is_empty() => list.into_iter().collect(),
        _ => {
            errors.at(attr, format!("write `#[{example}]`"));
            Vec::new()
        }
    }
}

/// Refuses arguments on an attribute that is a mark.
pub(crate) fn bare(attr: &Attribute, errors: &mut Errors) {
    if !matches!(attr.meta, Meta::Path(_)) {
        errors.at(attr, format!("write `#[{}]`: it takes no arguments", attr.path().to_token_stream()));
    }
}

/// Refuses the named helper attributes here, where they mean nothing.
pub(crate) fn misplaced(attrs: &[Attribute], names: &[&str], why: &str, errors: &mut Errors) {
    for attr in attrs {
        if names.iter().any(|name| attr.path().is_ident(name)) {
            errors.at(attr, format!("`#[{}]` does not belong here: {why}", attr.path().to_token_stream()));
        }
    }
}

/// The attribute's name, with the known one that it was meant to be.
pub(crate) fn unknown_attribute(path: &Path, known: &[&str]) -> String {
    let written = path.to_token_stream().to_string().replace(' ', "");
    match nearest(&written, known) {
        Some(near) => format!("unknown attribute `#[{written}]`: did you mean `#[{near}]`?"),
        None => format!("unknown attribute `#[{written}]`: expected `#[{}]`", known.join("]` or `#[")),
    }
}
