"""Frozen dataclasses out of JSON: by their fields, which name what is read.

An answer may say more than this SDK knows: that is passed over, so that a newer node can be called
with an older SDK. What a field has no default for must be there. A field `raw` takes the whole
object, with what is passed over.
"""

import json
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from api.sdk.wire import HttpAnswer

Record = TypeVar("Record")
_PLAIN: dict[type, tuple[type, ...]] = {
    int: (int,), float: (int, float), str: (str,), bool: (bool,)
}  # fmt: skip


def read(kind: type[Record], answer: HttpAnswer) -> Record:
    """The body of an answer as a `kind`.

    Raises:
        ValueError: it is none.
    """
    return record(kind, json.loads(answer.body))


def record(kind: type[Record], value: Any) -> Record:
    """A JSON object as a `kind`, a dataclass.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{kind.__name__} is an object")  # noqa: TRY004 - of what is read
    given: dict[str, Any] = {}
    for name, hint, required in _fields(kind):  # type: ignore[arg-type]
        if name == "raw":
            given[name] = value
        elif name in value:
            given[name] = _convert(hint, value[name], name)
        elif required:
            raise ValueError(f"{kind.__name__} lacks {name}")
    return kind(**given)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    hints = get_type_hints(kind)
    return tuple(
        (one.name, hints[one.name], one.default is MISSING and one.default_factory is MISSING)
        for one in fields(kind)
    )


def _convert(hint: Any, value: Any, name: str) -> Any:
    origin = get_origin(hint)
    if origin is UnionType:
        kinds = [one for one in get_args(hint) if one is not NoneType]
        if value is None and len(kinds) < len(get_args(hint)):
            return None
        return _convert(kinds[0], value, name)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{name} is a list")
        return tuple(_convert(get_args(hint)[0], one, name) for one in value)
    if is_dataclass(hint) and isinstance(hint, type):
        return record(hint, value)
    wanted: tuple[type, ...] | None = _PLAIN.get(hint)
    if wanted is None:  # any JSON
        return value
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{name} is of another kind")
    return float(value) if hint is float and isinstance(value, int) else value
