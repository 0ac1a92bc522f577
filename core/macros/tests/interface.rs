//! What `#[interface]` generates.

use std::sync::Arc;

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    error::Code,
    interface,
    wire::{Interface, Message, Method, Object, Reply},
};
use futures::executor::block_on;

/// A name that generated code must not shadow.
const NAME: &str = "the caller's own";

fn error(sent: &str) -> String {
    format!("{NAME}: {sent}")
}

#[interface("acme.tide/1")]
trait Tide: Send + Sync {
    /// Arguments may have any names.
    async fn echo(&self, method: String, component: u8, request: bool, codec: i8, sent: u8)
    -> Result<String>;
    async fn r#move(&self, r#type: String) -> Result<String>;
    async fn greet(&self, answer: String) -> Result<String> {
        let error = error(&answer);
        if answer.is_empty() {
            return Ok(NAME.to_owned());
        }
        self.r#move(error).await
    }
    /// This method does not exist here, so no implementation is needed.
    #[cfg(any())]
    async fn never(&self, of: NoSuchType) -> Result<NoSuchType>;
    #[cfg(not(any()))]
    #[expect(unused_variables, reason = "this default needs none")]
    async fn sometimes(&self, unused: u8) -> Result<()> {
        Err(Error::not_found("not today"))
    }
    /// Renamed: its name in messages stays.
    #[wire("ebb")]
    async fn fall(&self, metres: u8) -> Result<u8> {
        Ok(metres)
    }
    #[deprecated = "for the test"]
    async fn partner(&self, other: Option<Arc<dyn Tide>>) -> Result<Vec<(String, Arc<dyn Tide>)>> {
        Ok(other.into_iter().map(|tide| ("other".to_owned(), tide)).collect())
    }
}

struct Here;

#[async_trait]
impl Tide for Here {
    async fn echo(
        &self,
        method: String,
        component: u8,
        request: bool,
        codec: i8,
        sent: u8,
    ) -> Result<String> {
        Ok(format!("{method} {component} {request} {codec} {sent}"))
    }
    async fn r#move(&self, r#type: String) -> Result<String> {
        Ok(format!("moved {type}"))
    }
    async fn fall(&self, metres: u8) -> Result<u8> {
        Ok(metres * 2)
    }
}

/// Passes calls on, which needs a proxy; answers methods in `unknown` as an older version would.
struct Elsewhere {
    object: Arc<dyn Object>,
    unknown: &'static [&'static str],
}

impl Object for Elsewhere {
    fn interface(&self) -> &str {
        self.object.interface()
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        if self.unknown.contains(&method) {
            let error = Error::new(Code::Unimplemented, "an older version");
            return Box::pin(async move { Err(error) });
        }
        self.object.invoke(method, request)
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn elsewhere(unknown: &'static [&'static str]) -> Arc<dyn Tide> {
    let object = Interface::serve(Arc::new(Here) as Arc<dyn Tide>);
    Interface::connect(Arc::new(Elsewhere { object, unknown }))
}

#[test]
fn calls_arrive_with_their_arguments() {
    block_on(async {
        let tide = elsewhere(&[]);
        assert_eq!(tide.echo("m".into(), 1, true, -2, 3).await.unwrap(), "m 1 true -2 3");
        assert_eq!(tide.r#move("it".into()).await.unwrap(), "moved it");
        assert_eq!(tide.sometimes(1).await.unwrap_err(), Error::not_found("not today"));
    });
}

#[test]
fn a_default_body_runs_where_the_other_side_has_no_such_method() {
    block_on(async {
        for tide in [elsewhere(&[]), elsewhere(&["greet", "sometimes"])] {
            assert_eq!(tide.greet(String::new()).await.unwrap(), NAME);
            assert_eq!(tide.greet("hi".into()).await.unwrap(), "moved the caller's own: hi");
            assert_eq!(tide.sometimes(1).await.unwrap_err(), Error::not_found("not today"));
        }
        let without = elsewhere(&["move"]).r#move("it".into()).await.unwrap_err();
        assert_eq!(without.code, Code::Unimplemented);
    });
}

#[test]
fn a_renamed_method_keeps_its_name_in_messages() {
    block_on(async {
        let object = Interface::serve(Arc::new(Here) as Arc<dyn Tide>);
        let request = || Message { body: r#"{"metres": 3}"#.into(), ..Default::default() };
        assert_eq!(object.invoke("ebb", request()).await.unwrap().body, "6");
        assert_eq!(object.invoke("fall", request()).await.unwrap_err().code, Code::Unimplemented);
        assert_eq!(elsewhere(&["fall"]).fall(3).await.unwrap(), 6);
        assert_eq!(elsewhere(&["ebb"]).fall(3).await.unwrap(), 3, "the default body");
    });
}

#[test]
#[allow(deprecated)]
fn an_object_that_comes_back_is_the_same_component() {
    block_on(async {
        let here: Arc<dyn Tide> = Arc::new(Here);
        let back = elsewhere(&[]).partner(Some(here.clone())).await.unwrap();
        assert!(back.len() == 1 && back[0].0 == "other" && Arc::ptr_eq(&back[0].1, &here));
        assert_eq!(elsewhere(&[]).partner(None).await.unwrap().len(), 0);
        // An absent option may be left out of the message.
        let object = Interface::serve(here);
        let reply =
            object.invoke("partner", Message { body: "{}".into(), ..Default::default() }).await.unwrap();
        assert_eq!(reply.body, "[]");
    });
}

#[test]
fn the_table_lists_the_existing_methods() {
    let method = |name, default| Method { name, default };
    let expected = [
        ("echo", false),
        ("move", false),
        ("greet", true),
        ("sometimes", true),
        ("ebb", true),
        ("partner", true),
    ];
    assert_eq!(<dyn Tide>::METHODS, expected.map(|(name, default)| method(name, default)));
    assert_eq!(<dyn Tide>::NAME, "acme.tide/1");
}

/// As in a crate that depends on the sdk alone.
mod elsewhere_in_the_tree {
    pub(super) mod api {
        pub(crate) use forethought_api::*;
    }
    #[forethought_api::interface("acme.moon/1", crate = crate::elsewhere_in_the_tree::api)]
    pub(super) trait Moon: Send + Sync {
        async fn phase(&self, tide: std::sync::Arc<dyn super::Tide>) -> super::Result<u8>;
    }
}

#[test]
fn the_api_may_have_another_path() {
    assert_eq!(<dyn elsewhere_in_the_tree::Moon>::NAME, "acme.moon/1");
    assert_eq!(<dyn elsewhere_in_the_tree::Moon>::METHODS.len(), 1);
}
