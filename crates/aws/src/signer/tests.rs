//! Our signatures against those of AWS's own Rust signer, and against one written down in AWS's documentation.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4::SigningParams;
use http::Request;
use proptest::prelude::*;

use super::*;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[derive(Clone, Debug)]
struct Case {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    token: Option<String>,
    seconds: u64,
    service: Service,
}

impl Case {
    fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds)
    }

    fn request(&self) -> Parts {
        let mut request = Request::builder().method(self.method).uri(&self.target);
        request = request.header("host", "service.example:8443");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn ours(&self) -> Vec<(String, String)> {
        let credentials = Credentials::new(KEY, SECRET, self.token.as_deref()).unwrap();
        let signer = Signer::new(self.service, "eu-central-1");
        let mut head = self.request();
        signer.sign(&mut head, &self.body, &credentials, self.at());
        let text = |name: &str| {
            Some((
                name.to_owned(),
                head.headers.get(name)?.to_str().ok()?.to_owned(),
            ))
        };
        let added = [
            "authorization",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-security-token",
        ];
        added.into_iter().filter_map(text).collect()
    }

    fn theirs(&self) -> Vec<(String, String)> {
        let mut settings = SigningSettings::default();
        if self.service == Service::S3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity =
            aws_credential_types::Credentials::new(KEY, SECRET, self.token.clone(), None, "test")
                .into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name(self.service.name())
            .time(self.at())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let head = self.request();
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let url = format!("https://service.example:8443{}", self.target);
        let request =
            SignableRequest::new(self.method, url, headers, SignableBody::Bytes(&self.body))
                .unwrap();
        let (instructions, _) = aws_sigv4::http_request::sign(request, &params)
            .unwrap()
            .into_parts();
        let mut headers: Vec<_> = instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        headers.sort();
        headers
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let path = proptest::string::string_regex(
        r"/([a-zA-Z0-9_.~!$&'()*+,;=:@/-]|%[2-7][0-9A-F]|\.\./|//){0,24}",
    )
    .unwrap();
    let query = proptest::string::string_regex(
        r"([a-zA-Z0-9_.~!$'()*+,;:@/?&=-]|%[2-7][0-9A-F]|%C3%A9){0,24}",
    )
    .unwrap();
    let target = (path, proptest::option::of(query))
        .prop_map(|(path, query)| query.map_or(path.clone(), |query| format!("{path}?{query}")));
    let name =
        proptest::string::string_regex("x-[a-z0-9-]{1,12}|content-type|user-agent|x-amz-target")
            .unwrap();
    let value = proptest::string::string_regex("[ -~]{0,24}").unwrap();
    let service = prop_oneof![
        Just(Service::FIREHOSE),
        Just(Service::S3),
        Just(Service::STS)
    ];
    (
        prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("HEAD")],
        target,
        proptest::collection::vec((name, value), 0..6),
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::option::of(proptest::string::string_regex("[A-Za-z0-9+/=]{1,80}").unwrap()),
        0_u64..7_258_118_400,
        service,
    )
        .prop_map(
            |(method, target, headers, body, token, seconds, service)| Case {
                method,
                target,
                headers,
                body,
                token,
                seconds,
                service,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signatures_equal_those_of_the_official_signer(case in cases()) {
        prop_assert_eq!(case.ours(), case.theirs());
    }
}

/// The example of the documentation of AWS: GET object, from "Authenticating Requests: Using the Authorization Header".
#[test]
fn the_documented_example_holds() {
    let mut head = Request::get("/test.txt")
        .header("host", "examplebucket.s3.amazonaws.com")
        .header("range", "bytes=0-9")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let credentials = Credentials::new(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        None,
    );
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
    Signer::new(Service::S3, "us-east-1").sign(&mut head, b"", &credentials.unwrap(), at);
    let authorization = head.headers["authorization"].to_str().unwrap();
    assert!(
        authorization.ends_with(
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        ),
        "{authorization}"
    );
}

#[test]
fn the_key_follows_the_day_and_the_credentials() {
    let signer = Signer::new(Service::FIREHOSE, "eu-central-1");
    let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
    let sign = |signer: &Signer, secret: &str, at| {
        let mut head = Request::post("/")
            .header("host", "h")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        signer.sign(
            &mut head,
            b"{}",
            &Credentials::new(KEY, secret, None).unwrap(),
            at,
        );
        head.headers["authorization"].clone()
    };
    for (secret, at) in [
        ("one", day(1)),
        ("one", day(1)),
        ("one", day(2)),
        ("two", day(2)),
        ("one", day(1)),
    ] {
        let fresh = Signer::new(Service::FIREHOSE, "eu-central-1");
        assert_eq!(sign(&signer, secret, at), sign(&fresh, secret, at));
    }
}

#[test]
fn signing_again_replaces_the_former_signature() {
    let signer = Signer::new(Service::FIREHOSE, "eu-central-1");
    let temporary = Credentials::new(KEY, SECRET, Some("token")).unwrap();
    let lasting = Credentials::new(KEY, SECRET, None).unwrap();
    let mut twice = Request::post("/")
        .header("host", "h")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    signer.sign(&mut twice, b"{}", &temporary, SystemTime::UNIX_EPOCH);
    signer.sign(
        &mut twice,
        b"{}",
        &lasting,
        SystemTime::UNIX_EPOCH + Duration::from_secs(5),
    );
    let mut once = Request::post("/")
        .header("host", "h")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    signer.sign(
        &mut once,
        b"{}",
        &lasting,
        SystemTime::UNIX_EPOCH + Duration::from_secs(5),
    );
    assert_eq!(twice.headers, once.headers);
}
