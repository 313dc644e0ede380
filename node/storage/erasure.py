"""Deleting what this node keeps of a person."""

from sqlalchemy import Select, delete, select

from audit.database import Connection
from consent.lifecycle import State
from node.storage import monitors, reported_outcomes, score_inputs, scores
from node.storage.scoring_tables import score_job_line
from node.storage.signals import OWN
from node.storage.tables import consent, outcome, score, signal_vector, subject


def consent_states(connection: Connection, pseudonym: bytes) -> list[State]:
    """The states of all consents of a person."""
    query = select(consent.c.state).where(consent.c.pseudonym == pseudonym)
    return [State(one) for one in connection.execute(query).scalars()]


def delete_fetched(connection: Connection, pseudonym: bytes) -> int:
    """Delete what other members released about a person; how many vectors."""
    score_inputs.delete_of_person(connection, pseudonym)
    return connection.execute(
        delete(signal_vector).where(
            signal_vector.c.pseudonym == pseudonym, signal_vector.c.purpose != OWN
        )
    ).rowcount


def delete_outcome(connection: Connection, pseudonym: bytes) -> None:
    """Delete what training would learn from a person."""
    connection.execute(delete(outcome).where(outcome.c.pseudonym == pseudonym))
    reported_outcomes.delete_of_refs(connection, _reference(pseudonym))


def delete_own(connection: Connection, pseudonym: bytes) -> None:
    """Delete own signals, outcomes and scores of a person, and what scores rested on."""
    score_inputs.delete_of_person(connection, pseudonym)
    reference = _reference(pseudonym)
    reported_outcomes.delete_of_refs(connection, reference)
    monitors.delete_of_refs(connection, reference)
    connection.execute(delete(score_job_line).where(score_job_line.c.subject_ref.in_(reference)))
    connection.execute(delete(score).where(scores.of_person(pseudonym)))
    for table in (signal_vector, outcome):
        connection.execute(delete(table).where(table.c.pseudonym == pseudonym))


def _reference(pseudonym: bytes) -> Select[tuple[str]]:
    return select(subject.c.subject_ref).where(subject.c.pseudonym == pseudonym)
