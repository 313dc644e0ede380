"""What comes with events: a holder's rows of lenders, a webhook as it is received, its URL."""

from node.webhooks.addresses import Guard
from protocols import lender_tokens
from protocols.standard_webhooks import parse_public_key, public_key_text, signed_headers, verify
from scripts.vectors.seeds import signing
from tests.fuzz.trying import attempt

PEERS = ("bank-c", "payments")
AT_S = 1_790_000_000


def run(data: bytes) -> bool:
    """The bytes as each of them."""
    taken = [attempt(one, data) for one in (_lenders, _headers, _public, _url)]
    return any(taken)


def seeds() -> list[bytes]:
    """One of each."""
    rows = lender_tokens.LenderRows(1, PEERS, ((b"a" * 16, b"b" * 16), (b"c" * 16, b"d" * 16)))
    key = signing("bank-a")
    headers = signed_headers([key], "msg_fuzz", AT_S, b"{}")
    return [
        lender_tokens.encode(rows),
        "\n".join(headers.values()).encode(),
        public_key_text(key.verify_key).encode(),
        b"https://platform.example:8443/hook?a=b",
    ]


def _lenders(data: bytes) -> None:
    """Rows are what they were read from, and can be counted."""
    rows = lender_tokens.decode(data, PEERS, 1)
    if lender_tokens.encode(rows) != data:
        raise AssertionError("rows of lenders are not what they were read from")
    if lender_tokens.count_distinct({"bank-b": rows}) != len(rows.rows):
        raise AssertionError("a holder alone names one lender a row")


def _headers(data: bytes) -> None:
    """Three header values, one a line."""
    text = data.decode("latin-1")
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = dict(zip(names, text.split("\n", 2), strict=False))
    verify([signing("bank-a").verify_key], headers, b"{}", AT_S)


def _public(data: bytes) -> None:
    """A key as a receiver keeps it."""
    if public_key_text(parse_public_key(data.decode("latin-1"))).encode() != data:
        raise AssertionError("a key is not what it was read from")


def _url(data: bytes) -> None:
    """A URL, wherever it leads."""
    Guard((), lambda _host, _port: ["93.184.216.34"]).check(data.decode("latin-1"))
