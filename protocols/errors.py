"""Typed errors with stable wire codes.

Every failure that leaves a function on purpose is a `CredenceError`. A subclass carries the code
that travels on the wire and stands in logs and problems; a code is never re-used or renamed. The
message says what is wrong, `next_step` what the reader can do. Neither holds personal data, keys
or tokens.
"""

from typing import Any, ClassVar, Literal

Category = Literal[
    "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "unavailable", "internal"
]


class CredenceError(Exception):
    """Base of all errors; subclasses set `code`, `category` and `next_step`.

    Attributes:
        code: stable identifier, lower snake case.
        category: what kind of failure; each face maps it to its own status once.
        retryable: whether the same request may succeed later without a change.
        next_step: one sentence for the reader.
    """

    code: ClassVar[str] = "internal"
    category: ClassVar[Category] = "internal"
    retryable: ClassVar[bool] = False
    next_step: str = "Look in the process's log for the request id and report it."

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if next_step is not None:
            self.next_step = next_step

    def __reduce__(self) -> tuple[Any, ...]:
        # From one process to another, whatever a subclass asks of who makes one.
        return _revived, (type(self), self.args, self.__dict__)


def _revived(
    cls: type[CredenceError], arguments: tuple[object, ...], state: dict[str, Any]
) -> CredenceError:
    error = cls.__new__(cls, *arguments)
    error.__dict__.update(state)
    return error


class InvalidInput(CredenceError):
    """Something given to the system is not what it must be."""

    code = "invalid_input"
    category = "invalid"
    next_step = "Correct the input and try again."


class Malformed(InvalidInput):
    """Bytes from outside do not parse, or pass a size or depth limit."""

    code = "malformed"
    next_step = "Send the format that docs/protocol.md describes."


class SignatureInvalid(CredenceError):
    """A signature, seal or tag does not verify."""

    code = "signature_invalid"
    category = "unauthenticated"
    next_step = "Check that both sides hold the same member directory version."


class StateConflict(CredenceError):
    """The thing exists already, or is not in a state that allows this."""

    code = "state_conflict"
    category = "conflict"
    next_step = "Read the current state, then decide."


class NotFound(CredenceError):
    """Nothing by that name here."""

    code = "not_found"
    category = "not_found"
    next_step = "Check the identifier."


class Unavailable(CredenceError):
    """A peer, a file or a database cannot be reached now."""

    code = "unavailable"
    category = "unavailable"
    retryable = True
    next_step = "Try again; if it stays, check that the other process runs."


class PortInUse(Unavailable):
    """A port a process has to listen on is taken."""

    code = "port_in_use"
    next_step = "Stop the process that holds the port, or choose another in credence.toml."


class AlreadyRunning(StateConflict):
    """Another process already runs on this home directory."""

    code = "already_running"
    next_step = "Stop the other process first, or use another home directory."


class FileUnusable(Unavailable):
    """A file cannot be read or written: full disk, permission, something else in its place."""

    code = "file_unusable"
    next_step = "Check the path, its permissions and free space, then do the same again."


class HomeUnusable(CredenceError):
    """A home directory is missing, not one of ours, already in use by another, or not writable."""

    code = "home_unusable"
    category = "invalid"
    next_step = "Check the path and its permissions."


def error_classes() -> dict[str, type[CredenceError]]:
    """All loaded error classes by code; two classes with one code are a programming error."""
    found: dict[str, type[CredenceError]] = {}
    pending: list[type[CredenceError]] = [CredenceError]
    while pending:
        cls = pending.pop()
        if found.setdefault(cls.code, cls) is not cls:
            raise RuntimeError(f"error code {cls.code!r} is used twice")
        pending.extend(cls.__subclasses__())
    return found
