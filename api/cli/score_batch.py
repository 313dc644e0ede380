"""`credence score batch`: many subjects from a file of JSON lines, results into another."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.score import TIMEOUT_S, refused_call, who_calls

if TYPE_CHECKING:
    from api.sdk import Client
    from api.sdk.jobs import BatchState
    from api.sdk.wire import HttpAnswer

POLL_S = 1.0
COMPLETED = "completed"


def batch(
    url: Annotated[str, typer.Argument(help="Where the node's API is.", show_default=False)],
    lines: Annotated[
        Path | None,
        typer.Argument(
            help='JSON lines, each {"subject": "sub_...", "consent_id": "con_..."}.',
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Results, one JSON line for each line.", show_default=False)
    ] = Path("results.jsonl"),
    resume: Annotated[
        str | None,
        typer.Option(
            help="Go on with this batch: lines that --out has already are not fetched again.",
            show_default=False,
        ),
    ] = None,
    client: Annotated[
        str | None, typer.Option(show_default=False, envvar="CREDENCE_CLIENT")
    ] = None,
    key: Annotated[Path | None, typer.Option(show_default=False, envvar="CREDENCE_KEY")] = None,
    token_file: Annotated[
        Path | None, typer.Option(show_default=False, envvar="CREDENCE_TOKEN_FILE")
    ] = None,
    product: Annotated[str, typer.Option(help="What is asked for.")] = "standard",
    language: Annotated[str, typer.Option(help="en, zh-Hans or zh-Hant.")] = "en",
    deadline_s: Annotated[int, typer.Option(help="Seconds after which it is given up.")] = 3600,
    as_json: Annotated[bool, typer.Option("--json", help="Print how the batch ended.")] = False,
) -> None:
    """Score many subjects: sends the lines, waits, writes what became of each.

    Interrupted, it says how to go on; nobody is scored twice.
    """
    from api.sdk import ApiError, Client
    from api.sdk.score_calls import create_batch

    if (lines is None) == (resume is None):
        raise console.usage_error("give a file of lines, or --resume with the id of a batch")
    with Client(url, who_calls(client, key, token_file), timeout_s=TIMEOUT_S) as node:
        try:
            batch_id = resume
            if batch_id is None and lines is not None:
                asked = create_batch(
                    _pairs(lines), product=product, language=language, deadline_s=deadline_s
                )
                batch_id = node.make(asked).batch_id
                out.write_bytes(b"")
            state = _fetch(node, str(batch_id), out)
        except ApiError as refused:
            refused_call(refused, as_json=as_json)
        except KeyboardInterrupt:
            if batch_id is not None:
                console.err.print(f"go on with --resume {batch_id} --out {out}", markup=False)
            raise
    _tell(state, out, as_json=as_json)
    if state.state != COMPLETED:
        raise SystemExit(1)


def _tell(state: "BatchState", out: Path, *, as_json: bool) -> None:
    told = {"batch_id": state.batch_id, "state": state.state, "total": state.total,
            "scored": state.scored, "refused": state.refused, "results": str(out)}  # fmt: skip
    if as_json:
        console.print_json(told)
    else:
        console.out.print(
            f"{state.state}: {state.scored} scored, {state.refused} refused, of {state.total}; "
            f"results in {out}",
            markup=False,
        )


def _fetch(node: "Client", batch_id: str, out: Path) -> "BatchState":
    """Append results to `out` as they come, from the line after its last one on."""
    from api.sdk.score_calls import get_batch

    cursor: str | None = str(_whole_lines(out))
    while True:
        state = node.make(get_batch(batch_id))
        while cursor is not None:
            body, following = _page(node, batch_id, cursor)
            with out.open("ab") as file:
                file.write(body)
            if following is not None and not body:
                break
            cursor = following
        _progress(state)
        if cursor is None:
            return node.make(get_batch(batch_id))
        time.sleep(POLL_S)


def _page(node: "Client", batch_id: str, cursor: str) -> tuple[bytes, str | None]:
    """Lines as they came, and where the next ones are."""
    from api.sdk.score_calls import batch_results

    call: Any = batch_results(batch_id, cursor=cursor)
    typed = call.read

    def raw(answer: "HttpAnswer") -> tuple[bytes, str | None]:
        return bytes(answer.body), typed(answer).next_cursor

    found: tuple[bytes, str | None] = node.make(replace(call, read=raw))
    return found


def _pairs(path: Path) -> list[tuple[str, str]]:
    from protocols.canonical import parse_json
    from protocols.errors import InvalidInput, Malformed

    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            value = parse_json(line, max_bytes=512, max_depth=1)
            found.append((str(value["subject"]), str(value["consent_id"])))
        except (Malformed, KeyError, TypeError) as error:
            raise InvalidInput(
                f"{path}, line {number}: needs `subject` and `consent_id`",
                next_step="Correct the line; nothing was sent.",
            ) from error
    return found


def _whole_lines(path: Path) -> int:
    """How many whole lines a file of results has; half a line at its end is cut off."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        path.write_bytes(whole)
    return whole.count(b"\n")


def _progress(state: "BatchState") -> None:
    if console.err.is_terminal:
        done = state.scored + state.refused
        console.err.print(f"{done} of {state.total}", end="\r", style="dim")
