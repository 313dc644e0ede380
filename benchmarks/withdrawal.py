"""From a withdrawal's commit to every party's acknowledgement, and to refusal under a partition.

    python -m benchmarks.withdrawal [--nodes 20] [--withdrawals 60] [--warm 5] [--life 60]
        [--no-partition] [--json FILE]

All nodes are real, on loopback over mutual TLS, and share one process and its interpreter: what is
measured is their sum. The floor, in turns with it, is a bare echo of as many bytes as a withdrawal
has, to as many peers, from as many threads. After each withdrawal one holder is asked at once.

The partition is measured once, in real time: a holder that has just renewed its status list is
parted from its consent node, the person withdraws, and the holder is asked until it refuses.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import structlog

from consent.events import sign_event
from consent.lifecycle import Event
from consent.policy import Terms
from node.consents.delivery import MAX_PARALLEL
from node.consents.freshness import Freshness
from node.network.rpc_errors import remote_errors
from node.network.transport import TransportLimits, open_channel, server_credentials
from node.parts import Node
from protocols.certificates import member_dns
from protocols.envelope import open_answer
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.granting import KEY, grant, know, request, withdraw
from tests.network import MemberSpec, Network, open_network, person

BANK = "bank-a"
BOUND_S = 5.0
PARTITION_S = 60.0
ECHO = "/benchmark.Echo/Echo"
ECHO_BYTES = 1100  # a countersigned withdrawal


def main() -> int:
    """Measure, print, and say whether the targets are reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--withdrawals", type=int, default=60)
    parser.add_argument("--warm", type=int, default=5, help="Withdrawals that are not counted.")
    parser.add_argument("--life", type=float, default=60.0, help="Of a status list, seconds.")
    parser.add_argument("--no-partition", action="store_true")
    parser.add_argument("--json", type=Path, help="Write the figures here too.")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as root, ExitStack() as stack:
        network = stack.enter_context(members(Path(root), arguments.nodes, arguments.life))
        echo = stack.enter_context(echoes(network))
        figures = told(network, echo, arguments.warm, arguments.withdrawals)
        figures |= freshness(network)
        if not arguments.no_partition:
            figures["partition_s"] = round(partition(network), 2)
    figures["life_s"] = arguments.life
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    reached = (
        figures["party_p99_s"] < BOUND_S
        and figures["served_after"] == 0
        and figures.get("partition_s", 0.0) <= PARTITION_S
    )
    print("targets reached" if reached else "targets missed")
    return 0 if reached else 1


@contextmanager
def members(root: Path, number: int, life_s: float) -> Iterator[Network]:
    """A bank and `number` - 1 holders that know the same people."""
    options = {"status_life_s": life_s}
    specs = [MemberSpec(BANK, "bank", ("credit_account",), options)]
    specs += [
        MemberSpec(f"holder-{at:02}", "data_provider", ("payment",), options)
        for at in range(1, number)
    ]
    with open_network(root, specs) as network:
        names = [one.member_id for one in specs]
        know(network, names, range(400))
        for name in names[1:]:
            network.enrol_many(name, {person(n): {"statement_balance": (1, 1.5)} for n in (0, 1)})
        yield network


@contextmanager
def echoes(network: Network) -> Iterator[Callable[[], list[float]]]:
    """A bare echo at every holder; gives what asks all of them, in seconds from the start."""
    limits = TransportLimits()
    bank = network.node(BANK)
    calls: list[Callable[..., bytes]] = []
    with ExitStack() as stack:
        for node in holders(network):
            server = grpc.server(stack.enter_context(ThreadPoolExecutor(2)))
            server.add_generic_rpc_handlers([_Echo()])
            port = server.add_secure_port("127.0.0.1:0", server_credentials(node.identity))
            server.start()
            stack.callback(lambda server=server: server.stop(0).wait())
            shown = bank.identity()
            channel = stack.enter_context(
                open_channel(
                    f"127.0.0.1:{port}", member_dns(node.member_id), shown.ca, shown, limits
                )
            )
            calls.append(channel.unary_unary(ECHO))
        data = bytes(ECHO_BYTES)

        def ask() -> list[float]:
            begun = time.perf_counter()

            def one(call: Callable[..., bytes]) -> float:
                call(data, timeout=10)
                return time.perf_counter() - begun

            with ThreadPoolExecutor(MAX_PARALLEL) as pool:
                return list(pool.map(one, calls))

        yield ask


class _Echo(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        if details.method != ECHO:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda data, _: data)


def holders(network: Network) -> list[Node]:
    """All but the bank."""
    return [node for name, node in network.nodes.items() if name != BANK]


def told(
    network: Network, echo: Callable[[], list[float]], warm: int, number: int
) -> dict[str, Any]:
    """Withdraw one consent after another, the echo between them."""
    names = [node.member_id for node in holders(network)]
    terms = grant(network, BANK, range(warm + number), names, max_uses=100)
    parties: list[float] = []
    last: list[float] = []
    floor: list[float] = []
    floor_last: list[float] = []
    commits: list[float] = []
    served = 0
    for at, one in enumerate(terms):
        echoed = echo()
        standing, commit_s = withdrawn(network, one)
        served += not refused(network, one, names[at % len(names)])
        if at < warm:
            continue
        floor.extend(echoed)
        floor_last.append(max(echoed))
        parties.extend(standing)
        last.append(max(standing))
        commits.append(commit_s)
    return {
        "nodes": len(network.nodes),
        "withdrawals": number,
        "commit_p50_s": _at(commits, 50),
        "party_p50_s": _at(parties, 50),
        "party_p99_s": _at(parties, 99),
        "last_party_p50_s": _at(last, 50),
        "last_party_p99_s": _at(last, 99),
        "floor_p50_s": _at(floor, 50),
        "floor_p99_s": _at(floor, 99),
        "floor_last_p50_s": _at(floor_last, 50),
        "floor_last_p99_s": _at(floor_last, 99),
        "served_after": served,
    }


def withdrawn(network: Network, terms: Terms) -> tuple[list[float], float]:
    """Seconds from the commit to each acknowledgement; and from the person's word to the commit."""
    bank = network.node(BANK)
    said = sign_event(bank.consents.event(terms.consent_id, Event.WITHDRAW), KEY)
    begun_ms = time.time() * 1000
    changed = bank.consents.withdraw(terms.consent_id, said)
    if changed.pending or changed.refused:
        raise SystemExit(f"not acknowledged: {changed.pending} {changed.refused}")
    standings = bank.statuses.parties.parties(terms.consent_id)
    taken = [
        (one.acknowledged_at_ms - changed.effective_at_ms) / 1000
        for one in standings
        if one.acknowledged_at_ms is not None and one.member_id != BANK
    ]
    return taken, max(0.0, (changed.effective_at_ms - begun_ms) / 1000)


def refused(network: Network, terms: Terms, holder: str, stub: ExchangeStub | None = None) -> str:
    """What a holder answers to the next call; empty: it served."""
    bank = network.node(BANK)
    stub = stub or ExchangeStub(bank.channels.to_member(holder))
    asked = request(network, terms, by=BANK, holder=holder)
    with remote_errors(holder):
        answer = stub.Fetch(asked.message, timeout=20)
    return open_answer(asked, answer, bank.documents.directory()).answers[0].refusal


def freshness(network: Network) -> dict[str, float]:
    """What the check costs: a fresh caller in the loop, and a group's read in its transaction."""
    (terms,) = grant(network, BANK, [399], ["holder-01"])
    node = network.node("holder-01")
    node.statuses.keeper.ensure(BANK)
    settled = _each(lambda: node.statuses.keeper.settled(BANK), 100_000)
    reader = Freshness("holder-01")
    with node.database.read() as connection:
        group = _each(lambda: reader.read(connection, [terms], 0), 5_000)
        fresh = reader.read(connection, [terms], 0)
    one = _each(lambda: fresh.proof(terms), 100_000)
    return {
        "settled_us": round(settled * 1e6, 2),
        "group_us": round(group * 1e6, 1),
        "subject_us": round(one * 1e6, 2),
    }


def partition(network: Network) -> float:
    """Seconds from a withdrawal's commit to the first refusal of a holder parted from everyone."""
    holder = "holder-01"
    (terms,) = grant(network, BANK, [0], [holder], max_uses=500)
    stub = ExchangeStub(network.node(BANK).channels.to_member(holder))
    keeper = network.node(holder).statuses.keeper
    keeper.poke(BANK)
    keeper.ensure(BANK)  # as fresh as a list can be: the worst case
    network.servers[BANK].stop(grace_s=0)
    network.entries[holder] = replace(network.entries[holder], endpoint="127.0.0.1:1")
    network.publish()
    begun = time.monotonic()
    withdraw(network, BANK, terms)
    while True:
        asked_at = time.monotonic()
        if refused(network, terms, holder, stub):
            return asked_at - begun
        if asked_at - begun > 2 * PARTITION_S:
            raise SystemExit("the parted holder goes on serving")
        time.sleep(0.2)


def show(figures: dict[str, Any]) -> None:
    """Print."""
    print(f"{figures['nodes']} nodes, {figures['withdrawals']} withdrawals; milliseconds")
    for name, one, floor in (
        ("a party acknowledged", "party", "floor"),
        ("the last of them", "last_party", "floor_last"),
    ):
        p50, p99 = (figures[f"{one}_p{p}_s"] * 1000 for p in (50, 99))
        f50, f99 = (figures[f"{floor}_p{p}_s"] * 1000 for p in (50, 99))
        print(
            f"{name:<24} p50 {p50:>8.1f}  p99 {p99:>8.1f}   bare echo p50 {f50:>7.1f}  "
            f"p99 {f99:>7.1f}  ({p50 / f50:.1f} x, {p99 / f99:.1f} x)"
        )
    print(f"served after it was acknowledged: {figures['served_after']}")
    print(
        f"freshness: {figures['settled_us']} us a request, {figures['group_us']} us a group, "
        f"{figures['subject_us']} us a subject"
    )
    if "partition_s" in figures:
        print(
            f"parted from everyone, a holder refuses after {figures['partition_s']} s "
            f"(lists live {figures['life_s']:.0f} s)"
        )


def _at(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _each(work: Callable[[], object], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begun) / times


if __name__ == "__main__":
    raise SystemExit(main())
