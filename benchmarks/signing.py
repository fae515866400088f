"""The cost of signing a request, compared with a vendor's SDK, and of caching a credential."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from measure import Comparison, Contender, Target, compare, sync_block

from moorage import Credentials, Request
from moorage.adapters.credentials.cached import CachedCredentials
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.domain.auth import methods as auth
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.sigv4 import AwsSigV4

_URL = "https://dynamodb.eu-central-1.amazonaws.com/"
_KEY = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")  # Amazon's own example
_FIELDS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.PutItem",
    "Host": "dynamodb.eu-central-1.amazonaws.com",
}


def aws_signature(rounds: int) -> Comparison:
    """Measure signing a 1 KB request with AWS Signature Version 4 for each call."""
    body = os.urandom(1024)
    their_request = AWSRequest(method="POST", url=_URL, data=body, headers=dict(_FIELDS))
    our_request = Request.post("/", body=body, headers=_FIELDS)
    boto_signer = SigV4Auth(BotoCredentials(*_KEY), "dynamodb", "eu-central-1")
    our_credentials = Credentials.signed(
        AwsSigV4(access_key_id=_KEY[0], region="eu-central-1", service="dynamodb"), _KEY[1]
    )

    def moorage() -> None:
        auth.sign(our_request, _URL, our_credentials, SigningContext(datetime.now(UTC), "an id"))

    return Comparison(
        "AWS Signature Version 4, 1 KB",
        compare(
            None,
            [
                Contender("botocore", sync_block(lambda: boto_signer.add_auth(their_request))),
                Contender("moorage", sync_block(moorage)),
            ],
            rounds=rounds,
        ),
        Target(0.5, 0.25),
    )


def kept_credential(rounds: int) -> Comparison:
    """Compare reading a credential cached in the process with reading the memory provider."""
    provider = MemoryCredentialProvider({("erp", None): Credentials.bearer("token")})
    stored_credentials = CachedCredentials(provider)
    return Comparison(
        "a kept credential is read",
        compare(
            None,
            [
                Contender("the provider's memory", sync_block(lambda: provider.get("erp", None))),
                Contender("moorage, kept", sync_block(lambda: stored_credentials.get("erp", None))),
            ],
            rounds=rounds,
        ),
        Target(1, 0.5, more=True),
    )


ALL = (aws_signature, kept_credential)
