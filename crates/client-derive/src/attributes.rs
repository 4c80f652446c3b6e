//! The attributes `#[lwm2m(…)]` and `#[resource(…)]`.

use proc_macro2::Span;
use syn::{Attribute, LitInt, LitStr, Path, Token, parenthesized};

/// What stands in `#[lwm2m(…)]` on the struct.
pub(crate) struct ObjectAttributes {
    pub(crate) id: u16,
    pub(crate) version: Option<(u8, u8)>,
    pub(crate) execute: Vec<(u16, Path)>,
    pub(crate) check: Option<Path>,
    pub(crate) span: Span,
}

impl ObjectAttributes {
    pub(crate) fn parse(attributes: &[Attribute], name: Span) -> syn::Result<Self> {
        let mut id = None;
        let mut parsed =
            ObjectAttributes { id: 0, version: None, execute: Vec::new(), check: None, span: name };
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("lwm2m")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("object") {
                    let literal: LitInt = meta.value()?.parse()?;
                    parsed.span = literal.span();
                    id = Some(literal.base10_parse()?);
                } else if meta.path.is_ident("version") {
                    let literal: LitStr = meta.value()?.parse()?;
                    parsed.version = Some(version(&literal)?);
                } else if meta.path.is_ident("check") {
                    parsed.check = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("execute") {
                    let content;
                    parenthesized!(content in meta.input);
                    while !content.is_empty() {
                        let resource: LitInt = content.parse()?;
                        content.parse::<Token![=]>()?;
                        parsed.execute.push((resource.base10_parse()?, content.parse()?));
                        if !content.is_empty() {
                            content.parse::<Token![,]>()?;
                        }
                    }
                } else {
                    return Err(meta.error("expected `object`, `version`, `execute` or `check`"));
                }
                Ok(())
            })?;
        }
        parsed.id =
            id.ok_or_else(|| syn::Error::new(name, "which object? write `#[lwm2m(object = 3303)]`"))?;
        Ok(parsed)
    }
}

fn version(literal: &LitStr) -> syn::Result<(u8, u8)> {
    let text = literal.value();
    let parts =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parts.ok_or_else(|| syn::Error::new(literal.span(), "a version is two numbers, such as \"1.1\""))
}

/// What stands in `#[resource(…)]` on a field.
pub(crate) struct ResourceAttributes {
    pub(crate) id: u16,
    pub(crate) read: Option<Path>,
}

impl ResourceAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> syn::Result<Option<Self>> {
        let Some(attribute) = attributes.iter().find(|attribute| attribute.path().is_ident("resource"))
        else {
            return Ok(None);
        };
        attribute
            .parse_args_with(|input: syn::parse::ParseStream<'_>| {
                let id: LitInt = input.parse()?;
                let mut parsed = ResourceAttributes { id: id.base10_parse()?, read: None };
                while !input.is_empty() {
                    input.parse::<Token![,]>()?;
                    let key: syn::Ident = input.parse()?;
                    if key != "read" {
                        return Err(syn::Error::new(key.span(), "expected `read`"));
                    }
                    input.parse::<Token![=]>()?;
                    parsed.read = Some(input.parse()?);
                }
                Ok(parsed)
            })
            .map(Some)
    }
}
