//! What a tool returns, as text. What is not text is named, with its size: nothing is dropped without a word.

use forethought_sdk::serde_json;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

/// The result of a call as an agent sees it.
pub(crate) fn text(result: &CallToolResult) -> String {
    let mut parts: Vec<String> = result.content.iter().map(part).collect();
    if parts.is_empty() {
        parts.extend(result.structured_content.as_ref().map(serde_json::Value::to_string));
    }
    if parts.is_empty() { "(no output)".into() } else { parts.join("\n") }
}

fn part(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => binary("image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => binary("audio", &audio.mime_type, &audio.data),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("[resource {uri}]\n{text}"),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                binary(&format!("resource {uri}"), mime_type.as_deref().unwrap_or("unknown type"), blob)
            }
            _ => "[a resource of a kind that this program does not know]".into(),
        },
        ContentBlock::ResourceLink(link) => format!("[resource {} ({}), not read]", link.uri, link.name),
        #[allow(unreachable_patterns)]
        _ => "[content of a kind that this program does not know]".into(),
    }
}

/// What stays of bytes in base64.
fn binary(what: &str, kind: &str, data: &str) -> String {
    let padding = data.bytes().rev().take_while(|byte| *byte == b'=').count();
    let bytes = (data.len() / 4 * 3).saturating_sub(padding);
    format!("[{what}: {kind}, {bytes} bytes, not shown]")
}

#[cfg(test)]
mod tests {
    use rmcp::model::CallToolResult;

    use super::*;

    #[test]
    fn everything_in_a_result_is_shown_or_named() {
        let result: CallToolResult = serde_json::from_str(
            r#"{"content": [
                {"type": "text", "text": "two files"},
                {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"},
                {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
                {"type": "resource", "resource": {"uri": "file:///b", "mimeType": "application/zip", "blob": "aGVs"}},
                {"type": "resource_link", "uri": "file:///c", "name": "c"}
            ]}"#,
        )
        .unwrap();
        assert_eq!(
            text(&result),
            "two files\n[image: image/png, 5 bytes, not shown]\n[resource file:///a]\ninside\n\
             [resource file:///b: application/zip, 3 bytes, not shown]\n[resource file:///c (c), not read]"
        );
        let structured = r#"{"content": [], "structuredContent": {"total": 3}}"#;
        assert_eq!(text(&serde_json::from_str(structured).unwrap()), r#"{"total":3}"#);
        assert_eq!(text(&serde_json::from_str(r#"{"content": []}"#).unwrap()), "(no output)");
    }
}
