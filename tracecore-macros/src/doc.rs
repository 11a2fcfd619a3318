//! The doc comment of an item: its first paragraph is what the catalog, the help texts and the schemas say.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The first paragraph as one line, or `None` if there is no text.
pub(crate) fn summary(attrs: &[Attribute]) -> Option<String> {
    let text = attrs.iter().filter_map(text).collect::<Vec<_>>().join("\n");
    let paragraph: Vec<_> =
        text.lines().map(str::trim).skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    (!paragraph.is_empty()).then(|| paragraph.join(" "))
}

fn text(attr: &Attribute) -> Option<String> {
    match &attr.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use syn::{ItemStruct, parse_quote};

    use super::summary;

    #[test]
    fn the_summary_is_the_first_paragraph_on_one_line() {
        let item: ItemStruct = parse_quote! {
            /// Sends one tick
            /// per interval.
            ///
            /// Nothing else.
            struct Clock;
        };
        assert_eq!(summary(&item.attrs).as_deref(), Some("Sends one tick per interval."));
    }

    #[test]
    fn blank_lines_and_hiding_are_no_text() {
        let item: ItemStruct = parse_quote! {
            ///
            #[doc(hidden)]
            struct Clock;
        };
        assert_eq!(summary(&item.attrs), None);
    }
}
