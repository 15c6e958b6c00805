//! Expansion of `#[derive(Options)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Field, Fields, GenericArgument, Ident, PathArguments, Result, Type,
};

use crate::attributes::{FieldAttributes, Rules};
use crate::doc::doc_text;

/// Writes the implementation of `config::Options`.
pub fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(
            input.span(),
            "options are a struct with named fields",
        ));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new(
            input.span(),
            "options are a struct with named fields",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "a struct of options has no parameters",
        ));
    }
    let rules = Rules::of_struct(&input.attrs)?;
    let parts = each_field(fields.named.iter().map(|field| part(field, &rules)))?;

    let name = &input.ident;
    let about = doc_text(&input.attrs);
    let rows = parts.iter().map(|part| &part.row);
    let takes = parts.iter().map(|part| &part.take);
    let locals: Vec<_> = parts.iter().map(|part| &part.local).collect();
    let idents = parts.iter().map(|part| &part.ident);
    let options = quote!(Self { #(#idents: #locals?),* });
    let result = match &rules.check {
        Some(check) => quote!(#check(#options, reader)),
        None => quote!(::std::option::Option::Some(#options)),
    };
    Ok(quote! {
        #[automatically_derived]
        impl ::config::Options for #name {
            fn about() -> &'static str {
                #about
            }

            fn table() -> ::std::vec::Vec<::config::OptionSpec> {
                let mut table = ::std::vec::Vec::new();
                #(#rows)*
                table
            }

            fn take(reader: &mut ::config::SectionReader<'_>) -> ::std::option::Option<Self> {
                // All fields are read before the first `?`, so that every mistake is reported.
                #(#takes)*
                #result
            }
        }
    })
}

/// Collects the results of all fields, the errors of all of them included.
fn each_field(parts: impl Iterator<Item = Result<Part>>) -> Result<Vec<Part>> {
    let mut good = Vec::new();
    let mut bad: Option<Error> = None;
    for part in parts {
        match (part, &mut bad) {
            (Ok(part), _) => good.push(part),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), None) => bad = Some(error),
        }
    }
    bad.map_or(Ok(good), Err)
}

/// What one field contributes.
struct Part {
    ident: Ident,
    local: Ident,
    /// Adds the field to the table.
    row: TokenStream,
    /// Reads the field into `local`.
    take: TokenStream,
}

fn part(field: &Field, rules: &Rules) -> Result<Part> {
    let ident = field
        .ident
        .clone()
        .ok_or_else(|| Error::new(field.span(), "options have named fields"))?;
    let local = format_ident!("option_{}", ident);
    let attributes = FieldAttributes::of_field(field, rules)?;
    let (row, take) = if attributes.flatten {
        let group = &field.ty;
        (
            quote!(table.extend(<#group as ::config::Options>::table());),
            quote!(let #local = <#group as ::config::Options>::take(reader);),
        )
    } else {
        let shape = Shape::of(field, &attributes)?;
        let spec = spec(field, &attributes, &shape)?;
        let method = format_ident!("{}", shape.method());
        let value = shape.value();
        (
            quote!(table.push(#spec);),
            quote!(let #local = reader.#method::<#value>(&#spec);),
        )
    };
    Ok(Part {
        ident,
        local,
        row,
        take,
    })
}

/// How the value of a field is made up of values of a `FromText` type.
enum Shape<'a> {
    Required(&'a Type),
    Defaulted(&'a Type),
    Optional(&'a Type),
    Multiple(&'a Type),
    Prefixed(&'a Type),
}

impl<'a> Shape<'a> {
    fn of(field: &'a Field, attributes: &FieldAttributes) -> Result<Self> {
        let fault = |text: &str| Error::new(field.ty.span(), text);
        if attributes.prefix {
            let pair = inner(&field.ty, "Vec")
                .ok_or_else(|| fault("a prefix option is a `Vec<(String, T)>`"))?;
            let Type::Tuple(pair) = pair else {
                return Err(fault("a prefix option is a `Vec<(String, T)>`"));
            };
            let value = pair
                .elems
                .get(1)
                .ok_or_else(|| fault("a prefix option is a `Vec<(String, T)>`"))?;
            return Ok(Self::Prefixed(value));
        }
        if attributes.multiple {
            let value = inner(&field.ty, "Vec")
                .ok_or_else(|| fault("an option that may be repeated is a `Vec<T>`"))?;
            return Ok(Self::Multiple(value));
        }
        if attributes.required {
            return Ok(Self::Required(&field.ty));
        }
        if attributes.default.is_some() {
            return Ok(Self::Defaulted(&field.ty));
        }
        let value = inner(&field.ty, "Option").ok_or_else(|| {
            fault("say `required`, give a `default`, or make the type an `Option<T>`")
        })?;
        Ok(Self::Optional(value))
    }

    fn value(&self) -> &'a Type {
        match self {
            Self::Required(value)
            | Self::Defaulted(value)
            | Self::Optional(value)
            | Self::Multiple(value)
            | Self::Prefixed(value) => value,
        }
    }

    /// The method of `config::SectionReader`.
    fn method(&self) -> &'static str {
        match self {
            Self::Required(_) => "required",
            Self::Defaulted(_) => "defaulted",
            Self::Optional(_) => "optional",
            Self::Multiple(_) => "multiple",
            Self::Prefixed(_) => "prefixed",
        }
    }
}

/// The expression that makes the field's `config::OptionSpec`.
fn spec(field: &Field, attributes: &FieldAttributes, shape: &Shape<'_>) -> Result<TokenStream> {
    let name = &attributes.name;
    let aliases = &attributes.aliases;
    let value = shape.value();
    let need = match (&attributes.default, attributes.required) {
        (Some(default), _) => quote!(::config::Need::Default(#default)),
        (None, true) => quote!(::config::Need::Required),
        (None, false) => quote!(::config::Need::Optional),
    };
    let repeat = match attributes.multiple {
        true => quote!(::config::Repeat::Every),
        false => attributes.rules.repeat()?,
    };
    let bad_value = attributes.rules.bad_value()?;
    let prefix = attributes.prefix;
    let deprecated = match &attributes.deprecated {
        Some(why) => quote!(::std::option::Option::Some(#why)),
        None => quote!(::std::option::Option::None),
    };
    let doc = doc_text(&field.attrs);
    Ok(quote! {
        ::config::OptionSpec {
            name: #name,
            aliases: &[#(#aliases),*],
            form: <#value as ::config::FromText>::FORM,
            need: #need,
            repeat: #repeat,
            bad_value: #bad_value,
            prefix: #prefix,
            deprecated: #deprecated,
            doc: #doc,
            try_text: ::config::try_text::<#value>,
        }
    })
}

/// The `T` of a type written `outer<T>`.
fn inner<'a>(ty: &'a Type, outer: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    if last.ident != outer {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    /// What is wrong with a struct, all errors in one text.
    #[track_caller]
    fn faults(input: &DeriveInput) -> String {
        let errors = expand(input).expect_err("a fault").into_iter();
        errors
            .map(|error| error.to_string())
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn says_what_is_wrong_with_each_field() {
        let input = parse_quote! {
            struct Options {
                nameless: bool,
                #[option(name = "Capital", default = "x")]
                capital: String,
                #[option(name = "needless")]
                needless: String,
                #[option(name = "both", required, default = "x")]
                both: String,
                #[option(name = "many", multiple)]
                many: String,
                #[option(name = "labels.", prefix)]
                labels: Vec<String>,
                #[option(name = "net", flatten)]
                net: Net,
                #[option(name = "typo", defualt = "x")]
                typo: String,
                #[option(name = "rule", default = "x", repeated = "twice")]
                rule: String,
            }
        };
        let expected = "\
the option needs `#[option(name = \"…\")]`
keys are written in lower case
say `required`, give a `default`, or make the type an `Option<T>`
a required option has no default
an option that may be repeated is a `Vec<T>`
a prefix option is a `Vec<(String, T)>`
`flatten` stands alone: the keys come from the field's type
unknown attribute; see `config::Options` for the list
expected \"refused\", \"last\" or \"first\"";
        assert_eq!(faults(&input), expected);
    }

    #[test]
    fn only_structs_with_named_fields_are_options() {
        for input in [
            parse_quote!(
                enum Options {
                    A,
                }
            ),
            parse_quote!(
                struct Options(bool);
            ),
        ] {
            assert_eq!(faults(&input), "options are a struct with named fields");
        }
        let input = parse_quote!(
            struct Options<T> {
                t: T,
            }
        );
        assert_eq!(faults(&input), "a struct of options has no parameters");
        let input = parse_quote!(
            #[options(repeat = "last")]
            struct Options {}
        );
        assert_eq!(
            faults(&input),
            "expected `repeated`, `bad_value` or `check`"
        );
    }
}
