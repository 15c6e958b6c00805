"""Makes a few of everything that the lake lists, follows boto3's paginators through small pages, and prints what they found
as one JSON object. Settings come from AWS_…."""

import json
import time

import boto3
from botocore.exceptions import ClientError

BUCKET = "mh9-firelens-demo"
GROUP = "/pages/0"

iam = boto3.client("iam")
kinesis = boto3.client("kinesis")
logs = boto3.client("logs")
s3 = boto3.client("s3")


def pages(client, operation, result, size, **arguments):
    """How many pages there were, and all that they held."""
    config = {"PageSize": size}
    found = [page.get(result, []) for page in client.get_paginator(operation).paginate(PaginationConfig=config, **arguments)]
    return len(found), [item for page in found for item in page]


def names(client, operation, result, field, size, **arguments):
    """As `pages`, the items named."""
    count, items = pages(client, operation, result, size, **arguments)
    return [count, [item[field] if field else item for item in items]]


def log_events():
    for number in range(5):
        logs.create_log_group(logGroupName=f"/pages/{number}")
        logs.create_log_stream(logGroupName=GROUP, logStreamName=f"stream-{number}")
    now = int(time.time() * 1000)
    for number in range(5):
        events = [{"timestamp": now - 1000 + event * 5 + number, "message": str(event * 5 + number)} for event in range(50)]
        logs.put_log_events(logGroupName=GROUP, logStreamName=f"stream-{number}", logEvents=events)
    _, events = pages(logs, "filter_log_events", "events", 40, logGroupName=GROUP)
    return {
        "groups": names(logs, "describe_log_groups", "logGroups", "logGroupName", 2, logGroupNamePrefix="/pages/"),
        "streams": names(logs, "describe_log_streams", "logStreams", "logStreamName", 2, logGroupName=GROUP),
        "in order": [event["message"] for event in events] == [str(number) for number in range(250)],
        "ids": len({event["eventId"] for event in events}),
        "forward": forward("stream-3"),
    }


def forward(stream):
    """All events of a stream, page by page until the same token comes back."""
    found, token = [], None
    while True:
        more = {"nextToken": token} if token else {}
        answer = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, limit=15, **more)
        found += [event["message"] for event in answer["events"]]
        if answer["nextForwardToken"] == token:
            return found == [str(event * 5 + 3) for event in range(50)]
        token = answer["nextForwardToken"]


def streams():
    for number in range(3):
        kinesis.create_stream(StreamName=f"stream-{number}", ShardCount=3)
        kinesis.get_waiter("stream_exists").wait(StreamName=f"stream-{number}")
    records = [{"Data": str(number).encode(), "PartitionKey": str(number)} for number in range(300)]
    answer = kinesis.put_records(StreamName="stream-0", Records=records)
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName="stream-0", PaginationConfig={"PageSize": 2})
    shards = [shard["ShardId"] for page in pages for shard in page["StreamDescription"]["Shards"]]
    return {
        "streams": names(kinesis, "list_streams", "StreamNames", None, 2),
        "shards": listed_shards(),
        "described": len(shards),
        "failed": answer["FailedRecordCount"],
        "read": sorted(int(data) for shard in shards for data in shard_data(shard)) == list(range(300)),
        "shards used": len({record["ShardId"] for record in answer["Records"]}),
    }


def listed_shards():
    """Turned by hand: the paginator names the stream again beside the token, which Kinesis refuses."""
    first = kinesis.list_shards(StreamName="stream-0", MaxResults=2)
    second = kinesis.list_shards(NextToken=first["NextToken"], MaxResults=2)
    assert "NextToken" not in second
    return [[shard["ShardId"] for shard in page["Shards"]] for page in (first, second)]


def shard_data(shard):
    start = kinesis.get_shard_iterator(StreamName="stream-0", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    iterator, records = start["ShardIterator"], None
    while records != []:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=40)
        iterator, records = answer["NextShardIterator"], answer["Records"]
        yield from (record["Data"] for record in records)


def roles():
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    policy = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = lambda statement: json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for number in range(3):
        iam.create_role(RoleName=f"role-{number}", AssumeRolePolicyDocument=document(trust))
        iam.put_role_policy(RoleName="role-0", PolicyName=f"inline-{number}", PolicyDocument=document(policy))
        made = iam.create_policy(PolicyName=f"policy-{number}", PolicyDocument=document(policy))
        iam.attach_role_policy(RoleName="role-0", PolicyArn=made["Policy"]["Arn"])
    role = {"RoleName": "role-0"}
    return {
        "roles": names(iam, "list_roles", "Roles", "RoleName", 2),
        "inline": names(iam, "list_role_policies", "PolicyNames", None, 2, **role),
        "attached": names(iam, "list_attached_role_policies", "AttachedPolicies", "PolicyName", 2, **role),
        "policies": names(iam, "list_policies", "Policies", "PolicyName", 2, Scope="Local"),
    }


def uploads():
    ids = [s3.create_multipart_upload(Bucket=BUCKET, Key=f"upload-{number}")["UploadId"] for number in range(3)]
    for number in range(1, 4):
        s3.upload_part(Bucket=BUCKET, Key="upload-0", UploadId=ids[0], PartNumber=number, Body=b"part")
        s3.put_object(Bucket=BUCKET, Key=f"object-{number}", Body=b"object")
    upload = {"Bucket": BUCKET, "Key": "upload-0", "UploadId": ids[0]}
    found = {
        "uploads": names(s3, "list_multipart_uploads", "Uploads", "Key", 2, Bucket=BUCKET),
        "parts": names(s3, "list_parts", "Parts", "PartNumber", 2, **upload),
        "objects": names(s3, "list_objects", "Contents", "Key", 2, Bucket=BUCKET),
        "objects again": names(s3, "list_objects_v2", "Contents", "Key", 2, Bucket=BUCKET),
    }
    s3.abort_multipart_upload(**upload)
    try:
        s3.list_parts(**upload)
    except ClientError as error:
        found["aborted"] = error.response["Error"]["Code"]
    return found


print(json.dumps({"logs": log_events(), "kinesis": streams(), "iam": roles(), "s3": uploads()}))
