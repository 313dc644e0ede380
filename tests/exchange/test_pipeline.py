"""The requests of one stream: windowed, matched in order, and none lost when it breaks."""

import itertools
import threading

import pytest

from node.exchange.pipeline import Pipeline, Sent
from protocols.envelope import AnswerMismatch, Query, new_request
from protocols.keys import SigningKey

KEY = SigningKey.generate()


def made(count):
    for _ in range(count):
        yield Sent(
            [],
            new_request(
                sender="bank-a",
                holder="payments",
                purpose="score",
                queries=[Query(bytes(32), bytes(32))],
                now_ms=1,
                key=KEY,
            ),
        )


def test_no_more_than_the_window_is_under_way():
    pipeline = Pipeline(made(5), width=2)
    messages = pipeline.messages()
    first = [next(messages), next(messages)]
    drawn = []
    thread = threading.Thread(target=lambda: drawn.append(next(messages)))
    thread.start()
    thread.join(0.05)
    assert drawn == []
    assert pipeline.answered().request.message == first[0]
    thread.join(5)
    assert len(drawn) == 1


def test_answers_belong_to_the_requests_in_order():
    pipeline = Pipeline(made(3), width=3)
    sent = list(itertools.islice(pipeline.messages(), 3))
    assert [pipeline.answered().request.message for _ in sent] == sent


def test_an_answer_to_no_request_is_an_error():
    with pytest.raises(AnswerMismatch):
        Pipeline(made(1), width=1).answered()


def test_what_was_sent_and_not_answered_can_be_sent_again_byte_for_byte():
    requests = made(4)
    broken = Pipeline(requests, width=3)
    sent = list(itertools.islice(broken.messages(), 3))
    broken.answered()
    unanswered = broken.close()
    again = Pipeline(itertools.chain(unanswered, requests), width=9)
    assert [one.request.message for one in unanswered] == sent[1:]
    assert list(again.messages())[:2] == sent[1:]


def test_closing_ends_a_feed_that_waits():
    pipeline = Pipeline(made(3), width=1)
    messages = pipeline.messages()
    next(messages)
    ended = []
    thread = threading.Thread(target=lambda: ended.append(next(messages, None)))
    thread.start()
    pipeline.close()
    thread.join(5)
    assert ended == [None]
