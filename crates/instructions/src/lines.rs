//! What the paths read: the lines of usual applications, in the forms in which container runtimes store them.

use bytes::Bytes;
use record::json::read;
use record::{Batch, Record, Tag, Time};

use crate::RECORDS;

/// The tag of everything.
pub const TAG: &str = "kube.var.log.containers.nginx_default_nginx-0123456789abcdef.log";

/// A line of NGINX's access log; its size differs from line to line.
pub fn nginx(index: usize) -> String {
    format!(
        "172.17.0.{} - - [22/Nov/2026:13:05:{:02} +0000] \"GET /assets/app.9f31c2.js?page={index} HTTP/1.1\" 200 {} \
         \"https://shop.example.com/cart\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\" \"-\"",
        index % 200,
        index / 100 % 60,
        600 + index * 7,
    )
}

/// A line of an application that logs JSON.
pub fn json(index: usize) -> String {
    format!(
        "{{\"time\":\"2026-11-22T13:05:{:02}.{:03}Z\",\"level\":\"INFO\",\"logger\":\"com.example.Checkout\",\"thread\":\
         \"http-nio-8080-exec-{}\",\"message\":\"order {index} placed by \\\"customer\\\"\",\"order\":{{\"id\":{},\"total\":\
         {}.25,\"items\":[1,2,3]}},\"retry\":null}}",
        index / 100 % 60,
        index % 1000,
        index % 32,
        index * 7919,
        index * 13,
    )
}

/// The same line as Docker's json-file driver stores it.
pub fn docker(index: usize) -> String {
    let line = nginx(index).replace('"', "\\\"");
    format!(
        "{{\"log\":\"{line}\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-22T13:05:{:02}.{index:09}Z\"}}",
        index / 100 % 60
    )
}

/// The same line as containerd and CRI-O store it.
pub fn cri(index: usize) -> String {
    format!(
        "2026-11-22T13:05:{:02}.{index:09}+00:00 stdout F {}",
        index / 100 % 60,
        nginx(index)
    )
}

/// All lines of a kind, each with its newline.
pub fn text(line: fn(usize) -> String, count: usize) -> String {
    (0..count).map(|index| line(index) + "\n").collect()
}

/// Records with the fields that NGINX's parser finds: what most outputs are given.
pub fn records() -> Batch {
    from_json(&json_records())
}

/// What [`records`] are made of: JSON objects.
pub fn json_records() -> Vec<String> {
    (0..RECORDS)
        .map(|index| {
            format!(
                "{{\"remote\":\"172.17.0.{}\",\"host\":\"-\",\"user\":\"-\",\"method\":\"GET\",\"path\":\
                 \"/assets/app.9f31c2.js?page={index}\",\"code\":\"200\",\"size\":\"{}\",\"referer\":\
                 \"https://shop.example.com/cart\",\"agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\"}}",
                index % 200,
                600 + index * 7,
            )
        })
        .collect()
}

/// A record for each of the objects.
pub fn from_json(lines: &[String]) -> Batch {
    let mut batch = Batch::new(Tag::from(TAG), Bytes::from(lines.concat().into_bytes()));
    let mut start = 0;
    for (index, line) in lines.iter().enumerate() {
        let span = batch.span(start..start + line.len());
        start += line.len();
        let (body, _) = read::object(&mut batch, span).expect("JSON");
        batch.push_record(Record {
            time: Time::new(1_795_352_700 + index as i64 / 100, index as u32 * 1000),
            body,
            ..Record::default()
        });
    }
    batch
}
