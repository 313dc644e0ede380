"""Runs the campaigns of a coordinator, one after another, in a thread of its own.

It looks at the campaign table now and then: `credence train` only inserts a row. What a killed
process left unfinished is found the same way and resumed. The state at the end is the truth:
`completed` with a bundle, `aborted` when members did not accept, `failed` otherwise.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import structlog

from coordinator.bootstrap import Coordinator
from coordinator.campaigns import UNFINISHED, Campaigns, CampaignTransitionInvalid, Event
from coordinator.federation.campaign_run import CampaignRun
from coordinator.federation.ledgers import MemberLedgers
from coordinator.federation.office import CampaignBelowQuorum, Office, Patience
from coordinator.federation.service import Caller, FederationService
from coordinator.federation.streams import Streams, StreamsClosed
from coordinator.membership import ACTOR
from coordinator.storage import campaigns as rows
from coordinator.storage import member_ledgers, members
from coordinator.transport import peer_member
from coordinator.watch.wiring import make_watches
from models.catalogue import Catalogue
from models.plan import CampaignExpired
from protocols.directory import UnknownMember
from protocols.errors import CredenceError
from protocols.v1.federation_pb2_grpc import add_FederationServicer_to_server

log = structlog.get_logger(__name__)

EXPEL_EVERY_S = 2.0
STOP_S = 10.0


class CampaignRunner:
    """Runs what the campaign table asks for; `start` and `stop` once each.

    Args:
        office: what campaigns are run with.
        poll_s: how often the table is looked at.
    """

    def __init__(self, office: Office, poll_s: float) -> None:
        self._office = office
        self._poll_s = poll_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="campaigns", daemon=True)

    def start(self) -> None:
        """Begin; what was left unfinished is resumed first."""
        self._thread.start()

    def stop(self) -> None:
        """End all streams and the thread; a running campaign resumes with the next process."""
        self._stopping.set()
        self._office.streams.close()
        self._thread.join(timeout=STOP_S)

    def run_next(self) -> bool:
        """Run the oldest unfinished campaign to its end; whether there was one.

        Raises:
            StreamsClosed: the process stops.
        """
        with self._office.database.read() as connection:
            waiting = rows.in_states(connection, UNFINISHED)
        if not waiting:
            return False
        self._run(waiting[0])
        return True

    def _run(self, row: rows.CampaignRow) -> None:
        log.info("campaign.begins", campaign=row.campaign_id, state=row.state)
        try:
            CampaignRun(self._office, row).run()
        except StreamsClosed:
            raise
        except CampaignBelowQuorum as error:
            self._end(row.campaign_id, error.message)
        except CampaignExpired as error:
            self._end(row.campaign_id, f"{error.code}: {error.message}", "expire")
        except CampaignTransitionInvalid:
            log.warning("campaign.ended_meanwhile", campaign=row.campaign_id)
        except CredenceError as error:
            self._end(row.campaign_id, f"{error.code}: {error.message}")
        except Exception as error:
            log.exception("campaign.crashed", campaign=row.campaign_id)
            self._end(row.campaign_id, f"internal: {type(error).__name__}")

    def _end(self, campaign_id: str, detail: str, how: Event = "fail") -> None:
        with self._office.database.read() as connection:
            row = rows.find(connection, campaign_id)
        if row is None or row.state not in UNFINISHED:
            return  # completed before the error, or ended by an operator
        # Never accepted: nothing ran that could have failed.
        event: Event = "abort" if (row.state, how) == ("proposed", "fail") else how
        self._office.move(campaign_id, event, detail)

    def _work(self) -> None:
        expelled_at = 0.0
        while not self._stopping.is_set():
            try:
                if time.monotonic() - expelled_at >= EXPEL_EVERY_S:
                    self._office.streams.keep_only(self._office.active_members())
                    expelled_at = time.monotonic()
                if self.run_next():
                    continue
            except StreamsClosed:
                return
            except CredenceError as error:
                log.warning("campaigns.unavailable", code=error.code)
            except Exception:  # the thread must live as long as the process serves
                log.exception("campaigns.crashed")
            self._stopping.wait(self._poll_s)


@contextmanager
def attach_federation(
    server: grpc.Server, coordinator: Coordinator, patience: Patience | None = None
) -> Iterator[CampaignRunner]:
    """Serve training streams on `server` and run campaigns until the block ends.

    Args:
        server: the member port; not started yet.
        coordinator: its parts.
        patience: how long campaigns wait.
    """
    streams = Streams()
    service = FederationService(streams, _identify(coordinator))
    add_FederationServicer_to_server(service, server)
    office = make_office(coordinator, streams, patience or Patience())
    runner = CampaignRunner(office, coordinator.settings.campaign_poll_s)
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


def make_office(coordinator: Coordinator, streams: Streams, patience: Patience) -> Office:
    """What this coordinator's campaigns are run with."""
    membership = coordinator.membership

    def active() -> set[str]:
        return {one.member_id for one in membership.directory().members if one.active}

    def clock() -> int:
        return int(time.time() * 1000)

    return Office(
        database=coordinator.database,
        campaigns=Campaigns(coordinator.audit, ACTOR),
        releases=coordinator.releases,
        auto_promote=coordinator.settings.auto_promote,
        watches=make_watches(coordinator),
        streams=streams,
        key=coordinator.keys.directory,
        catalogue=lambda: Catalogue.from_body(membership.document("catalogue").body),
        active_members=active,
        directory=membership.directory,
        ledgers=MemberLedgers(coordinator.database, membership.directory, clock),
        numbers=lambda: {row.member_id: row.flower_node_id for row in membership.rows()},
        patience=patience,
        now_ms=clock,
        gate=coordinator.witnessing.gate,
    )


def _identify(coordinator: Coordinator) -> Callable[[grpc.ServicerContext], Caller]:
    def identify(context: grpc.ServicerContext) -> Caller:
        member_id = peer_member(context)  # the member gate has admitted it
        with coordinator.database.read() as connection:
            row = members.find(connection, member_id)
            if row is None:
                raise UnknownMember("no member by this id")
            kept = member_ledgers.find(connection, member_id)
        return Caller(member_id, row.flower_node_id, b"" if kept is None else kept[1])

    return identify
