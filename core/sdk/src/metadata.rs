//! What can be known about a library without running it: records in a section of the file, written by
//! [`register!`](crate::register) when the library is compiled.
//!
//! A record is `FTHMETA1\0`, a little-endian `u32` length, and that much JSON.

use forethought_abi::METADATA_MAGIC;

/// The start of every record: how this library was built.
pub const HEAD: &[&str] = &[
    "{\"abi_major\":1,\"abi_minor\":",
    MINOR,
    ",\"sdk\":\"",
    env!("CARGO_PKG_VERSION"),
    "\",\"rustc\":\"",
    env!("FORETHOUGHT_RUSTC"),
    "\",\"target\":\"",
    env!("FORETHOUGHT_TARGET"),
    "\",\"panic\":\"",
    if cfg!(panic = "abort") { "abort" } else { "unwind" },
];

const MINOR: &str = {
    assert!(forethought_abi::ABI_MAJOR == 1 && forethought_abi::ABI_MINOR < 10);
    const DIGIT: &[u8] = &[b'0' + forethought_abi::ABI_MINOR as u8];
    match std::str::from_utf8(DIGIT) {
        Ok(digit) => digit,
        Err(_) => panic!("a digit is UTF-8"),
    }
};

/// Length of the record that [`record`] makes from `fields`.
pub const fn length(fields: &[&str]) -> usize {
    METADATA_MAGIC.len() + 4 + json_length(HEAD) + json_length(fields) + 2
}

/// A record of [`HEAD`] and `fields`; the fields continue the JSON text inside its last string.
///
/// # Panics
/// At compile time, if one of the caller's values needs escaping in JSON.
pub const fn record<const N: usize>(fields: &[&str]) -> [u8; N] {
    let mut record = Writer { bytes: [0; N], at: 0 };
    record.write(METADATA_MAGIC);
    record.write(&((N - METADATA_MAGIC.len() - 4) as u32).to_le_bytes());
    let mut index = 0;
    while index < HEAD.len() {
        record.write(HEAD[index].as_bytes());
        index += 1;
    }
    index = 0;
    while index < fields.len() {
        // Fields with odd indices are the caller's values; the even ones are written by `register!`.
        if index % 2 == 1 {
            plain(fields[index].as_bytes());
        }
        record.write(fields[index].as_bytes());
        index += 1;
    }
    record.write(b"\"}");
    assert!(record.at == N);
    record.bytes
}

struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    const fn write(&mut self, bytes: &[u8]) {
        let mut index = 0;
        while index < bytes.len() {
            self.bytes[self.at] = bytes[index];
            self.at += 1;
            index += 1;
        }
    }
}

const fn json_length(parts: &[&str]) -> usize {
    let (mut length, mut index) = (0, 0);
    while index < parts.len() {
        length += parts[index].len();
        index += 1;
    }
    length
}

const fn plain(bytes: &[u8]) {
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        assert!(
            byte >= b' ' && byte != b'"' && byte != b'\\',
            "kinds and versions must not contain control characters, quotes or backslashes"
        );
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_magic_length_and_json() {
        const FIELDS: &[&str] = &["\",\"id\":\"", "grid world"];
        const LENGTH: usize = length(FIELDS);
        let record: [u8; LENGTH] = record(FIELDS);
        let (magic, rest) = record.split_at(9);
        let (size, json) = rest.split_at(4);
        assert_eq!(magic, METADATA_MAGIC);
        assert_eq!(u32::from_le_bytes(size.try_into().unwrap()) as usize, json.len());
        let json: serde_json::Value = serde_json::from_slice(json).unwrap();
        assert_eq!(json["id"], "grid world");
        assert_eq!(json["abi_minor"], forethought_abi::ABI_MINOR);
        assert_eq!(json["panic"], "unwind");
        assert!(json["rustc"].as_str().unwrap().starts_with("rustc "));
    }
}
