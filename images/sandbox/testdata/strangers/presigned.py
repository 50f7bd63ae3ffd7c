"""Presigned URLs of an unmodified boto3, fetched with nothing but urllib: they work, and stop when they are changed or over."""
import sys
import urllib.error
import urllib.request

import boto3

session = boto3.Session(region_name="us-east-1")


def fetch(url, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def presigned(client, method, expires=60, verb="GET", **parameters):
    return client.generate_presigned_url(method, Params=parameters, ExpiresIn=expires, HttpMethod=verb)


sts, ec2 = session.client("sts"), session.client("ec2")
status, text = fetch(presigned(sts, "get_caller_identity"))
assert status == 200 and "<Account>111111111111</Account>" in text, text
url = presigned(ec2, "describe_images", Owners=["136693071363"], Filters=[{"Name": "name", "Values": ["debian-12-*"]}])
status, text = fetch(url)
assert status == 200 and "debian-12-amd64" in text, text
status, text = fetch(url.replace("136693071363", "222222222222"))
assert status == 401 and "AuthFailure" in text, text
status, text = fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
assert status == 401 and "AuthFailure" in text, text
status, text = fetch(presigned(ec2, "describe_regions", verb="POST"), "POST")
assert status == 200 and "eu-west-1" in text, text
creds = sts.assume_role(RoleArn="arn:aws:iam::222222222222:role/deploy", RoleSessionName="test")["Credentials"]
assumed = boto3.client("sts", region_name="us-east-1", aws_access_key_id=creds["AccessKeyId"], aws_secret_access_key=creds["SecretAccessKey"],
                       aws_session_token=creds["SessionToken"])
status, text = fetch(presigned(assumed, "get_caller_identity"))
assert status == 200 and "assumed-role/deploy/test" in text, text
s3 = session.client("s3", config=boto3.session.Config(signature_version="s3v4", s3={"addressing_style": "path"}))
s3.create_bucket(Bucket="presigned")
s3.put_object(Bucket="presigned", Key="a b", Body=b"content")
status, text = fetch(presigned(s3, "get_object", Bucket="presigned", Key="a b"))
assert (status, text) == (200, "content"), text
sys.stdout.write("all is well")
