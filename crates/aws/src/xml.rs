//! The little XML that AWS answers with: single elements with text, looked up by name.

use std::borrow::Cow;

/// The text of the first element of this name, white space around it cut off. Elements with attributes or children
/// are not looked for by any caller; one with children gives their source text.
pub fn text_of<'a>(xml: &'a str, element: &str) -> Option<Cow<'a, str>> {
    let open = format!("<{element}>");
    let start = xml.find(&open)? + open.len();
    let end = xml[start..].find(&format!("</{element}>"))? + start;
    Some(unescaped(xml[start..end].trim()))
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').map(|end| &rest[1..end]);
        match entity.and_then(character) {
            Some(character) => {
                plain.push(character);
                rest = &rest[entity.map_or(0, str::len) + 2..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_and_entities_replaced() {
        let xml = "<a><Code> Slow&amp;Down </Code><Code>second</Code><M>&lt;&#65;&#x42;&bad; &</M><Open></a>";
        assert_eq!(text_of(xml, "Code").as_deref(), Some("Slow&Down"));
        assert_eq!(text_of(xml, "M").as_deref(), Some("<AB&bad; &"));
        assert_eq!(text_of(xml, "Open"), None);
        assert_eq!(text_of(xml, "Absent"), None);
    }
}
