//! IAM's operations and their errors.

use crate::client::{Answer, Call, TestLake};

pub const TRUST: &str = r#"{
  "Version": "2012-10-17",
  "Statement": {
    "Effect": "Allow",
    "Principal": { "Service": "firehose.amazonaws.com" },
    "Action": "sts:AssumeRole"
  }
}"#;
const DELIVERY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject"],"Resource":"*"}]}"#;
pub const ROLE: &str = "arn:aws:iam::123456789012:role/firehose_delivery_role";

async fn iam(lake: &TestLake, action: &str, params: &[(&str, &str)]) -> Answer {
    lake.call(Call::query("iam", action, params)).await
}

pub async fn create_role(lake: &TestLake, name: &str, trust: &str) -> Answer {
    let params = [("RoleName", name), ("AssumeRolePolicyDocument", trust)];
    let answer = iam(lake, "CreateRole", &params).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

#[tokio::test]
async fn the_commands_that_prepare_a_delivery_stream_run() {
    let lake = TestLake::start().await;
    let created = create_role(&lake, "firehose_delivery_role", TRUST).await;
    assert!(created.text().starts_with("<CreateRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateRoleResult><Role>"));
    assert_eq!(
        (created.xml("Arn"), created.xml("Path")),
        (ROLE.to_owned(), "/".to_owned())
    );
    assert_eq!(created.xml("RequestId"), created.header("x-amzn-requestid"));
    assert!(created.xml("RoleId").starts_with("AROA") && created.xml("RoleId").len() == 21);
    let name = ("RoleName", "firehose_delivery_role");
    let policy = ("PolicyName", "firehose-fluentbit-s3-streaming");
    let put = iam(
        &lake,
        "PutRolePolicy",
        &[name, policy, ("PolicyDocument", DELIVERY)],
    )
    .await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert!(!put.text().contains("Result>"), "{}", put.text());

    let lake = lake.restart().await;
    let role = iam(&lake, "GetRole", &[name]).await;
    assert_eq!(role.xml("RoleId"), created.xml("RoleId"));
    assert_eq!(decoded(&role.xml("AssumeRolePolicyDocument")), TRUST);
    let policy = iam(&lake, "GetRolePolicy", &[name, policy]).await;
    assert_eq!(decoded(&policy.xml("PolicyDocument")), DELIVERY);
    let policies = iam(&lake, "ListRolePolicies", &[name]).await;
    assert_eq!(
        policies.all_xml("member"),
        ["firehose-fluentbit-s3-streaming"]
    );
    assert_eq!(policies.xml("IsTruncated"), "false");
    let who = lake
        .call(Call::query("sts", "GetCallerIdentity", &[]))
        .await;
    assert_eq!(who.xml("Account"), "123456789012");
    assert_eq!(who.xml("Arn"), "arn:aws:iam::123456789012:user/flumen");
}

#[tokio::test]
async fn managed_policies_are_attached_and_in_the_way() {
    let lake = TestLake::start().await;
    create_role(&lake, "r", TRUST).await;
    let arn = "arn:aws:iam::123456789012:policy/logs/put";
    let params = [
        ("PolicyName", "put"),
        ("Path", "/logs/"),
        ("PolicyDocument", DELIVERY),
        ("Description", "a < b"),
    ];
    let created = iam(&lake, "CreatePolicy", &params).await;
    assert_eq!(
        (created.xml("Arn"), created.xml("AttachmentCount")),
        (arn.to_owned(), "0".to_owned())
    );
    assert_eq!(created.xml("Description"), "a &lt; b");
    let (role, policy) = (("RoleName", "r"), ("PolicyArn", arn));
    assert_eq!(
        iam(&lake, "AttachRolePolicy", &[role, policy]).await.status,
        200
    );
    let of_aws = ("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_eq!(
        iam(&lake, "AttachRolePolicy", &[role, of_aws]).await.status,
        200
    );
    let lake = lake.restart().await;
    let attached = iam(&lake, "ListAttachedRolePolicies", &[role]).await;
    assert_eq!(attached.all_xml("PolicyArn"), [arn, of_aws.1]);
    assert_eq!(attached.all_xml("PolicyName"), ["put", "ReadOnlyAccess"]);
    assert_eq!(
        iam(&lake, "GetPolicy", &[policy])
            .await
            .xml("AttachmentCount"),
        "1"
    );
    let version = iam(&lake, "GetPolicyVersion", &[policy, ("VersionId", "v1")]).await;
    assert_eq!(decoded(&version.xml("Document")), DELIVERY);
    assert_eq!(iam(&lake, "ListPolicies", &[]).await.all_xml("Arn"), [arn]);
    for (action, params) in [("DeletePolicy", &[policy][..]), ("DeleteRole", &[role])] {
        let answer = iam(&lake, action, params).await;
        assert_eq!(
            answer.s3_error(),
            (409, "DeleteConflict".to_owned()),
            "{action}"
        );
    }
    for policy in [policy, of_aws] {
        assert_eq!(
            iam(&lake, "DetachRolePolicy", &[role, policy]).await.status,
            200
        );
    }
    for (action, params) in [("DeletePolicy", &[policy][..]), ("DeleteRole", &[role])] {
        assert_eq!(iam(&lake, action, params).await.status, 200, "{action}");
        let again = iam(&lake, action, params).await;
        assert_eq!(
            again.s3_error(),
            (404, "NoSuchEntity".to_owned()),
            "{action}"
        );
    }
}

#[tokio::test]
async fn roles_are_listed_page_by_page() {
    let lake = TestLake::start().await;
    for name in ["b", "A", "c"] {
        create_role(&lake, name, TRUST).await;
    }
    let first = iam(&lake, "ListRoles", &[("MaxItems", "2")]).await;
    assert_eq!(first.all_xml("RoleName"), ["A", "b"]);
    assert_eq!(first.xml("IsTruncated"), "true");
    let rest = iam(&lake, "ListRoles", &[("Marker", &first.xml("Marker"))]).await;
    assert_eq!(
        (rest.all_xml("RoleName"), rest.all_xml("Marker")),
        (vec!["c".to_owned()], vec![])
    );
    assert_eq!(
        iam(&lake, "ListRoles", &[("PathPrefix", "/x/")])
            .await
            .all_xml("RoleName"),
        [""; 0]
    );
}

#[tokio::test]
async fn iam_refuses_with_its_own_errors() {
    let lake = TestLake::start().await;
    create_role(&lake, "Role", TRUST).await;
    let long = format!(
        "{{\"Statement\":{{\"Effect\":\"Allow\",\"Action\":\"a:b\",\"Resource\":\"{}\"}}}}",
        "x".repeat(10_240)
    );
    let (name, policy) = (("RoleName", "Role"), ("PolicyName", "p"));
    let missing = ("RoleName", "missing");
    let document = ("PolicyDocument", DELIVERY);
    let trust = ("AssumeRolePolicyDocument", TRUST);
    for (action, params, status, code) in [
        (
            "CreateRole",
            &[("RoleName", "role"), trust][..],
            409,
            "EntityAlreadyExists",
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), ("AssumeRolePolicyDocument", "{")],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), ("AssumeRolePolicyDocument", DELIVERY)],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "CreateRole",
            &[("RoleName", "../x"), trust],
            400,
            "ValidationError",
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), trust, ("Path", "x")],
            400,
            "ValidationError",
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), trust, ("MaxSessionDuration", "1")],
            400,
            "ValidationError",
        ),
        ("CreateRole", &[trust], 400, "ValidationError"),
        ("GetRole", &[missing], 404, "NoSuchEntity"),
        ("GetRole", &[("RoleName", "..")], 404, "NoSuchEntity"),
        (
            "PutRolePolicy",
            &[missing, policy, document],
            404,
            "NoSuchEntity",
        ),
        (
            "PutRolePolicy",
            &[name, policy, ("PolicyDocument", TRUST)],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "PutRolePolicy",
            &[name, policy, ("PolicyDocument", &long)],
            409,
            "LimitExceeded",
        ),
        ("GetRolePolicy", &[name, policy], 404, "NoSuchEntity"),
        ("DeleteRolePolicy", &[name, policy], 404, "NoSuchEntity"),
        ("ListRolePolicies", &[missing], 404, "NoSuchEntity"),
        (
            "AttachRolePolicy",
            &[name, ("PolicyArn", "arn:aws:iam::123456789012:policy/none")],
            404,
            "NoSuchEntity",
        ),
        (
            "DetachRolePolicy",
            &[name, ("PolicyArn", "arn:aws:iam::aws:policy/Admin")],
            404,
            "NoSuchEntity",
        ),
        (
            "GetPolicy",
            &[("PolicyArn", "arn:aws:iam::123456789012:policy/none")],
            404,
            "NoSuchEntity",
        ),
        ("ListRoles", &[("MaxItems", "0")], 400, "ValidationError"),
        ("ListRoles", &[("Marker", "%")], 400, "ValidationError"),
        ("CreateUser", &[], 400, "InvalidAction"),
        ("", &[], 400, "MissingAction"),
    ] {
        let answer = iam(&lake, action, params).await;
        assert_eq!(
            answer.s3_error(),
            (status, code.to_owned()),
            "{action} {params:?}"
        );
        assert_eq!(answer.xml("Type"), "Sender");
    }
    let role = iam(&lake, "GetRole", &[name]).await;
    assert_eq!(role.xml("RoleName"), "Role");
    assert_eq!(
        iam(&lake, "ListRoles", &[]).await.all_xml("RoleName"),
        ["Role"]
    );
}

#[tokio::test]
async fn a_role_that_cannot_be_read_does_not_stop_the_lake() {
    let lake = TestLake::start().await;
    create_role(&lake, "whole", TRUST).await;
    create_role(&lake, "broken", TRUST).await;
    let folder = lake.abandon().await;
    let file = folder.path().join("iam/roles/broken.json");
    std::fs::write(&file, "{").unwrap();
    let lake = TestLake::start_in(folder).await;
    assert!(lake.logged("broken.json cannot be read"));
    assert_eq!(
        iam(&lake, "ListRoles", &[]).await.all_xml("RoleName"),
        ["whole"]
    );
    assert!(file.exists());
}
