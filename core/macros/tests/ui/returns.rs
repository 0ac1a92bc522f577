#![allow(unused_imports)]

use forethought_api::{Error, interface};

type Result = forethought_api::Result<()>;

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    async fn missing(&self);
    async fn plain(&self) -> u32;
    async fn option(&self) -> Option<u32>;
    async fn alias(&self) -> Result;
    async fn lifetime(&self) -> std::result::Result<'static>;
    async fn own_error(&self) -> std::result::Result<u32, Error>;
}

fn main() {}
