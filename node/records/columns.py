"""One column of text becomes one typed column, whole arrays at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from node.records.schema import Column, Kind
from protocols.errors import InvalidInput
from protocols.legal_ids import normalise_identifier

KEY_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
AMOUNT_PATTERN = r"^-?[0-9]{1,13}(\.[0-9]{1,4})?$"
BLANKS = " \t\u3000"  # a line break inside a value is no blank: it would shift the line numbers
DATE_PATTERN = "^(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}$"


@dataclass(frozen=True, slots=True)
class Converted:
    """A typed column.

    Attributes:
        values: typed, null where the text was empty or wrong.
        missing: boolean, where a value is required and the text is empty.
        invalid: boolean, where the text is not of the column's form.
        reason: what the form is, for errors.
    """

    values: pa.Array
    missing: pa.Array
    invalid: pa.Array
    reason: str


def convert(text: pa.Array, column: Column) -> Converted:
    """Type a text column.

    Args:
        text: strings.
        column: what they should be.
    """
    trimmed = pc.utf8_trim(text, BLANKS)
    filled = pc.not_equal(trimmed, "")
    given = pc.if_else(filled, trimmed, pa.scalar(None, pa.string()))
    values, reason = _CONVERTERS[column.kind](given, column)
    invalid = pc.and_(filled, pc.is_null(values))
    missing = pa.nulls(len(text), pa.bool_()) if column.optional else pc.invert(filled)
    return Converted(values, missing, invalid, reason)


def _key(text: pa.Array, _column: Column) -> tuple[pa.Array, str]:
    reason = "must be 1 to 64 letters, digits, '.', '_' or '-'"
    return _where(pc.match_substring_regex(text, KEY_PATTERN), text), reason


def _pattern(text: pa.Array, column: Column) -> tuple[pa.Array, str]:
    valid = pc.match_substring_regex(text, column.pattern)
    return _where(valid, text), f"must be {column.expected}"


def _code(text: pa.Array, column: Column) -> tuple[pa.Array, str]:
    valid = pc.is_in(text, value_set=pa.array(column.codes))
    return _where(valid, text), f"unknown code; it must be one of {' '.join(column.codes)}"


def _amount(text: pa.Array, column: Column) -> tuple[pa.Array, str]:
    plain = _where(pc.match_substring_regex(text, AMOUNT_PATTERN), text)
    values = plain.cast(pa.float64())
    if column.negative:
        return values, "must be a plain number such as 1250.50"
    values = _where(pc.greater_equal(values, 0.0), values)
    return values, "must be a plain number, zero or more, such as 1250.50"


def _date(text: pa.Array, _column: Column) -> tuple[pa.Array, str]:
    return _parse_dates(text), "must be a date as YYYY-MM-DD, from 1900 to 2099"


def _month(text: pa.Array, _column: Column) -> tuple[pa.Array, str]:
    first_days = pc.binary_join_element_wise(text, "01", "-")
    return _parse_dates(first_days), "must be a month as YYYY-MM, from 1900 to 2099"


def _parse_dates(text: pa.Array) -> pa.Array:
    shaped = _where(pc.match_substring_regex(text, DATE_PATTERN), text)
    days = pc.strptime(shaped, format="%Y-%m-%d", unit="s", error_is_null=True).cast(pa.date32())
    # strptime lets the 30th of February roll over into March; only what comes back is a date.
    return _where(pc.equal(days.cast(pa.string()), shaped), days)


def _identifier(text: pa.Array, _column: Column) -> tuple[pa.Array, str]:
    reason = "is not a valid resident id, uscc: or passport: identifier (form or check digit)"
    return pa.array([_normalised(one) for one in text.to_pylist()], pa.string()), reason


def _normalised(identifier: str | None) -> str | None:
    if identifier is None:
        return None
    try:
        return normalise_identifier(identifier)
    except InvalidInput:
        return None


def _where(valid: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(valid, False), values, pa.scalar(None, values.type))


_CONVERTERS: dict[Kind, Callable[[pa.Array, Column], tuple[pa.Array, str]]] = {
    "key": _key,
    "identifier": _identifier,
    "text": _pattern,
    "date": _date,
    "month": _month,
    "amount": _amount,
    "code": _code,
}
