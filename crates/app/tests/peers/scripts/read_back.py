"""Prints every record that a service holds, one a line: `logs GROUP`, `kinesis STREAM` or `s3 PREFIX`. Settings come from
AWS_…; what does not exist yet holds nothing."""

import sys

import boto3
from botocore.exceptions import ClientError

BUCKET = "mh9-firelens-demo"


def logs(group):
    pages = boto3.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    for page in pages:
        for event in page["events"]:
            yield event["message"]


def kinesis(stream):
    client = boto3.client("kinesis")
    for page in client.get_paginator("list_shards").paginate(StreamName=stream):
        for shard in page["Shards"]:
            yield from shard_lines(client, stream, shard["ShardId"])


def shard_lines(client, stream, shard):
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    while True:
        answer = client.get_records(ShardIterator=iterator, Limit=100)
        for record in answer["Records"]:
            yield from record["Data"].decode().splitlines()
        if not answer["Records"] and answer["MillisBehindLatest"] == 0:
            return
        iterator = answer["NextShardIterator"]


def s3(prefix):
    client = boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for item in page.get("Contents", []):
            yield from client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read().decode().splitlines()


try:
    for line in {"logs": logs, "kinesis": kinesis, "s3": s3}[sys.argv[1]](sys.argv[2]):
        print(line)
except ClientError as error:
    if error.response["Error"]["Code"] != "ResourceNotFoundException":
        raise
