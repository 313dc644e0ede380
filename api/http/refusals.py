"""What an operation may refuse with, as its OpenAPI document says it."""

from collections.abc import Mapping
from typing import Any

from api.http.problems import MEDIA_TYPE, Problem

Answers = dict[int | str, dict[str, Any]]
_OF_BODIES = {
    408: "The body did not come in time.",
    413: "The body is over its limit.",
    415: "The body is of another content type.",
}


def refused(said: Mapping[int, str], *statuses: int) -> Answers:
    """Problem documents of these statuses, each with what is `said` of it."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": said[status], "model": Problem, "content": content}
        for status in statuses
    }


def refused_with_body(said: Mapping[int, str], *statuses: int) -> Answers:
    """The same, and where a field may be wrong (422) what may be wrong with a body."""
    bodies = _OF_BODIES if 422 in statuses else {}
    return refused({**_OF_BODIES, **said}, *statuses, *bodies)
