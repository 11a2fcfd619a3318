//! `#[config]`: settings that are read, described and defaulted, and closed to unknown keys.
//!
//! The item comes back with the derives of serde and schemars, whose attributes are written here, and with one typed
//! function per default. `Serialize` is derived for enums alone, and only their unit variants have a form: so their
//! defaults stand in the schema, and yet no generated code reads a setting.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Expr, Fields, FieldsNamed, Ident, LitStr, Meta, Path, Token, Type, Variant,
    parse_quote, parse_quote_spanned,
};

use crate::args::{argument, bare, helper, unknown_attribute};
use crate::doc;
use crate::errors::{Errors, place_of};
use crate::names::{plain, snake_case};

/// What is added to the item.
const DERIVED: [&str; 4] = ["Clone", "Debug", "Deserialize", "JsonSchema"];
/// Attributes that stay as they are, beside the doc comment.
const KEPT: [&str; 6] = ["doc", "allow", "expect", "warn", "deny", "deprecated"];

/// What stands in for a field that the configuration leaves out.
enum Default<'a> {
    /// `#[default(expression)]`, or `#[default]` for that of the field's type: in this function.
    Given(&'a Type, Expr, Ident),
    /// An `Option` without one: `None`.
    Absent,
    /// Nothing: the field is required.
    Required,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    if !args.is_empty() {
        errors.at(args, "`#[config]` takes no arguments");
    }
    let Ok(mut input) = syn::parse2::<DeriveInput>(item.clone()) else {
        errors.missing("`#[config]` goes on a struct or an enum");
        return errors.after(item);
    };
    if !input.generics.params.is_empty() {
        errors.at(&input.generics, "settings have no parameters: the schema names their types");
        return errors.after(item);
    }
    let original = input.clone();
    if doc::summary(&input.attrs).is_none() {
        errors.at(&input.ident, format!("`{}` needs a doc comment: it describes the settings", input.ident));
    }
    refuse_derives(&mut input.attrs, &mut errors);
    let name = &original.ident;
    let additions = match (&mut input.data, &original.data) {
        (Data::Struct(changed), Data::Struct(data)) => match (&mut changed.fields, &data.fields) {
            (Fields::Named(changed), Fields::Named(fields)) => {
                let defaults = settings(name, None, changed, fields, &mut errors);
                let of_struct = default_impl(name, fields, &defaults);
                let functions = functions(name, &defaults);
                Some(quote!(#functions #of_struct))
            }
            _ => {
                errors.at(name, "settings have names: write a struct with named fields, or leave `config = …` out");
                None
            }
        },
        (Data::Enum(changed), Data::Enum(data)) => {
            let defaults: Vec<_> = changed
                .variants
                .iter_mut()
                .zip(&data.variants)
                .flat_map(|(changed, variant)| choice(name, changed, variant, &mut errors))
                .collect();
            functions(name, &defaults)
        }
        _ => {
            errors.at(name, "`#[config]` goes on a struct or an enum");
            return errors.after(item);
        }
    };
    let docs = input.attrs.iter().take_while(|attr| attr.path().is_ident("doc")).count();
    input.attrs.splice(docs..docs, derives(&original.data));
    errors.after(quote!(#input #additions))
}

/// The derives, and how they are to read and to describe.
fn derives(data: &Data) -> Vec<Attribute> {
    let mut derived: Punctuated<Path, Token![,]> = parse_quote!(
        ::core::clone::Clone,
        ::core::fmt::Debug,
        ::tracecore::__private::serde::Deserialize,
        ::tracecore::__private::schemars::JsonSchema,
    );
    let mut serde: Punctuated<Meta, Token![,]> =
        parse_quote!(crate = "::tracecore::__private::serde", deny_unknown_fields,);
    if let Data::Enum(data) = data {
        derived.push(parse_quote!(::tracecore::__private::serde::Serialize));
        if data.variants.iter().any(is_default) {
            derived.push(parse_quote!(::core::default::Default));
        }
        serde.push(parse_quote!(rename_all = "snake_case"));
    }
    vec![
        parse_quote!(#[derive(#derived)]),
        parse_quote!(#[serde(#serde)]),
        parse_quote!(#[schemars(crate = "::tracecore::__private::schemars")]),
    ]
}

fn is_default(variant: &Variant) -> bool {
    matches!(variant.fields, Fields::Unit) && variant.attrs.iter().any(|attr| attr.path().is_ident("default"))
}

/// Refuses what is derived anyway and what must not be, and takes it out.
fn refuse_derives(attrs: &mut [Attribute], errors: &mut Errors) {
    for attr in attrs.iter_mut().filter(|attr| attr.path().is_ident("derive")) {
        let Ok(paths) = attr.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated) else { continue };
        let kept = paths.into_iter().filter(|path| match refusal(path) {
            Some(why) => {
                errors.at(path, why);
                false
            }
            None => true,
        });
        let kept: Punctuated<Path, Token![,]> = kept.collect();
        *attr = parse_quote!(#[derive(#kept)]);
    }
}

fn refusal(path: &Path) -> Option<String> {
    let name = path.segments.last()?.ident.to_string();
    match name.as_str() {
        "Serialize" => {
            Some("settings are not serialized: that would read each of them and hide one that nothing uses".to_owned())
        }
        "Default" => Some("`#[config]` writes `Default` itself, from `#[default(…)]`: drop it here".to_owned()),
        name if DERIVED.contains(&name) => Some(format!("`#[config]` derives `{name}`: drop it here")),
        _ => None,
    }
}

/// The fields of a struct, or of a variant.
fn settings<'a>(
    owner: &Ident,
    variant: Option<&Ident>,
    changed: &mut FieldsNamed,
    fields: &'a FieldsNamed,
    errors: &mut Errors,
) -> Vec<Default<'a>> {
    let setting = |(changed, field): (&mut syn::Field, &'a syn::Field)| {
        let ident = field.ident.as_ref()?;
        let name = plain(ident);
        if doc::summary(&field.attrs).is_none() {
            errors.at(ident, format!("setting `{name}` needs a doc comment: it is the schema's description"));
        }
        refuse_unknown(&field.attrs, &["default"], errors);
        let function = match variant {
            Some(variant) => format_ident!("__default_{}__{name}", snake_case(&plain(variant))),
            None => format_ident!("__default_{name}"),
        };
        let default = default(field, function, errors);
        changed.attrs.retain(|attr| KEPT.iter().any(|kept| attr.path().is_ident(kept)));
        if let Default::Given(_, _, function) = &default {
            let path = format!("{owner}::{function}");
            changed.attrs.push(parse_quote!(#[serde(default = #path)]));
        }
        Some(default)
    };
    changed.named.iter_mut().zip(&fields.named).filter_map(setting).collect()
}

fn default<'a>(field: &'a syn::Field, function: Ident, errors: &mut Errors) -> Default<'a> {
    let ty = &field.ty;
    match helper(&field.attrs, "default", errors) {
        None if is_option(ty) => Default::Absent,
        None => Default::Required,
        Some(attr) if matches!(attr.meta, Meta::Path(_)) => {
            let value = parse_quote_spanned!(place_of(ty)=> <#ty as ::core::default::Default>::default());
            Default::Given(ty, value, function)
        }
        // After a mistake the field is as if it had no default: the one mistake is reported already.
        Some(attr) => {
            argument(attr, "default(1)", errors).map_or(Default::Required, |value| Default::Given(ty, value, function))
        }
    }
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}

/// One variant: a word, a word with a value, or a word with settings.
fn choice<'a>(owner: &Ident, changed: &mut Variant, variant: &'a Variant, errors: &mut Errors) -> Vec<Default<'a>> {
    let name = &variant.ident;
    if doc::summary(&variant.attrs).is_none() {
        errors.at(name, format!("choice `{name}` needs a doc comment: it is the schema's description"));
    }
    refuse_unknown(&variant.attrs, &["default", "value"], errors);
    let is_unit = matches!(variant.fields, Fields::Unit);
    changed.attrs.retain(|attr| KEPT.iter().any(|kept| attr.path().is_ident(kept)));
    if let Some(mark) = helper(&variant.attrs, "default", errors) {
        bare(mark, errors);
        if is_unit {
            changed.attrs.push(parse_quote!(#[default]));
        } else {
            errors
                .at(mark, "a choice with settings cannot be the default: write `#[default(…)]` where the type is used");
        }
    }
    if let Some(value) = helper(&variant.attrs, "value", errors)
        && let Some(value) = argument::<LitStr>(value, "value(\"1.3\")", errors)
    {
        changed.attrs.push(parse_quote!(#[serde(rename = #value)]));
    }
    if !is_unit {
        changed.attrs.push(parse_quote!(#[serde(skip_serializing)]));
    }
    match (&mut changed.fields, &variant.fields) {
        (Fields::Named(changed), Fields::Named(fields)) => settings(owner, Some(name), changed, fields, errors),
        (Fields::Unnamed(_), Fields::Unnamed(fields)) if fields.unnamed.len() != 1 => {
            errors.at(fields, "a choice has one value, or settings with names");
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn refuse_unknown(attrs: &[Attribute], ours: &[&str], errors: &mut Errors) {
    for attr in attrs {
        let path = attr.path();
        if path.is_ident("serde") || path.is_ident("schemars") {
            errors.at(path, "settings say what they need with `#[default(…)]` and a doc comment alone");
        } else if path.is_ident("cfg") || path.is_ident("cfg_attr") {
            errors.at(path, "settings are the same in every build: drop the condition");
        } else if !KEPT.iter().chain(ours).any(|known| path.is_ident(known)) {
            errors.at(path, unknown_attribute(path, ours));
        }
    }
}

/// One function per given default: its return type is the field's, so a default of another type is refused on its expression.
fn functions(owner: &Ident, defaults: &[Default<'_>]) -> Option<TokenStream> {
    let functions: Vec<_> = defaults
        .iter()
        .filter_map(|default| match default {
            Default::Given(ty, value, function) => Some(quote!(fn #function() -> #ty { #value })),
            Default::Absent | Default::Required => None,
        })
        .collect();
    (!functions.is_empty()).then(|| quote!(impl #owner { #(#functions)* }))
}

/// `Default`, if no field is required.
fn default_impl(owner: &Ident, fields: &FieldsNamed, defaults: &[Default<'_>]) -> Option<TokenStream> {
    let values = fields.named.iter().zip(defaults).map(|(field, default)| {
        let name = &field.ident;
        match default {
            Default::Given(_, _, function) => Some(quote!(#name: Self::#function())),
            Default::Absent => Some(quote!(#name: ::core::option::Option::None)),
            Default::Required => None,
        }
    });
    let values = values.collect::<Option<Vec<_>>>()?;
    let is_deprecated = |field: &syn::Field| field.attrs.iter().any(|attr| attr.path().is_ident("deprecated"));
    let lint = fields
        .named
        .iter()
        .any(is_deprecated)
        .then(|| quote!(#[allow(deprecated, reason = "a deprecated setting still has its default")]));
    Some(quote! {
        #lint
        impl ::core::default::Default for #owner {
            fn default() -> Self {
                #owner { #(#values),* }
            }
        }
    })
}
