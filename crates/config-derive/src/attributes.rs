//! What stands in `#[option(…)]` and `#[options(…)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Field, LitStr, Path, Result};

/// The rules of a struct that its fields inherit.
#[derive(Clone, Default)]
pub struct Rules {
    repeated: Option<LitStr>,
    bad_value: Option<LitStr>,
    /// The function that looks at the whole struct.
    pub check: Option<Path>,
}

impl Rules {
    /// Reads `#[options(…)]`.
    pub fn of_struct(attributes: &[Attribute]) -> Result<Self> {
        let mut rules = Self::default();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("options"))
        {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("check") {
                    rules.check = Some(meta.value()?.parse()?);
                    return Ok(());
                }
                match rules.accept(&meta)? {
                    true => Ok(()),
                    false => Err(meta.error("expected `repeated`, `bad_value` or `check`")),
                }
            })?;
        }
        Ok(rules)
    }

    /// Takes one attribute if it is a rule.
    fn accept(&mut self, meta: &ParseNestedMeta<'_>) -> Result<bool> {
        let slot = if meta.path.is_ident("repeated") {
            &mut self.repeated
        } else if meta.path.is_ident("bad_value") {
            &mut self.bad_value
        } else {
            return Ok(false);
        };
        *slot = Some(meta.value()?.parse()?);
        Ok(true)
    }

    /// The variant of `config::Repeat`.
    pub fn repeat(&self) -> Result<TokenStream> {
        let Some(word) = &self.repeated else {
            return Ok(quote!(::config::Repeat::Refused));
        };
        match word.value().as_str() {
            "refused" => Ok(quote!(::config::Repeat::Refused)),
            "last" => Ok(quote!(::config::Repeat::Last)),
            "first" => Ok(quote!(::config::Repeat::First)),
            _ => Err(Error::new(
                word.span(),
                "expected \"refused\", \"last\" or \"first\"",
            )),
        }
    }

    /// The variant of `config::BadValue`.
    pub fn bad_value(&self) -> Result<TokenStream> {
        let Some(word) = &self.bad_value else {
            return Ok(quote!(::config::BadValue::Refused));
        };
        match word.value().as_str() {
            "refused" => Ok(quote!(::config::BadValue::Refused)),
            "refused_at_load" => Ok(quote!(::config::BadValue::RefusedAtLoad)),
            "default" => Ok(quote!(::config::BadValue::Default)),
            _ => Err(Error::new(
                word.span(),
                "expected \"refused\", \"refused_at_load\" or \"default\"",
            )),
        }
    }
}

/// The attributes of one field.
pub struct FieldAttributes {
    pub name: Option<LitStr>,
    pub aliases: Vec<LitStr>,
    pub default: Option<LitStr>,
    pub deprecated: Option<LitStr>,
    pub required: bool,
    pub multiple: bool,
    pub prefix: bool,
    pub flatten: bool,
    pub rules: Rules,
}

impl FieldAttributes {
    /// Reads all `#[option(…)]` of a field; what they do not say comes from the rules of the struct.
    pub fn of_field(field: &Field, rules: &Rules) -> Result<Self> {
        let mut attributes = Self {
            name: None,
            aliases: Vec::new(),
            default: None,
            deprecated: None,
            required: false,
            multiple: false,
            prefix: false,
            flatten: false,
            rules: rules.clone(),
        };
        for attribute in field
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("option"))
        {
            attribute.parse_nested_meta(|meta| attributes.accept(&meta))?;
        }
        attributes.check(field)?;
        Ok(attributes)
    }

    fn accept(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if self.rules.accept(meta)? {
            return Ok(());
        }
        let word = meta
            .path
            .get_ident()
            .map(ToString::to_string)
            .unwrap_or_default();
        match word.as_str() {
            "name" => self.name = Some(meta.value()?.parse()?),
            "alias" => self.aliases.push(meta.value()?.parse()?),
            "default" => self.default = Some(meta.value()?.parse()?),
            "deprecated" => self.deprecated = Some(meta.value()?.parse()?),
            "required" => self.required = true,
            "multiple" => self.multiple = true,
            "prefix" => self.prefix = true,
            "flatten" => self.flatten = true,
            _ => return Err(meta.error("unknown attribute; see `config::Options` for the list")),
        }
        Ok(())
    }

    fn check(&self, field: &Field) -> Result<()> {
        let fault = |text: &str| Err(Error::new(field.span(), text));
        if self.flatten {
            let alone = self.name.is_none() && !self.required && self.default.is_none();
            return if alone {
                Ok(())
            } else {
                fault("`flatten` stands alone: the keys come from the field's type")
            };
        }
        let Some(name) = &self.name else {
            return fault("the option needs `#[option(name = \"…\")]`");
        };
        for name in std::iter::once(name).chain(&self.aliases) {
            if name.value().is_empty() || name.value() != name.value().to_ascii_lowercase() {
                return Err(Error::new(name.span(), "keys are written in lower case"));
            }
        }
        if self.required && self.default.is_some() {
            return fault("a required option has no default");
        }
        if self.prefix && (self.multiple || self.required || self.default.is_some()) {
            return fault(
                "a prefix option is neither `multiple` nor `required` and has no default",
            );
        }
        Ok(())
    }
}
