//! Which group and stream a record goes to.

use std::cell::Cell;

use plugin::{BuildError, Log, OutputContext};
use record::accessor::{Accessor, Subject};
use record::{Batch, Record};

use super::CommonOptions;
use super::dollar_template::DollarTemplate;

/// Stands between group and stream; no name of a group holds it.
pub const SEPARATOR: u8 = 0;

/// The longest name in characters.
const NAME_MAX: usize = 512;

/// Groups and streams as the options name them.
pub struct Names {
    group: Name,
    stream: Name,
    log: Log,
    /// Whether it has been said that a template had to be replaced.
    said: Cell<bool>,
}

/// One of the two.
pub struct Name {
    option: &'static str,
    template: Option<Template>,
    /// What holds without a template, and for records that lack a key of it.
    fixed: Fixed,
    clean: fn(&mut Vec<u8>, usize),
}

enum Template {
    Accessor(Accessor),
    Dollar(DollarTemplate),
}

enum Fixed {
    Text(String),
    /// The tag follows.
    Prefix(String),
}

impl Names {
    /// Says so when a name as it is configured cannot be used as it is.
    pub fn new(group: Name, stream: Name, context: &OutputContext) -> Names {
        for name in [&group, &stream] {
            name.warn_if_changed(&context.log);
        }
        Names {
            group,
            stream,
            log: context.log.clone(),
            said: Cell::new(false),
        }
    }

    /// Whether all records of a tag go to the same stream.
    pub fn depend_on_the_tag_only(&self) -> bool {
        self.group.depends_on_the_tag_only() && self.stream.depends_on_the_tag_only()
    }

    /// Makes `out` the group and the stream, with [`SEPARATOR`] between them. Both are fit for the service.
    pub fn write(&self, batch: &Batch, record: &Record, out: &mut Vec<u8>) {
        out.clear();
        self.write_one(&self.group, batch, record, out);
        out.push(SEPARATOR);
        self.write_one(&self.stream, batch, record, out);
    }

    fn write_one(&self, name: &Name, batch: &Batch, record: &Record, out: &mut Vec<u8>) {
        let start = out.len();
        let replaced = !name.write_template(batch, record, out);
        if replaced || out.len() == start {
            out.truncate(start);
            name.write_fixed(batch, out);
        }
        (name.clean)(out, start);
        if replaced && !self.said.replace(true) {
            self.log.warn(format_args!(
                "{}: a record of tag {} lacks a key that it names; the fixed name is used, here and for all others like it",
                name.option,
                batch.tag()
            ));
        }
    }
}

impl Name {
    /// The group that `log_group_name` says.
    pub fn group(options: &CommonOptions) -> Result<Name, BuildError> {
        if options.log_group_name.is_empty() {
            return Err(
                "log_group_name is empty: a group has a name of 1 to 512 characters".into(),
            );
        }
        Ok(Name {
            option: "log_group_name",
            template: None,
            fixed: Fixed::Text(options.log_group_name.clone()),
            clean: clean_group,
        })
    }

    /// The stream that `log_stream_name` or `log_stream_prefix` says.
    pub fn stream(options: &CommonOptions) -> Result<Name, BuildError> {
        let fixed = match (&options.log_stream_name, &options.log_stream_prefix) {
            (Some(name), None) if !name.is_empty() => Fixed::Text(name.clone()),
            (None, Some(prefix)) => Fixed::Prefix(prefix.clone()),
            (Some(_), Some(_)) => {
                return Err(
                    "'log_stream_name' and 'log_stream_prefix' exclude each other: one of them names the stream"
                        .into(),
                );
            }
            _ => return Err("Either 'log_stream_name' or 'log_stream_prefix' is required".into()),
        };
        Ok(Name {
            option: "log_stream_name",
            template: None,
            fixed,
            clean: clean_stream,
        })
    }

    /// The same with a record accessor that goes first, if there is one in this option.
    pub fn with_accessor(
        self,
        option: &'static str,
        template: Option<&str>,
    ) -> Result<Name, BuildError> {
        let Some(template) = template else {
            return Ok(self);
        };
        let accessor =
            Accessor::new(template).map_err(|error| BuildError(format!("{option}: {error}")))?;
        Ok(Name {
            option,
            template: Some(Template::Accessor(accessor)),
            ..self
        })
    }

    /// The same with `$(…)` replaced, and `default` where that is not possible. A prefix stays as it is.
    pub fn with_dollars(self, default: &str, context: &OutputContext) -> Result<Name, BuildError> {
        let Fixed::Text(text) = &self.fixed else {
            return Ok(self);
        };
        if !text.contains("$(") {
            return Ok(self);
        }
        if default.is_empty() {
            return Err(format!("the default for {} is empty", self.option).into());
        }
        let template = DollarTemplate::new(text, context)
            .map_err(|why| BuildError(format!("{} '{text}': {why}", self.option)))?;
        Ok(Name {
            template: Some(Template::Dollar(template)),
            fixed: Fixed::Text(default.to_owned()),
            ..self
        })
    }

    fn depends_on_the_tag_only(&self) -> bool {
        match &self.template {
            None => true,
            Some(Template::Accessor(accessor)) => accessor.is_static(),
            Some(Template::Dollar(template)) => template.is_static(),
        }
    }

    /// Whether there is no template, or it could be filled in.
    fn write_template(&self, batch: &Batch, record: &Record, out: &mut Vec<u8>) -> bool {
        match &self.template {
            None => true,
            Some(Template::Accessor(accessor)) => {
                let subject = Subject {
                    batch,
                    fields: record.body,
                    captures: &[],
                };
                accessor.render_checked(&subject, out)
            }
            Some(Template::Dollar(template)) => template.render(batch, record.body, out),
        }
    }

    fn write_fixed(&self, batch: &Batch, out: &mut Vec<u8>) {
        let start = out.len();
        match &self.fixed {
            Fixed::Text(text) => out.extend_from_slice(text.as_bytes()),
            Fixed::Prefix(prefix) => {
                out.extend_from_slice(prefix.as_bytes());
                out.extend_from_slice(batch.tag().as_bytes());
            }
        }
        if out.len() == start {
            // An empty prefix and an empty tag.
            out.push(b'.');
        }
    }

    fn warn_if_changed(&self, log: &Log) {
        let (Fixed::Text(text) | Fixed::Prefix(text)) = &self.fixed;
        let mut cleaned = text.clone().into_bytes();
        (self.clean)(&mut cleaned, 0);
        if cleaned != text.as_bytes() {
            log.warn(format_args!(
                "{} '{text}' is no name for CloudWatch Logs and becomes '{}'",
                self.option,
                String::from_utf8_lossy(&cleaned)
            ));
        }
    }
}

/// Replaces what the name of a group from `start` on may not hold.
fn clean_group(out: &mut Vec<u8>, start: usize) {
    for byte in &mut out[start..] {
        if !byte.is_ascii_alphanumeric() && !b"._/#-".contains(byte) {
            *byte = b'.';
        }
    }
    if out[start..].starts_with(b"aws/") {
        // Reserved for AWS itself.
        out[start + 3] = b'.';
    }
    out.truncate(start + NAME_MAX);
}

/// Replaces what the name of a stream from `start` on may not hold.
fn clean_stream(out: &mut Vec<u8>, start: usize) {
    for byte in &mut out[start..] {
        if matches!(byte, b':' | b'*') {
            *byte = b'.';
        }
    }
    if out.len() - start > NAME_MAX {
        let name = String::from_utf8_lossy(&out[start..]);
        let short: String = name.chars().take(NAME_MAX).collect();
        out.truncate(start);
        out.extend_from_slice(short.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_fit_for_the_service() {
        let groups = [
            ("/ecs/my-app_1.x#y", "/ecs/my-app_1.x#y"),
            ("a b:c", "a.b.c"),
            ("é", ".."),
            ("aws/x", "aws.x"),
            ("my/aws/x", "my/aws/x"),
        ];
        for (name, expected) in groups {
            let mut out = format!("before{name}").into_bytes();
            clean_group(&mut out, 6);
            assert_eq!(out, format!("before{expected}").into_bytes());
        }
        let mut out = b"before*a:b c\xff".to_vec();
        clean_stream(&mut out, 6);
        assert_eq!(out, b"before.a.b c\xff");
        let mut out = "é".repeat(600).into_bytes();
        clean_stream(&mut out, 0);
        assert_eq!(out, "é".repeat(512).into_bytes());
        let mut out = "é".repeat(400).into_bytes();
        clean_group(&mut out, 0);
        assert_eq!(out.len(), 512);
    }
}
