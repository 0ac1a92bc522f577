//! `#[interface]`: lets the calls of a plain async trait cross a plugin boundary. `#[config]` and `#[data]`: derives
//! for a component's configuration and data.
//!
//! It may depend on syn and quote. The code that it generates refers to `forethought_api` or `forethought_sdk` alone.

mod check;
mod config;
mod expand;
mod types;

use proc_macro::TokenStream;
use syn::{
    DeriveInput, Error, ItemTrait, LitStr, Path, Token,
    parse::{Parse, ParseStream},
    parse_macro_input, parse_quote,
};

/// Makes a trait an interface: `#[interface("forethought.environment/1")]`.
///
/// The trait remains an object-safe async trait (`#[async_trait]` is applied to it). The macro adds an implementation
/// of `forethought_api::wire::Interface` for `dyn Trait`: a proxy that turns calls into messages, a dispatcher that
/// turns messages into calls, and the table of methods. The other side need not offer a method with a default body:
/// if it answers `Code::Unimplemented`, the default body runs on this side.
///
/// So that every call can be a message, methods are async, take `&self` and owned arguments, and return `Result`.
/// Data in arguments and results are `Serialize + DeserializeOwned`; objects are `Arc<dyn Interface>`, an option of
/// one, or a `Vec<(String, Arc<dyn Interface>)>`. `#[cfg]` on a method is honoured. `#[wire("name")]` sets a method's
/// name in messages, which keeps it compatible when the Rust method is renamed.
///
/// Any crate can define interfaces:
///
/// ```
/// use std::sync::Arc;
/// use forethought_api::{Result, interface, wire::{Interface, Message}};
///
/// /// A tide gauge.
/// #[interface("acme.gauge/1")]
/// pub trait Gauge: Send + Sync {
///     /// Water level at `hour`, in metres.
///     async fn level(&self, hour: u32) -> Result<f64>;
///     /// The highest level of a day; by default the highest of all hours.
///     async fn highest(&self) -> Result<f64> {
///         let mut highest = f64::MIN;
///         for hour in 0..24 {
///             highest = highest.max(self.level(hour).await?);
///         }
///         Ok(highest)
///     }
/// }
///
/// struct Harbour;
///
/// #[async_trait::async_trait]
/// impl Gauge for Harbour {
///     async fn level(&self, hour: u32) -> Result<f64> {
///         Ok(f64::from(hour) / 10.0)
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let object = Interface::serve(Arc::new(Harbour) as Arc<dyn Gauge>);
/// let reply = object.invoke("level", Message { body: r#"{"hour": 5}"#.into(), ..Default::default() }).await?;
/// assert_eq!(reply.body, "0.5");
///
/// let gauge: Arc<dyn Gauge> = Interface::connect(object);
/// assert_eq!(gauge.highest().await?, 2.3);
/// # Result::<(), forethought_api::Error>::Ok(()) }).unwrap();
/// ```
///
/// If `forethought_api` has another path, as in a crate that depends on the sdk alone, name it:
/// `#[interface("acme.gauge/1", crate = forethought_sdk::api)]`.
#[proc_macro_attribute]
pub fn interface(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let Attribute { name, api } = parse_macro_input!(attribute);
    let item = parse_macro_input!(item as ItemTrait);
    match check::problems(&name, &item) {
        Some(error) => error.into_compile_error().into(),
        None => expand::expand(&name, &api, item).into(),
    }
}

/// Makes a struct or enum the configuration of a component, or a part of one.
///
/// It derives `Deserialize` and `JsonSchema` with the paths of `forethought_sdk`, so an author depends on neither
/// crate, and refuses unknown keys of a struct. The doc comment of each field is its help text. Further
/// `#[derive(...)]`, `#[serde(...)]` and `#[schemars(...)]` attributes go below it:
///
/// ```ignore
/// /// How the tide moves.
/// #[config]
/// #[derive(Default)]
/// #[serde(default)]
/// struct TideConfig {
///     /// Metres between low and high water.
///     range: f64,
/// }
/// ```
///
/// `#[config(open)]` accepts unknown keys. `#[config(crate = path)]` names another crate that re-exports `serde` and
/// `schemars`.
#[proc_macro_attribute]
pub fn config(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(attribute as config::Options);
    config::config(&options, &parse_macro_input!(item as DeriveInput)).into()
}

/// Derives `Deserialize` with the path of `forethought_sdk`, for data that a component reads. Add
/// `#[derive(Serialize)]` and `#[serde(...)]` below it as needed.
#[proc_macro_attribute]
pub fn data(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(attribute as config::Options);
    config::data(&options, &parse_macro_input!(item as DeriveInput)).into()
}

/// The attribute's arguments.
struct Attribute {
    name: LitStr,
    /// Path of `forethought_api`.
    api: Path,
}

impl Parse for Attribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let fine = "an interface needs a name: write `#[interface(\"family.name/1\")]`";
        let name = input.parse().map_err(|error| Error::new(error.span(), fine))?;
        if input.is_empty() {
            return Ok(Self { name, api: parse_quote!(::forethought_api) });
        }
        input.parse::<Token![,]>()?;
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        Ok(Self { name, api: input.call(Path::parse_mod_style)? })
    }
}
