//! `add_entity`: who wrote a record, from the fields that the filters `kubernetes` and `aws` leave in it.

use record::json::write::Writer;
use record::{Batch, Field, Fields, Value};

/// Fields whose names begin so are for the entity and are not sent.
const PREFIX: &[u8] = b"aws_entity";
const KUBERNETES: &[u8] = b"kubernetes";

/// Members of `attributes`: the name, and the field of `kubernetes` that it comes from.
const ATTRIBUTES: [(&str, &[u8]); 3] = [
    ("K8s.Namespace", b"namespace_name"),
    ("K8s.Node", b"host"),
    ("K8s.Workload", b"aws_entity_workload"),
];

/// Makes `out` the member `"entity":{…},` for these fields; nothing where they do not name a service and an account, without
/// which the service refuses an entity.
pub fn write(batch: &Batch, fields: Fields, names: &Writer, out: &mut Vec<u8>) {
    out.clear();
    let kubernetes = match batch.get(fields, KUBERNETES) {
        Some(Value::Map(inner)) => inner,
        _ => Fields::EMPTY,
    };
    let inner = |key: &[u8]| text(batch, kubernetes, key);
    let workload = inner(b"aws_entity_workload");
    let mut source = inner(b"aws_entity_name_source");
    let mut name = inner(b"aws_entity_service_name");
    if name.is_none() && source.is_none() && workload.is_some() {
        (name, source) = (workload, Some(&b"K8sWorkload"[..]));
    }
    let (Some(name), Some(account)) = (name, text(batch, fields, b"aws_entity_account_id")) else {
        return;
    };
    let platform = inner(b"aws_entity_platform");
    let cluster = inner(b"aws_entity_cluster");
    let environment = match inner(b"aws_entity_environment") {
        Some(environment) => Some(environment.to_vec()),
        None => fallback_environment(platform, cluster, inner(b"namespace_name")),
    };
    let mut members = Members { names, out };
    members.raw("\"entity\":{\"keyAttributes\":{\"Type\":\"Service\"");
    members.member("Name", Some(name));
    members.member("Environment", environment.as_deref());
    members.member("AwsAccountId", Some(account));
    members.raw("},\"attributes\":{");
    members.platform(platform, cluster);
    for (member, key) in ATTRIBUTES {
        members.member(member, inner(key));
    }
    members.member(
        "EC2.InstanceId",
        text(batch, fields, b"aws_entity_ec2_instance_id"),
    );
    members.member("AWS.ServiceNameSource", source);
    members.raw("}},");
}

/// As upstream: `eks:cluster/namespace`.
fn fallback_environment(
    platform: Option<&[u8]>,
    cluster: Option<&[u8]>,
    namespace: Option<&[u8]>,
) -> Option<Vec<u8>> {
    Some([platform?, b":", cluster?, b"/", namespace?].concat())
}

struct Members<'a> {
    names: &'a Writer,
    out: &'a mut Vec<u8>,
}

impl Members<'_> {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn member(&mut self, name: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            if self.out.last() != Some(&b'{') {
                self.out.push(b',');
            }
            self.names.string(name.as_bytes(), self.out);
            self.out.push(b':');
            self.names.string(value, self.out);
        }
    }

    fn platform(&mut self, platform: Option<&[u8]>, cluster: Option<&[u8]>) {
        match platform {
            None => self.member("PlatformType", Some(b"Generic")),
            Some(b"eks") => {
                self.member("PlatformType", Some(b"AWS::EKS"));
                self.member("EKS.Cluster", cluster);
            }
            Some(b"k8s") => {
                self.member("PlatformType", Some(b"K8s"));
                self.member("K8s.Cluster", cluster);
            }
            Some(_) => {}
        }
    }
}

/// The text of a field; an empty one is none.
fn text<'a>(batch: &'a Batch, fields: Fields, key: &[u8]) -> Option<&'a [u8]> {
    match batch.get(fields, key) {
        Some(Value::Str(span)) if !span.is_empty() => Some(batch.bytes(span)),
        _ => None,
    }
}

/// Appends the record without the fields that are for the entity, also in `kubernetes`.
pub fn write_rest(batch: &Batch, fields: Fields, writer: &mut Writer, out: &mut Vec<u8>) {
    let kubernetes = match batch.get(fields, KUBERNETES) {
        Some(Value::Map(inner)) => inner,
        _ => Fields::EMPTY,
    };
    if !has_entity_fields(batch, fields) && !has_entity_fields(batch, kubernetes) {
        return writer.object(batch, fields, out);
    }
    let mut rest = Rest { batch, writer, out };
    rest.object(fields, |rest, field| match field.value {
        Value::Map(inner) if batch.key_is(field.key, KUBERNETES) => {
            rest.object(inner, |rest, field| {
                rest.writer.value(batch, field.value, rest.out)
            });
        }
        value => rest.writer.value(batch, value, rest.out),
    });
}

fn has_entity_fields(batch: &Batch, fields: Fields) -> bool {
    batch
        .fields(fields)
        .iter()
        .any(|field| is_for_the_entity(batch, field))
}

fn is_for_the_entity(batch: &Batch, field: &Field) -> bool {
    !field.key.is_msgpack()
        && field.key.span().len() > PREFIX.len()
        && batch.bytes(field.key.span()).starts_with(PREFIX)
}

struct Rest<'a> {
    batch: &'a Batch,
    writer: &'a mut Writer,
    out: &'a mut Vec<u8>,
}

impl<'a> Rest<'a> {
    /// Appends an object without what is for the entity; of equal keys the last counts, as everywhere.
    fn object(&mut self, fields: Fields, value: impl Fn(&mut Rest<'a>, &Field)) {
        let batch = self.batch;
        let all = batch.fields(fields);
        self.out.push(b'{');
        let mut is_first = true;
        for (index, field) in all.iter().enumerate() {
            let key = batch.bytes(field.key.span());
            let is_repeated = all[index + 1..].iter().any(|later| {
                later.key.is_msgpack() == field.key.is_msgpack()
                    && batch.bytes(later.key.span()) == key
            });
            if is_repeated || is_for_the_entity(batch, field) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            self.writer.string(key, self.out);
            self.out.push(b':');
            value(self, field);
        }
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::batch;
    use super::*;

    const KUBERNETES_RECORD: &str = r#"{"log":"x","aws_entity_account_id":"123","aws_entity_ec2_instance_id":"i-1",
        "kubernetes":{"host":"n","namespace_name":"ns","aws_entity_workload":"w","aws_entity_cluster":"c",
        "aws_entity_platform":"eks","labels":{"aws_entity_kept":"1"}},"n":1}"#;

    fn entity(record: &str) -> String {
        let batch = batch("t", &[record]);
        let mut out = b"old".to_vec();
        write(
            &batch,
            batch.records()[0].body,
            &Writer::default(),
            &mut out,
        );
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_entity_reads_as_upstream() {
        assert_eq!(
            entity(KUBERNETES_RECORD),
            concat!(
                r#""entity":{"keyAttributes":{"Type":"Service","Name":"w","Environment":"eks:c/ns","AwsAccountId":"123"},"#,
                r#""attributes":{"PlatformType":"AWS::EKS","EKS.Cluster":"c","K8s.Namespace":"ns","K8s.Node":"n","#,
                r#""K8s.Workload":"w","EC2.InstanceId":"i-1","AWS.ServiceNameSource":"K8sWorkload"}},"#
            )
        );
        let named = r#"{"aws_entity_account_id":"1","kubernetes":{"aws_entity_service_name":"s","aws_entity_environment":"e",
            "aws_entity_name_source":"Instrumentation"}}"#;
        assert_eq!(
            entity(named),
            concat!(
                r#""entity":{"keyAttributes":{"Type":"Service","Name":"s","Environment":"e","AwsAccountId":"1"},"#,
                r#""attributes":{"PlatformType":"Generic","AWS.ServiceNameSource":"Instrumentation"}},"#
            )
        );
    }

    #[test]
    fn without_a_service_and_an_account_there_is_none() {
        for record in [
            r#"{"log":"x"}"#,
            r#"{"aws_entity_account_id":"123","kubernetes":{"host":"n"}}"#,
            r#"{"kubernetes":{"aws_entity_service_name":"s"}}"#,
        ] {
            assert_eq!(entity(record), "", "{record}");
        }
    }

    #[test]
    fn its_fields_are_not_sent() {
        let cases = [
            (
                KUBERNETES_RECORD,
                r#"{"log":"x","kubernetes":{"host":"n","namespace_name":"ns","labels":{"aws_entity_kept":"1"}},"n":1}"#,
            ),
            (r#"{"aws_entity_account_id":"1","a":1,"a":2}"#, r#"{"a":2}"#),
            (
                r#"{"aws_entity":"1","kubernetes":"x"}"#,
                r#"{"aws_entity":"1","kubernetes":"x"}"#,
            ),
        ];
        for (record, expected) in cases {
            let batch = batch("t", &[record]);
            let mut out = Vec::new();
            write_rest(
                &batch,
                batch.records()[0].body,
                &mut Writer::default(),
                &mut out,
            );
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }
}
