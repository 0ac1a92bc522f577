//! The expansion of an interface.
//!
//! Default bodies are repeated in the proxy, so generated code must not shadow their names: every path is absolute,
//! every generated item is named after the interface, and generated locals have the macro's own hygiene.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, FnArg, Ident, ItemTrait, LitStr, Meta, Pat, Path, TraitItem, TraitItemFn, Type, ext::IdentExt,
    parse_quote,
};

use crate::types::{holds_objects, is_option, ok_type};

/// The trait, its proxy, its dispatcher and its table of methods. `api` is the path of forethought_api.
pub(crate) fn expand(name: &LitStr, api: &Path, mut item: ItemTrait) -> TokenStream {
    let interface = item.ident.clone();
    let (proxy, served) = (format_ident!("__{interface}Proxy"), format_ident!("__{interface}Served"));
    let source = item.clone();
    for member in &mut item.items {
        if let TraitItem::Fn(method) = member {
            method.attrs.retain(|attribute| !attribute.path().is_ident("wire"));
        }
    }
    let methods: Vec<Method> =
        source.items.iter().filter_map(|member| Method::of(api, &interface, member)).collect();
    let table = methods.iter().map(Method::row);
    let messages = methods.iter().map(Method::messages);
    let calls = methods.iter().map(Method::call);
    let arms = methods.iter().map(|method| method.arm(name));
    let cfg = cfg(&item.attrs);

    item.items.push(parse_quote! {
        #[doc(hidden)]
        fn __object(&self) -> ::core::option::Option<::std::sync::Arc<dyn #api::wire::Object>> {
            ::core::option::Option::None
        }
    });
    quote! {
        #[#api::__private::async_trait]
        #item

        #(#cfg)*
        #[allow(non_camel_case_types, deprecated)]
        const _: () = {
            #(#messages)*

            // Turns calls into messages.
            struct #proxy(::std::sync::Arc<dyn #api::wire::Object>);

            #[#api::__private::async_trait]
            impl #interface for #proxy {
                #(#calls)*
                fn __object(&self) -> ::core::option::Option<::std::sync::Arc<dyn #api::wire::Object>> {
                    ::core::option::Option::Some(self.0.clone())
                }
            }

            // Turns messages into calls.
            struct #served(::std::sync::Arc<dyn #interface>);

            impl #api::wire::Object for #served {
                fn interface(&self) -> &str {
                    #name
                }
                fn invoke(&self, method: &str, request: #api::wire::Message) -> #api::wire::Reply {
                    let component = self.0.clone();
                    match method {
                        #(#arms)*
                        _ => {
                            let error = #api::wire::unknown_method(#name, method);
                            ::std::boxed::Box::pin(async move { ::core::result::Result::Err(error) })
                        }
                    }
                }
                fn as_any(&self) -> &dyn ::std::any::Any {
                    self
                }
            }

            impl #api::wire::Interface for dyn #interface {
                const NAME: &'static str = #name;
                const METHODS: &'static [#api::wire::Method] = &[#(#table),*];
                fn serve(component: ::std::sync::Arc<Self>) -> ::std::sync::Arc<dyn #api::wire::Object> {
                    component.__object().unwrap_or_else(|| ::std::sync::Arc::new(#served(component)))
                }
                fn connect(object: ::std::sync::Arc<dyn #api::wire::Object>) -> ::std::sync::Arc<Self> {
                    match object.as_any().downcast_ref::<#served>() {
                        ::core::option::Option::Some(served) => served.0.clone(),
                        ::core::option::Option::None => ::std::sync::Arc::new(#proxy(object)),
                    }
                }
            }
        };
    }
}

/// The parts of a method.
struct Method<'a> {
    api: &'a Path,
    interface: &'a Ident,
    source: &'a TraitItemFn,
    /// Names and types of its arguments.
    arguments: Vec<(&'a Ident, &'a Type)>,
    /// The `T` of the `Result<T>` that it returns.
    output: &'a Type,
    /// Names of the structs for its messages.
    request: Ident,
    reply: Ident,
    /// Conditions under which the method exists.
    cfg: Vec<&'a Attribute>,
}

impl<'a> Method<'a> {
    fn of(api: &'a Path, interface: &'a Ident, member: &'a TraitItem) -> Option<Self> {
        let TraitItem::Fn(source) = member else { return None };
        let arguments = source.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(input) => match &*input.pat {
                Pat::Ident(pattern) => Some((&pattern.ident, &*input.ty)),
                _ => None,
            },
            FnArg::Receiver(_) => None,
        });
        let name = source.sig.ident.unraw();
        Some(Self {
            api,
            interface,
            source,
            arguments: arguments.collect(),
            output: ok_type(&source.sig.output)?,
            request: format_ident!("__{interface}_{name}_Request"),
            reply: format_ident!("__{interface}_{name}_Reply"),
            cfg: cfg(&source.attrs),
        })
    }

    /// Its name in messages: the name in `#[wire("name")]`, or the method's own.
    fn name(&self) -> String {
        let wire = self.source.attrs.iter().find(|attribute| attribute.path().is_ident("wire"));
        match wire.and_then(|attribute| attribute.parse_args::<LitStr>().ok()) {
            Some(name) => name.value(),
            None => self.source.sig.ident.unraw().to_string(),
        }
    }

    fn names(&self) -> impl Iterator<Item = &Ident> {
        self.arguments.iter().map(|(name, _)| *name)
    }

    fn row(&self) -> TokenStream {
        let Self { api, cfg, .. } = self;
        let (name, default) = (self.name(), self.source.default.is_some());
        quote! { #(#cfg)* #api::wire::Method { name: #name, default: #default } }
    }

    /// The request: arguments by name. The reply: the value itself.
    fn messages(&self) -> TokenStream {
        let Self { api, request, reply, output, cfg, .. } = self;
        let fields = self.arguments.iter().map(|(name, ty)| {
            let with = self.with(ty);
            // With `with`, serde treats an absent option as an error.
            let default = (with.is_some() && is_option(ty)).then(|| quote! { #[serde(default)] });
            quote! { #with #default #name: #ty }
        });
        let with = self.with(output);
        let serde = quote!(#api::__private::serde);
        let path = serde.to_string();
        quote! {
            #(#cfg)*
            #[derive(#serde::Serialize, #serde::Deserialize)]
            #[serde(crate = #path, expecting = "a map of arguments by name")]
            struct #request { #(#fields),* }
            #(#cfg)*
            #[derive(#serde::Serialize, #serde::Deserialize)]
            #[serde(crate = #path, transparent)]
            struct #reply { #with value: #output }
        }
    }

    /// How serde writes a type into a message: objects are attached to the body.
    fn with(&self, ty: &Type) -> Option<TokenStream> {
        let handle = format!("{}::wire::handle", self.api.to_token_stream());
        holds_objects(ty).then(|| quote! { #[serde(with = #handle)] })
    }

    /// The proxy's side.
    fn call(&self) -> TokenStream {
        let Self { api, source, request, reply, cfg, .. } = self;
        let (signature, name, allowed) = (&source.sig, self.name(), allowed(&source.attrs));
        let names: Vec<_> = self.names().collect();
        let [sent, answer] = ["sent", "answer"].map(|local| Ident::new(local, Span::mixed_site()));
        // If the other side does not know the method, the trait's default body runs here.
        let end = match &source.default {
            None => quote! { #answer },
            Some(default) => quote! {
                if !#api::wire::is_unimplemented(&#answer) {
                    return #answer;
                }
                let #request { #(#names),* } = #sent;
                #default
            },
        };
        quote! {
            #(#cfg)*
            #(#allowed)*
            #signature {
                let #sent = #request { #(#names),* };
                let #answer = #api::wire::call::<#reply>(&self.0, #name, &#sent).await.map(|reply| reply.value);
                #end
            }
        }
    }

    /// The dispatcher's side.
    fn arm(&self, interface_name: &LitStr) -> TokenStream {
        let Self { api, interface, request, reply, cfg, .. } = self;
        let (name, method, names) = (self.name(), &self.source.sig.ident, self.names());
        quote! {
            #(#cfg)*
            #name => ::std::boxed::Box::pin(async move {
                let codec = request.codec;
                let sent: #request = #api::wire::arguments(#interface_name, #name, request)?;
                let value = <dyn #interface>::#method(&*component, #(sent.#names),*).await?;
                #api::wire::answer(#interface_name, #name, codec, &#reply { value })
            }),
        }
    }
}

/// The `cfg` attributes: code generated for a method or trait exists only if the method or trait does.
fn cfg(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}

/// Lints allowed for a default body, which its repetition needs too. `expect` becomes `allow`, because a method
/// without a body has nothing that would fulfil it.
fn allowed(attributes: &[Attribute]) -> impl Iterator<Item = TokenStream> {
    attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("expect") => {
            let lints = &list.tokens;
            Some(quote! { #[allow(#lints)] })
        }
        _ => None,
    })
}
