//! The mistakes of one item, reported together, and where those are shown that only the compiler can find.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::spanned::Spanned;

/// The place of the author's tokens for tokens of ours: what the compiler finds wrong with them is shown there, and the
/// lints of the author's crate do not apply to them.
pub(crate) fn place_of(tokens: &impl Spanned) -> Span {
    Span::call_site().located_at(tokens.span())
}

/// Collects mistakes while the expansion goes on with what it understood.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// A mistake in these tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Something that is missing, for want of a token of its own.
    pub(crate) fn missing(&mut self, message: impl Display) {
        self.push(syn::Error::new(Span::call_site(), message));
    }

    /// A mistake that the parser found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            none => *none = Some(error),
        }
    }

    /// Whether there was no mistake so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The expansion, followed by the mistakes.
    pub(crate) fn after(self, mut expansion: TokenStream) -> TokenStream {
        expansion.extend(self.0.map(syn::Error::into_compile_error));
        expansion
    }
}
