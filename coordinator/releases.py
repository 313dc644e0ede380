"""The life of a model version, as a table, and the only way a version changes its part.

What is not in the table is an error. Every act is one transaction: the moves it makes, the next
signed release and one audit leaf, so the log tells the same life.

    published   a campaign made it; it plays no part
    challenger  every member scores with it in the shadow of its answers, and compares
    staged      some members answer with it already
    champion    all others answer with it
    retired     it was champion; what was scored with it can be scored again
    withdrawn   nobody may answer with it again, for good
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

from audit.database import Connection, Database
from audit.leaf import Entry
from coordinator.storage import documents
from coordinator.storage import releases as rows
from coordinator.storage.releases import MoveRow
from protocols.directory import Directory
from protocols.documents import sign_document, verify_document
from protocols.errors import InvalidInput, NotFound, StateConflict
from protocols.keys import SigningKey
from protocols.releases import KIND, Release, Staged, manifest_hash

State = Literal["published", "challenger", "staged", "champion", "retired", "withdrawn"]
Event = Literal["challenge", "stage", "promote", "replace", "restore", "drop", "withdraw"]

TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        ("published", "challenge"): "challenger",
        ("published", "stage"): "staged",
        ("published", "promote"): "champion",
        ("published", "withdraw"): "withdrawn",
        ("challenger", "stage"): "staged",
        ("challenger", "promote"): "champion",
        ("challenger", "drop"): "published",
        ("challenger", "withdraw"): "withdrawn",
        ("staged", "stage"): "staged",  # at other members
        ("staged", "promote"): "champion",
        ("staged", "drop"): "published",
        ("staged", "withdraw"): "withdrawn",
        ("champion", "replace"): "retired",
        ("champion", "withdraw"): "withdrawn",
        ("retired", "restore"): "champion",  # a rollback
        ("retired", "challenge"): "challenger",
        ("retired", "withdraw"): "withdrawn",
    }
)
STATES: tuple[State, ...] = get_args(State)
MAX_WHO, MAX_WHY = 64, 200


class UnknownBundle(NotFound):
    """No bundle of that version, or none published yet."""

    code = "unknown_bundle"
    next_step = "See the versions with `credence coordinator models list`, or train one first."


class ModelTransitionInvalid(StateConflict):
    """A model version is not in a state that allows this."""

    code = "model_transition_invalid"
    next_step = "Look at the versions with `credence coordinator models list`."


class NothingToRollBackTo(StateConflict):
    """No version before the champion is left."""

    code = "nothing_to_roll_back_to"
    next_step = "Promote another version, or withdraw the champion: then nobody scores."


class Log(Protocol):
    """The part of the audit log that is used here."""

    def append(self, connection: Connection, entry: Entry) -> Any:
        """Append an entry in the caller's transaction."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants an act, and why.

    Attributes:
        at_ms: UTC milliseconds.
        who: a name for the log, at most 64 characters; empty: nobody in particular.
        why: at most 200 characters; may be empty.
    """

    at_ms: int
    who: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        if len(self.who) > MAX_WHO or len(self.why) > MAX_WHY:
            raise InvalidInput(f"who has at most {MAX_WHO} characters, why at most {MAX_WHY}")
        if not (self.who + self.why).isprintable():
            raise InvalidInput("who and why are one line of printable characters")


def advance(state: State, event: Event) -> State:
    """The state that follows.

    Raises:
        ModelTransitionInvalid: the table has no such row.
    """
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise ModelTransitionInvalid(f"a version that is {state} cannot {event}") from None


class Releases:
    """Parts of model versions, and the releases that say so.

    Args:
        database: the coordinator's.
        audit: its log.
        key: the network's directory key.
        actor: who acts in the log, the coordinator's name.
        directory: the member directory in force.
    """

    def __init__(
        self,
        database: Database,
        audit: Log,
        key: SigningKey,
        actor: str,
        directory: Callable[[], Directory],
    ) -> None:
        self._database = database
        self._audit = audit
        self._key = key
        self._actor = actor
        self._directory = directory

    def current(self, connection: Connection) -> Release | None:
        """The release in force, or None before the first.

        Raises:
            SignatureInvalid: it was changed in the database.
        """
        held = documents.newest(connection, KIND)
        if held is None:
            return None
        # What is built upon is verified first: a changed row must not be signed anew.
        verify_document(held, self._key.verify_key, KIND)
        return Release.from_body(held.body)

    def published(
        self,
        connection: Connection,
        version: str,
        campaign_id: str,
        at_ms: int,
        *,
        promote: bool,
    ) -> Release:
        """A new bundle is there, in the transaction that stores it; the first is champion at once.

        Args:
            connection: of a write transaction in which the bundle's row stands already.
            version: of the bundle.
            campaign_id: that made it, and acts here.
            at_ms: UTC milliseconds.
            promote: whether a later one becomes champion at once too.
        """
        act = _Act(self, connection, Order(at_ms, who=campaign_id))
        if not promote and act.moves:
            return act.done("published", version)
        return self._promoted(act, version)

    def challenge(self, version: str, order: Order) -> Release:
        """Have every member score with a version in the shadow of its answers.

        Another challenger is dropped.

        Raises:
            UnknownBundle: no such version.
            ModelTransitionInvalid: not in the table.
        """
        with self._database.write() as connection:
            act = _Act(self, connection, order)
            act.drop_others("challenger", version)
            act.move(version, "challenge")
            return act.done("challenged", version)

    def stage(self, version: str, members: Sequence[str], order: Order) -> Release:
        """Have some members answer with a version already; another staged one is dropped.

        Raises:
            UnknownBundle: no such version.
            ModelTransitionInvalid: not in the table.
            UnknownMember, MemberNotActive: not a member that may act.
            InvalidInput: no member is named.
        """
        chosen = tuple(sorted(set(members)))
        directory = self._directory()
        for member_id in chosen:
            directory.active_member(member_id)
        staged = Staged(version, chosen)
        with self._database.write() as connection:
            act = _Act(self, connection, order)
            act.drop_others("staged", version)
            act.move(version, "stage")
            return act.done("staged", version, staged)

    def promote(self, version: str, order: Order) -> Release:
        """Have all members answer with a version; the champion retires.

        Raises:
            UnknownBundle: no such version.
            ModelTransitionInvalid: not in the table.
        """
        with self._database.write() as connection:
            return self._promoted(_Act(self, connection, order), version)

    def rollback(self, order: Order, version: str = "") -> Release:
        """Make a former champion champion again (empty: the one before); the champion retires.

        Raises:
            UnknownBundle: no such version.
            NothingToRollBackTo: there is no champion, or none before it.
            ModelTransitionInvalid: the version was never champion, or is withdrawn.
        """
        with self._database.write() as connection:
            act = _Act(self, connection, order)
            champion = act.holder("champion")
            target = version or act.before_champion()
            if champion is None or target is None:
                raise NothingToRollBackTo("no version before the champion is left")
            act.check_known(target)
            act.move(champion, "replace")
            act.move(target, "restore")
            return act.done("rolled_back", target)

    def drop(self, version: str, order: Order) -> Release:
        """End a challenge, or answers of some members with a staged version.

        Raises:
            UnknownBundle: no such version.
            ModelTransitionInvalid: it is neither challenger nor staged.
        """
        with self._database.write() as connection:
            act = _Act(self, connection, order)
            act.move(version, "drop")
            return act.done("dropped", version)

    def withdraw(self, version: str, order: Order) -> Release:
        """Forbid all members to answer with a version, for good.

        When it is the champion, the one before it takes its place; if none is left, nobody scores.

        Raises:
            UnknownBundle: no such version.
            ModelTransitionInvalid: it is withdrawn already.
        """
        with self._database.write() as connection:
            act = _Act(self, connection, order)
            successor = act.before_champion() if act.holder("champion") == version else None
            act.move(version, "withdraw")
            if successor is not None:
                act.move(successor, "restore")
            return act.done("withdrawn", version)

    def _promoted(self, act: "_Act", version: str) -> Release:
        act.check_known(version)
        champion = act.holder("champion")
        if champion is not None and champion != version:
            act.move(champion, "replace")
        act.move(version, "promote")
        return act.done("promoted", version)

    def publish(
        self,
        connection: Connection,
        kind: str,
        version: str,
        release: Release,
        moved: Sequence[MoveRow],
        order: Order,
    ) -> None:
        """Store an act: its moves, the release that says so, and its leaf."""
        for row in moved:
            rows.add(connection, row)
        document = sign_document(KIND, release.to_body(), self._key)
        documents.publish(connection, document, order.at_ms)
        staged = release.staged
        facts = {
            "serial": release.serial,
            "version": version,
            "moves": [{"version": one.version, "from": one.before, "to": one.after}
                      for one in moved],
            "members": list(staged.members) if staged else [],
            "who": order.who,
            "why": order.why,
        }  # fmt: skip
        entry = Entry(kind=f"model.{kind}", actor=self._actor, purpose="", correlation=version,
                      payload=facts, subject=None, at_ms=order.at_ms)  # fmt: skip
        self._audit.append(connection, entry)


def standings(versions: Sequence[str], moves: Sequence[MoveRow]) -> dict[str, State]:
    """The state of every version, in the order of `versions`."""
    found: dict[str, State] = dict.fromkeys(versions, "published")
    for row in moves:
        found[row.version] = row.after  # type: ignore[assignment] # a state we stored
    return found


def champions(moves: Sequence[MoveRow]) -> list[str]:
    """Versions that a rollback can return to, the oldest first, the champion last.

    A rollback takes away what came after the version it returns to, a withdrawal that version.
    """
    line: list[str] = []
    for row in moves:
        if row.after == "withdrawn":
            line = [one for one in line if one != row.version]
        elif row.after == "champion":
            if row.event == "restore" and row.version in line:
                line = line[: line.index(row.version)]
            line = [*(one for one in line if one != row.version), row.version]
    return line


class _Act:
    """One act under way, in a write transaction."""

    def __init__(self, releases: Releases, connection: Connection, order: Order) -> None:
        self._releases = releases
        self._connection = connection
        self._order = order
        self._before = releases.current(connection)
        self._manifests = rows.manifests(connection)
        self._serial = self._before.serial + 1 if self._before else 1
        self.moves = rows.moves(connection)
        self._states = standings(list(self._manifests), self.moves)
        self._moved: list[MoveRow] = []

    def check_known(self, version: str) -> None:
        if version not in self._states:
            raise UnknownBundle(f"no bundle {version}")

    def move(self, version: str, event: Event) -> None:
        self.check_known(version)
        before = self._states[version]
        after = advance(before, event)
        self._states[version] = after
        order = self._order
        row = MoveRow(
            self._serial, version, event, before, after, order.who, order.why, order.at_ms
        )
        self._moved.append(row)

    def drop_others(self, state: State, version: str) -> None:
        held = self.holder(state)
        if held is not None and held != version:
            self.move(held, "drop")

    def holder(self, state: State) -> str | None:
        return next((one for one, held in self._states.items() if held == state), None)

    def before_champion(self) -> str | None:
        former = champions(self.moves)[:-1]
        return next((one for one in reversed(former) if self._states[one] == "retired"), None)

    def done(self, kind: str, version: str, staged: Staged | None = None) -> Release:
        before = self._before
        if staged is None and before is not None and before.staged is not None:
            still = self._states[before.staged.version] == "staged"
            staged = before.staged if still else None
        release = Release(
            serial=self._serial,
            at_ms=max(self._order.at_ms, before.at_ms) if before else self._order.at_ms,
            champion=self.holder("champion"),
            challenger=self.holder("challenger"),
            staged=staged,
            models={
                one: manifest_hash(manifest)
                for one, manifest in self._manifests.items()
                if self._states[one] != "withdrawn"
            },
            withdrawn=tuple(sorted(one for one, state in self._states.items()
                                   if state == "withdrawn")),
        )  # fmt: skip
        self._releases.publish(self._connection, kind, version, release, self._moved, self._order)
        return release
