"""Scores that are made later: requests and batches, through crashes, deadlines and refusals."""

import json

import pytest

from consent.lifecycle import State
from node.scoring.batches import MAX_LINE_BYTES, BatchInvalid, BatchResults, Intake
from node.scoring.job_runner import RESULTS_LIVE_MS, JobRunner
from node.scoring.job_states import TRANSITIONS, JobEnded, JobEvent, JobState, after
from node.scoring.jobs import JobInFlight, JobUnknown
from node.scoring.requests import IdempotencyKeyReused, ScoreRequest
from node.storage import consents, scores
from tests.network import DAY_MS, now_ms
from tests.node.scoring_world import World, open_world, ref

CLIENT = "cli_test"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _at_rest(world: World):
    yield
    world.clock[0] = 0
    world.node.around_scores.runner.step()


_next = iter(range(1, 10_000))


def enrol(world: World, number: int = 1, **terms):
    people = world.enrol(*(next(_next) for _ in range(number)))
    return [(one, world.consent(one, **terms)) for one in people]


def asked(subject="", consent_id="", **changes) -> ScoreRequest:
    return ScoreRequest(subject, consent_id, "score", CLIENT, **changes)


def jsonl(pairs) -> bytes:
    lines = [{"subject": ref(one), "consent_id": terms.consent_id} for one, terms in pairs]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def send(world: World, body: bytes, *, piece: int = 37, **changes):
    intake = Intake(world.node.around_scores.jobs, asked(**changes), 3_600_000)
    for start in range(0, len(body), piece):
        intake.feed(body[start : start + piece])
    return intake.close()


def runner(world: World, emitted: list | None = None) -> JobRunner:
    """As after a restart: knows only what is in the database."""
    told = [] if emitted is None else emitted
    return JobRunner(
        world.node.database,
        world.scoring,
        lambda _, client, kind, data: told.append((client, kind, data)),
        world.scoring._groups._now_ms,
    )


def finish(world: World, working: JobRunner, job_id: str, kind: str = "batch"):
    jobs = world.node.around_scores.jobs
    for _ in range(100):
        working.step()
        job = jobs.find(job_id, CLIENT, kind)
        if job.state not in {JobState.OPEN, JobState.RECEIVING}:
            return job
    raise AssertionError("the job does not end")


def results(world: World, job, limit: int = 3) -> list[dict]:
    """All lines, page by page."""
    told, cursor = [], 0
    while True:
        page = world.node.around_scores.results.page(job, cursor, limit)
        told += [json.loads(line) for line in page.body.splitlines()]
        cursor = page.cursor
        if not page.more:
            return told


def test_a_request_is_scored_later_and_its_client_is_told(world: World) -> None:
    ((one, terms),) = enrol(world)
    jobs, emitted = world.node.around_scores.jobs, []
    job, known = jobs.request(asked(ref(one), terms.consent_id), 60_000)
    assert (job.state, known) == (JobState.OPEN, False)
    done = finish(world, runner(world, emitted), job.job_id, "request")
    assert (done.state, done.scored, done.refused) == (JobState.COMPLETED, 1, 0)
    (line,) = jobs.lines(done, 0, 9)
    assert world.scoring.read(line.score_id, CLIENT).answer["subject"] == ref(one)
    told = {"request_id": job.job_id, "state": "completed", "score_id": line.score_id, "code": None}
    assert emitted == [(CLIENT, "score_request.completed", told)]


def test_a_request_is_its_clients_alone(world: World) -> None:
    ((one, terms),) = enrol(world)
    jobs = world.node.around_scores.jobs
    job, _ = jobs.request(asked(ref(one), terms.consent_id), 60_000)
    for other, kind in (("cli_other", "request"), (CLIENT, "batch")):
        with pytest.raises(JobUnknown):
            jobs.find(job.job_id, other, kind)
        with pytest.raises(JobUnknown):
            jobs.cancel(job.job_id, other, kind)


def test_a_repeated_request_is_the_first_one(world: World) -> None:
    ((one, terms),) = enrol(world)
    jobs = world.node.around_scores.jobs
    first, _ = jobs.request(asked(ref(one), terms.consent_id, idempotency_key="r1"), 60_000)
    again, known = jobs.request(asked(ref(one), terms.consent_id, idempotency_key="r1"), 60_000)
    assert (again.job_id, known) == (first.job_id, True)
    with pytest.raises(IdempotencyKeyReused):
        jobs.request(asked("sub_other", terms.consent_id, idempotency_key="r1"), 60_000)


def test_a_cancelled_request_is_never_scored_and_an_ended_one_cannot_be_cancelled(
    world: World,
) -> None:
    ((one, terms),) = enrol(world)
    jobs, before = world.node.around_scores.jobs, world.leaves()
    job, _ = jobs.request(asked(ref(one), terms.consent_id), 60_000)
    assert jobs.cancel(job.job_id, CLIENT, "request").state == JobState.CANCELLED
    assert jobs.cancel(job.job_id, CLIENT, "request").state == JobState.CANCELLED
    runner(world).step()
    assert world.leaves() == before
    other, _ = jobs.request(asked(ref(one), terms.consent_id), 60_000)
    finish(world, runner(world), other.job_id, "request")
    with pytest.raises(JobEnded):
        jobs.cancel(other.job_id, CLIENT, "request")


def test_a_request_past_its_deadline_is_given_up(world: World) -> None:
    ((one, terms),) = enrol(world)
    jobs, before = world.node.around_scores.jobs, world.leaves()
    job, _ = jobs.request(asked(ref(one), terms.consent_id), 1_000)
    world.clock[0] = 2_000
    assert finish(world, runner(world), job.job_id, "request").state == JobState.EXPIRED
    assert world.leaves() == before


def test_each_failure_of_a_consent_is_its_own_code_on_its_own_line(world: World) -> None:
    """One line cannot fail another: the first and the last are scored."""
    good, last = enrol(world, 2)
    (paused,) = enrol(world)
    (withdrawn,) = enrol(world)
    (exhausted,) = enrol(world, max_uses=1)
    (expired,) = enrol(world, valid_from_ms=0, valid_until_ms=1000)
    (early,) = enrol(world, valid_from_ms=now_ms() + DAY_MS, valid_until_ms=now_ms() + 2 * DAY_MS)
    (training,) = enrol(world, purposes=["train"])
    (elsewhere,) = enrol(world, recipients=["payments"])
    world.score(*exhausted)
    world.network.withdraw("bank-a", withdrawn[1])
    with world.node.database.write() as connection:
        consents.set_state(connection, [paused[1].consent_id], State.PAUSED, [0])
    unknown = json.dumps({"subject": ref(good[0]), "consent_id": "con_none"}).encode()
    stranger = json.dumps({"subject": "sub_none", "consent_id": good[1].consent_id}).encode()
    others = [paused, withdrawn, exhausted, expired, early, training, elsewhere,
              (good[0], last[1])]  # fmt: skip
    body = jsonl([good, *others]) + unknown + b"\n" + stranger + b"\r\n" + jsonl([last]).strip()
    job, _ = send(world, body)
    emitted: list = []
    done = finish(world, runner(world, emitted), job.job_id)
    assert (done.total, done.scored, done.refused) == (12, 2, 10)
    told = results(world, done)
    assert [one["line"] for one in told] == list(range(1, 13))
    assert [one.get("error", {}).get("code") for one in told] == [
        None, "consent_paused", "consent_withdrawn", "uses_exhausted", "consent_expired",
        "consent_not_yet_valid", "purpose_not_granted", "recipient_not_named", "subject_mismatch",
        "consent_unknown", "subject_unknown", None,
    ]  # fmt: skip
    assert told[0]["score"]["subject"] == ref(good[0])
    assert emitted[0][1:] == ("batch.completed", {"batch_id": job.job_id, "state": "completed",
                              "total": 12, "scored": 2, "refused": 10})  # fmt: skip


def test_a_batch_killed_between_chunks_is_finished_with_each_line_scored_once(world: World) -> None:
    """Scores are made, and the process dies before it writes down whose they are: none is lost, and
    none made, logged or counted twice."""
    people = enrol(world, 40)
    job, _ = send(world, jsonl(people))
    first = runner(world)
    first._begin()
    made = [future.result(20).score_id for future in first._under_way.values()]
    assert 0 < len(made) < len(people)
    del first  # killed here
    with world.node.database.read() as connection:
        leaves_of_the_dead = [scores.find(connection, one).leaf_seq for one in made]
    done = finish(world, runner(world), job.job_id)
    assert (done.state, done.scored) == (JobState.COMPLETED, len(people))
    told = results(world, done, limit=16)
    assert [one["subject"] for one in told] == [ref(one) for one, _ in people]
    given = [one["score"] for one in told]
    assert [one["score_id"] for one in given[: len(made)]] == made
    assert [one["receipt"]["seq"] for one in given[: len(made)]] == leaves_of_the_dead
    with world.node.database.read() as connection:
        refs = {ref(one) for one, _ in people}
        counted = connection.exec_driver_sql("SELECT subject_ref FROM score").scalars()
        assert sorted(one for one in counted if one in refs) == sorted(refs)
        uses = consents.terms_by_id(connection, [terms.consent_id for _, terms in people])
    assert {terms.uses for terms in uses.values()} == {1}


def test_results_come_in_order_while_a_batch_is_worked_on_and_say_how_it_ended(
    world: World,
) -> None:
    people = enrol(world, 3)
    jobs, told = world.node.around_scores.jobs, world.node.around_scores.results
    job, _ = send(world, jsonl(people))
    page = told.page(job, 0)
    assert (page.body, page.cursor, page.more, page.waiting) == (b"", 0, True, True)
    cancelled = jobs.cancel(job.job_id, CLIENT, "batch")
    assert [one["error"]["code"] for one in results(world, cancelled)] == ["batch_cancelled"] * 3


def test_a_line_is_not_read_once_its_consent_is_withdrawn(world: World) -> None:
    people = enrol(world, 2)
    job, _ = send(world, jsonl(people))
    done = finish(world, runner(world), job.job_id)
    world.network.withdraw("bank-a", people[0][1])
    withdrawn, other = results(world, done)
    assert withdrawn["error"]["code"] == "consent_withdrawn"
    assert other["score"]["score"]


def test_what_may_pass_is_tried_again_and_then_refused_with_its_code(world: World) -> None:
    """Without a model nothing is lost at once; a line rests longer after each attempt."""
    ((one, terms),) = enrol(world)
    with world.node.database.write() as connection:
        connection.exec_driver_sql("UPDATE bundle SET active = 0")
    jobs, working = world.node.around_scores.jobs, runner(world)
    job, _ = jobs.request(asked(ref(one), terms.consent_id), 3_600_000)
    patient, _ = jobs.request(asked(ref(one), terms.consent_id), 3_600_000)
    for _ in range(4):
        working.step()
        assert jobs.find(job.job_id, CLIENT, "request").state == JobState.OPEN
        world.clock[0] += 40_000
    jobs.cancel(patient.job_id, CLIENT, "request")
    for _ in range(3):
        working.step()
        world.clock[0] += 40_000
    done = jobs.find(job.job_id, CLIENT, "request")
    assert (done.state, done.refused) == (JobState.COMPLETED, 1)
    assert jobs.lines(done, 0, 1)[0].code == "no_model"
    with world.node.database.write() as connection:
        connection.exec_driver_sql("UPDATE bundle SET active = 1")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "at least one line"),
        (b'{"subject": "a", "consent_id": "b"}\n\n', "line 2"),
        (b'{"subject": "a"}', "line 1"),
        (b'{"subject": "a", "consent_id": "b", "more": 1}', "line 1"),
        (b'{"subject": ["a"], "consent_id": "b"}', "line 1"),
        (b'{"subject": "a\\u0000", "consent_id": "b"}', "line 1"),
        (b"[" * 400, "line 1"),
        (b'{"subject": "' + b"a" * MAX_LINE_BYTES, "line 1"),
        (b"\xff\xfe", "line 1"),
    ],
)
def test_a_batch_with_a_wrong_line_is_refused_whole(world: World, body: bytes, said: str) -> None:
    jobs = world.node.around_scores.jobs
    intake = Intake(jobs, asked(), 60_000)
    with pytest.raises(BatchInvalid, match=said):  # noqa: PT012 - either may find it
        intake.feed(body)
        intake.close()
    intake.abandon()
    with world.node.database.read() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM score_job WHERE total = 0")
        assert found.scalar_one() == 0


def test_a_repeated_batch_is_the_first_one_and_two_at_once_are_not_both_taken(
    world: World,
) -> None:
    people = enrol(world, 2)
    first, known = send(world, jsonl(people), idempotency_key="b1")
    again, repeated = send(world, jsonl(people), piece=1000, idempotency_key="b1")
    assert (again.job_id, known, repeated) == (first.job_id, False, True)
    with pytest.raises(IdempotencyKeyReused):
        send(world, jsonl(people[:1]), idempotency_key="b1")
    half = Intake(world.node.around_scores.jobs, asked(idempotency_key="b2"), 60_000)
    with pytest.raises(JobInFlight):
        Intake(world.node.around_scores.jobs, asked(idempotency_key="b2"), 60_000)
    half.abandon()


def test_what_stopped_coming_and_what_nobody_fetched_is_forgotten(world: World) -> None:
    jobs, working = world.node.around_scores.jobs, runner(world)
    half = Intake(jobs, asked(), 60_000)
    done, _ = send(world, jsonl(enrol(world)))
    finish(world, working, done.job_id)
    working.tidy()
    assert jobs.find(done.job_id, CLIENT, "batch")
    world.clock[0] = RESULTS_LIVE_MS + 60_000
    working.tidy()
    with pytest.raises(JobUnknown):
        jobs.find(done.job_id, CLIENT, "batch")
    half.feed(b'{"subject": "a", "consent_id": "b"}')
    with pytest.raises(JobUnknown):
        half.close()


def test_what_is_not_in_the_table_of_states_is_an_error() -> None:
    for state in JobState:
        for event in JobEvent:
            if (state, event) in TRANSITIONS:
                assert after(state, event) == TRANSITIONS[state, event]
            else:
                with pytest.raises(JobEnded):
                    after(state, event)


def test_a_page_is_never_empty_of_a_batch_that_ended(world: World) -> None:
    job, _ = send(world, jsonl(enrol(world, 5)))
    done = finish(world, runner(world), job.job_id)
    pages = BatchResults(world.node.around_scores.jobs, world.node.around_scores.reader)
    assert [pages.page(done, cursor, 2).cursor for cursor in (0, 2, 4)] == [2, 4, 5]
