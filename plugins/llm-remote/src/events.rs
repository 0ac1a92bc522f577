//! Splits a stream of bytes into events: server-sent events, or one JSON document per line.

use bytes::{Buf, BytesMut};
use forethought_sdk::{serde::de::IgnoredAny, serde_json};

/// The byte order mark that some servers write first.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// How a stream is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events (WHATWG HTML standard, section 9.2). Providers use only data fields. Lines end with LF or
    /// CR LF; CR alone is not supported.
    Sse,
    /// Newline-delimited JSON.
    Lines,
    /// No stream: one document, such as JSON or HTML. Never requested, but found where events were expected.
    Whole,
}

impl Framing {
    /// Whether a whole body is a stream of this kind, though none was requested.
    pub(crate) fn fits(self, body: &str) -> bool {
        let first = body.lines().next().unwrap_or_default();
        match self {
            Self::Sse => {
                ["data:", "event:", "id:", "retry:", ":"].iter().any(|field| first.starts_with(field))
            }
            Self::Lines => first.len() < body.len() && serde_json::from_str::<IgnoredAny>(first).is_ok(),
            Self::Whole => false,
        }
    }
}

/// Bytes in, the data of events out; bytes may be split anywhere, even within a character.
#[derive(Debug)]
pub(crate) struct Events {
    framing: Framing,
    buffer: BytesMut,
    /// Bytes of the buffer that are known to contain no line end.
    searched: usize,
    data: Vec<u8>,
    /// Whether anything but white space has arrived.
    begun: bool,
}

impl Events {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, buffer: BytesMut::new(), searched: 0, data: Vec::new(), begun: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if !self.begun {
            self.begin();
        }
    }

    /// Removes byte order marks and empty lines, and finds out whether this is a stream at all.
    fn begin(&mut self) {
        loop {
            let ends = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.buffer.advance(ends);
            if !self.buffer.starts_with(MARK) {
                break;
            }
            self.buffer.advance(MARK.len());
        }
        if MARK.starts_with(&self.buffer) {
            return; // Nothing yet, or it may be half a mark.
        }
        if let Some(first) = self.buffer.iter().find(|byte| !byte.is_ascii_whitespace()) {
            self.begun = true;
            if self.framing == Framing::Sse && matches!(first, b'{' | b'[' | b'<') {
                self.framing = Framing::Whole;
            }
        }
    }

    /// Whether what arrives is one document and no stream.
    pub(crate) fn whole(&self) -> bool {
        self.framing == Framing::Whole
    }

    /// The next complete event.
    pub(crate) fn next(&mut self) -> Option<String> {
        if self.whole() || !self.begun {
            return None;
        }
        while let Some(length) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(self.searched + length);
            self.buffer.advance(1);
            self.searched = 0;
            if let Some(event) = self.line(line.strip_suffix(b"\r").unwrap_or(&line)) {
                return Some(event);
            }
        }
        self.searched = self.buffer.len();
        None
    }

    /// The rest at the end of the bytes: an event whose end is missing.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let line = self.buffer.split();
        self.searched = 0;
        self.line(&line).or_else(|| self.line(b""))
    }

    fn line(&mut self, line: &[u8]) -> Option<String> {
        match self.framing {
            Framing::Lines | Framing::Whole if line.trim_ascii().is_empty() => None,
            Framing::Lines | Framing::Whole => Some(text(line)),
            Framing::Sse if line.is_empty() => {
                let data = std::mem::take(&mut self.data);
                (!data.is_empty()).then(|| text(&data))
            }
            Framing::Sse => {
                let data = line.strip_prefix(b"data:")?;
                // Some servers forget the empty line between events; a complete document has no second line.
                let before = (!self.data.is_empty()
                    && serde_json::from_slice::<IgnoredAny>(&self.data).is_ok())
                .then(|| text(&std::mem::take(&mut self.data)));
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
                before
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(framing: Framing, parts: &[&[u8]]) -> Vec<String> {
        let mut events = Events::new(framing);
        let mut found = Vec::new();
        for part in parts {
            events.push(part);
            while let Some(event) = events.next() {
                found.push(event);
            }
        }
        while let Some(event) = events.rest() {
            found.push(event);
        }
        found
    }

    #[test]
    fn data_fields_are_events_and_the_rest_is_not() {
        let text = ": a comment\r\nevent: ping\r\nid: 7\r\ndata: {\"a\":1}\r\n\r\ndata:two\ndata: lines\n\n\n\ndata: last";
        assert_eq!(all(Framing::Sse, &[text.as_bytes()]), ["{\"a\":1}", "two\nlines", "last"]);
    }

    #[test]
    fn lines_are_events_and_empty_ones_are_not() {
        assert_eq!(all(Framing::Lines, &[b"{}\n\n[1]\r\n{\"a\"", b":2}"]), ["{}", "[1]", "{\"a\":2}"]);
    }

    #[test]
    fn what_is_almost_a_stream_is_split_as_well() {
        for (framing, bytes, expected) in [
            // No empty line between events.
            (
                Framing::Sse,
                "data: {\"a\":1}\ndata: {\"b\":\ndata: 2}\ndata: [DONE]\n",
                &["{\"a\":1}", "{\"b\":\n2}", "[DONE]"][..],
            ),
            // A byte order mark.
            (Framing::Sse, "\u{feff}data: 1\n\ndata: 2\n\n", &["1", "2"]),
            (Framing::Lines, "\u{feff}{}\n{}\n", &["{}", "{}"]),
            (Framing::Sse, "\r\n\u{feff}data: 1\n\n", &["1"]),
            (Framing::Lines, "\n\u{feff}{}\n", &["{}"]),
            // White space that is no line end belongs to its line.
            (Framing::Sse, "\n data: 1\n\ndata: 2\n\n", &["2"]),
            (Framing::Lines, " \n {}\n", &[" {}"]),
            // One document.
            (Framing::Sse, "\u{feff} \n{\"a\":\n1}\n", &[" \n{\"a\":\n1}\n"]),
            (Framing::Sse, "<html>\n\n</html>", &["<html>\n\n</html>"]),
        ] {
            let bytes = bytes.as_bytes();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(all(framing, &[bytes]), expected);
            assert_eq!(all(framing, &single), expected);
        }
    }

    proptest! {
        #[test]
        fn where_bytes_are_split_does_not_matter(
            events in prop::collection::vec("[a-zé✓][a-zé✓ ]{0,11}", 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            crlf: bool,
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            for framing in [Framing::Sse, Framing::Lines] {
                let written = events.iter().map(|event| match framing {
                    Framing::Sse => format!("event: x{end}data: {event}{end}{end}"),
                    _ => format!("{event}{end}"),
                });
                let bytes = written.collect::<String>().into_bytes();
                let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                places.extend([0, bytes.len()]);
                places.sort_unstable();
                let parts: Vec<_> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
                prop_assert_eq!(all(framing, &parts), events.clone());
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            for framing in [Framing::Sse, Framing::Lines] {
                all(framing, &[&bytes]);
            }
        }
    }
}
