"""Uses the lake through boto3 as a program would, and prints what it saw as one JSON object. Settings come from AWS_…."""

import gzip
import io
import json
import time

import boto3
from botocore.exceptions import ClientError

BUCKET = "mh9-firelens-demo"
ROLE = "arn:aws:iam::123456789012:role/example_firehose_delivery_role"

firehose = boto3.client("firehose")
s3 = boto3.client("s3")


def error_of(call, **arguments):
    """The code and HTTP status of the error that the call must give."""
    try:
        call(**arguments)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]]
    return None


def create(name, prefix, compression):
    firehose.create_delivery_stream(
        DeliveryStreamName=name,
        DeliveryStreamType="DirectPut",
        ExtendedS3DestinationConfiguration={
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{BUCKET}",
            "Prefix": prefix,
            "CompressionFormat": compression,
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
        },
    )


def put(name, count):
    """Puts `count` records in batches of 500, and returns how many record ids differ."""
    ids = set()
    for start in range(0, count, 500):
        batch = [{"Data": f"{name} {number}\n".encode()} for number in range(start, min(start + 500, count))]
        answer = firehose.put_record_batch(DeliveryStreamName=name, Records=batch)
        assert answer["FailedPutCount"] == 0, answer
        ids.update(response["RecordId"] for response in answer["RequestResponses"])
    return len(ids)


def keys(prefix):
    """All keys with the prefix, fetched in pages of three."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 3})
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def lines(prefix):
    found = []
    for key in keys(prefix):
        body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        # Every member of a file of several is read.
        found += (gzip.decompress(body) if key.endswith(".gz") else body).decode().splitlines()
    return found


def delivered(name, prefix, count):
    deadline = time.monotonic() + 120
    while len(found := lines(prefix)) < count and time.monotonic() < deadline:
        time.sleep(0.2)
    return sorted(found) == sorted(f"{name} {number}" for number in range(count))


def round_trip():
    """Objects of several kinds, put and read back: with the checksums and chunked bodies that boto3 sends by itself."""
    bodies = {"objects/empty": b"", "objects/small": b"abc", "objects/odd name é+&=?.txt": b"\x00\xff" * 1000}
    for key, body in bodies.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="text/x-test", Metadata={"who": "me"})
    same = all(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body for key, body in bodies.items())
    large = bytes(range(256)) * (9 * 4096)
    s3.upload_fileobj(io.BytesIO(large), BUCKET, "objects/large")
    target = io.BytesIO()
    s3.download_fileobj(BUCKET, "objects/large", target)
    head = s3.head_object(Bucket=BUCKET, Key="objects/small")
    return {
        "same": same,
        "large": target.getvalue() == large,
        "head": [head["ContentLength"], head["ContentType"], head["Metadata"]],
        "range": s3.get_object(Bucket=BUCKET, Key="objects/small", Range="bytes=1-1")["Body"].read().decode(),
        "listed": keys("objects/"),
    }


create("plain", "plain/", "UNCOMPRESSED")
create("packed", "packed/", "GZIP")
print(json.dumps({
    "ids": put("plain", 1200) + put("packed", 1200),
    "plain": delivered("plain", "plain/", 1200),
    "packed": delivered("packed", "packed/", 1200),
    "round_trip": round_trip(),
    "errors": {
        "too large": error_of(firehose.put_record, DeliveryStreamName="plain", Record={"Data": b"x" * 1_024_001}),
        "too many": error_of(firehose.put_record_batch, DeliveryStreamName="plain", Records=[{"Data": b"x"}] * 501),
        "no stream": error_of(firehose.put_record, DeliveryStreamName="none", Record={"Data": b"x"}),
        "no key": error_of(s3.get_object, Bucket=BUCKET, Key="none"),
        "no bucket": error_of(s3.list_objects_v2, Bucket="no-such-bucket-here"),
    },
}))
