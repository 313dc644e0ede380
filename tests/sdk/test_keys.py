"""Key files, webhooks and import time of the SDK."""

import base64
import json
import subprocess
import sys

import pytest

from api.sdk.errors import WebhookInvalid
from api.sdk.keys import ClientKey
from api.sdk.webhooks import verify_webhook
from protocols.errors import InvalidInput
from protocols.jose import generate_private_jwk
from protocols.keys import SigningKey
from protocols.standard_webhooks import public_key_text, signed_headers

NOW = 1_790_000_000
KEY = SigningKey.from_seed(b"w" * 32)
BODY = json.dumps({"type": "batch.completed", "timestamp": "2026-09-21T14:13:20.000Z",
                   "data": {"batch_id": "bat_1"}}).encode()  # fmt: skip


def test_a_key_is_read_from_a_jwk_and_from_pem_alike(tmp_path) -> None:
    jwk = generate_private_jwk()
    file = tmp_path / "client.jwk"
    file.write_text(json.dumps(jwk))
    key = ClientKey.read(file)
    assert (key.kid, key.public_jwk["x"]) == (jwk["kid"], jwk["x"])
    der = bytes.fromhex("302e020100300506032b657004220420") + key._key.seed
    inside = base64.b64encode(der).decode()
    file.write_text(f"-----BEGIN PRIVATE KEY-----\n{inside}\n-----END PRIVATE KEY-----\n")
    assert ClientKey.read(file).thumbprint == key.thumbprint
    assert jwk["d"] not in repr(key)


@pytest.mark.parametrize("text", ["", "{}", '{"kty":"EC","crv":"P-256","d":"AA"}',
                                  '{"kty":"OKP","crv":"Ed25519","d":"AA"}', "[1]",
                                  "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
                                  "-----BEGIN RSA PRIVATE KEY-----"])  # fmt: skip
def test_another_file_is_no_key(tmp_path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(InvalidInput):
        ClientKey.read(file)


def test_a_webhook_of_the_node_is_read() -> None:
    headers = signed_headers([KEY], "msg_1", NOW, BODY)
    capital = {name.title(): value for name, value in headers.items()}
    event = verify_webhook(capital, BODY, [public_key_text(KEY.verify_key)], at_s=NOW + 5)
    assert (event.id, event.type, event.data["batch_id"]) == ("msg_1", "batch.completed", "bat_1")


def test_a_webhook_signed_with_the_key_before_is_read_while_both_sign() -> None:
    new = SigningKey.from_seed(b"n" * 32)
    headers = signed_headers([new, KEY], "msg_1", NOW, BODY)
    assert verify_webhook(headers, BODY, [public_key_text(KEY.verify_key)], at_s=NOW)


@pytest.mark.parametrize("change", ["body", "id", "time", "late", "key", "headers", "form"])
def test_a_webhook_that_is_not_the_nodes_is_refused(change: str) -> None:
    """An altered, old or forged webhook is never acted on."""
    signer = SigningKey.from_seed(b"x" * 32) if change == "key" else KEY
    body = b"[]" if change == "form" else BODY
    headers = signed_headers([signer], "msg_1", NOW, body)
    now = NOW + 301 if change == "late" else NOW
    if change == "body":
        body += b" "
    if change == "id":
        headers["webhook-id"] = "msg_2"
    if change == "time":
        headers["webhook-timestamp"] = str(NOW + 1)
    if change == "headers":
        headers = {}
    with pytest.raises(WebhookInvalid):
        verify_webhook(headers, body, [public_key_text(KEY.verify_key)], at_s=now)


def test_the_sdk_loads_no_server_no_model_and_no_database() -> None:
    """A client that imports the SDK does not wait for what only a node needs."""
    heavy = ("torch", "sqlalchemy", "fastapi", "grpc", "numpy", "node", "audit")
    code = f"import sys, api.sdk; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
