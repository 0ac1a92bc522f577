#![allow(unused_imports)]

use forethought_api::{Result, interface};
use std::borrow::Cow;

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    async fn a(&self, text: &str) -> Result<()>;
    async fn b(&self, texts: Vec<&'static str>) -> Result<()>;
    async fn c(&self, pair: (String, Option<&[u8]>)) -> Result<()>;
    async fn d(&self, text: Cow<'_, str>) -> Result<()>;
}

fn main() {}
