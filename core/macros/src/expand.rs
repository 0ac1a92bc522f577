//! What an interface expands to.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    FnArg, GenericArgument, Ident, ItemTrait, LitStr, Pat, PathArguments, ReturnType, TraitItem, TraitItemFn,
    Type, parse_quote,
};

/// The trait, and beside it its proxy, its dispatcher and its table of methods.
pub(crate) fn expand(name: &LitStr, item: ItemTrait) -> TokenStream {
    let interface = item.ident.clone();
    let proxy = format_ident!("{interface}Proxy");
    let methods: Vec<Method> = item
        .items
        .iter()
        .filter_map(|member| match member {
            TraitItem::Fn(method) => Some(Method::of(&interface, method)),
            _ => None,
        })
        .collect();
    let mut whole = item.clone();
    whole.items.push(parse_quote! {
        /// The object that this component is a proxy of.
        #[doc(hidden)]
        fn __object(&self) -> ::core::option::Option<::std::sync::Arc<dyn ::forethought_api::wire::Object>> {
            ::core::option::Option::None
        }
    });
    let table = methods.iter().map(Method::row);
    let messages = methods.iter().map(Method::messages);
    let calls = methods.iter().map(|method| method.call());
    let arms = methods.iter().map(Method::arm);
    quote! {
        #[::forethought_api::__private::async_trait]
        #whole

        const _: () = {
            use ::forethought_api::{__private::serde, wire};

            const NAME: &str = #name;

            #(#messages)*

            /// Turns calls into messages.
            struct #proxy(::std::sync::Arc<dyn wire::Object>);

            #[::forethought_api::__private::async_trait]
            impl #interface for #proxy {
                #(#calls)*
                fn __object(&self) -> ::core::option::Option<::std::sync::Arc<dyn wire::Object>> {
                    ::core::option::Option::Some(self.0.clone())
                }
            }

            /// Turns messages into calls.
            struct Served(::std::sync::Arc<dyn #interface>);

            impl wire::Object for Served {
                fn interface(&self) -> &str {
                    NAME
                }
                fn invoke(&self, method: &str, request: wire::Message) -> wire::Reply {
                    let component = self.0.clone();
                    match method {
                        #(#arms)*
                        _ => {
                            let error = wire::unknown_method(NAME, method);
                            ::std::boxed::Box::pin(async move { ::core::result::Result::Err(error) })
                        }
                    }
                }
                fn as_any(&self) -> &dyn ::std::any::Any {
                    self
                }
            }

            impl wire::Interface for dyn #interface {
                const NAME: &'static str = NAME;
                const METHODS: &'static [wire::Method] = &[#(#table),*];
                fn serve(component: ::std::sync::Arc<Self>) -> ::std::sync::Arc<dyn wire::Object> {
                    component.__object().unwrap_or_else(|| ::std::sync::Arc::new(Served(component)))
                }
                fn connect(object: ::std::sync::Arc<dyn wire::Object>) -> ::std::sync::Arc<Self> {
                    match object.as_any().downcast_ref::<Served>() {
                        ::core::option::Option::Some(served) => served.0.clone(),
                        ::core::option::Option::None => ::std::sync::Arc::new(#proxy(object)),
                    }
                }
            }
        };
    }
}

/// A method, taken apart.
struct Method<'a> {
    source: &'a TraitItemFn,
    /// Names and types of its arguments.
    arguments: Vec<(&'a Ident, &'a Type)>,
    /// The `T` of the `Result<T>` that it returns.
    output: &'a Type,
    /// Names of the structs that its messages are made of.
    request: Ident,
    reply: Ident,
}

impl<'a> Method<'a> {
    fn of(interface: &Ident, source: &'a TraitItemFn) -> Self {
        let arguments = source.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(input) => match &*input.pat {
                Pat::Ident(pattern) => Some((&pattern.ident, &*input.ty)),
                _ => None,
            },
            FnArg::Receiver(_) => None,
        });
        let name = &source.sig.ident;
        Self {
            source,
            arguments: arguments.collect(),
            output: ok_type(&source.sig.output),
            request: format_ident!("{interface}__{name}__Arguments"),
            reply: format_ident!("{interface}__{name}__Reply"),
        }
    }

    fn name(&self) -> String {
        self.source.sig.ident.to_string()
    }

    fn row(&self) -> TokenStream {
        let (name, default) = (self.name(), self.source.default.is_some());
        quote! { wire::Method { name: #name, default: #default } }
    }

    /// The request: arguments by name. The reply: the value itself.
    fn messages(&self) -> TokenStream {
        let Self { request, reply, output, .. } = self;
        let fields = self.arguments.iter().map(|(name, ty)| {
            let with = with(ty);
            quote! { #with #name: #ty }
        });
        let with = with(output);
        quote! {
            #[allow(non_camel_case_types)]
            #[derive(serde::Serialize, serde::Deserialize)]
            #[serde(crate = "::forethought_api::__private::serde")]
            struct #request { #(#fields),* }
            #[allow(non_camel_case_types)]
            #[derive(serde::Serialize, serde::Deserialize)]
            #[serde(crate = "::forethought_api::__private::serde", transparent)]
            struct #reply { #with value: #output }
        }
    }

    /// The proxy's side.
    fn call(&self) -> TokenStream {
        let (signature, name) = (&self.source.sig, self.name());
        let Self { request, reply, .. } = self;
        let arguments: Vec<_> = self.arguments.iter().map(|(name, _)| name).collect();
        let value = quote! { |#reply { value }| value };
        let Some(default) = &self.source.default else {
            return quote! {
                #signature {
                    let arguments = #request { #(#arguments),* };
                    wire::call(&self.0, #name, &arguments).await.map(#value)
                }
            };
        };
        quote! {
            #signature {
                let arguments = #request { #(#arguments),* };
                match wire::call(&self.0, #name, &arguments).await {
                    ::core::result::Result::Err(error)
                        if error.code == ::forethought_api::error::Code::Unimplemented =>
                    {
                        let #request { #(#arguments),* } = arguments;
                        #default
                    }
                    other => other.map(#value),
                }
            }
        }
    }

    /// The dispatcher's side.
    fn arm(&self) -> TokenStream {
        let (name, method) = (self.name(), &self.source.sig.ident);
        let Self { request, reply, .. } = self;
        let arguments: Vec<_> = self.arguments.iter().map(|(name, _)| name).collect();
        quote! {
            #name => ::std::boxed::Box::pin(async move {
                let codec = request.codec;
                let #request { #(#arguments),* } = wire::arguments(NAME, #name, request)?;
                let value = component.#method(#(#arguments),*).await?;
                wire::Message::encode(codec, &#reply { value })
            }),
        }
    }
}

/// How a type stands in a message: objects beside the body, data in it.
fn with(ty: &Type) -> Option<TokenStream> {
    holds_objects(ty).then(|| quote! { #[serde(with = "::forethought_api::wire::handle")] })
}

fn holds_objects(ty: &Type) -> bool {
    match ty {
        Type::TraitObject(_) => true,
        Type::Tuple(tuple) => tuple.elems.iter().any(holds_objects),
        Type::Path(path) => path.path.segments.iter().any(|segment| {
            segment.ident == "Component"
                || match &segment.arguments {
                    PathArguments::AngleBracketed(all) => all.args.iter().any(|argument| match argument {
                        GenericArgument::Type(ty) => holds_objects(ty),
                        _ => false,
                    }),
                    _ => false,
                }
        }),
        _ => false,
    }
}

/// The `T` of `Result<T>`; checked before.
fn ok_type(output: &ReturnType) -> &Type {
    let ReturnType::Type(_, ty) = output else { unreachable!("checked before") };
    let Type::Path(path) = &**ty else { unreachable!("checked before") };
    match path.path.segments.last().map(|segment| &segment.arguments) {
        Some(PathArguments::AngleBracketed(all)) => match all.args.first() {
            Some(GenericArgument::Type(ty)) => ty,
            _ => unreachable!("a Result has a type"),
        },
        _ => unreachable!("a Result has a type"),
    }
}
