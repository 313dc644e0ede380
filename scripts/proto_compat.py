"""Fails when the wire contract breaks whoever speaks the version before.

The messages, enums and services of `protocols/v1/*.proto` are compared with the committed baseline
`protocols/v1/baseline.json`, without network. What a peer of the baseline would misread is a break:

1. a message, an enum, a service or a method is gone;
2. a field's number is gone, or another field has it;
3. a field's type, its label or its oneof changed;
4. an enum's value is gone, or another value has its number;
5. a method's request, answer or streaming changed.

What is added passes. `--accept` writes the baseline anew: at a release, or for a break that is
meant, together with a new package version (docs/protocol.md, "Versions").
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = "protocols/v1"
BASELINE = ROOT / PROTOS / "baseline.json"

Contract = dict[str, dict[str, dict[str, Any]]]
"""`messages`, `enums` and `services`, each by full name, then by field number, value or method."""


def contract_of(root: Path) -> Contract:
    """The contract that the .proto files under `root` state.

    Raises:
        ValueError: a file does not compile; protoc has said why on standard error.
    """
    files = sorted(str(path.relative_to(root)) for path in (root / PROTOS).glob("*.proto"))
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        arguments = ["protoc", f"-I{root}", f"--descriptor_set_out={out.name}", *files]
        if protoc.main(arguments) != 0:
            raise ValueError("the .proto files do not compile")
        described = FileDescriptorSet.FromString(Path(out.name).read_bytes())
    found: Contract = {"messages": {}, "enums": {}, "services": {}}
    for file in described.file:
        prefix = f"{file.package}."
        for message in file.message_type:
            _add_message(found, prefix, message)
        for enum in file.enum_type:
            found["enums"][prefix + enum.name] = _values(enum)
        for service in file.service:
            found["services"][prefix + service.name] = _methods(service)
    return found


def breaks(before: Contract, now: Contract) -> Iterator[str]:
    """What of `before` does not hold in `now`, one line each."""
    for kind, noun in (("messages", "message"), ("enums", "enum"), ("services", "service")):
        for name, items in before[kind].items():
            if name not in now[kind]:
                yield f"{noun} {name} is gone"
            else:
                yield from _changes(f"{noun} {name}", items, now[kind][name])


def additions(before: Contract, now: Contract) -> Iterator[str]:
    """What `now` has beyond `before`, one line each."""
    for kind in before:
        for name, items in now[kind].items():
            known = before[kind].get(name)
            if known is None:
                yield name
            else:
                yield from (f"{name} {key}" for key in items.keys() - known.keys())


def main(arguments: Iterable[str]) -> int:
    """Compare, or with `--accept` write the baseline."""
    now = contract_of(ROOT)
    if "--accept" in arguments:
        BASELINE.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        print(f"{BASELINE.relative_to(ROOT)} is what the .proto files say")
        return 0
    before = json.loads(BASELINE.read_text())
    found = list(breaks(before, now))
    for line in found:
        print(f"breaks the wire: {line}", file=sys.stderr)
    if found:
        print(
            "Add instead of changing. If the break is meant, begin a new package version and run "
            "'python -m scripts.proto_compat --accept'.",
            file=sys.stderr,
        )
    return 1 if found else 0


def _changes(where: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key, value in before.items():
        if key not in now:
            yield f"{where}: {key} ({_brief(value)}) is gone"
        elif now[key] != value:
            yield f"{where}: {key} was {_brief(value)} and is {_brief(now[key])}"


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else " ".join(str(item) for item in value.values())


def _add_message(found: Contract, prefix: str, message: DescriptorProto) -> None:
    name = prefix + message.name
    found["messages"][name] = {
        str(field.number): _field(message, field)
        for field in sorted(message.field, key=lambda field: field.number)
    }
    for nested in message.nested_type:
        _add_message(found, f"{name}.", nested)
    for enum in message.enum_type:
        found["enums"][f"{name}.{enum.name}"] = _values(enum)


def _field(message: DescriptorProto, field: FieldDescriptorProto) -> dict[str, str]:
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    described = {"label": label, "type": field.type_name.lstrip(".") or kind, "name": field.name}
    if field.proto3_optional:
        described["label"] = "explicit"
    elif field.HasField("oneof_index"):
        described["oneof"] = message.oneof_decl[field.oneof_index].name
    return described


def _values(enum: EnumDescriptorProto) -> dict[str, str]:
    return {str(value.number): value.name for value in enum.value}


def _methods(service: ServiceDescriptorProto) -> dict[str, dict[str, str]]:
    return {
        method.name: {
            "request": _streamed(method.client_streaming, method.input_type),
            "answer": _streamed(method.server_streaming, method.output_type),
        }
        for method in service.method
    }


def _streamed(streaming: bool, type_name: str) -> str:
    return ("stream " if streaming else "") + type_name.lstrip(".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
