"""Brings the sandbox's network up: coordinator, invitations, five nodes that join and serve."""

import json
import socket
import time
from dataclasses import dataclass

import httpx

from deploy.sandbox.layout import LOOPBACK, REGULATOR, Layout, MemberLayout
from deploy.sandbox.processes import Supervisor
from deploy.sandbox.progress import Stage
from deploy.sandbox.stranger import is_turned_away
from protocols.errors import CredenceError

INVITATION_S = 3600
PROBE_S = 1.0
POLL_S = 0.1
HEARTBEAT_S = 10.0  # the logs' heads are cosigned; the job is over in a minute or two


class CeremonyLost(CredenceError):
    """The members of the sandbox made no pseudonym key."""

    code = "ceremony_lost"
    next_step = "Read the nodes' logs in the sandbox's logs directory."


class StrangerAdmitted(CredenceError):
    """A server spoke with a caller that no member's certificate vouches for."""

    code = "stranger_admitted"
    next_step = "This is a security fault: keep the sandbox as it is and report it."


def found(layout: Layout) -> None:
    """Make the coordinator's home (CA, signing key, first directory, signed catalogue), and that of
    the regulator's witness, which trusts the directory key and nothing else.
    """
    from audit.witness_home import WitnessSettings, init_witness
    from coordinator.bootstrap import init_coordinator
    from coordinator.keystore import open_keystore
    from coordinator.settings import make_settings, save_settings

    settings = make_settings(
        name="sandbox",
        listen_members=f"{LOOPBACK}:{layout.member_port}",
        listen_enrolment=f"{LOOPBACK}:{layout.enrolment_port}",
        listen_console=f"{LOOPBACK}:{layout.console_port}",
        witness_heartbeat_s=HEARTBEAT_S,
    )
    init_coordinator(layout.coordinator_home, settings)
    key = open_keystore(layout.coordinator_home).directory.verify_key
    named = WitnessSettings(
        name=f"{REGULATOR}.example/w1",
        organisation=REGULATOR,
        listen=f"{LOOPBACK}:{layout.witness_port}",
        directory_key=key.bytes.hex(),
    )
    init_witness(layout.witness_home, named)
    witnessed = settings.model_copy(update={"witnesses": (witness_line(layout),)})
    save_settings(layout.coordinator_home, witnessed)


def witness_line(layout: Layout) -> str:
    """What a log writes into its settings, to be witnessed by the regulator."""
    from audit.witness_home import WitnessHome

    home = WitnessHome(layout.witness_home, _now_ms)
    try:
        return home.line
    finally:
        home.close()


def watched_logs(layout: Layout) -> dict[str, int]:
    """How many leaves of each log the regulator's witness has cosigned, by the log's origin."""
    from audit.witness_home import WitnessHome
    from audit.witness_store import all_held

    home = WitnessHome(layout.witness_home, _now_ms)
    try:
        with home.database.read() as connection:
            held = all_held(connection)
    finally:
        home.close()
    return {one.checkpoint.origin: one.checkpoint.size for one in held}


def start_witness(layout: Layout, supervisor: Supervisor) -> None:
    """Start the regulator's witness; logs wait for no single witness, and this waits for none."""
    supervisor.start(REGULATOR, ["witness", "run", str(layout.witness_home)], layout.log(REGULATOR))


def start_coordinator(layout: Layout, supervisor: Supervisor) -> None:
    """Start the coordinator's process and wait until its ports answer."""
    arguments = ["coordinator", "run", str(layout.coordinator_home)]
    supervisor.start("coordinator", arguments, layout.log("coordinator"))
    ports = (layout.enrolment_port, layout.member_port, layout.console_port)
    supervisor.wait_until("coordinator", lambda: all(_listens(port) for port in ports))


def join(layout: Layout, stage: Stage, *, max_epsilon: float) -> None:
    """Invite every member, make its home and let it join; each makes its keys itself.

    Args:
        layout: where.
        stage: shows progress.
        max_epsilon: what each institution lets training spend on its people.
    """
    from coordinator.bootstrap import open_coordinator
    from node.bootstrap import init_node
    from node.bootstrap import join as join_network

    coordinator = open_coordinator(layout.coordinator_home)
    witness = witness_line(layout)
    try:
        for number, member in enumerate(layout.members):
            stage.advance(number, len(layout.members), member.name)
            now_ms = int(time.time() * 1000)
            invitation = coordinator.membership.invite(
                member.member_id, member.role, INVITATION_S, now_ms
            )
            init_node(
                layout.home(member.member_id),
                member_id=member.member_id,
                name=member.name,
                role=member.role,
                holds=member.holds,
                listen=f"{LOOPBACK}:{member.exchange_port}" if member.exchange_port else "",
                http=f"{LOOPBACK}:{member.http_port}",
                enrolment_processes=1,  # five institutions share this machine already
                max_epsilon=max_epsilon,
                witness_heartbeat_s=HEARTBEAT_S,
                witnesses=(witness,),
                webhook_networks=("127.0.0.0/8",),  # whoever tries webhooks hears them here
                retention_runs=False,  # some of its people lived twenty years ago
            )
            join_network(layout.home(member.member_id), invitation.to_text(), now_ms)
    finally:
        coordinator.close()


def start_nodes(layout: Layout, supervisor: Supervisor) -> None:
    """Start all nodes that serve and wait until each answers its readiness check."""
    for member in layout.serving:
        supervisor.start(
            member.member_id,
            ["node", "run", str(layout.home(member.member_id))],
            layout.log(member.member_id),
        )
    for member in layout.serving:
        supervisor.wait_until(member.member_id, lambda member=member: _healthy(member))  # type: ignore[misc]


@dataclass(frozen=True)
class KeyMade:
    """What the key ceremony came to."""

    epoch: int
    threshold: int
    trustees: tuple[str, ...]
    public_key: bytes
    seconds: float


def hold_ceremony(
    layout: Layout, supervisor: Supervisor, stage: Stage, *, threshold: int
) -> KeyMade:
    """Let all members, whose nodes run, make the pseudonym key.

    Raises:
        CeremonyLost: there is no key at the end.
    """
    from coordinator.bootstrap import open_coordinator
    from coordinator.ceremonies.lifecycle import STATES
    from coordinator.ceremonies.service import make_board

    coordinator = open_coordinator(layout.coordinator_home)
    try:
        board = make_board(coordinator)
        begun = time.monotonic()
        made = board.announce(threshold, [m.member_id for m in layout.serving], _now_ms())
        while True:
            row, result = board.current()
            stage.advance(STATES.index(row.state), len(STATES) - 2, row.state)
            if row.state == "failed":
                raise CeremonyLost(f"the key ceremony failed: {row.detail}")
            if result is not None:
                break
            supervisor.check()
            time.sleep(POLL_S)
        public_key = bytes.fromhex(json.loads(result.body)["public_key"])
        took = time.monotonic() - begun
        return KeyMade(made.epoch, threshold, made.trustees, public_key, took)
    finally:
        coordinator.close()


def console_link(layout: Layout) -> str:
    """A link that opens the operator's console, once, within ten minutes."""
    from api.http.operator.face import link_of, origin_of
    from coordinator.bootstrap import open_coordinator
    from coordinator.console.access import ConsoleAccess

    coordinator = open_coordinator(layout.coordinator_home)
    try:
        access = ConsoleAccess(coordinator.database, coordinator.audit, _now_ms)
        return link_of(origin_of(coordinator.settings), access.issue().token)
    finally:
        coordinator.close()


def strangers_turned_away(layout: Layout) -> int:
    """Knock at every member port without a certificate and with a forged one; how many failed.

    Raises:
        StrangerAdmitted: a server talked to one.
    """
    doors = [layout.member_port]
    doors += [member.exchange_port for member in layout.members if member.exchange_port]
    claimed = layout.members[0].member_id
    for port in doors:
        for member_id in (None, claimed):
            if not is_turned_away(port, member_id):
                raise StrangerAdmitted(f"port {port} talked to a stranger")
    return 2 * len(doors)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), PROBE_S):
            return True
    except OSError:
        return False


def _healthy(member: MemberLayout) -> bool:
    try:
        return httpx.get(f"{member.http_url}/healthz", timeout=PROBE_S).is_success
    except httpx.HTTPError:
        return False
