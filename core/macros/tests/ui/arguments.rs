#![allow(unused_imports)]

use forethought_api::{Result, interface};

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    async fn a(&self, (low, high): (u32, u32)) -> Result<()>;
    async fn b(&self, _: u32) -> Result<()>;
    async fn c(&self, _unused: u32) -> Result<()> {
        Ok(())
    }
    async fn d(&self, mut hour: u32) -> Result<()> {
        hour += 1;
        let _ = hour;
        Ok(())
    }
    async fn e(&self, #[serde(default)] hour: u32) -> Result<()>;
}

fn main() {}
