"""`credence score`: ask a node's API for a score, as a financing platform does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from api.cli import console

if TYPE_CHECKING:
    from api.sdk import ApiError, Identity

TIMEOUT_S = 30.0
GAUGE_WIDTH = 44

EXAMPLE = (
    "Example: credence score http://127.0.0.1:7501 --subject sub_... --consent con_... "
    "--client cli_... --key ./desk.jwk"
)


def score(
    url: Annotated[str, typer.Argument(help="Where the node's API is.", show_default=False)],
    subject: Annotated[str, typer.Option(help="The subject's reference.", show_default=False)],
    consent: Annotated[str, typer.Option(help="The subject's consent.", show_default=False)],
    client: Annotated[
        str | None,
        typer.Option(
            help="The client's id, with --key.", show_default=False, envvar="CREDENCE_CLIENT"
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            help="File with the client's private key, JWK or PEM.",
            show_default=False,
            envvar="CREDENCE_KEY",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="Instead, where a sandbox allows it: file with a plain token.",
            show_default=False,
            envvar="CREDENCE_TOKEN_FILE",
        ),
    ] = None,
    purpose: Annotated[str, typer.Option(help="Purpose that the consent grants.")] = "score",
    product: Annotated[str, typer.Option(help="What is asked for.")] = "standard",
    language: Annotated[str, typer.Option(help="en, zh-Hans or zh-Hant.")] = "en",
    idempotency_key: Annotated[
        str | None, typer.Option(help="Repeat a call without a second score.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Score a subject: points, probability of default, reasons, sources, receipt."""
    from api.sdk import ApiError, Client
    from api.sdk.score_calls import create_score

    call = create_score(
        subject,
        consent,
        purpose=purpose,
        product=product,
        language=language,
        idempotency_key=idempotency_key,
    )
    with Client(url, who_calls(client, key, token_file), timeout_s=TIMEOUT_S) as node:
        try:
            answer = dict(node.make(call).raw)
        except ApiError as refused:
            refused_call(refused, as_json=as_json)
    if as_json:
        console.print_json(answer)
    else:
        _print(answer)


def who_calls(client: str | None, key: Path | None, token_file: Path | None) -> "Identity | str":
    """Who calls: a client with its key, or a plain token where a sandbox allows one."""
    from api.sdk import ClientKey, Identity

    if token_file is not None and client is None and key is None:
        return _token(token_file)
    if client is None or key is None or token_file is not None:
        raise console.usage_error("give --client with --key, or --token-file")
    return Identity(client, ClientKey.read(key))


def refused_call(refused: "ApiError", *, as_json: bool) -> NoReturn:
    """Tell a problem like any other error: its code, what, what to do; exit 1."""
    if as_json:
        console.print_json({
            "code": refused.problem,
            "detail": refused.message,
            "status": refused.status,
            "request_id": refused.request_id,
            "next_step": refused.next_step,
        })  # fmt: skip
        raise SystemExit(1)
    console.err.print(f"[red]error[/red] [bold]{refused.problem}[/bold]: ", end="")
    console.err.print(refused.message, markup=False)
    console.err.print(f"  {refused.next_step}", markup=False)
    console.err.print(f"  request {refused.request_id}", style="dim", markup=False)
    raise SystemExit(1)


def _token(path: Path) -> str:
    from protocols.errors import InvalidInput

    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the token file {path} cannot be read",
            next_step="Make a client: `credence client add HOME --name NAME --token-file FILE`.",
        ) from error
    if not token or not token.isprintable() or " " in token:
        raise InvalidInput(f"the token file {path} does not hold one token")
    return token


def _print(answer: dict[str, Any]) -> None:
    from rich.text import Text

    scale, points = answer["scale"], answer["score"]
    line = Text()
    if points is None:
        line.append("no score", style="bold")
        line.append(f"  {answer['exclusion']['code']}: {answer['exclusion']['text']}")
    else:
        interval = answer["pd_interval"]
        sure = f" ({interval['low']:.1%} to {interval['high']:.1%})" if interval else ""
        line.append(f"{points}", style="bold")
        line.append(f"  band {answer['band']['code']}, probability of default ")
        line.append(f"{answer['pd']:.1%}{sure}\n")
        line.append(f"{scale['low']} {_gauge(points, scale['low'], scale['high'])} {scale['high']}")
    console.out.print(line)
    for reason in answer["reasons"]:
        console.out.print(f"  - {reason['text']} ({reason['points']:.0f} points)", markup=False)
    for source in answer["coverage"]:
        said = f"{source['present']} present, {source['none_on_record']} none on record"
        why = f" ({source['code']})" if source["code"] else ""
        console.out.print(f"  {source['source']:<16} {source['status']}{why}: {said}, "
                          f"{source['missing']} missing", style="dim", markup=False)  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in answer["versions"].items())
    receipt = answer["receipt"]
    console.out.print(f"  by {versions}", style="dim", markup=False)
    console.out.print(
        f"  leaf {receipt['seq']} of {receipt['log']}, root {receipt['root'][:16]}…",
        style="dim", markup=False,
    )  # fmt: skip


def _gauge(points: int, low: int, high: int) -> str:
    place = round((points - low) / (high - low) * (GAUGE_WIDTH - 1))
    return "─" * place + "●" + "─" * (GAUGE_WIDTH - 1 - place)
