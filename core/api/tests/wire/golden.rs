//! The checked-in messages, `<name>.<major>.json`, one file per interface: older and newer plugins rely on them.
//!
//! The code must write what the files hold. After a deliberate change, `UPDATE=1 cargo test -p forethought-api`
//! updates them. It lets messages grow (a field with a default, a method with a default body) and refuses everything
//! else, which needs a new major version of the interface, and a new file.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use forethought_api::wire::{Codec, Message, Object, Reply};
use futures::executor::block_on;
use serde_json::{Map, Value, json};

use crate::{far::Far, for_every_interface, sample::Tried};

fn file<I: Tried + ?Sized>() -> PathBuf {
    let name = I::NAME.trim_start_matches("forethought.").replace('/', ".");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/wire/{name}.json"))
}

fn checked_in<I: Tried + ?Sized>() -> Option<Value> {
    let text = std::fs::read_to_string(file::<I>()).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file::<I>().display())))
}

/// A readable message: the body, interface names for objects, hexadecimal for blobs.
fn shown(message: &Message) -> Value {
    let mut shown = json!({ "body": serde_json::from_slice::<Value>(&message.body).unwrap() });
    if !message.objects.is_empty() {
        shown["objects"] = message.objects.iter().map(|object| object.interface()).collect();
    }
    if !message.blobs.is_empty() {
        let hex = |blob: &[u8]| blob.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        shown["blobs"] = message.blobs.iter().map(|blob| hex(blob)).collect();
    }
    shown
}

/// The first call of each method, as written now.
fn written<I: Tried + ?Sized>() -> Value {
    let far = Far::new(I::serve(I::sample()), Codec::Json);
    let calls = far.calls.clone();
    block_on(I::calls(I::connect(Arc::new(far))));
    let mut methods = Map::new();
    for (method, request, reply) in calls.lock().unwrap().iter() {
        let call = || json!({ "request": shown(request), "reply": shown(reply) });
        methods.entry(method.clone()).or_insert_with(call);
    }
    let all: Vec<&str> = I::METHODS.iter().map(|method| method.name).collect();
    assert_eq!(
        methods.keys().collect::<Vec<_>>(),
        all,
        "the sample must call every method, in the trait's order"
    );
    methods.into()
}

/// The first place where `new` no longer holds what `old` holds.
fn lost(old: &Value, new: &Value, at: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(key, value)| {
            let at = format!("{at}/{key}");
            new.get(key).map_or_else(|| Some(at.clone()), |new| lost(value, new, &at))
        }),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let mut pairs = old.iter().zip(new).enumerate();
            pairs.find_map(|(index, (old, new))| lost(old, new, &format!("{at}/{index}")))
        }
        _ => (old != new).then(|| at.to_owned()),
    }
}

#[test]
fn messages_match_the_files() {
    fn check<I: Tried + ?Sized>() {
        let (old, new) = (checked_in::<I>(), written::<I>());
        if std::env::var_os("UPDATE").is_some() {
            if let Some(place) = old.and_then(|old| lost(&old, &new, "")) {
                panic!("{}: {place} was removed or changed, which needs a new major version", I::NAME);
            }
            std::fs::write(file::<I>(), serde_json::to_string_pretty(&new).unwrap() + "\n").unwrap();
        } else {
            let file = file::<I>();
            assert!(
                old.as_ref() == Some(&new),
                "the messages of {} differ from {}. If they were meant to grow, run UPDATE=1 cargo test -p \
                 forethought-api and check the difference. Now: {new:#}",
                I::NAME,
                file.display()
            );
        }
    }
    for_every_interface!(check);
}

#[test]
fn a_message_must_not_lose_anything() {
    let old = json!({ "a": { "b": [1, { "c": null }] } });
    assert_eq!(lost(&old, &json!({ "new": 1, "a": { "b": [1, { "c": null, "d": 2 }] } }), ""), None);
    assert_eq!(lost(&old, &json!({ "a": { "b": [1, {}] } }), "").unwrap(), "/a/b/1/c");
    assert_eq!(lost(&old, &json!({ "a": { "b": [2, { "c": null }] } }), "").unwrap(), "/a/b/0");
    assert_eq!(lost(&old, &json!({ "a": { "b": [] } }), "").unwrap(), "/a/b");
}

/// An object of another version: every map of data in its messages is changed on the way.
struct Aged(Arc<dyn Object>, fn(&mut Map<String, Value>));

fn edited(mut message: Message, edit: impl FnOnce(&mut Value)) -> Message {
    let mut body = serde_json::from_slice(&message.body).unwrap();
    edit(&mut body);
    message.body = body.to_string().into();
    message
}

impl Object for Aged {
    fn interface(&self) -> &str {
        self.0.interface()
    }
    fn understands(&self, codec: Codec) -> bool {
        codec == Codec::Json
    }
    fn invoke(&self, method: &str, request: Message) -> Reply {
        let change = self.1;
        // Not the map of arguments itself: methods neither gain nor lose arguments.
        let arguments = |body: &mut Value| {
            body.as_object_mut().unwrap().values_mut().for_each(|argument| each_map(argument, change));
        };
        let reply = self.0.invoke(method, edited(request, arguments));
        Box::pin(async move { Ok(edited(reply.await?, |body| each_map(body, change))) })
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Changes every map in `value` except references to attachments.
fn each_map(value: &mut Value, change: fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) if map.contains_key("object") || map.contains_key("blob") => {}
        Value::Object(map) => {
            map.values_mut().for_each(|value| each_map(value, change));
            change(map);
        }
        Value::Array(values) => values.iter_mut().for_each(|value| each_map(value, change)),
        _ => {}
    }
}

fn is_read<I: Tried + ?Sized>(change: fn(&mut Map<String, Value>)) {
    let said = block_on(I::calls(I::connect(Arc::new(Aged(I::serve(I::sample()), change)))));
    let unread: Vec<_> = said.iter().filter(|said| said.contains("cannot be read")).collect();
    assert!(unread.is_empty(), "{}: {unread:#?}", I::NAME);
}

#[test]
fn unknown_fields_are_ignored() {
    fn check<I: Tried + ?Sized>() {
        is_read::<I>(|map| drop(map.insert("of_the_future".into(), json!(1))));
    }
    for_every_interface!(check);
}

#[test]
fn missing_fields_have_defaults() {
    fn check<I: Tried + ?Sized>() {
        is_read::<I>(Map::clear);
    }
    for_every_interface!(check);
}
