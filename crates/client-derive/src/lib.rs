//! Derives an LwM2M object from a plain struct, checked against the registry.
//!
//! I am the derive macro `Object` of `lightship-client`.
//! I may: read a struct and its attributes, and write the `Instance` implementation with constant assertions.
//! I must not: know the registry; the assertions ask `lightship-lwm2m` when the user's crate is compiled.
//! My invariants: generated code names only `::lightship_client` and `::core` · resources come out ascending by ID.
//! Start reading at: [`derive_object`].

mod attributes;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Ident, Path, Type, parse_macro_input};

use attributes::{ObjectAttributes, ResourceAttributes};

/// Implements `Instance` for a struct: one field per resource.
///
/// On the struct: `#[lwm2m(object = 3303)]`, and if wanted `version = "1.1"` (the newest of the registry otherwise),
/// `execute(5605 = Self::reset)` for executable resources (`fn reset(&mut self, Arguments) -> Result<(), Refusal>`),
/// `check = Self::valid` to look at the whole instance before a write becomes visible
/// (`fn valid(&self) -> Result<(), Refusal>`).
///
/// On fields: `#[resource(5700)]`; with `read = Self::measure` the value comes from
/// `fn measure(&self) -> Result<FieldType, Refusal>` instead of the field. Fields without it belong to the
/// application. A resource that the definition calls optional is an `Option` (or, when it is multiple, an array that may be empty), or a plain
/// field when this device always has it.
///
/// It does not compile when the object or a resource is not in the registry, a type does not fit, a mandatory
/// resource is missing or optional, single and multiple are mixed up, or a read-only handler is used for an executable.
#[proc_macro_derive(Object, attributes(lwm2m, resource))]
pub fn derive_object(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// A resource that is a field.
struct Resource<'a> {
    id: u16,
    field: &'a Ident,
    kind: &'a Type,
    read: Option<Path>,
    span: Span,
}

fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let object = ObjectAttributes::parse(&input.attrs, input.ident.span())?;
    let resources = fields(input)?;
    let mut ids: Vec<(u16, Span)> = resources.iter().map(|resource| (resource.id, resource.span)).collect();
    ids.extend(object.execute.iter().map(|(id, path)| (*id, path.span())));
    ids.sort_by_key(|(id, _)| *id);
    for pair in ids.windows(2) {
        if let [(first, _), (second, span)] = pair
            && first == second
        {
            return Err(syn::Error::new(*span, format!("resource {second} stands twice")));
        }
    }

    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let model = model(&object, &resources, &ids);
    let methods = methods(&object, &resources);
    // A constant nobody uses is not evaluated, and then nothing would be checked. A generic struct is checked on use.
    let check_now = input.generics.params.is_empty().then(|| {
        quote! { const _: ::lightship_client::ObjectModel<'static> = <#name as ::lightship_client::Instance>::MODEL; }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::lightship_client::Instance for #name #type_generics #where_clause {
            #model
            #methods
        }
        #check_now
    })
}

fn fields(input: &DeriveInput) -> syn::Result<Vec<Resource<'_>>> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new(input.ident.span(), "only a struct can be an object"));
    };
    let Fields::Named(named) = &data.fields else {
        return Err(syn::Error::new(input.ident.span(), "the fields need names"));
    };
    let mut resources = Vec::new();
    for field in &named.named {
        if let (Some(attributes), Some(ident)) = (ResourceAttributes::parse(&field.attrs)?, &field.ident) {
            let ResourceAttributes { id, read } = attributes;
            resources.push(Resource { id, field: ident, kind: &field.ty, read, span: field.span() });
        }
    }
    Ok(resources)
}

/// The constant with the facts, whose evaluation is the check against the registry.
fn model(object: &ObjectAttributes, resources: &[Resource<'_>], ids: &[(u16, Span)]) -> TokenStream {
    let object_id = object.id;
    let version = match object.version {
        Some((major, minor)) => quote! { ::core::option::Option::Some((#major, #minor)) },
        None => quote! { ::core::option::Option::None },
    };
    let entries = ids.iter().map(|(id, span)| {
        match resources.iter().find(|resource| resource.id == *id) {
            Some(Resource { field, kind, .. }) => {
                let unknown = format!("object {object_id} has no resource {id} in the registry (field `{field}`)");
                let mismatch = format!("field `{field}`: its type does not fit resource {object_id}/{id}");
                let multiple = format!("field `{field}`: resource {object_id}/{id} and the field must both be multiple, or both single");
                let optional = format!("field `{field}`: resource {object_id}/{id} is mandatory, so it cannot be an `Option`");
                quote_spanned! { *span => {
                    let model = match __derive::resource(OBJECT, #id) {
                        ::core::option::Option::Some(model) => model,
                        ::core::option::Option::None => ::core::panic!(#unknown),
                    };
                    ::core::assert!(__derive::fits(&model, <#kind as __derive::Field>::TYPES), #mismatch);
                    ::core::assert!(model.multiple == <#kind as __derive::Field>::MULTIPLE, #multiple);
                    ::core::assert!(!(model.mandatory && <#kind as __derive::Field>::OPTIONAL), #optional);
                    model
                }}
            }
            None => {
                let unknown = format!("object {object_id} has no resource {id} in the registry");
                let access = format!("resource {object_id}/{id} is not executable");
                quote_spanned! { *span => {
                    let model = match __derive::resource(OBJECT, #id) {
                        ::core::option::Option::Some(model) => model,
                        ::core::option::Option::None => ::core::panic!(#unknown),
                    };
                    ::core::assert!(model.operations.executable(), #access);
                    model
                }}
            }
        }
    });
    let numbers = ids.iter().map(|(id, _)| id);
    let unknown = format!("object {object_id} is not in the registry, or not in this version");
    let incomplete = format!("object {object_id}: a mandatory resource is missing");
    let span = object.span;
    let check = quote_spanned! { span =>
        const OBJECT: __derive::Object = match __derive::object(#object_id, #version) {
            ::core::option::Option::Some(object) => object,
            ::core::option::Option::None => ::core::panic!(#unknown),
        };
        ::core::assert!(__derive::complete(OBJECT, &[#(#numbers),*]), #incomplete);
    };
    quote! {
        const MODEL: ::lightship_client::ObjectModel<'static> = {
            use ::lightship_client::__derive;
            #check
            __derive::model(OBJECT, const { &[#(#entries),*] })
        };
    }
}

fn methods(object: &ObjectAttributes, resources: &[Resource<'_>]) -> TokenStream {
    let reads = resources.iter().map(|Resource { id, field, kind, read, .. }| match read {
        Some(function) => quote! { #id => {
            let value: #kind = #function(self)?;
            __derive::Field::read(&value, sink)
        } },
        None => quote! { #id => __derive::Field::read(&self.#field, sink), },
    });
    let writes = resources.iter().map(|Resource { id, field, .. }| {
        quote! { #id => __derive::Field::write(&mut self.#field, item, value), }
    });
    let clears = resources.iter().map(|Resource { id, field, .. }| {
        quote! { #id => __derive::Field::clear(&mut self.#field, item), }
    });
    let executes = object.execute.iter().map(|(id, function)| quote! { #id => #function(self, arguments), });
    let check = object.check.as_ref().map(|function| {
        quote! { fn check(&self) -> ::core::result::Result<(), ::lightship_client::Refusal> { #function(self) } }
    });
    let result = quote! { ::core::result::Result<(), ::lightship_client::Refusal> };
    quote! {
        fn read(&self, resource: ::lightship_client::ResourceId, sink: &mut dyn ::lightship_client::Sink) -> #result {
            use ::lightship_client::__derive;
            match resource.get() {
                #(#reads)*
                _ => ::core::result::Result::Err(::lightship_client::Refusal::NotFound),
            }
        }

        fn write(
            &mut self,
            resource: ::lightship_client::ResourceId,
            item: ::core::option::Option<::lightship_client::ResourceInstanceId>,
            value: ::lightship_client::Value<'_>,
        ) -> #result {
            use ::lightship_client::__derive;
            match resource.get() {
                #(#writes)*
                _ => ::core::result::Result::Err(::lightship_client::Refusal::NotFound),
            }
        }

        fn clear(
            &mut self,
            resource: ::lightship_client::ResourceId,
            item: ::core::option::Option<::lightship_client::ResourceInstanceId>,
        ) -> #result {
            use ::lightship_client::__derive;
            match resource.get() {
                #(#clears)*
                _ => ::core::result::Result::Err(::lightship_client::Refusal::NotFound),
            }
        }

        #check

        fn execute(
            &mut self,
            resource: ::lightship_client::ResourceId,
            arguments: ::lightship_client::Arguments<'_>,
        ) -> #result {
            let _ = &arguments;
            match resource.get() {
                #(#executes)*
                _ => ::core::result::Result::Err(::lightship_client::Refusal::NotAllowed),
            }
        }
    }
}
