//! `#[interface]`: from one plain async trait, all that lets its calls cross a plugin boundary.
//!
//! It may depend on syn and quote. What it writes names `forethought_api` and nothing else.

mod check;
mod expand;

use proc_macro::TokenStream;
use syn::{ItemTrait, LitStr, parse_macro_input};

/// Makes a trait an interface: `#[interface("forethought.environment/1")]`.
///
/// The trait stays what it is, an object-safe async trait (`#[async_trait]` is applied to it). Beside it come, through
/// an implementation of `forethought_api::wire::Interface` for `dyn Trait`: a proxy that turns calls into messages, a
/// dispatcher that turns messages into calls, and the table of methods. A method with a default body is one that the
/// other side need not know: where it answers UNIMPLEMENTED, the default body runs.
///
/// So that every call can be a message, methods are async, take `&self` and owned arguments, and return `Result`.
/// Data in arguments and results are `Serialize + DeserializeOwned`; objects stand as `Arc<dyn Interface>`, an option of
/// one, or a `Vec<(String, Arc<dyn Interface>)>`.
#[proc_macro_attribute]
pub fn interface(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let name = parse_macro_input!(attribute as LitStr);
    let item = parse_macro_input!(item as ItemTrait);
    let problems = check::problems(&name, &item);
    match problems {
        Some(error) => error.into_compile_error().into(),
        None => expand::expand(&name, item).into(),
    }
}
