"""Which signals of a subject an answer carries, and with which status.

A signal is given a value only when its source class was granted (`no_consent` otherwise), this
node holds that class and keeps this signal (`not_held` otherwise), and there is something about
the subject (`none_on_record` otherwise).
"""

from collections.abc import Sequence

from models.catalogue import Catalogue, SignalStatus
from node.storage.signals import SignalVector
from protocols.v1.exchange_pb2 import SignalValue

# A disputed item goes out with its value and the flag (Credit Reporting Industry Regulation, 25).
_VALUED = frozenset({int(SignalStatus.PRESENT), int(SignalStatus.DISPUTED)})


class Selection:
    """The signals that one request asks a holder for."""

    def __init__(self, catalogue: Catalogue, holds: frozenset[str], asked: Sequence[str]) -> None:
        """Resolve the names asked for; none: all that this node holds and the consent grants.

        Args:
            catalogue: in force here.
            holds: source classes that this node holds.
            asked: signal ids; one that the catalogue does not know is answered `not_held`.
        """
        self.catalogue_version = catalogue.version
        self._asked_all = not asked
        held = catalogue.held_by(*holds)
        names = [spec.id for spec in held] if self._asked_all else asked
        self._source_class = {
            name: catalogue.signal(name).source_class if name in catalogue.index else None
            for name in names
        }
        self._held = frozenset(spec.id for spec in held)
        self.categories = frozenset(c for c in self._source_class.values() if c) or holds

    def values(
        self, granted: frozenset[str], vector: SignalVector | None, now_ms: int
    ) -> list[SignalValue]:
        """The signals of one subject.

        Args:
            granted: source classes that may be released.
            vector: what this node knows of the subject; None: nothing.
            now_ms: UTC milliseconds, the time of an answer that there is nothing.
        """
        as_of_ms = vector.as_of_ms if vector else now_ms
        found = []
        for name, source_class in self._source_class.items():
            if source_class is not None and source_class not in granted:
                if self._asked_all:
                    continue
                status, value = int(SignalStatus.NO_CONSENT), 0.0
            elif name not in self._held:
                status, value = int(SignalStatus.NOT_HELD), 0.0
            elif vector is None:
                status, value = int(SignalStatus.NONE_ON_RECORD), 0.0
            else:
                status, value = vector.signals.get(name, (int(SignalStatus.NOT_HELD), 0.0))
            said = status in _VALUED
            found.append(
                SignalValue(
                    signal=name,
                    status=status,  # type: ignore[arg-type]  # the numbers are the same
                    value=value if said else 0.0,
                    as_of_ms=as_of_ms,
                )
            )
        return found
