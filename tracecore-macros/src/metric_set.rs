//! `#[derive(MetricSet)]`: a constant description per field, what the compiler must hold true of it, and the walk.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Expr, Fields, Ident, LitStr, Type};

use crate::args::{argument, arguments, bare, helper, misplaced};
use crate::doc;
use crate::errors::{Errors, place_of};
use crate::names::{is_dotted_name, plain};

/// One field of the set.
struct Member<'a> {
    field: &'a Ident,
    ty: &'a Type,
    /// `None` for a set inside the set.
    metric: Option<Metric>,
}

/// What the author says about one metric.
struct Metric {
    /// The static that describes it.
    description: Ident,
    name: Option<LitStr>,
    unit: String,
    help: String,
    buckets: Option<Vec<Expr>>,
    quantiles: Option<Vec<Expr>>,
}

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let input = match syn::parse2::<DeriveInput>(item) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    if !input.generics.params.is_empty() {
        errors.at(&input.generics, "a set of metrics has no parameters: its descriptions are constants");
        return errors.after(TokenStream::new());
    }
    let members = members(&input, &mut errors);
    refuse_a_name_twice(&members, &mut errors);
    let body = match members.first() {
        Some(first) => implementation(&input.ident, &members, first),
        None => stand_in(&input.ident),
    };
    errors.after(quote! {
        const _: () = {
            use ::tracecore::__private as __rt;

            #body
        };
    })
}

fn members<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Vec<Member<'a>> {
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) if !fields.named.is_empty() => &fields.named,
            _ => {
                errors
                    .at(&input.ident, "a set of metrics has at least one field: leave `data = …` out if there is none");
                return Vec::new();
            }
        },
        Data::Enum(_) | Data::Union(_) => {
            errors.at(&input.ident, "a set of metrics is a struct whose fields are instruments");
            return Vec::new();
        }
    };
    misplaced(&input.attrs, &["unit", "name", "buckets", "quantiles", "metrics"], "it goes on a field", errors);
    fields.iter().filter_map(|field| Some(member(field.ident.as_ref()?, field, errors))).collect()
}

fn member<'a>(ident: &'a Ident, field: &'a syn::Field, errors: &mut Errors) -> Member<'a> {
    let metric = match helper(&field.attrs, "metrics", errors) {
        Some(mark) => {
            bare(mark, errors);
            let why = "a set inside a set describes its own metrics";
            misplaced(&field.attrs, &["unit", "name", "buckets", "quantiles"], why, errors);
            None
        }
        None => Some(metric(ident, field, errors)),
    };
    Member { field: ident, ty: &field.ty, metric }
}

fn metric(ident: &Ident, field: &syn::Field, errors: &mut Errors) -> Metric {
    let field_name = plain(ident);
    let help = doc::summary(&field.attrs).unwrap_or_else(|| {
        errors.at(ident, format!("metric `{field_name}` needs a doc comment: it is the help text"));
        String::new()
    });
    let unit = match helper(&field.attrs, "unit", errors) {
        Some(attr) => argument(attr, "unit(\"By\")", errors).map(|unit| checked_unit(&unit, errors)),
        None => {
            errors.at(
                ident,
                format!("metric `{field_name}` needs a unit, as in `#[unit(\"By\")]` or `#[unit(\"{{tick}}\")]`"),
            );
            None
        }
    };
    let name = helper(&field.attrs, "name", errors)
        .and_then(|attr| argument(attr, "name(\"system.disk.io\")", errors))
        .map(|name| checked_name(name, errors));
    let buckets =
        helper(&field.attrs, "buckets", errors).map(|attr| arguments(attr, "buckets(0.01, 0.1, 1.0)", errors));
    let quantiles =
        helper(&field.attrs, "quantiles", errors).map(|attr| arguments(attr, "quantiles(0.5, 0.99)", errors));
    let description = format_ident!("METRIC_{}", field_name.to_ascii_uppercase());
    Metric { description, name, unit: unit.unwrap_or_default(), help, buckets, quantiles }
}

fn checked_unit(unit: &LitStr, errors: &mut Errors) -> String {
    let text = unit.value();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        errors.at(unit, "a unit is written in UCUM, as in `By`, `s`, `{tick}`, or `1` where there is none");
    }
    text
}

fn checked_name(name: LitStr, errors: &mut Errors) -> LitStr {
    if !is_dotted_name(&name.value()) {
        errors.at(
            &name,
            format!(
                "`{}` cannot name a metric: use words of `a-z`, `0-9` and `_` with dots between them",
                name.value()
            ),
        );
    }
    name
}

fn refuse_a_name_twice(members: &[Member<'_>], errors: &mut Errors) {
    let mut seen: Vec<(String, &Ident)> = Vec::new();
    for member in members {
        let Some(name) = member.metric.as_ref().and_then(|metric| metric.name.as_ref()) else { continue };
        match seen.iter().find(|(text, _)| *text == name.value()) {
            Some((text, first)) => errors.at(name, format!("`{text}` is the name of `{first}` already")),
            None => seen.push((name.value(), member.field)),
        }
    }
}

fn implementation(set: &Ident, members: &[Member<'_>], first: &Member<'_>) -> TokenStream {
    let descriptions = members.iter().filter_map(|member| Some(description(member, member.metric.as_ref()?)));
    let end = qualified(first);
    let describe = members.iter().map(|member| match &member.metric {
        Some(Metric { description, .. }) => quote!(metric(&#description);),
        None => {
            let set = qualified(member);
            quote_spanned!(member.ty.span()=> #set::describe(metric);)
        }
    });
    let make = members.iter().map(|member| {
        let (field, ty, description) = (member.field, qualified(member), description_of(member));
        let make = quote_spanned!(member.ty.span()=> #ty::make(#description maker));
        quote!(#field: #make)
    });
    let visit = members.iter().map(|member| {
        let (field, ty, description) = (member.field, qualified(member), description_of(member));
        quote_spanned!(member.ty.span()=> #ty::visit(&mut self.#field, #description visitor);)
    });
    let sweep = members.iter().map(|member| {
        let (field, ty) = (member.field, qualified(member));
        quote_spanned!(member.ty.span()=> #ty::sweep(&mut self.#field);)
    });
    quote! {
        #(#descriptions)*

        impl __rt::MetricSet for #set {
            type End = #end::End;

            fn describe(metric: &mut dyn ::core::ops::FnMut(&'static __rt::Metric)) {
                #(#describe)*
            }

            fn make(maker: &<Self::End as __rt::End>::Maker) -> Self {
                #set { #(#make),* }
            }

            fn visit(&mut self, visitor: &mut <Self::End as __rt::End>::Visitor) {
                #(#visit)*
            }

            fn sweep(&mut self) {
                #(#sweep)*
            }
        }
    }
}

/// `<Counter as Instrument>`. The type is spelled out at each use and stands at its place in the struct, so that one which is no
/// instrument gives one message there, not one per use; the trait stands there too, but as a token of ours.
fn qualified(member: &Member<'_>) -> TokenStream {
    let ty = member.ty;
    let family = match member.metric {
        Some(_) => quote_spanned!(place_of(ty)=> __rt::Instrument),
        None => quote_spanned!(place_of(ty)=> __rt::MetricSet),
    };
    quote_spanned!(ty.span()=> <#ty as #family>)
}

/// The description as the first argument, if the member has one.
fn description_of(member: &Member<'_>) -> Option<TokenStream> {
    let description = &member.metric.as_ref()?.description;
    Some(quote_spanned!(member.ty.span()=> &#description,))
}

/// The static that describes one metric, and what must hold of it, on the field's type.
fn description(member: &Member<'_>, metric: &Metric) -> TokenStream {
    let Metric { description, name, unit, help, buckets, quantiles } = metric;
    let (field, instrument, place) = (plain(member.field), qualified(member), member.ty.span());
    let name = match name {
        Some(name) => quote!(__rt::MetricName::Full(#name)),
        None => quote!(__rt::MetricName::Field(#field)),
    };
    let bounds = buckets.iter().flatten();
    let shown = match quantiles {
        Some(quantiles) => quote!(&[#(#quantiles),*]),
        None => quote!(#instrument::KIND.default_quantiles()),
    };
    let too_many = format!("metric `{field}` can have more than 256 series: lower a `#[max(…)]` or drop a label");
    let within_budget = assertion(place, &quote!(#instrument::SERIES <= __rt::MAX_SERIES), &too_many);
    let is_histogram = quote!(::core::matches!(#description.kind, __rt::Kind::Histogram));
    let has_its_buckets = match buckets.as_deref() {
        None => {
            let none = format!("histogram `{field}` needs `#[buckets(…)]`, its upper bounds");
            assertion(place, &quote!(!#is_histogram), &none)
        }
        Some(bounds) => {
            let not_one = format!("`{field}` has `#[buckets(…)]` and is not a `Histogram`");
            let is_one = assertion(place, &is_histogram, &not_one);
            let unsorted = format!("the buckets of `{field}` must be finite and rise");
            let at = bounds.first().map_or(place, Spanned::span);
            let rise = assertion(at, &quote!(__rt::buckets_rise(#description.buckets)), &unsorted);
            quote!(#is_one #rise)
        }
    };
    let none_here =
        format!("`{field}` is of the component's own health, which has no `Summary`: use `health::Histogram`");
    let fits_its_end = assertion(place, &quote!(#instrument::FITS_ITS_END), &none_here);
    let quantiles_fit = quantiles.as_deref().map(|quantiles| {
        let not_one = format!("`{field}` has `#[quantiles(…)]` and is not a `Summary`");
        let is_summary = quote!(::core::matches!(#description.kind, __rt::Kind::Summary));
        let is_one = assertion(place, &is_summary, &not_one);
        let unsorted = format!("the quantiles of `{field}` must rise and lie from 0 to 1");
        let at = quantiles.first().map_or(place, Spanned::span);
        let rise = assertion(at, &quote!(__rt::quantiles_rise(#description.quantiles)), &unsorted);
        quote!(#is_one #rise)
    });
    quote! {
        static #description: __rt::Metric = __rt::Metric {
            name: #name,
            unit: #unit,
            help: #help,
            kind: #instrument::KIND,
            keys: #instrument::KEYS,
            buckets: &[#(#bounds),*],
            quantiles: #shown,
        };
        #within_budget
        #has_its_buckets
        #fits_its_end
        #quantiles_fit
    }
}

/// What must hold, found by the compiler and shown at `place`.
fn assertion(place: Span, condition: &TokenStream, message: &str) -> TokenStream {
    quote_spanned!(place=> const _: () = ::core::assert!(#condition, #message);)
}

/// The impl of a type that is no set, so that its mistake is reported once, here.
fn stand_in(set: &Ident) -> TokenStream {
    quote! {
        impl __rt::MetricSet for #set {
            type End = <__rt::NoData as __rt::MetricSet>::End;

            fn describe(_: &mut dyn ::core::ops::FnMut(&'static __rt::Metric)) {}

            fn make(_: &<Self::End as __rt::End>::Maker) -> Self {
                ::core::unreachable!()
            }

            fn visit(&mut self, _: &mut <Self::End as __rt::End>::Visitor) {}

            fn sweep(&mut self) {}
        }
    }
}
