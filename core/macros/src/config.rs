//! `#[config]` and `#[data]`: serde's and schemars' derives, with the paths of the crate that re-exports them.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    DeriveInput, Path, Token,
    parse::{Parse, ParseStream},
    parse_quote,
};

/// The attribute's arguments: `open`, `crate = path`, both, or neither.
pub(crate) struct Options {
    /// Whether unknown keys are accepted.
    open: bool,
    /// Path of the crate that re-exports serde and schemars.
    sdk: Path,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self { open: false, sdk: parse_quote!(::forethought_sdk) };
        while !input.is_empty() {
            if input.peek(Token![crate]) {
                input.parse::<Token![crate]>()?;
                input.parse::<Token![=]>()?;
                options.sdk = input.call(Path::parse_mod_style)?;
            } else {
                let word: syn::Ident = input.parse()?;
                if word != "open" {
                    return Err(syn::Error::new(word.span(), "expected `open` or `crate = path`"));
                }
                options.open = true;
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

impl Options {
    fn path(&self, module: &str) -> String {
        // serde and schemars parse this text again; they accept the spaces that `quote` puts around `::`.
        let (sdk, module) = (&self.sdk, quote::format_ident!("{module}"));
        quote!(#sdk::#module).to_token_stream().to_string()
    }
}

/// Derives `Deserialize` and `JsonSchema`; unknown keys of a struct are refused unless it is `open`.
pub(crate) fn config(options: &Options, item: &DeriveInput) -> TokenStream {
    let Options { open, sdk } = options;
    let (serde, schemars) = (options.path("serde"), options.path("schemars"));
    let closed = !open && matches!(item.data, syn::Data::Struct(_));
    let deny = closed.then(|| quote!(#[serde(deny_unknown_fields)]));
    quote! {
        #[derive(#sdk::serde::Deserialize, #sdk::schemars::JsonSchema)]
        #[serde(crate = #serde)]
        #[schemars(crate = #schemars)]
        #deny
        #item
    }
}

/// Derives `Deserialize`.
pub(crate) fn data(options: &Options, item: &DeriveInput) -> TokenStream {
    let (sdk, serde) = (&options.sdk, options.path("serde"));
    quote! {
        #[derive(#sdk::serde::Deserialize)]
        #[serde(crate = #serde)]
        #item
    }
}
