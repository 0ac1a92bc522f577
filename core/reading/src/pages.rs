//! Templates and styles, compiled in. Everything that a template prints is escaped.

use std::borrow::Cow;
use std::sync::LazyLock;

use forethought_api::{Error, Result};
use minijinja::{
    Environment, UndefinedBehavior, Value, escape_formatter, syntax::SyntaxConfig, value::Serde,
};
use serde::Serialize;

use crate::text::visible;

/// The style sheet of all pages, and what the viewer adds.
pub(crate) const BASE: &str = include_str!("../templates/base.css");
pub(crate) const VIEWER: &str = include_str!("../templates/viewer.css");
pub(crate) const SCRIPT: &str = include_str!("../templates/viewer.js");

const TEMPLATES: [(&str, &str); 10] = [
    ("report.html", include_str!("../templates/report.html")),
    ("page.html", include_str!("../templates/page.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("list.html", include_str!("../templates/list.html")),
    ("rows.html", include_str!("../templates/rows.html")),
    ("episode.html", include_str!("../templates/episode.html")),
    ("beside.html", include_str!("../templates/beside.html")),
    ("calls.html", include_str!("../templates/calls.html")),
    ("calls-page.html", include_str!("../templates/calls-page.html")),
    ("error.html", include_str!("../templates/error.html")),
];

static PAGES: LazyLock<Result<Environment<'static>>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    // Names of seats, metrics and settings are texts of others, too.
    pages.set_formatter(|out, state, value| match value.as_str().map(visible) {
        Some(Cow::Owned(shown)) if !value.is_safe() => escape_formatter(out, state, &Value::from(shown)),
        _ => escape_formatter(out, state, value),
    });
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    pages.set_syntax(syntax.map_err(|error| Error::other(format!("the templates' syntax: {error:#}")))?);
    pages.add_filter("fixed", |number: f64, digits: usize| match digits {
        0 if number >= 0.0 => grouped(number.round() as u64),
        _ => format!("{number:.digits$}"),
    });
    pages.add_filter("signed", |number: f64, digits: usize| format!("{number:+.digits$}"));
    pages.add_filter("grouped", grouped);
    for (name, source) in TEMPLATES {
        pages
            .add_template(name, source)
            .map_err(|error| Error::other(format!("the template {name} does not parse: {error:#}")))?;
    }
    Ok(pages)
});

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A page, or a part of one.
///
/// # Errors
/// If the template cannot be rendered.
pub(crate) fn render(name: &str, data: &impl Serialize) -> Result<String> {
    let pages = PAGES.as_ref().map_err(Clone::clone)?;
    let rendered = pages.get_template(name).and_then(|page| page.render(Value::from(Serde(data))));
    rendered.map_err(|error| Error::other(format!("the page {name} could not be made: {error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_prints_is_escaped_and_steers_nothing() {
        let data = serde_json::json!({ "title": "<b>\u{1b}&\u{202e}", "said": "x", "live": null });
        let page = render("error.html", &data).unwrap();
        assert!(page.contains("<title>&lt;b&gt;␛&amp;⟨U+202E⟩</title>"), "{page}");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
