//! Every interface over the wire: the same answers as in one image, the checked-in messages, and malformed ones.

mod far;
mod golden;
mod messages;
mod sample;
mod schema;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    critic::{Critic, CriticQuery, Estimate},
    error::Code,
    importer::Importer,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities},
    planner::Requirements,
    registry::INTERFACES,
    wire::{Codec, Interface, Message, Object},
};
use futures::executor::block_on;

use far::{Far, far};
use sample::{Sample, Tried};

const CODECS: [Codec; 2] = [Codec::Json, Codec::MessagePack];

#[test]
fn every_interface_answers_over_the_wire_as_it_does_directly() {
    fn same<I: Tried + ?Sized>() {
        let directly = block_on(I::calls(I::sample()));
        for codec in CODECS {
            assert_eq!(block_on(I::calls(far(I::sample(), codec))), directly, "{} in {codec:?}", I::NAME);
        }
    }
    for_every_interface!(same);
}

#[test]
fn every_interface_of_components_is_tried() {
    static TRIED: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    fn note<I: Tried + ?Sized>() {
        TRIED.lock().unwrap().push(I::NAME);
    }
    for_every_interface!(note);
    let tried = TRIED.lock().unwrap();
    for (name, word) in INTERFACES {
        assert!(tried.contains(name), "no test tries {word}, {name}");
    }
}

/// Implements only the methods without a default body.
struct Least;

#[async_trait]
impl LlmBackend for Least {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        let mut error = Error::new(Code::Provider, "busy").because(Error::other("429")).retryable().refused();
        error.chain.push("über".into());
        Err(error)
    }
}

#[async_trait]
impl Critic for Least {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        Ok(vec![Estimate { raw: 7.0, ..Estimate::default() }; queries.len()])
    }
}

#[test]
fn errors_keep_code_message_causes_and_whether_to_retry() {
    let least: Arc<dyn LlmBackend> = Arc::new(Least);
    let directly = block_on(least.complete(ChatRequest::default())).unwrap_err();
    for codec in CODECS {
        assert_eq!(
            block_on(far(least.clone(), codec).complete(ChatRequest::default())).unwrap_err(),
            directly
        );
    }
}

#[test]
fn a_backend_that_does_not_stream_says_so_from_afar_too() {
    let least: Arc<dyn LlmBackend> = Arc::new(Least);
    let directly = block_on(least.stream(ChatRequest::default())).err().unwrap();
    let from_afar = block_on(far(least, Codec::Json).stream(ChatRequest::default())).err().unwrap();
    assert_eq!((from_afar.code, &from_afar), (Code::Unimplemented, &directly));
}

#[test]
fn default_bodies_run_here_where_the_other_side_is_older() {
    let sample = Interface::serve(Arc::new(Sample) as Arc<dyn Critic>);
    for codec in CODECS {
        let older = Far::new(sample.clone(), codec).without(&["requires", "estimate_with"]);
        let older = <dyn Critic>::connect(Arc::new(older));
        assert_eq!(block_on(older.requires()).unwrap(), Requirements::default());
        // The default body calls `estimate`, which the other side does know.
        let queries = vec![CriticQuery::default(); 3];
        let answer = block_on(older.estimate_with(queries.clone(), Arc::new(Sample))).unwrap();
        assert_eq!(answer, block_on(older.estimate(queries)).unwrap());
        // The same if the component itself leaves it to the default body.
        let least = far(Arc::new(Least) as Arc<dyn Critic>, codec);
        let answer = block_on(least.estimate_with(vec![CriticQuery::default()], Arc::new(Sample))).unwrap();
        assert_eq!(answer[0].raw, 7.0);
    }
}

#[test]
fn a_component_that_comes_back_is_the_same_component() {
    let here: Arc<dyn LlmBackend> = Arc::new(Sample);
    let object = Interface::serve(here.clone());
    assert!(Arc::ptr_eq(&<dyn LlmBackend>::connect(object), &here));
    // A proxy is served as the object that it calls, not as a proxy of a proxy.
    let object: Arc<dyn Object> = Arc::new(Far::new(Interface::serve(here), Codec::Json));
    let proxy = <dyn LlmBackend>::connect(object.clone());
    assert!(Arc::ptr_eq(&Interface::serve(proxy), &object));
}

#[test]
fn an_unknown_method_is_unimplemented() {
    fn ask<I: Tried + ?Sized>() {
        let error = block_on(I::serve(I::sample()).invoke("dance", Message::default())).unwrap_err();
        assert_eq!(error.code, Code::Unimplemented);
        assert_eq!(error.message, format!("{} has no method `dance`", I::NAME));
    }
    for_every_interface!(ask);
}

#[test]
#[cfg(unix)]
fn arguments_that_cannot_be_encoded_are_named() {
    use std::os::unix::ffi::OsStringExt;
    let importer = far(Arc::new(Sample) as Arc<dyn Importer>, Codec::Json);
    let path = std::ffi::OsString::from_vec(vec![b'/', 0xff]);
    let error = block_on(importer.import(path.into(), Arc::new(Sample))).unwrap_err();
    assert_eq!(error.message, "the arguments of forethought.importer/1.import cannot be written");
    assert_eq!(error.chain, ["path contains invalid UTF-8 characters"]);
}

#[test]
fn a_body_that_cannot_be_read_is_a_bad_request_that_names_the_method() {
    fn ask<I: Tried + ?Sized>() {
        for codec in CODECS {
            for (method, body) in
                I::METHODS.iter().flat_map(|method| [(method, "{"), (method, "[1, 2"), (method, "\"")])
            {
                let request = Message { codec, body: body.into(), ..Message::default() };
                let error = block_on(I::serve(I::sample()).invoke(method.name, request)).unwrap_err();
                let what = format!("the arguments of {}.{} cannot be read", I::NAME, method.name);
                assert_eq!((error.code, error.message), (Code::BadRequest, what), "{body} in {codec:?}");
            }
        }
    }
    for_every_interface!(ask);
}
