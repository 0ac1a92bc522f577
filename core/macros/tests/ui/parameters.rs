#![allow(unused_imports)]

use forethought_api::{Result, interface};

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    async fn a<T: Send>(&self, value: T) -> Result<()>;
    async fn b(&self, value: impl Send) -> Result<()>;
    async fn c(&self) -> Result<()>
    where
        Self: Sized;
}

#[interface("acme.tide/1")]
trait Sea<T>: Send + Sync {
    async fn a(&self, value: u8) -> Result<()>;
}

fn main() {}
