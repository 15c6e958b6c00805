//! Expansion of `#[derive(Choice)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, LitStr, Result, Variant};

use crate::doc::doc_text;

/// Writes the implementations of `config::Choice` and `config::FromText`.
pub fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.span(), "a choice is an enumeration"));
    };
    let words = data
        .variants
        .iter()
        .map(Word::of)
        .collect::<Result<Vec<_>>>()?;
    let name = &input.ident;
    let specs = words.iter().map(Word::spec);
    let idents: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let indices = 0..idents.len();
    let numbers = 0..idents.len();
    let unknown = unknown_word(data, &words)?;
    Ok(quote! {
        #[automatically_derived]
        impl ::config::Choice for #name {
            const CHOICES: &'static [::config::ChoiceSpec] = &[#(#specs),*];

            fn name(&self) -> &'static str {
                let index = match self {
                    #(Self::#idents => #numbers,)*
                };
                Self::CHOICES[index].name
            }
        }

        #[automatically_derived]
        impl ::config::FromText for #name {
            const FORM: ::config::Form = ::config::Form::choice(<Self as ::config::Choice>::CHOICES);

            fn from_text(
                text: &str,
            ) -> ::std::result::Result<::config::Parsed<Self>, ::config::Refusal> {
                match ::config::find_choice(<Self as ::config::Choice>::CHOICES, text) {
                    #(::std::option::Option::Some(#indices) => {
                        ::std::result::Result::Ok(::config::Parsed::from(Self::#idents))
                    })*
                    _ => #unknown,
                }
            }
        }
    })
}

/// What happens to a word that no variant has.
fn unknown_word(data: &DataEnum, words: &[Word]) -> Result<TokenStream> {
    let message = quote!(::config::unknown_choice(
        <Self as ::config::Choice>::CHOICES,
        text
    ));
    let mut fallbacks = data
        .variants
        .iter()
        .zip(words)
        .filter(|(_, word)| word.fallback);
    let Some((variant, word)) = fallbacks.next() else {
        return Ok(quote!(::std::result::Result::Err(::config::Refusal::from(#message))));
    };
    if let Some((second, _)) = fallbacks.next() {
        return Err(Error::new(
            second.span(),
            "only one variant takes the unknown words",
        ));
    }
    let ident = &variant.ident;
    let name = &word.name;
    Ok(quote! {
        ::std::result::Result::Ok(::config::Parsed::doubtful(
            Self::#ident,
            ::std::format!("{} and counts as '{}'", #message, #name),
        ))
    })
}

/// One variant.
struct Word {
    name: String,
    aliases: Vec<LitStr>,
    fallback: bool,
    doc: String,
}

impl Word {
    fn of(variant: &Variant) -> Result<Self> {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new(
                variant.span(),
                "the variants of a choice carry nothing",
            ));
        }
        let mut word = Self {
            name: snake_case(&variant.ident.to_string()),
            aliases: Vec::new(),
            fallback: false,
            doc: doc_text(&variant.attrs),
        };
        for attribute in variant
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("choice"))
        {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    word.name = meta.value()?.parse::<LitStr>()?.value();
                } else if meta.path.is_ident("alias") {
                    word.aliases.push(meta.value()?.parse()?);
                } else if meta.path.is_ident("fallback") {
                    word.fallback = true;
                } else {
                    return Err(meta.error("expected `name`, `alias` or `fallback`"));
                }
                Ok(())
            })?;
        }
        Ok(word)
    }

    fn spec(&self) -> TokenStream {
        let Self {
            name, aliases, doc, ..
        } = self;
        quote!(::config::ChoiceSpec { name: #name, aliases: &[#(#aliases),*], doc: #doc })
    }
}

/// `JsonLines` becomes `json_lines`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, character) in name.chars().enumerate() {
        if character.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[track_caller]
    fn fault(input: &DeriveInput) -> String {
        expand(input).expect_err("a fault").to_string()
    }

    #[test]
    fn says_what_is_wrong() {
        let input = parse_quote!(
            struct Format;
        );
        assert_eq!(fault(&input), "a choice is an enumeration");
        let input = parse_quote!(
            enum Format {
                Json(bool),
            }
        );
        assert_eq!(fault(&input), "the variants of a choice carry nothing");
        let input = parse_quote!(
            enum Format {
                #[choice(fallback)]
                Json,
                #[choice(fallback)]
                Text,
            }
        );
        assert_eq!(fault(&input), "only one variant takes the unknown words");
        let input = parse_quote!(
            enum Format {
                #[choice(rename = "x")]
                Json,
            }
        );
        assert_eq!(fault(&input), "expected `name`, `alias` or `fallback`");
    }

    #[test]
    fn names_are_the_variants_in_snake_case() {
        assert_eq!(snake_case("JsonLines"), "json_lines");
        assert_eq!(snake_case("Off"), "off");
    }
}
