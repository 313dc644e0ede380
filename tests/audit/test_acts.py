"""No act without its leaf: the table in docs/audit.md and the source say the same."""

import re
from fnmatch import fnmatchcase

from tests.audit.acts import ROOT, written

# Dotted texts that are no kinds of leaves: modules, options of libraries, files, webhook types,
# spans and their attributes.
_OTHER = ("credence.", "http.", "service.", "score.group", "score.ask",
          "grpc.", "numpy.", "node.", "customers.parquet", "torch.", "flwr.",
          "batch.completed", "score_request.completed")  # fmt: skip
_ROW = re.compile(r"\| [^|]+ \| ((?:`[a-z_.*]+` ?)+) \| ((?:`[a-z_/.]+` ?)+) \|")


def table() -> dict[str, list[str]]:
    """Kind -> where it is written, as the page says."""
    page = (ROOT / "docs/audit.md").read_text(encoding="utf-8")
    section = page.split("## No act without its leaf")[1].split("\n## ")[0]
    found: dict[str, list[str]] = {}
    for kinds, places in _ROW.findall(section):
        for kind in re.findall(r"`([^`]+)`", kinds):
            found.setdefault(kind, []).extend(re.findall(r"`([^`]+)`", places))
    return found


def test_every_kind_that_the_program_writes_is_in_the_table() -> None:
    said = table()
    unsaid = {
        kind: places
        for kind, places in written().items()
        if not kind.startswith(_OTHER) and not any(fnmatchcase(kind, one) for one in said)
    }
    assert unsaid == {}


def test_every_row_of_the_table_is_written_where_it_says() -> None:
    found = written()
    for kind, places in table().items():
        if "." not in kind:
            assert any(f'"{kind}"' in (ROOT / place).read_text() for place in places), kind
            continue
        files = {file for one, where in found.items() if fnmatchcase(one, kind) for file in where}
        assert any(file.startswith(place) for file in files for place in places), kind


def test_the_acts_that_the_promise_names_are_all_there() -> None:
    """Promise 7, and issue by issue: each of these had a leaf once, and has one for good."""
    named = """consent.granted exchange.released exchange.received pseudonym.evaluated
        training.round campaign.round bundle.published bundle.activated score.issued
        sign_in.succeeded sign_in.refused regulator.signed_in staff.query erasure.performed
        configuration.changed membership.keys_rotated member.keys_rotated
        coordinator.certificate_renewed client.refused pseudonyms.share_kept"""
    assert set(named.split()) <= set(written())
