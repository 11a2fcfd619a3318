//! `#[derive(Classify)]`: the kind of each variant, and the set of kinds that the error can have.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, Data, DeriveInput, Fields, Ident, Member};

use crate::args::{arguments, bare, helper, misplaced};
use crate::errors::{Errors, place_of};
use crate::names::suggestion;

/// The variants of `ErrorKind` that a component may use: all but `Panic`.
const KINDS: [&str; 9] =
    ["Connect", "Parse", "Downstream", "Enumerate", "Read", "Cardinality", "Init", "Marshal", "Io"];

/// One variant, or the struct: the pattern that matches it, and what the author says about it.
struct Case {
    pattern: TokenStream,
    kind: Ident,
    permanent: bool,
    /// The field that holds the delay, and its type's place.
    retry_after: Option<(Member, Span)>,
}

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let input = match syn::parse2::<DeriveInput>(item) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let error = &input.ident;
    let cases: Vec<Case> = match &input.data {
        Data::Enum(data) => {
            misplaced(&input.attrs, &["kind"], "each variant has its own", &mut errors);
            data.variants
                .iter()
                .map(|variant| {
                    let ident = &variant.ident;
                    case(quote!(#error::#ident), ident, &variant.attrs, &variant.fields, &mut errors)
                })
                .collect()
        }
        Data::Struct(data) => vec![case(quote!(#error), error, &input.attrs, &data.fields, &mut errors)],
        Data::Union(_) => {
            errors.at(error, "an error is an enum or a struct");
            Vec::new()
        }
    };
    let body = body(&cases);
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    errors.after(quote! {
        const _: () = {
            use ::tracecore::__private as __rt;

            impl #impl_generics __rt::Classify for #error #type_generics #where_clause {
                #body
            }
        };
    })
}

fn case(path: TokenStream, name: &Ident, attrs: &[Attribute], fields: &Fields, errors: &mut Errors) -> Case {
    let (kind, permanent) = match helper(attrs, "kind", errors) {
        Some(attr) => kind(attr, errors),
        None => {
            errors.at(name, format!("`{name}` needs a kind, as in `#[kind(Read)]`: one of `{}`", KINDS.join("`, `")));
            (None, false)
        }
    };
    let retry_after = retry_after(fields, permanent, errors);
    // After a mistake any kind will do: the one mistake is reported already.
    let kind = kind.unwrap_or_else(|| Ident::new("Io", Span::call_site()));
    Case { pattern: path, kind, permanent, retry_after }
}

/// `Io`, `Io, retry` or `Io, permanent`.
fn kind(attr: &Attribute, errors: &mut Errors) -> (Option<Ident>, bool) {
    let words: Vec<Ident> = arguments(attr, "kind(Read)", errors);
    let mut words = words.into_iter();
    let kind = words.next().filter(|kind| is_kind(kind, errors));
    let permanent = words.next().is_some_and(|word| {
        if word != "retry" && word != "permanent" {
            let text = word.to_string();
            errors.at(&word, format!("unknown word `{text}`: {}", suggestion(&text, &["retry", "permanent"])));
        }
        word == "permanent"
    });
    if let Some(more) = words.next() {
        errors.at(&more, "a kind is followed by `retry` or `permanent`, and by nothing else");
    }
    (kind, permanent)
}

fn is_kind(kind: &Ident, errors: &mut Errors) -> bool {
    let text = kind.to_string();
    if text == "Panic" {
        errors.at(kind, "the kind `Panic` is the runtime's alone: it counts the panics of components itself");
        return false;
    }
    let known = KINDS.contains(&text.as_str());
    if !known {
        errors.at(kind, format!("there is no error kind `{text}`: {}", suggestion(&text, &KINDS)));
    }
    known
}

fn retry_after(fields: &Fields, permanent: bool, errors: &mut Errors) -> Option<(Member, Span)> {
    let mut delay = None;
    for (member, field) in fields.members().zip(fields) {
        let Some(attr) = helper(&field.attrs, "retry_after", errors) else { continue };
        bare(attr, errors);
        if permanent {
            errors.at(attr, "a permanent error is not tried again: write `retry`, or drop `#[retry_after]`");
        } else if delay.is_some() {
            errors.at(attr, "`#[retry_after]` marks one field");
        } else {
            delay = Some((member, place_of(&field.ty)));
        }
    }
    delay
}

fn body(cases: &[Case]) -> TokenStream {
    if cases.is_empty() {
        return quote! {
            const KINDS: &'static [__rt::ErrorKind] = &[];

            fn kind(&self) -> __rt::ErrorKind {
                match *self {}
            }
        };
    }
    let kinds = distinct(cases);
    let arms = kinds.iter().map(|kind| {
        let patterns = cases.iter().filter(|case| case.kind == **kind).map(|case| &case.pattern);
        quote!(#(#patterns { .. })|* => __rt::ErrorKind::#kind)
    });
    let retry = retry(cases);
    let retry_after = delay(cases);
    quote! {
        const KINDS: &'static [__rt::ErrorKind] = &[#(__rt::ErrorKind::#kinds),*];

        fn kind(&self) -> __rt::ErrorKind {
            match self { #(#arms),* }
        }

        #retry

        #retry_after
    }
}

/// Each kind once, in order of appearance.
fn distinct(cases: &[Case]) -> Vec<&Ident> {
    let mut kinds: Vec<&Ident> = Vec::new();
    for Case { kind, .. } in cases {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// `Classify::retry`, if it is not the default one.
fn retry(cases: &[Case]) -> Option<TokenStream> {
    let permanent: Vec<_> = cases.iter().filter(|case| case.permanent).map(|case| &case.pattern).collect();
    if permanent.is_empty() {
        return None;
    }
    let others = (permanent.len() < cases.len()).then(|| quote!(_ => __rt::Retry::Yes));
    Some(quote! {
        fn retry(&self) -> __rt::Retry {
            match self {
                #(#permanent { .. })|* => __rt::Retry::Permanent,
                #others
            }
        }
    })
}

/// `Classify::retry_after`, if it is not the default one.
fn delay(cases: &[Case]) -> Option<TokenStream> {
    let mut arms: Vec<_> = cases
        .iter()
        .filter_map(|Case { pattern, retry_after, .. }| {
            let (member, span) = retry_after.as_ref()?;
            let mut delay = match member {
                Member::Named(name) => name.clone(),
                Member::Unnamed(_) => Ident::new("delay", *span),
            };
            delay.set_span(*span);
            let binding = match member {
                Member::Named(_) => quote!(#delay),
                Member::Unnamed(position) => quote!(#position: #delay),
            };
            let value = quote_spanned!(*span=> ::core::convert::Into::into(*#delay));
            Some(quote!(#pattern { #binding, .. } => #value))
        })
        .collect();
    if arms.is_empty() {
        return None;
    }
    if arms.len() < cases.len() {
        arms.push(quote!(_ => ::core::option::Option::None));
    }
    Some(quote! {
        fn retry_after(&self) -> ::core::option::Option<::core::time::Duration> {
            match self { #(#arms),* }
        }
    })
}
