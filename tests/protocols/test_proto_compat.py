"""The breaking-change check of the wire contract catches every kind of break, and nothing else."""

import json
from pathlib import Path

import pytest

from scripts.proto_compat import BASELINE, Contract, additions, breaks, contract_of

BEFORE = """
syntax = "proto3";
package credence.v1;
service Talk {
  rpc Ask(Question) returns (Answer);
  rpc Stream(stream Question) returns (stream Answer);
}
message Question {
  string text = 1;
  uint32 number = 2;
  repeated bytes parts = 3;
  oneof choice {
    string left = 4;
    string right = 5;
  }
  string alone = 6;
  message Inner { string text = 1; }
}
message Answer { Kind kind = 1; }
enum Kind { KIND_UNSPECIFIED = 0; KIND_GOOD = 1; }
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return compiled(tmp_path_factory.mktemp("before"), BEFORE)


def compiled(root: Path, text: str) -> Contract:
    (root / "protocols/v1").mkdir(parents=True)
    (root / "protocols/v1/talk.proto").write_text(text)
    return contract_of(root)


BREAKS = [
    ("a field removed", "  uint32 number = 2;\n", "", "2 (optional uint32 number) is gone"),
    ("a field renumbered", "number = 2;", "number = 9;", "2 (optional uint32 number) is gone"),
    ("a field renamed", "string text = 1;\n  uint32", "string said = 1;\n  uint32", "is optional"),
    ("a field retyped", "uint32 number", "string number", "is optional string number"),
    ("a field made single", "repeated bytes", "bytes", "is optional bytes parts"),
    ("a field moved out of its oneof", "string right = 5;\n  }", "}\n string right = 5;", "5 was"),
    ("presence made explicit", "string alone", "optional string alone", "is explicit"),
    ("a oneof renamed", "oneof choice", "oneof option", "string left option"),
    ("a message removed", "  message Inner { string text = 1; }\n", "", "Question.Inner is gone"),
    ("an enum value removed", " KIND_GOOD = 1;", "", "1 (KIND_GOOD) is gone"),
    ("an enum value renumbered", "KIND_GOOD = 1", "KIND_GOOD = 2", "1 (KIND_GOOD) is gone"),
    ("a number given to another value", "KIND_GOOD = 1", "KIND_BAD = 1", "is KIND_BAD"),
    ("a method removed", "  rpc Ask(Question) returns (Answer);\n", "", "Ask"),
    ("a method's answer changed", "returns (Answer)", "returns (Question)", "Ask was"),
    ("a stream made single", "returns (stream Answer)", "returns (Answer)", "Stream was"),
    ("a service renamed", "service Talk", "service Speak", "service credence.v1.Talk is gone"),
    ("another package", "package credence.v1", "package credence.v2", "credence.v1.Talk is gone"),
]


@pytest.mark.parametrize(
    ("old", "new", "says"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS]
)
def test_every_kind_of_break_is_named(
    before: Contract, tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in BEFORE
    found = list(breaks(before, compiled(tmp_path, BEFORE.replace(old, new, 1))))
    assert any(says in line for line in found), found


ADDED = [
    ("a field", "string alone = 6;", "string alone = 6; string more = 7;"),
    ("a message", "message Answer", "message More { string text = 1; }\nmessage Answer"),
    ("an enum value", "KIND_GOOD = 1;", "KIND_GOOD = 1; KIND_BAD = 2;"),
    ("a method", "service Talk {", "service Talk { rpc More(Question) returns (Answer);"),
    ("a service", "message Answer", "service More {}\nmessage Answer"),
]


@pytest.mark.parametrize(("old", "new"), [a[1:] for a in ADDED], ids=[a[0] for a in ADDED])
def test_what_is_added_passes(before: Contract, tmp_path: Path, old: str, new: str) -> None:
    now = compiled(tmp_path, BEFORE.replace(old, new, 1))
    assert list(breaks(before, now)) == []
    assert list(additions(before, now))


def test_comments_and_order_are_no_change(before: Contract, tmp_path: Path) -> None:
    lines = BEFORE.replace(
        "string text = 1;\n  uint32 number = 2;", "uint32 number = 2;\n  string text = 1;"
    )
    now = compiled(tmp_path, "// said otherwise\n" + lines)
    assert now == before


def test_the_contract_in_force_does_not_break_its_baseline() -> None:
    root = BASELINE.parent.parent.parent
    assert list(breaks(json.loads(BASELINE.read_text()), contract_of(root))) == []
