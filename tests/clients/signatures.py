"""Signatures as botocore makes them, in both protocols; and what is said of wrong ones."""

import botocore.exceptions
from session import ACCESS_KEY, aws, client

for service, call in [("ecs", "list_clusters"), ("sts", "get_caller_identity")]:
    # Requests that are alike follow each other within a second: each has an id of its own.
    good = client(service)
    for _ in range(5):
        getattr(good, call)()
    for key, secret, codes in [
        (ACCESS_KEY, "another", ("InvalidSignatureException", "SignatureDoesNotMatch")),
        ("AKIDOTHER", "another", ("UnrecognizedClientException", "InvalidClientTokenId")),
    ]:
        try:
            getattr(client(service, key=key, secret=secret), call)()
        except botocore.exceptions.ClientError as error:
            found = error.response
            assert found["Error"]["Code"] in codes, found
            assert found["ResponseMetadata"]["HTTPStatusCode"] == 403, found
        else:
            raise AssertionError(f"{service} answers {key} with {secret}")
assert aws("ecs", "list-clusters")["clusterArns"] == []
