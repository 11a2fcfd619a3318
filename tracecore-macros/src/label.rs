//! `#[derive(Label)]`: an enum, whose values are its variants, or a struct of run-time names with a cap.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DataEnum, DataStruct, DeriveInput, Fields, Ident, Index, LitInt, LitStr, Member, Type, Variant,
};

use crate::args::{argument, helper, misplaced};
use crate::errors::Errors;
use crate::names::{is_dotted_name, plain, snake_case};

/// The most names that a label may hold at once: the budget of a whole metric.
const MAX_NAMES: usize = 256;

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let input = match syn::parse2::<DeriveInput>(item) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    if !input.generics.params.is_empty() {
        errors.at(&input.generics, "a label has no parameters: the number of its values is a constant");
        return errors.after(TokenStream::new());
    }
    let impls = match &input.data {
        Data::Enum(data) => closed(&input, data, &mut errors),
        Data::Struct(data) => named(&input, data, &mut errors),
        Data::Union(_) => {
            errors.at(&input.ident, "a label is an enum, or a struct of `Name`s");
            TokenStream::new()
        }
    };
    errors.after(quote! {
        const _: () = {
            use ::tracecore::__private as __rt;

            #impls
        };
    })
}

/// An enum: its values are known, and a value's slot is the position of its variant.
fn closed(input: &DeriveInput, data: &DataEnum, errors: &mut Errors) -> TokenStream {
    misplaced(&input.attrs, &["max"], "an enum has as many values as variants", errors);
    if data.variants.is_empty() {
        errors.at(&input.ident, "a label has at least one value: add a variant");
    }
    let label = &input.ident;
    let key = key(&input.attrs, &input.ident, errors);
    let values = values(data, errors);
    let capacity = Literal::usize_unsuffixed(values.len());
    let arms =
        data.variants.iter().enumerate().map(|(index, Variant { ident, .. })| quote!(#label::#ident { .. } => #index));
    let index = if values.is_empty() { quote!(match self {}) } else { quote!(match self { #(#arms),* }) };
    quote! {
        impl __rt::Label for #label {
            const CAPACITY: usize = #capacity;
            const KEYS: &'static [&'static [&'static str]] = &[&[#key]];
            type Slots = __rt::Closed;
        }

        impl __rt::ClosedLabel for #label {
            const KEY: &'static str = #key;
            const VALUES: &'static [&'static str] = &[#(#values),*];

            fn index(self) -> usize {
                #index
            }
        }
    }
}

/// The value of each variant.
fn values(data: &DataEnum, errors: &mut Errors) -> Vec<String> {
    let mut values: Vec<String> = Vec::with_capacity(data.variants.len());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            errors.at(
                &variant.fields,
                "a value of a label carries no data: for names known at run time use a struct with `#[max(64)]`",
            );
        }
        let given = helper(&variant.attrs, "value", errors)
            .and_then(|attr| argument::<LitStr>(attr, "value(\"read\")", errors));
        let value = given.as_ref().map_or_else(|| snake_case(&plain(&variant.ident)), LitStr::value);
        if let Some(first) = values.iter().position(|earlier| *earlier == value) {
            let first = &data.variants[first].ident;
            errors.at(&variant.ident, format!("`{value}` is the value of `{first}` already"));
        }
        values.push(value);
    }
    values
}

/// A struct of names: their values are known at run time, and how many live at once has a cap.
fn named(input: &DeriveInput, data: &DataStruct, errors: &mut Errors) -> TokenStream {
    let label = &input.ident;
    let max = Literal::usize_unsuffixed(max(input, errors));
    let names = names(input, data, errors);
    let keys = names.iter().map(|(key, ..)| key);
    let attributes = names.iter().map(|(key, member, ty)| {
        let member = at(member, ty.span());
        let name = quote_spanned!(ty.span()=> &self.#member);
        quote!(attribute(#key, __rt::Name::as_str(#name));)
    });
    quote! {
        impl __rt::Label for #label {
            const CAPACITY: usize = #max;
            const KEYS: &'static [&'static [&'static str]] = &[&[#(#keys),*]];
            type Slots = __rt::Named<Self>;
        }

        impl __rt::NamedLabel for #label {
            fn attributes(&self, attribute: &mut dyn ::core::ops::FnMut(&'static str, &str)) {
                #(#attributes)*
            }
        }
    }
}

/// The field, as if it stood where its type does: there a type that is no `Name` is shown.
fn at(member: &Member, span: Span) -> Member {
    let mut member = member.clone();
    match &mut member {
        Member::Named(name) => name.set_span(span),
        Member::Unnamed(position) => position.span = span,
    }
    member
}

fn max(input: &DeriveInput, errors: &mut Errors) -> usize {
    let Some(attr) = helper(&input.attrs, "max", errors) else {
        errors
            .at(&input.ident, format!("label `{}` needs `#[max(64)]`: the most names that live at once", input.ident));
        return 1;
    };
    let Some(literal) = argument::<LitInt>(attr, "max(64)", errors) else { return 1 };
    match literal.base10_parse() {
        Ok(max @ 1..=MAX_NAMES) => max,
        _ => {
            errors.at(&literal, format!("the most names that live at once: 1 to {MAX_NAMES}"));
            1
        }
    }
}

/// The key, the field and its type, for each name of the struct.
fn names<'a>(input: &'a DeriveInput, data: &'a DataStruct, errors: &mut Errors) -> Vec<(String, Member, &'a Type)> {
    let names: Vec<_> = match &data.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            let key = key(&input.attrs, &input.ident, errors);
            vec![(key, Member::Unnamed(Index::from(0)), &fields.unnamed[0].ty)]
        }
        Fields::Named(fields) if !fields.named.is_empty() => {
            misplaced(&input.attrs, &["key"], "each field has a key of its own", errors);
            let named = fields.named.iter().filter_map(|field| Some((field, field.ident.as_ref()?)));
            named
                .map(|(field, ident)| (key(&field.attrs, ident, errors), Member::Named(ident.clone()), &field.ty))
                .collect()
        }
        _ => {
            errors.at(
                &input.ident,
                "a label is a tuple struct of one `Name`, or a struct whose named fields are `Name`s",
            );
            Vec::new()
        }
    };
    for (at, (key, member, _)) in names.iter().enumerate() {
        if names[..at].iter().any(|(earlier, ..)| earlier == key) {
            errors.at(member, format!("the key `{key}` stands here twice"));
        }
    }
    names
}

/// The attribute key: as given, or the name of what it stands on.
fn key(attrs: &[Attribute], ident: &Ident, errors: &mut Errors) -> String {
    let given =
        helper(attrs, "key", errors).and_then(|attr| argument::<LitStr>(attr, "key(\"disk.io.direction\")", errors));
    let Some(key) = given else { return snake_case(&plain(ident)) };
    let text = key.value();
    if !is_dotted_name(&text) {
        errors.at(&key, format!("`{text}` cannot be a key: use words of `a-z`, `0-9` and `_` with dots between them"));
    }
    text
}
