//! The expansions, committed and pretty-printed, and what holds for every input.
//!
//! `expansions/config.rs`, for one, is what an author writes; `expansions/config.expanded.rs` is what the compiler sees of it, but for
//! the derives of others. `UPDATE=1 cargo test -p tracecore-macros` writes the latter anew.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, File, Item, Meta, Path as SynPath, Token};

use crate::component::{self, Role};
use crate::{classify, config, label, metric_set};

#[test]
fn expansions_are_as_committed() {
    let mut changed = Vec::new();
    for input in models() {
        let expanded = prettyplease::unparse(&expand_file(&read(&input)));
        let committed = input.with_extension("expanded.rs");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&committed, &expanded).expect("the folder of the expansions is writable");
        } else if fs::read_to_string(&committed).is_ok_and(|text| text != expanded) || !committed.exists() {
            changed.push(committed);
        }
    }
    assert!(changed.is_empty(), "not as expanded now: {changed:?}; UPDATE=1 writes them anew");
}

/// A keyboard makes any of these: each token left out, doubled, or put in the place of its neighbour.
#[test]
fn a_mistyped_item_is_expanded_without_a_panic() {
    let mut expanded = 0;
    for input in models() {
        for item in read(&input).items {
            let tokens = item.to_token_stream();
            let size = count(tokens.clone());
            for edit in [Edit::Drop, Edit::Double, Edit::Swap] {
                for at in 0..size {
                    let typed = edit.apply(tokens.clone(), &mut { at });
                    let Ok(item) = syn::parse2::<Item>(typed) else { continue };
                    expand_item(&item);
                    expanded += 1;
                }
            }
        }
    }
    assert!(expanded > 400, "only {expanded} of the edits were items: the models are too small");
}

#[test]
fn what_is_no_item_of_ours_comes_back_with_one_error() {
    let item = quote!(
        fn clock() {}
    );
    let expanded = component::expand(Role::Receiver, quote!("clock"), item).to_string();
    assert!(expanded.starts_with("fn clock () { }"), "{expanded}");
    assert_eq!(expanded.matches("compile_error").count(), 1, "{expanded}");
}

#[test]
fn arguments_that_are_no_list_are_an_error() {
    let item = quote!(
        /// Ticks.
        struct Clock;
    );
    for args in [quote!(=), quote!("clock" "other"), quote!("clock", config), quote!("clock", signals = Metrics)] {
        let expanded = component::expand(Role::Receiver, args.clone(), item.clone()).to_string();
        assert!(expanded.contains("compile_error"), "{args}");
        assert!(expanded.contains("struct Clock ;"), "{args}");
    }
}

fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("expansions");
    let files = fs::read_dir(folder).expect("the folder of the expansions is committed");
    let paths = files.map(|file| file.expect("its entries are readable").path());
    let mut models: Vec<_> = paths.filter(|path| !path.to_string_lossy().ends_with(".expanded.rs")).collect();
    models.sort();
    assert_eq!(models.len(), 5, "one model for each macro module");
    models
}

fn read(path: &Path) -> File {
    let text = fs::read_to_string(path).expect("a model is readable");
    syn::parse_file(&text).expect("a model is Rust")
}

fn expand_file(file: &File) -> File {
    let items = file.items.iter().map(expand_item);
    syn::parse2(items.collect()).expect("an expansion is Rust")
}

/// What the compiler does: the attribute macro of the item, or its derives after it.
fn expand_item(item: &Item) -> TokenStream {
    let Some(attrs) = attributes(item) else { return item.to_token_stream() };
    let attribute = attrs.iter().enumerate().find_map(|(at, attr)| Some((at, attribute_macro(attr)?)));
    if let Some((at, expand)) = attribute {
        let mut item = item.clone();
        let attr = attributes_mut(&mut item).map(|attrs| attrs.remove(at)).expect("it was found there");
        let args = match attr.meta {
            Meta::List(list) => list.tokens,
            _ => TokenStream::new(),
        };
        return expand(args, item.to_token_stream());
    }
    let derives = attrs.iter().filter(|attr| attr.path().is_ident("derive"));
    let derived: TokenStream = derives
        .filter_map(|attr| attr.parse_args_with(Punctuated::<SynPath, Token![,]>::parse_terminated).ok())
        .flatten()
        .filter_map(|path| Some(derive_macro(&path)?(item.to_token_stream())))
        .collect();
    quote!(#item #derived)
}

fn attribute_macro(attr: &Attribute) -> Option<fn(TokenStream, TokenStream) -> TokenStream> {
    match attr.path().get_ident()?.to_string().as_str() {
        "receiver" => Some(|args, item| component::expand(Role::Receiver, args, item)),
        "processor" => Some(|args, item| component::expand(Role::Processor, args, item)),
        "exporter" => Some(|args, item| component::expand(Role::Exporter, args, item)),
        "config" => Some(config::expand),
        _ => None,
    }
}

fn derive_macro(path: &SynPath) -> Option<fn(TokenStream) -> TokenStream> {
    match path.get_ident()?.to_string().as_str() {
        "MetricSet" => Some(metric_set::expand),
        "Label" => Some(label::expand),
        "Classify" => Some(classify::expand),
        _ => None,
    }
}

fn attributes(item: &Item) -> Option<&Vec<Attribute>> {
    match item {
        Item::Struct(item) => Some(&item.attrs),
        Item::Enum(item) => Some(&item.attrs),
        _ => None,
    }
}

fn attributes_mut(item: &mut Item) -> Option<&mut Vec<Attribute>> {
    match item {
        Item::Struct(item) => Some(&mut item.attrs),
        Item::Enum(item) => Some(&mut item.attrs),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Edit {
    Drop,
    Double,
    Swap,
}

impl Edit {
    /// The stream with the token that `at` counts down to edited, in the order in which people read.
    fn apply(self, stream: TokenStream, at: &mut usize) -> TokenStream {
        let mut tokens: Vec<TokenTree> = Vec::new();
        let mut left = stream.into_iter().peekable();
        while let Some(token) = left.next() {
            let here = *at == 0;
            *at = at.wrapping_sub(1);
            match (self, here) {
                (Edit::Drop, true) => {}
                (Edit::Double, true) => tokens.extend([token.clone(), token]),
                (Edit::Swap, true) => {
                    tokens.extend(left.next());
                    tokens.push(token);
                }
                (_, false) => tokens.push(match token {
                    TokenTree::Group(group) => Group::new(group.delimiter(), self.apply(group.stream(), at)).into(),
                    token => token,
                }),
            }
        }
        tokens.into_iter().collect()
    }
}

fn count(stream: TokenStream) -> usize {
    stream
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => 1 + count(group.stream()),
            _ => 1,
        })
        .sum()
}
