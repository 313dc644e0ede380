"""The first half of the main job: a network, its data, people's consents, exchanged signals."""

from statistics import median

from deploy.sandbox import network, people, population, records_out, uci, work
from deploy.sandbox.progress import Stage
from deploy.sandbox.run import JobFailed, Run, in_parallel

TRUSTEES_NEEDED = 3


def join(run: Run, stage: Stage) -> None:
    """Coordinator, five nodes and a regulator's witness as processes; strangers turned away."""
    network.found(run.layout)
    network.start_witness(run.layout, run.supervisor)
    network.start_coordinator(run.layout, run.supervisor)
    network.join(run.layout, stage, max_epsilon=run.options.epsilon)
    network.start_nodes(run.layout, run.supervisor)
    turned_away = network.strangers_turned_away(run.layout)
    run.report["members"] = [
        {"member_id": m.member_id, "name": m.name, "role": m.role, "api": m.http_url}
        for m in run.layout.members
    ]
    run.report["relayed"] = sorted(run.options.relayed)
    run.report["strangers_turned_away"] = turned_away
    stage.summary = f"{len(run.layout.members)} members; {turned_away} strangers turned away"


def ceremony(run: Run, stage: Stage) -> None:
    """The five members make the key of the pseudonyms together; no one of them ever holds it."""
    made = network.hold_ceremony(run.layout, run.supervisor, stage, threshold=TRUSTEES_NEEDED)
    run.report["pseudonyms"] = {
        "trustees": list(made.trustees),
        "threshold": made.threshold,
        "epoch": made.epoch,
        "public_key": made.public_key.hex(),
        "ceremony_seconds": round(made.seconds, 2),
    }
    stage.summary = f"{made.threshold} of {len(made.trustees)} members can make a pseudonym"


def ingest(run: Run, stage: Stage) -> None:
    """Every institution's CSV files become records and signals at its own node."""
    options = run.options
    stage.advance(0, 1, "records of all institutions")
    everybody = (
        population.generate(options.seed, options.subjects)
        if options.data is None
        else uci.load(options.data, options.seed)
    )
    written = records_out.write(everybody, run.layout.root / "inbox", run.holdout)
    calls = [
        (work.ingest, run.layout.home(m.member_id), written.directories[m.member_id],
         written.as_of_ms)
        for m in run.layout.members
    ]  # fmt: skip
    taken = in_parallel(stage, calls)
    run.report["pseudonyms"] |= {
        "enrolments": sum(one.people for one in taken),
        "seconds": round(max(one.enrolment_s for one in taken), 2),
        "seconds_by_member": {one.member_id: round(one.enrolment_s, 2) for one in taken},
    }
    signals = sorted({signal for one in taken for signal in one.signals})
    run.report["subjects"] = len(everybody)
    run.report["population"] = everybody.name
    run.report["signals"] = signals
    stage.summary = f"{len(everybody):,} people, {len(signals)} signals"


def consent(run: Run, stage: Stage) -> None:
    """A share of the banks' customers sign consents, which reach every holder."""
    people.Keyring.create(run.secret)
    share = run.options.consent_share
    homes = [run.layout.home(bank.member_id) for bank in run.layout.banks]
    granted = in_parallel(
        stage, [(work.grant, home, run.secret, share, run.options.epsilon) for home in homes]
    )
    total = sum(one.consents for one in granted)
    if waiting := sum(one.waiting for one in granted):
        raise JobFailed(f"{waiting} consents did not reach their holders")
    run.report["consents"] = {
        "granted": total,
        "withdrawn": 0,
        "asked": sum(one.asked for one in granted),
        "share": share,
    }
    stage.summary = f"{total:,} people signed for `score` and `train`; delivered to every holder"


def exchange(run: Run, stage: Stage) -> None:
    """Banks fetch what the holders know of those who consented."""
    homes = [run.layout.home(bank.member_id) for bank in run.layout.banks]
    fetched = in_parallel(stage, [(work.fetch, home, run.holdout) for home in homes])
    missing = [f"{one.bank} from {what}" for one in fetched for what in one.incomplete]
    if missing:
        raise JobFailed(f"holders left questions unanswered: {', '.join(missing)}")
    answered = sum(one.answered for one in fetched)
    times = [ms for one in fetched for ms in one.request_ms]
    run.report["exchange"] = {
        "subjects": sum(one.subjects for one in fetched),
        "requests": sum(one.requests for one in fetched),
        "answered": answered,
        "median_ms": round(median(times), 2) if times else None,
    }
    stage.summary = f"{answered:,} sealed answers, each side logged every one"
