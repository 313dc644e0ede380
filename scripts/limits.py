"""Writes the table of limits in docs/protocol.md from the dataclasses and constants in force.

`--check` changes nothing and fails when the table is stale.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from audit import leaf
from consent import artefact, deletion, right_notices, rights, status_list
from coordinator.transport import ENROLMENT_LIMITS, MEMBER_LIMITS
from models import bundle
from node.network.transport import TransportLimits
from protocols import directory, dkg_entries, documents, invitations, joining, jws, oprf
from protocols.exchange_rules import Limits
from protocols.federation import StreamLimits
from protocols.relay import RelayLimits
from scripts.pages import PROTOCOL, renewed, settle

BEGIN = "<!-- limits: written by scripts/limits.py -->\n"
END = "<!-- end of limits -->\n"

GROUPS: tuple[tuple[str, Any], ...] = (
    ("exchange", Limits()),
    ("node's port", TransportLimits()),
    ("coordinator's member port", MEMBER_LIMITS),
    ("enrolment port", ENROLMENT_LIMITS),
    ("training stream", StreamLimits()),
    ("relay", RelayLimits()),
)
CONSTANTS: tuple[tuple[str, str, Any, str], ...] = (
    ("documents", "MAX_DOCUMENT_BYTES", documents, "largest body of a signed document"),
    ("documents", "MAX_MEMBERS", directory, "members in a directory"),
    ("joining", "MAX_INVITATION_CHARACTERS", invitations, "longest invitation"),
    ("joining", "MAX_DECLARATION_BYTES", joining, "largest declaration"),
    ("consents", "MAX_JWS_BYTES", artefact, "largest artefact or event with its signatures"),
    ("consents", "MAX_BODY_BYTES", artefact, "largest body of an artefact"),
    ("consents", "MAX_PARTIES", artefact, "holders, and recipients"),
    ("consents", "MAX_SIGNATURES", jws, "signatures in a JWS"),
    ("status lists", "MAX_ENTRIES", status_list, "versions of consents of one controller"),
    ("status lists", "MAX_COMPRESSED_BYTES", status_list, "largest bits as they travel"),
    ("status lists", "MAX_HEAD_BYTES", status_list, "largest head with its signature"),
    ("status lists", "LIFE_MS", status_list, "longest life, milliseconds"),
    ("consents", "MAX_DELETION_BYTES", deletion, "largest attestation of deletion"),
    ("rights", "MAX_NOTICE_BYTES", right_notices, "largest body of a notice"),
    ("rights", "MAX_CONSENTS", right_notices, "consents that a notice names"),
    ("rights", "MAX_TEXT", rights, "characters of a request or an answer"),
    ("rights", "MAX_STATEMENT", rights, "characters of a person's statement"),
    ("pseudonyms", "MAX_BATCH", oprf, "elements in a batch"),
    ("pseudonyms", "MAX_ENTRY_BYTES", dkg_entries, "largest entry of a key ceremony"),
    ("bundles", "MAX_MANIFEST_BYTES", bundle, "largest manifest"),
    ("bundles", "MAX_TENSOR_BYTES", bundle, "all tensors of a bundle"),
    ("audit", "MAX_LEAF_BYTES", leaf, "largest leaf"),
    ("audit", "MAX_PAYLOAD_BYTES", leaf, "largest payload"),
)
_ATTRIBUTE = re.compile(r"^ {4}([a-z_]+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def table() -> str:
    """The table, in the order of the groups."""
    lines = ["| Where | Limit | Value | What |", "|---|---|---|---|"]
    lines += [f"| {where} | `{name}` | {value:,} | {what} |" for where, name, value, what in rows()]
    return "\n".join(lines) + "\n"


def rows() -> Iterator[tuple[str, str, int | float, str]]:
    """(where, name, value, meaning); the meaning is the attribute's own documentation."""
    for where, limits in GROUPS:
        said = dict(_ATTRIBUTE.findall(inspect.getdoc(type(limits)) or ""))
        for field in fields(limits):
            what = " ".join(said[field.name].split()).rstrip(".")
            yield where, field.name, getattr(limits, field.name), what
    for where, name, module, what in CONSTANTS:
        yield where, name, getattr(module, name), what


def main(arguments: Iterable[str]) -> int:
    """Write the table, or with `--check` compare it."""
    text = PROTOCOL.read_text(encoding="utf-8")
    new = renewed(text, BEGIN, END, table())
    check = "--check" in arguments
    return settle(PROTOCOL, new, check=check, command="python -m scripts.limits")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
