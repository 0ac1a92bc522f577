//! Ids of encoders: `kind/version?setting=value&setting=value`.
//!
//! A checkpoint names the encoder that it was trained with by such an id. A setting that came later is only written
//! where it changes vectors, so that older checkpoints find their encoder.

/// A setting that is a text. What separates settings is escaped, as in an address.
///
/// ```
/// use forethought_sdk::encoder_id::escaped;
/// assert_eq!(escaped("query: "), "query: ");
/// assert_eq!(escaped("a&b = 100 %\n"), "a%26b %3D 100 %25%0A");
/// ```
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '&' | '=' | '?') || c.is_control() {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| escaped += &format!("%{byte:02X}"));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// The prompt to configure for an encoder whose vectors are those of the id `wanted`, if `found` differs from it only in
/// what is put before texts.
pub(crate) fn other_prompt(found: &str, wanted: &str) -> Option<String> {
    let of_prompt = |setting: &&str| setting.starts_with("prompt=") || setting.starts_with("include_prompt=");
    let rest = |id: &str| id.split('&').filter(|setting| !of_prompt(setting)).collect::<Vec<_>>().join("&");
    if found == wanted || rest(found) != rest(wanted) {
        return None;
    }
    let prompt = wanted.split('&').find_map(|setting| setting.strip_prefix("prompt=")).unwrap_or_default();
    unescaped(prompt)
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_makes_the_difference_is_found() {
        let id = "bert/v1?weights=a&lowercase=false";
        for prompt in ["query: ", "a&b=%\u{7f}é\n"] {
            let with = format!("{id}&prompt={}", escaped(prompt));
            assert_eq!(other_prompt(&with, id).as_deref(), Some(""));
            assert_eq!(other_prompt(id, &with).as_deref(), Some(prompt));
            assert_eq!(other_prompt(&format!("{with}&include_prompt=false"), id).as_deref(), Some(""));
            assert_eq!(other_prompt(&with, &with), None);
            assert_eq!(other_prompt(&with, "bert/v1?weights=b&lowercase=false"), None);
        }
    }
}
