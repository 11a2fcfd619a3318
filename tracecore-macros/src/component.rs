//! `#[receiver]`, `#[processor]` and `#[exporter]`: the struct unchanged, its constants, its row and its claims.
//!
//! A name is claimed twice: as a macro at the root of the crate, which `cargo check` refuses to see twice, and as a symbol,
//! which the linker refuses to see twice. The tokens of both come from here, not from the author, so the lints of the
//! author's crate, `unsafe_code` among them, do not apply to them.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Ident, LitStr};

use crate::args::ComponentArgs;
use crate::doc;
use crate::errors::Errors;

/// The release that brought a component which does not say: the first one.
const FIRST_RELEASE: &str = "0.1.0";

#[derive(Clone, Copy)]
pub(crate) enum Role {
    Receiver,
    Processor,
    Exporter,
}

impl Role {
    /// The attribute, and the constructor of the row.
    fn word(self) -> &'static str {
        match self {
            Role::Receiver => "receiver",
            Role::Processor => "processor",
            Role::Exporter => "exporter",
        }
    }

    /// The variant of the runtime's `Role`.
    fn variant(self) -> Ident {
        let name = match self {
            Role::Receiver => "Receiver",
            Role::Processor => "Processor",
            Role::Exporter => "Exporter",
        };
        Ident::new(name, Span::call_site())
    }
}

pub(crate) fn expand(role: Role, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = ComponentArgs::parse(role.word(), args, &mut errors);
    let Ok(input) = syn::parse2::<DeriveInput>(item.clone()) else {
        errors.missing(format!("`#[{}]` goes on a struct", role.word()));
        return errors.after(item);
    };
    if !input.generics.params.is_empty() {
        errors.at(&input.generics, "a component has no parameters: name a type instead");
        return errors.after(item);
    }
    if !matches!(input.data, Data::Struct(_)) {
        errors.at(&input.ident, format!("`#[{}]` goes on a struct", role.word()));
    }
    let summary = doc::summary(&input.attrs).unwrap_or_else(|| {
        let name = args.name.as_ref().map_or_else(|| input.ident.to_string(), LitStr::value);
        errors
            .at(&input.ident, format!("the {} `{name}` needs a doc comment: a sentence on what it does", role.word()));
        String::new()
    });
    let constants = constants(role, &args, &input.ident, &summary);
    // After a mistake there is no row: it would only add what the row asks of the struct.
    let registration = errors.is_empty().then(|| registration(role, &args, &input.ident));
    let claims = args.names().map(|name| check_claim(role, name));
    errors.after(quote! {
        #item

        #(#claims)*

        const _: () = {
            use ::tracecore::__private as __rt;

            #constants

            #registration
        };
    })
}

/// What the declaration says, as `Component` has it.
fn constants(role: Role, args: &ComponentArgs, component: &Ident, summary: &str) -> TokenStream {
    let role = role.variant();
    let name = args.name.as_ref().map_or_else(String::new, LitStr::value);
    let aliases = &args.aliases;
    let signals = match &args.signals {
        Some(signals) => quote!(&[#(__rt::Signal::#signals),*]),
        None => quote!(&__rt::Signal::ALL),
    };
    let stability = args.stability.clone().unwrap_or_else(|| Ident::new("Development", Span::call_site()));
    let since = args.since.as_ref().map_or_else(|| FIRST_RELEASE.to_owned(), LitStr::value);
    let example = args.example.as_ref().map_or_else(String::new, LitStr::value);
    let config = args.config.as_ref().map_or_else(|| quote!(__rt::NoConfig), |config| quote!(#config));
    let data = args.data.as_ref().map_or_else(|| quote!(__rt::NoData), |data| quote!(#data));
    let telemetry = args.telemetry.as_ref().map_or_else(|| quote!(__rt::NoTelemetry), |set| quote!(#set));
    let error = args.error.as_ref().map_or_else(|| quote!(__rt::Never), |error| quote!(#error));
    quote! {
        impl __rt::Component for #component {
            const ROLE: __rt::Role = __rt::Role::#role;
            const NAME: &'static str = #name;
            const ALIASES: &'static [&'static str] = &[#(#aliases),*];
            const SIGNALS: &'static [__rt::Signal] = #signals;
            const SUMMARY: &'static str = #summary;
            const STABILITY: __rt::Stability = __rt::Stability::#stability;
            const SINCE: &'static str = #since;
            const EXAMPLE: &'static str = #example;

            type Config = #config;
            type Data = #data;
            type Telemetry = #telemetry;
            type Error = #error;
        }
    }
}

/// The row of the registry, and a symbol for each name.
fn registration(role: Role, args: &ComponentArgs, component: &Ident) -> TokenStream {
    let constructor = Ident::new(role.word(), Span::call_site());
    let claims = args.names().map(|name| {
        let symbol = format!("tracecore.{}.{}", role.word(), name.value());
        let claim = format_ident!("CLAIM_{}", name.value().to_uppercase());
        quote! {
            #[unsafe(export_name = #symbol)]
            static #claim: u8 = 0;
        }
    });
    quote! {
        const LOCATION: &str = ::core::concat!(::core::file!(), ":", ::core::line!());

        #[__rt::linkme::distributed_slice(__rt::COMPONENTS)]
        #[linkme(crate = __rt::linkme)]
        static ENTRY: __rt::Entry = __rt::Entry::#constructor::<#component>(LOCATION);

        #(#claims)*
    }
}

/// The claim that `cargo check` sees. It bears the name's span, so that both places are shown.
fn check_claim(role: Role, name: &LitStr) -> TokenStream {
    let claim = format_ident!("__tracecore_{}_{}", role.word(), name.value(), span = name.span());
    quote! {
        #[doc(hidden)]
        #[allow(non_local_definitions, reason = "a name is the crate's, wherever its component is declared")]
        #[macro_export]
        macro_rules! #claim {
            () => {};
        }
    }
}
