//! What a message carries without loss, and what it refuses.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use forethought_api::{
    Error,
    critic::Estimate,
    encoder::{Matrix, TextEncoder},
    environment::Recovery,
    error::Code,
    llm::{FinishReason, LlmBackend, Purpose, Role},
    planner::Models,
    registry::Component,
    wire::{Codec, Interface, Message, Object, Reply, handle},
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{CODECS, sample::Sample};

fn crossed<T: Serialize + DeserializeOwned>(codec: Codec, value: &T) -> T {
    Message::encode(codec, value).unwrap().decode().unwrap()
}

fn text<T: DeserializeOwned>(body: impl Into<String>) -> forethought_api::Result<T> {
    Message { body: body.into().into(), ..Message::default() }.decode()
}

/// Values as deep and wide as they come in messages.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn values_cross_exactly(value in values()) {
        for codec in CODECS {
            prop_assert_eq!(&crossed(codec, &value), &value);
        }
    }

    #[test]
    fn floats_cross_to_the_last_bit(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite());
        for codec in CODECS {
            prop_assert_eq!(crossed(codec, &float).to_bits(), bits);
            let estimate = Estimate { probability: float, raw: -float, uncertainty: float / 3.0, ..Estimate::default() };
            prop_assert_eq!(crossed(codec, &estimate), estimate);
        }
    }

    #[test]
    fn a_matrix_crosses_to_the_last_bit(bits in prop::collection::vec(any::<u32>(), 0..64)) {
        let matrix = Matrix::new(1, bits.len(), bits.iter().copied().map(f32::from_bits).collect()).unwrap();
        for codec in CODECS {
            let back: Matrix = crossed(codec, &matrix);
            let back: Vec<u32> = back.into_data().into_iter().map(f32::to_bits).collect();
            prop_assert_eq!(&back, &bits);
        }
    }

    #[test]
    fn no_body_makes_a_reader_panic(body in prop::collection::vec(any::<u8>(), 0..256), pack in any::<bool>()) {
        let codec = if pack { Codec::MessagePack } else { Codec::Json };
        let message = Message { codec, body: body.into(), ..Message::default() };
        // It may or may not be a value; what can be read can be written again.
        if let Ok(value) = message.clone().decode::<Value>() {
            prop_assert_eq!(crossed(codec, &value), value);
        }
        let _ = message.clone().decode::<Matrix>();
        let _ = message.decode::<forethought_api::planner::Decision>();
    }
}

#[test]
fn the_ends_of_the_integers_cross() {
    for codec in CODECS {
        assert_eq!(crossed(codec, &(u64::MAX, i64::MIN, i64::MAX)), (u64::MAX, i64::MIN, i64::MAX));
    }
}

#[test]
fn a_float_that_json_cannot_represent_is_refused_by_the_reader() {
    // JSON has no NaN: serde_json writes null, and reading null as a number is an error.
    let estimate = Estimate { probability: f64::NAN, ..Estimate::default() };
    let error = Message::encode(Codec::Json, &estimate).unwrap().decode::<Estimate>().unwrap_err();
    assert!(error.message.contains("invalid type: null, expected f64"), "{error}");
    assert!(crossed(Codec::MessagePack, &estimate).probability.is_nan());
}

#[test]
fn four_mebibytes_cross() {
    let long = "🌊".repeat(1 << 20);
    let large = Matrix::new(1 << 10, 1 << 10, (0..1 << 20).map(|n| n as f32).collect()).unwrap();
    for codec in CODECS {
        assert!(crossed(codec, &long) == long);
        let message = Message::encode(codec, &large).unwrap();
        assert!(message.body.len() < 64 && message.blobs[0].len() == 4 << 20);
        assert!(message.decode::<Matrix>().unwrap() == large);
    }
}

#[test]
fn a_body_is_one_value_and_nothing_after_it() {
    for codec in CODECS {
        let mut message = Message::encode(codec, &true).unwrap();
        message.body = [&message.body[..], b"!"].concat().into();
        assert!(message.decode::<bool>().is_err(), "{codec:?}");
        assert!(
            Message { codec, ..Message::default() }.decode::<bool>().is_err(),
            "an empty body in {codec:?}"
        );
    }
}

#[test]
fn a_body_that_nests_without_end_is_refused() {
    let deep = "[".repeat(100_000);
    assert!(text::<Value>(deep.clone()).unwrap_err().message.contains("recursion limit"));
    let deep = Message { codec: Codec::MessagePack, body: vec![0x91; 100_000].into(), ..Message::default() };
    assert!(deep.decode::<Value>().unwrap_err().message.contains("depth limit"));
}

#[test]
fn values_of_newer_programs_are_read_as_unknown() {
    assert_eq!(text::<Role>("\"narrator\"").unwrap(), Role::Unknown);
    assert_eq!(text::<Purpose>("\"dream\"").unwrap(), Purpose::Other);
    assert_eq!(text::<FinishReason>("\"bored\"").unwrap(), FinishReason::Other);
    assert_eq!(text::<Recovery>("\"rewind\"").unwrap(), Recovery::Unknown);
    assert_eq!(text::<Code>("\"eclipse\"").unwrap(), Code::Other);
    assert_eq!(text::<Error>(r#"{"message": "dark"}"#).unwrap(), Error::other("dark"));
    for codec in CODECS {
        assert_eq!(Message::encode(codec, &"narrator").unwrap().decode::<Role>().unwrap(), Role::Unknown);
    }
}

fn matrix(body: Value, blob: &[u8]) -> Result<Matrix, String> {
    let blobs = vec![blob.to_vec().into()];
    let message = Message { body: body.to_string().into(), blobs, ..Message::default() };
    message.decode().map_err(|error| error.message)
}

#[test]
fn a_matrix_that_does_not_fit_its_numbers_is_refused() {
    let four = 1f32.to_le_bytes();
    assert_eq!(matrix(json!({ "rows": 1, "columns": 1, "blob": 0 }), &four).unwrap().data(), [1.0]);
    let refused = [
        (
            json!({ "rows": 1, "columns": 1, "blob": 0, "dtype": "f32" }),
            &four[..3],
            "3 bytes are not a whole number of f32",
        ),
        (json!({ "rows": 1, "columns": 2, "blob": 0 }), &four[..], "1 numbers cannot fill a 1 x 2 matrix"),
        (json!({ "rows": u64::MAX, "columns": 2, "blob": 0 }), &four[..], "cannot fill"),
        (json!({ "rows": 1u64 << 33, "columns": 1u64 << 33, "blob": 0 }), &four[..], "cannot fill"),
        (json!({ "rows": 1, "columns": 1, "blob": 1 }), &four[..], "this message has no blob 1"),
        (
            json!({ "rows": 1, "columns": 1, "blob": 0, "dtype": "f16" }),
            &four[..],
            "the matrix holds f16, not f32",
        ),
        (json!({ "rows": 1, "columns": 1 }), &four[..], "0 numbers cannot fill a 1 x 1 matrix"),
        (json!({ "rows": -1, "columns": 1, "blob": 0 }), &four[..], "invalid value: integer `-1`"),
    ];
    for (body, blob, expected) in refused {
        let error = matrix(body.clone(), blob).unwrap_err();
        assert!(error.contains(expected), "{body}: {error}");
    }
}

#[test]
fn outside_of_a_message_a_matrix_is_plain_data_and_an_object_is_an_error() {
    let matrix = Matrix::new(1, 2, vec![0.1, -3.5]).unwrap();
    let text = serde_json::to_string(&matrix).unwrap();
    assert_eq!(text, r#"{"rows":1,"columns":2,"data":[0.1,-3.5]}"#);
    assert_eq!(serde_json::from_str::<Matrix>(&text).unwrap(), matrix);
    let component = Component::Encoder(Arc::new(Sample));
    let error = serde_json::to_string(&component).unwrap_err().to_string();
    assert_eq!(error, "an object can only be written into a message");
}

/// Arguments as the macro writes them.
#[derive(Serialize, Deserialize)]
struct Arguments {
    #[serde(with = "handle")]
    llm: Arc<dyn LlmBackend>,
}

#[test]
fn an_object_that_is_not_there_or_of_another_interface_is_refused() {
    let encoder = <dyn TextEncoder>::serve(Arc::new(Sample));
    let ask = |body: &str| {
        let message =
            Message { body: body.to_owned().into(), objects: vec![encoder.clone()], ..Message::default() };
        message.decode::<Arguments>().err().unwrap().message
    };
    let error = ask(r#"{"llm": {"object": 0}}"#);
    assert!(
        error.contains("expected an object of forethought.llm/1, got one of forethought.encoder/1"),
        "{error}"
    );
    let error = ask(r#"{"llm": {"object": 7}}"#);
    assert!(error.contains("this message has no object 7"), "{error}");
    let error = ask(r#"{"llm": {"object": -1}}"#);
    assert!(error.contains("invalid value"), "{error}");
    let error = ask(r#"{"llm": null}"#);
    assert!(error.contains("invalid type: null"), "{error}");
    let message = Message { body: r#"{"object": 0}"#.into(), ..Message::default() };
    let models = Message { objects: vec![<dyn Models>::serve(Arc::new(Sample))], ..message };
    let error = models.decode::<Component>().err().unwrap().message;
    assert!(error.contains("`forethought.models/1` is not an interface of components"), "{error}");
}

/// Runs code while it is written.
struct While<F>(F);

impl<F: Fn()> Serialize for While<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0)();
        serializer.serialize_unit()
    }
}

#[test]
fn a_message_within_a_message_keeps_its_attachments_to_itself() {
    let matrix = || Matrix::new(1, 1, vec![1.0]).unwrap();
    let inner = || {
        let message = Message::encode(Codec::Json, &(matrix(), matrix())).unwrap();
        assert_eq!(message.blobs.len(), 2);
        assert_eq!(message.decode::<(Matrix, Matrix)>().unwrap().1, matrix());
    };
    let message = Message::encode(Codec::Json, &(matrix(), While(inner), matrix())).unwrap();
    assert_eq!(message.blobs.len(), 2);
    assert_eq!(
        message.body,
        r#"[{"rows":1,"columns":1,"dtype":"f32","blob":0},null,{"rows":1,"columns":1,"dtype":"f32","blob":1}]"#
    );
}

#[test]
fn a_panic_or_an_error_while_writing_leaves_nothing_behind() {
    let matrix = Matrix::new(1, 1, vec![1.0]).unwrap();
    let panics = While(|| panic!("while it is written"));
    assert!(catch_unwind(AssertUnwindSafe(|| Message::encode(Codec::Json, &(&matrix, &panics)))).is_err());
    let no_key = std::collections::BTreeMap::from([((1, 2), &matrix)]);
    assert!(Message::encode(Codec::Json, &(&matrix, no_key)).is_err());
    assert!(text::<Arguments>("{").is_err());
    // If a message were still open, the numbers would be attached to it.
    assert!(serde_json::to_string(&matrix).unwrap().contains("data"));
    assert_eq!(Message::encode(Codec::Json, &matrix).unwrap().blobs.len(), 1);
}

/// An object whose destructor reads and writes messages.
struct Last(Arc<Mutex<u32>>);

impl Object for Last {
    fn interface(&self) -> &str {
        "acme.last/1"
    }
    fn invoke(&self, _: &str, _: Message) -> Reply {
        unreachable!("it is never called")
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let matrix = Matrix::new(1, 1, vec![1.0]).unwrap();
        assert_eq!(crossed(Codec::Json, &matrix), matrix);
        *self.0.lock().unwrap() += 1;
    }
}

#[test]
fn objects_that_nobody_takes_are_dropped_and_may_run_any_code() {
    let dropped = Arc::new(Mutex::new(0));
    let objects = || vec![Arc::new(Last(dropped.clone())) as Arc<dyn Object>; 1];
    let unread = Message { body: "true".into(), objects: objects(), ..Message::default() };
    assert!(unread.decode::<bool>().unwrap());
    let garbage = Message { body: "?".into(), objects: objects(), ..Message::default() };
    assert!(garbage.decode::<bool>().is_err());
    drop(Message { objects: objects(), ..Message::default() });
    assert_eq!(*dropped.lock().unwrap(), 3);
}
