use forethought_api::interface;

#[interface]
trait Unnamed: Send + Sync {}

#[interface(acme)]
trait NoText: Send + Sync {}

#[interface("acme")]
trait NoMajor: Send + Sync {}

#[interface("tide/1")]
trait NoFamily: Send + Sync {}

#[interface("acme.tide/0")]
trait FromOneOn: Send + Sync {}

#[interface("acme.tide/+1")]
trait NotANumber: Send + Sync {}

#[interface("Acme.Tide/1")]
trait Shouting: Send + Sync {}

#[interface("acme.tide/1", krate = forethought_api)]
trait Misspelt: Send + Sync {}

#[interface("acme.tide/1")]
struct NoTrait;

fn main() {}
