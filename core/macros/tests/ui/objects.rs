#![allow(unused_imports)]

use std::{collections::BTreeMap, sync::Arc};

use forethought_api::{Result, interface};

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    async fn join(&self, others: BTreeMap<String, Arc<dyn Tide>>) -> Result<()>;
    async fn joined(&self) -> Result<Vec<Arc<dyn Tide>>>;
    async fn both(&self) -> Result<(u32, Arc<dyn Tide>)>;
    async fn call(&self, back: Box<dyn Fn()>) -> Result<()>;
}

fn main() {}
