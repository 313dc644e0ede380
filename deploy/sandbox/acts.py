"""The second half of the main job: train together, score, withdraw, verify every log."""

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from deploy.sandbox import comparison, holdout, network, withdrawal
from deploy.sandbox.financing import Platform, register
from deploy.sandbox.layout import MemberLayout
from deploy.sandbox.progress import Stage
from deploy.sandbox.run import JobFailed, Run, in_parallel

if TYPE_CHECKING:
    from coordinator.bootstrap import Coordinator

POLL_S = 0.2
CAMPAIGN_TIMEOUT_S = 900.0


def train(run: Run, stage: Stage) -> None:
    """One campaign over all banks; then every bank has verified and activated the bundle."""
    from coordinator.bootstrap import open_coordinator
    from coordinator.proposals import make_proposals

    options = {"epsilon": run.options.epsilon, "delta": run.options.delta}
    if run.options.rounds is not None:
        options["rounds"] = run.options.rounds
    coordinator = open_coordinator(run.layout.coordinator_home)
    try:
        plan = make_proposals(coordinator).propose((), _now_ms(), **options)
        rounds, version = _follow(run, stage, coordinator, plan.campaign_id, plan.rounds)
    finally:
        coordinator.close()
    _wait_for_bundle(run, version)
    run.report["training"] = {
        "campaign_id": plan.campaign_id,
        "bundle": version,
        "mode": plan.privacy.mode,
        "rounds": len(rounds),
        "round_median_s": round(median(one.seconds for one in rounds), 3),
        "delta": run.options.delta,
        "epsilon": _epsilon_by_bank(run),
        "loss": [None if one.loss is None else round(one.loss, 4) for one in rounds],
    }
    stage.summary = (
        f"{len(rounds)} rounds, {run.report['training']['round_median_s']} s each; bundle "
        f"{version} verified and active at every bank"
    )


def compare(run: Run, stage: Stage) -> None:
    """AUC and KS on held-out customers, each row beside its epsilon."""
    homes = [run.layout.home(bank.member_id) for bank in run.layout.banks]
    rows = in_parallel(stage, [(comparison.collect, home, run.holdout) for home in homes])
    fitted = [(comparison.risk_of, fit, run.options.seed) for fit in comparison.fits(rows)]
    *alone_risk, pooled_risk = in_parallel(stage, fitted)
    auc, ks = comparison.tables(rows, alone_risk, pooled_risk)
    spent = max(run.report["training"]["epsilon"].values())
    run.report["auc"], run.report["ks"] = auc, ks
    run.report["row_epsilon"] = {
        comparison.ALONE: None,
        comparison.FEDERATED_OWN: spent,
        comparison.FEDERATED: spent,
        comparison.POOLED: None,
    }
    run.report["held_out"] = {
        "measured": sum(len(one.labels) for one in rows),
        "without_consent": sum(one.refused for one in rows),
    }
    alone = auc[comparison.ALONE]["pooled"]
    together = auc[comparison.FEDERATED]["pooled"]
    stage.summary = f"AUC {alone:.3f} alone, {together:.3f} together, on people nobody trained on"


@dataclass(frozen=True)
class Person:
    """A customer of the first bank who consented and is in the training cohort."""

    bank: MemberLayout
    customer_id: str
    subject_ref: str
    pseudonym: bytes
    consent_id: str
    consent_hash: bytes


def score(run: Run, stage: Stage) -> None:
    """One score through the REST API, as the financing platform would."""
    bank = run.layout.banks[0]
    person = _choose_person(run, bank)
    scopes = ("scores:read", "scores:write", "log:read")
    registered = register(run.layout, bank, "financing-platform", _now_ms(), scopes)
    platform = Platform(registered)
    begun = time.monotonic()
    answer = dict(platform.score(person.subject_ref, person.consent_id).raw)
    run.person, run.platform = person, platform
    run.report["score"] = answer
    run.report["score_ms"] = round((time.monotonic() - begun) * 1000, 1)
    stage.summary = f"{answer['score']} points, {answer['pd']:.1%} probability of default"


def withdraw(run: Run, stage: Stage) -> None:
    """The person withdraws; then score, exchange and training round are tried again."""
    person, platform = run.person, run.platform
    if person is None or platform is None:
        raise JobFailed("there is nobody to withdraw")
    begun = time.monotonic()
    parties = withdrawal.withdraw(run, person)
    seconds = time.monotonic() - begun
    refusals = {"score call": platform.refusal(person.subject_ref, person.consent_id)}
    refusals |= _ask_holders(run, person)
    before, after = _train_once_more(run, stage, person)
    refusals["training round"] = "left_out" if before and not after else ""
    refused = all(refusals.values())
    run.report["consents"]["withdrawn"] = 1
    run.report["training"]["epsilon"] = _epsilon_by_bank(run)
    run.report["withdrawal"] = {
        "refused": refused,
        "seconds": round(seconds, 3),
        "refusals": refusals,
        "parties": parties,
        "rounds_without": withdrawal.prove_absence(run, person),
    }
    if not refused:
        raise JobFailed(f"a withdrawal did not bite: {refusals}")
    slowest = max(one["acknowledged_s"] for one in parties.values())
    stage.summary = (
        f"all acknowledged within {slowest:.2f} s (unheard: {withdrawal.bound_s(parties):.0f} s); "
        "score, exchange, round refuse"
    )


def audit(run: Run, stage: Stage) -> None:
    """Verify every log from its files alone, as a regulator would, and against its witnesses."""
    from audit.verifier import verify_path
    from audit.verifier.trust import Trust
    from audit.witness_view import cosigners, kept_checkpoint

    homes = {"coordinator": run.layout.coordinator_home}
    homes |= {m.member_id: run.layout.home(m.member_id) for m in run.layout.members}
    logs: dict[str, Any] = {}
    for number, (name, home) in enumerate(homes.items()):
        stage.advance(number, len(homes), name)
        witnessed = kept_checkpoint(home)
        report = verify_path(home, Trust.of((), None, [witnessed] if witnessed else []))
        logs[name] = {
            "size": report.size,
            "root": report.root.hex(),
            "verified": int(report.outcome) == 0,
            "witnesses": len(cosigners(witnessed)),
            "witnessed_size": report.checkpoints[0].size if witnessed else 0,
        }
    run.report["audit"] = logs
    run.report["regulator"] = {"watches": network.watched_logs(run.layout)}
    wrong = [name for name, log in logs.items() if not log["verified"]]
    if wrong:
        raise JobFailed(f"the log of {', '.join(wrong)} does not verify")
    stage.summary = f"{len(logs)} logs, {sum(log['size'] for log in logs.values()):,} entries"


def _follow(
    run: Run, stage: Stage, coordinator: "Coordinator", campaign_id: str, total: int
) -> tuple[list[Any], str]:
    """Watch a campaign to its end; its rounds and the version it published."""
    from coordinator.campaigns import UNFINISHED
    from coordinator.storage import campaigns

    deadline = time.monotonic() + CAMPAIGN_TIMEOUT_S
    while True:
        with coordinator.database.read() as connection:
            row = campaigns.find(connection, campaign_id)
            rounds = campaigns.rounds(connection, campaign_id)
        if row is None:
            raise JobFailed(f"campaign {campaign_id} is gone")
        if rounds:
            loss = f"loss {rounds[-1].loss:.3f}, " if rounds[-1].loss is not None else ""
            stage.advance(len(rounds), total, f"{loss}epsilon {rounds[-1].epsilon:.2f}")
        if row.state not in UNFINISHED:
            break
        if time.monotonic() > deadline:
            raise JobFailed(f"campaign {campaign_id} is still {row.state}: {row.detail}")
        run.supervisor.check()
        time.sleep(POLL_S)
    if row.state != "completed" or row.bundle_version is None:
        raise JobFailed(f"the campaign ended as {row.state}: {row.detail}")
    return rounds, row.bundle_version


def _wait_for_bundle(run: Run, version: str) -> None:
    from node.bootstrap import open_node
    from node.storage import bundles

    for bank in run.layout.banks:
        node = open_node(run.layout.home(bank.member_id))
        try:
            deadline = time.monotonic() + 30
            while True:
                with node.database.read() as connection:
                    if bundles.active_version(connection) == version:
                        break
                if time.monotonic() > deadline:
                    raise JobFailed(f"{bank.member_id} has not activated bundle {version}")
                time.sleep(POLL_S)
        finally:
            node.close()


def _epsilon_by_bank(run: Run) -> dict[str, float]:
    """What each bank's own ledger says it has spent."""
    from node.bootstrap import open_node
    from node.storage import privacy_ledger

    spent = {}
    for bank in run.layout.banks:
        node = open_node(run.layout.home(bank.member_id))
        try:
            with node.database.read() as connection:
                last = privacy_ledger.last_charge(connection, node.member_id)
            spent[bank.member_id] = round(last.epsilon_after, 4) if last else 0.0
        finally:
            node.close()
    return spent


def _choose_person(run: Run, bank: MemberLayout) -> Person:
    """The first consenting customer with an outcome, so that the cohort holds them."""
    from node.bootstrap import open_node
    from node.storage import subjects

    held_out = holdout.read(run.holdout)
    node = open_node(run.layout.home(bank.member_id))
    try:
        with node.database.read() as connection:
            names = {one.pseudonym: one for one in subjects.all_subjects(connection)}
            consents = node.consents.live_consents(connection, "train")
    finally:
        node.close()
    for one in consents:
        subject = names[one.pseudonym]
        if subject.customer_id not in held_out:
            return Person(bank, subject.customer_id, subject.subject_ref, one.pseudonym,
                          one.consent_id, one.consent_hash)  # fmt: skip
    raise JobFailed(f"nobody at {bank.member_id} consented")


@dataclass(frozen=True)
class _Asked:
    """The withdrawn consent, as a bank that ignored the withdrawal would go on using it."""

    consent_id: str
    consent_hash: bytes
    pseudonym: bytes
    holders: frozenset[str]


def _ask_holders(run: Run, person: Person) -> dict[str, str]:
    """Ask each holder past the bank's own checks; holder -> its refusal."""
    from node.bootstrap import open_node

    others = frozenset(m.member_id for m in run.layout.members if not m.is_bank)
    asked = _Asked(person.consent_id, person.consent_hash, person.pseudonym, others)
    node = open_node(run.layout.home(person.bank.member_id))
    try:
        report = node.fetcher.fetch([asked], purpose="score", deadline_s=10.0)
    finally:
        node.close()
    return {f"exchange with {one.holder}": next(iter(one.refused), "") for one in report.holders}


def _train_once_more(run: Run, stage: Stage, person: Person) -> tuple[bool, bool]:
    """Run the follow-up rounds; whether the person was in the last round before, and after."""
    from coordinator.bootstrap import open_coordinator
    from coordinator.proposals import make_proposals

    coordinator = open_coordinator(run.layout.coordinator_home)
    try:
        plan = make_proposals(coordinator).follow_up("", _now_ms())
        _, version = _follow(run, stage, coordinator, plan.campaign_id, plan.rounds)
    finally:
        coordinator.close()
    _wait_for_bundle(run, version)
    first = run.report["training"]["campaign_id"]
    run.report["training"]["follow_up"] = {"bundle": version, "rounds": plan.rounds}
    return _in_cohort(run, person, first), _in_cohort(run, person, plan.campaign_id)


def _in_cohort(run: Run, person: Person, campaign_id: str) -> bool:
    """Whether any round's cohort manifest of that campaign names the person's consent."""
    from node.bootstrap import open_node
    from node.storage import training

    node = open_node(run.layout.home(person.bank.member_id))
    try:
        with node.database.read() as connection:
            roots = {root for _, root in training.round_roots(connection, campaign_id)}
            return any(
                person.consent_hash in training.cohort_hashes(connection, root) for root in roots
            )
    finally:
        node.close()


def _now_ms() -> int:
    return int(time.time() * 1000)
