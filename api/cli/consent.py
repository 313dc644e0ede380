"""`credence consent`: what a person grants and withdraws, at the node of their institution.

The person's own key signs; the node countersigns. Commands work beside a running node.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import consent_desk, console
from api.cli.consent_view import (
    changed_json,
    check_purposes,
    print_parties,
    subject_by_ref,
)
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import utc

if TYPE_CHECKING:
    from node.parts import Node
    from protocols.keys import SigningKey

app = typer.Typer(
    help="Grant, withdraw and list people's consents.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

consent_desk.add_to(app)

WIDE = 112  # columns of a terminal that shows consent and subject side by side

Key = Annotated[
    Path,
    typer.Option(help="File with the person's own key, 64 hex digits.", show_default=False),
]


@app.command(
    epilog="Example: credence consent grant ./bank-a --subject sub_... --key ./person.key "
    "--new-key --purpose score"
)
def grant(
    home: NodeHome,
    subject: Annotated[
        str, typer.Option(help="The person, by this node's reference.", show_default=False)
    ],
    key: Key,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make the key and write it to the file.")
    ] = False,
    purpose: Annotated[
        list[str] | None,
        typer.Option(help="score, train or monitor; repeat. Default: score, train."),
    ] = None,
    holder: Annotated[
        list[str] | None,
        typer.Option(help="A member that may release; repeat. Default: every data source."),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="A source class; repeat. Default: all that the holders hold."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days it is valid.")] = 365,
    data_days: Annotated[int, typer.Option(min=1, help="Days that data may be kept.")] = 30,
    max_uses: Annotated[int, typer.Option(min=1, help="Releases at each holder.")] = 200,
    epsilon: Annotated[str, typer.Option(help="Most privacy loss in training.")] = "8",
    language: Annotated[str, typer.Option(help="Of the notice: en, zh-Hans, zh-Hant.")] = "en",
    paper: Annotated[
        Path | None,
        typer.Option(
            help="Scan of the paper that the person signed in a branch; the key is then the "
            "officer's, and the consent is marked.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grant a consent, signed with the person's key, and deliver it to its holders."""
    from consent.artefact import sign_as_subject
    from consent.authority import branch, device_key
    from node.consents.service import OfferTerms, SignedGrant

    paper_sha256 = None if paper is None else _digest(paper)
    check_purposes(purpose)
    terms = OfferTerms(
        purposes=tuple(purpose or ("score", "train")),
        holders=holder,
        data_categories=category,
        valid_days=days,
        data_life_days=data_days,
        max_uses=max_uses,
        epsilon=epsilon,
        language=language,
    )
    with opened_node(home) as node:
        person = subject_by_ref(node, subject)
        offer = node.consents.offer(terms)
        with _new_key(key) if new_key else nullcontext(_read_key(key)) as signer:
            public = signer.verify_key.bytes
            authority = branch(public, paper_sha256) if paper_sha256 else device_key(public)
            artefact = offer.artefact(person, authority)
            node.consents.record_many([SignedGrant(person, sign_as_subject(artefact, signer))])
        changed = node.consents.tell(artefact.consent_id)
    if as_json:
        console.print_json({**changed_json(changed), "consent_hash": artefact.consent_hash.hex()})
        return
    console.out.print(offer.notice_text, style="dim", markup=False)
    console.out.print(f"consent [bold]{changed.consent_id}[/bold] to {', '.join(terms.purposes)}")
    print_parties(changed)


@app.command(epilog="Example: credence consent withdraw ./bank-a con_... --key ./person.key")
def withdraw(
    home: NodeHome,
    consent_id: Annotated[str, typer.Argument(help="The consent's id.", show_default=False)],
    key: Key,
    as_json: AsJson = False,
) -> None:
    """Withdraw a consent, signed with the person's key; in effect at once, then told to all."""
    from consent.events import sign_event
    from consent.lifecycle import Event
    from protocols.errors import SignatureInvalid

    signer = _read_key(key)
    with opened_node(home) as node:
        event = node.consents.event(consent_id, Event.WITHDRAW)
        if event.subject_key != signer.verify_key.bytes:
            raise SignatureInvalid(
                "this is not the key that signed the consent",
                next_step="Use the person's own device key, the one the consent was granted with; "
                "a consent of another kind is withdrawn in the portal.",
            )
        changed = node.consents.withdraw(consent_id, sign_event(event, signer))
    if as_json:
        console.print_json(changed_json(changed))
        return
    console.out.print(
        f"[bold]{consent_id}[/bold] is withdrawn since {utc(changed.effective_at_ms)}"
    )
    print_parties(changed)


@app.command("list", epilog="Example: credence consent list ./bank-a --state active --json")
def list_(
    home: NodeHome,
    state: Annotated[
        str | None, typer.Option(help="Only those in this state.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List consents this node keeps, the newest change first."""
    from consent.lifecycle import State

    if state is not None and state not in set(State):
        raise console.usage_error(f"a state is one of {', '.join(State)}")
    with opened_node(home) as node:
        found = node.consents.page(limit=limit, states=[] if state is None else [State(state)])
        rows = [_row(node, one.terms, one.version, one.auth_method) for one in found]
        counts = {one.value: number for one, number in sorted(node.consents.counts().items())}
    if as_json:
        console.print_json({"consents": rows, "counts": counts})
        return
    _print_table(rows)
    total = ", ".join(f"{number:,} {one}" for one, number in counts.items())
    console.out.print(total or "no consents")


@app.command(epilog="Example: credence consent receipt ./bank-a con_...")
def receipt(
    home: NodeHome,
    consent_id: Annotated[str, typer.Argument(help="The consent's id.", show_default=False)],
) -> None:
    """Print the receipt of a consent (ISO/IEC TS 27560) as JSON."""
    with opened_node(home) as node:
        console.print_json(node.consents.receipt(consent_id))


@app.command(
    "training-proof",
    epilog="Example: credence consent training-proof ./bank-a con_... --out proof.json",
)
def training_proof(
    home: NodeHome,
    consent_id: Annotated[str, typer.Argument(help="The consent's id.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: print.", show_default=False)
    ] = None,
) -> None:
    """Show that no training round after its withdrawal drew on a consent; the person can check."""
    from node.consents.training_proof import make_training_proof

    with opened_node(home) as node:
        proof = make_training_proof(node.database, node.audit, consent_id, node.keys.signing)
    if out is None:
        console.print_json(proof)
        return
    try:
        out.write_text(json.dumps(proof, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise console.usage_error(f"--out: cannot write {out}: {error.strerror}") from error
    console.out.print(f"{len(proof['rounds'])} rounds after the withdrawal, written to {out}")


@app.command(
    "check-training-proof",
    epilog="Example: credence consent check-training-proof proof.json --key 'bank-a...+...'",
)
def check_training_proof(
    file: Annotated[Path, typer.Argument(help="The file.", show_default=False)],
    key: Annotated[
        list[str] | None,
        typer.Option(help="Verifier key of the institution's log; repeat. Default: the file's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check such a file, without any node: that the consent is in no round it shows."""
    from audit.verifier import absence
    from audit.verifier.note import NoteKey

    try:
        with file.open("rb") as opened:
            data = opened.read(absence.MAX_TRAINING_PROOF_BYTES + 1)
    except OSError as error:
        raise console.usage_error(f"cannot read {file}: {error.strerror}") from error
    found = absence.check_training_proof(data, [NoteKey.parse(one) for one in key or ()])
    if as_json:
        console.print_json(
            {
                "log": found.log,
                "consent_id": found.consent_id,
                "withdrawn_at_ms": found.withdrawn_at_ms,
                "withdrawn_seq": found.withdrawn_seq,
                "rounds": found.rounds,
                "newest_seq": found.newest_seq,
                "key": found.key.encode(),
                "key_given": found.key_given,
            }
        )
        return
    console.out.print(f"[bold]{found.consent_id}[/bold] withdrawn {utc(found.withdrawn_at_ms)}")
    console.out.print(f"in none of the {found.rounds} training rounds after it, says {found.log}")
    if not found.key_given:
        console.out.print(f"signed with the file's own key: compare {found.key.encode()}")


def _row(node: "Node", terms: Any, version: int, auth_method: str) -> dict[str, Any]:
    return {
        "consent_id": terms.consent_id,
        "version": version,
        "subject_ref": node.pseudonyms.subject_ref(terms.pseudonym),
        "controller": terms.controller,
        "state": terms.state.value,
        "auth_method": auth_method,
        "purposes": sorted(terms.purposes),
        "holders": sorted(terms.holders),
        "recipients": sorted(terms.recipients),
        "valid_until_ms": terms.valid_until_ms,
        "uses": terms.uses,
        "max_uses": terms.max_uses,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        return
    # An id broken over two lines cannot be copied: a narrow terminal goes without the subjects.
    wide = console.out.width >= WIDE
    table = Table(box=None, pad_edge=False)
    for title in ("consent", *(["subject"] if wide else []), "state", "purposes", "until", "uses"):
        table.add_column(title, no_wrap=True, justify="right" if title == "uses" else "left")
    for row in rows:
        table.add_row(
            row["consent_id"],
            *([row["subject_ref"]] if wide else []),
            row["state"],
            " ".join(row["purposes"]),
            utc(row["valid_until_ms"])[:10],
            f"{row['uses']}/{row['max_uses']}",
        )
    console.out.print(table)


@contextmanager
def _new_key(path: Path) -> Iterator["SigningKey"]:
    """A key whose file stays only when what it is made for comes about."""
    from node.key_file import write_secret
    from protocols.keys import SigningKey

    key = SigningKey.generate()
    try:
        write_secret(path, key.seed.hex().encode() + b"\n")
    except OSError as error:
        raise console.usage_error(f"--key: cannot make {path}: {error.strerror}") from error
    try:
        yield key
    except BaseException:
        path.unlink()
        raise


def _read_key(path: Path) -> "SigningKey":
    from protocols.errors import Malformed
    from protocols.keys import SigningKey

    try:
        return SigningKey(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except (OSError, ValueError, Malformed) as error:
        raise console.usage_error(f"--key: {path} does not hold 64 hex digits") from error


def _digest(path: Path) -> bytes:
    import hashlib

    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise console.usage_error(f"--paper: cannot read {path}: {error.strerror}") from error
