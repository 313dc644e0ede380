"""A node follows the network's releases: which model version it answers with, and why.

The newest release is kept and never taken back (`protocols.releases.accept`); bundles are fetched
as it names them (`node.bundles`); what is answered with follows from both and from the node's own
rules (`node.model_choice`). A withdrawal bites in the transaction that stores the release, before
anything is fetched. A change of what is answered with and its audit leaf are one transaction.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from audit.database import Connection, Database
from audit.leaf import Entry
from models.catalogue import Catalogue
from node.bundles import BundleNotForUs, Expected, verified
from node.model_choice import Choice, Situation, choose
from node.storage import bundles, documents, models
from node.storage.models import Comparison, Rule, RuleRow
from protocols.canonical import parse_canonical
from protocols.documents import MAX_DOCUMENT_BYTES, Document
from protocols.errors import CredenceError, NotFound, StateConflict
from protocols.keys import VerifyKey
from protocols.releases import KIND, Release, accept, manifest_hash
from protocols.v1.membership_pb2 import BundlePiece

log = structlog.get_logger(__name__)

KEPT_RELEASES = 8


class ModelNotReleased(NotFound):
    """The newest release that this node has seen does not name that version."""

    code = "model_not_released"
    next_step = "See the versions with `credence node models list`."


class ModelWithdrawn(StateConflict):
    """That version is withdrawn: nobody answers with it again."""

    code = "model_withdrawn"
    next_step = "Unpin it, or pin another; see `credence node models list`."


class Log(Protocol):
    """The part of the audit log that is used here."""

    def append(self, connection: Connection, entry: Entry) -> Any:
        """Append an entry in the caller's transaction."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a node knows and does about model versions.

    Attributes:
        release: the newest seen, or None.
        choice: what it answers with and scores in its shadow.
        named: what the release names for it.
        kept: versions whose bundles it keeps, the newest first.
        rules: its own, by version.
        comparisons: challengers against answers, the newest first.
    """

    release: Release | None
    choice: Choice
    named: str | None
    kept: tuple[str, ...]
    rules: dict[str, RuleRow]
    comparisons: tuple[Comparison, ...]


class Releases:
    """This node's following of releases; also from several processes of one node at once.

    Args:
        database: the node's.
        audit: its log.
        member_id: this node.
        directory_key: the pinned key of the network; raises before the node has joined.
        catalogue: the catalogue in force.
        ask: asks the coordinator for the newest release, and tells it what is answered with here
            (empty: nothing) and the serial held (0: none).
        fetch: asks it for a version's bundle, in pieces.
        warm: loads a kept version before it is put in force, so that no answer waits for it.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        audit: Log,
        member_id: str,
        directory_key: Callable[[], VerifyKey],
        catalogue: Callable[[], Catalogue],
        ask: Callable[[str, int], Document],
        fetch: Callable[[str], Iterable[BundlePiece]],
        warm: Callable[[Connection, str], object],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._member_id = member_id
        self._directory_key = directory_key
        self._catalogue = catalogue
        self._ask = ask
        self._fetch = fetch
        self._warm = warm
        self._now_ms = now_ms

    def active_version(self) -> str | None:
        """The version this node answers with, or None."""
        with self._database.read() as connection:
            return bundles.active_version(connection)

    def follow(self) -> str | None:
        """Ask for the newest release and do what it says; the version answered with afterwards.

        Raises:
            PeerUnreachable, PeerTooSlow: the coordinator does not answer; what was, stays.
            SignatureInvalid, Malformed, ReleaseRollback: its release is refused; what was, stays.
            BundleInvalid, BundleNotForUs, BundleNotReleased: the release stands, but a bundle that
                it names is refused; see `node.model_choice` for what is answered with then.
        """
        with self._database.read() as connection:
            held = documents.newest(connection, KIND)
            active = bundles.active_version(connection)
        try:
            document = self._ask(active or "", held.version if held else 0)
        except NotFound:
            return active  # nothing is released yet
        news = held is None or document.body != held.body
        if news:
            self._take(document)
        found = self._arrange()
        if news or found != active:
            with suppress(CredenceError):  # the operator sees it at the next turn
                self._ask(found or "", document.version)
        return found

    def pin(self, version: str, why: str) -> str | None:
        """Answer with one version alone, whatever the release names; fetched when it is not here.

        Returns:
            What is answered with then.

        Raises:
            ModelNotReleased, ModelWithdrawn: it may not be used.
            CredenceError: it is not here and cannot be fetched; nothing was pinned.
        """
        with self._database.read() as connection:
            release = self._allowed(connection, version)
            here = version in self._situation(connection, release).usable
        if not here:
            self._add(version, release)
        return self._rule(version, "pinned", why)

    def refuse(self, version: str, why: str) -> str | None:
        """Never answer with a version; the version answered with then.

        Raises:
            ModelNotReleased, ModelWithdrawn: it is none of the release's.
        """
        with self._database.read() as connection:
            self._allowed(connection, version)
        return self._rule(version, "refused", why)

    def unpin(self, version: str = "") -> str | None:
        """Take back the rule about a version (empty: the pin); the version answered with then.

        Raises:
            NotFound: there is no such rule.
        """
        with self._database.write() as connection:
            held = models.rules(connection)
            pinned = next((one for one in held.values() if one.rule == "pinned"), None)
            rule = held.get(version) if version else pinned
            if rule is None:
                raise NotFound(f"there is no rule about {version}" if version else "none is pinned")
            models.remove_rule(connection, rule.version)
            facts = {"version": rule.version, "rule": rule.rule}
            self._log(connection, "model.rule_removed", rule.version, facts)
            return self._settle(connection)

    def standing(self) -> Standing:
        """What this node knows and does about model versions."""
        with self._database.read() as connection:
            release = self._release(connection)
            return Standing(
                release=release,
                choice=Choice(*bundles.in_use(connection)),
                named=release.named_for(self._member_id) if release else None,
                kept=tuple(bundles.manifests(connection)),
                rules=models.rules(connection),
                comparisons=tuple(models.comparisons(connection)),
            )

    def _take(self, document: Document) -> None:
        """Keep a newer release, and let what it withdraws bite at once."""
        with self._database.read() as connection:
            offered = accept(documents.newest(connection, KIND), document, self._directory_key())
            self._prepare(connection, self._situation(connection, offered))
        with self._database.write() as connection:
            held = documents.newest(connection, KIND)
            release = accept(held, document, self._directory_key())
            if held is not None and held.version == release.serial:
                return  # another process of this node was faster
            documents.add(connection, document, self._now_ms())
            documents.forget(connection, KIND, release.serial - KEPT_RELEASES)
            facts = {
                "serial": release.serial,
                "champion": release.champion,
                "challenger": release.challenger,
                "staged": release.staged.version if release.staged else None,
                "named": release.named_for(self._member_id),
                "withdrawn": list(release.withdrawn),
            }
            self._log(connection, "release.accepted", str(release.serial), facts)
            self._settle(connection)
        log.info("release.accepted", serial=release.serial, named=facts["named"])

    def _arrange(self) -> str | None:
        """Fetch what the release names and is not here; put the choice in force."""
        with self._database.read() as connection:
            release = self._release(connection)
            if release is None:
                return bundles.active_version(connection)
            situation = self._situation(connection, release)
            settled = choose(situation) == Choice(*bundles.in_use(connection))
        missing = [
            one
            for one in (situation.wanted, release.challenger)
            if one is not None and situation.allowed(one) and one not in situation.usable
        ]
        failed: CredenceError | None = None
        for version in dict.fromkeys(missing):
            try:
                self._add(version, release)
            except CredenceError as error:
                failed = failed or error
        if not settled:
            with self._database.write() as connection:
                self._settle(connection)
        if failed is not None:
            raise failed
        return self.active_version()

    def _add(self, version: str, release: Release) -> None:
        """Fetch a bundle, keep it, and put the choice in force that it allows."""
        expected = Expected(version, release.models[version], self._catalogue().sha256)
        row = verified(self._fetch(version), expected, self._directory_key(), self._now_ms())
        with self._database.write() as connection:
            held = bundles.find(connection, version)
            if held is None:
                bundles.add(connection, row)
            elif held.manifest != row.manifest:
                raise BundleNotForUs(f"there are two different bundles {version}")
        with self._database.read() as connection:
            self._prepare(connection, self._situation(connection, release))
        with self._database.write() as connection:
            self._settle(connection)

    def _prepare(self, connection: Connection, situation: Situation) -> None:
        """Load what will be in force."""
        choice = choose(situation)
        for version in (choice.active, choice.shadow):
            if version is not None:
                with suppress(CredenceError):  # whoever scores with it hears of it
                    self._warm(connection, version)

    def _rule(self, version: str, rule: Rule, why: str) -> str | None:
        with self._database.write() as connection:
            self._allowed(connection, version)
            models.set_rule(connection, RuleRow(version, rule, why, self._now_ms()))
            facts = {"version": version, "rule": rule, "why": why}
            self._log(connection, f"model.{rule}", version, facts)
            return self._settle(connection)

    def _allowed(self, connection: Connection, version: str) -> Release:
        release = self._release(connection)
        if release is not None and version in release.withdrawn:
            raise ModelWithdrawn(f"version {version} is withdrawn")
        if release is None or version not in release.models:
            raise ModelNotReleased(f"no release seen here names a version {version}")
        return release

    def _settle(self, connection: Connection) -> str | None:
        """Put the choice in force; the version answered with."""
        release = self._release(connection)
        before, shadow_before = bundles.in_use(connection)
        if release is None:
            return before
        choice = choose(self._situation(connection, release))
        if choice.shadow != shadow_before:
            bundles.set_shadow(connection, choice.shadow)
        if choice.active != before:
            bundles.activate(connection, choice.active)
            facts = {"version": choice.active, "before": before, "serial": release.serial,
                     "manifest_sha256": release.models.get(choice.active or "")}  # fmt: skip
            kind = "bundle.activated" if choice.active else "bundle.deactivated"
            self._log(connection, kind, choice.active or before or "", facts)
            log.info(kind, version=choice.active or before)
        return choice.active

    def _situation(self, connection: Connection, release: Release) -> Situation:
        catalogue_sha256 = self._catalogue().sha256
        usable = {
            version
            for version, manifest in bundles.manifests(connection).items()
            if release.models.get(version) == manifest_hash(manifest)
            and _catalogue_of(manifest) == catalogue_sha256
        }
        return Situation(
            member_id=self._member_id,
            release=release,
            rules=models.rules(connection),
            usable=usable,
            active=bundles.active_version(connection),
        )

    def _release(self, connection: Connection) -> Release | None:
        held = documents.newest(connection, KIND)
        # What is decided by is verified: a changed row must not choose a model.
        return None if held is None else accept(None, held, self._directory_key())

    def _log(
        self, connection: Connection, kind: str, correlation: str, facts: dict[str, Any]
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=self._member_id,
            purpose="",
            correlation=correlation,
            payload=facts,
            subject=None,
            at_ms=self._now_ms(),
        )
        self._audit.append(connection, entry)


def _catalogue_of(manifest: bytes) -> object:
    parsed = parse_canonical(manifest, max_bytes=MAX_DOCUMENT_BYTES)
    return parsed.get("catalogue_sha256") if isinstance(parsed, dict) else None
