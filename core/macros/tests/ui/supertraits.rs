use forethought_api::interface;

#[interface("acme.tide/1")]
trait Bare {}

#[interface("acme.tide/1")]
trait HalfWay: Send {}

#[interface("acme.tide/1")]
trait More: Send + Sync + std::fmt::Debug {}

fn main() {}
