"""`credence score`: ask a node's API for a score, as a financing platform does."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli import console

TIMEOUT_S = 30.0
GAUGE_WIDTH = 44

app = typer.Typer(rich_markup_mode="rich")


@app.command(
    "score",
    epilog="Example: credence score http://127.0.0.1:7501 --subject sub_... --consent con_... "
    "--token-file ./desk.token",
)
def score(
    url: Annotated[str, typer.Argument(help="Where the node's API is.", show_default=False)],
    subject: Annotated[str, typer.Option(help="The subject's reference.", show_default=False)],
    consent: Annotated[str, typer.Option(help="The subject's consent.", show_default=False)],
    token_file: Annotated[
        Path,
        typer.Option(
            help="File with the client's token.", show_default=False, envvar="CREDENCE_TOKEN_FILE"
        ),
    ],
    purpose: Annotated[str, typer.Option(help="Purpose that the consent grants.")] = "score",
    product: Annotated[str, typer.Option(help="What is asked for.")] = "standard",
    language: Annotated[str, typer.Option(help="en, zh-Hans or zh-Hant.")] = "en",
    idempotency_key: Annotated[
        str | None, typer.Option(help="Repeat a call without a second score.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's answer.")] = False,
) -> None:
    """Score a subject: points, probability of default, reasons, sources, receipt."""
    body = {"subject": subject, "consent_id": consent, "purpose": purpose, "product": product,
            "language": language}  # fmt: skip
    status, answer = _call(url, body, _token(token_file), idempotency_key)
    if status >= 400:
        _refused(answer, as_json=as_json)
    if as_json:
        console.print_json(answer)
    else:
        _print(answer)


def _call(
    url: str, body: dict[str, str], token: str, idempotency_key: str | None
) -> tuple[int, dict[str, Any]]:
    import httpx

    from protocols.errors import Unavailable

    headers = {"Authorization": f"Bearer {token}"}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    try:
        answer = httpx.post(
            f"{url.rstrip('/')}/v1/scores", json=body, headers=headers, timeout=TIMEOUT_S
        )
        value = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unavailable(
            f"no node's API answers at {url} ({type(error).__name__})",
            next_step="Check the URL, and that `credence node run` serves there.",
        ) from error
    if not isinstance(value, dict):
        raise Unavailable(f"what answers at {url} is not a node's API")
    return answer.status_code, value


def _refused(problem: dict[str, Any], *, as_json: bool) -> None:
    """Tell a problem like any other error: its code, what, what to do; exit 1."""
    if as_json:
        console.print_json(problem)
        raise SystemExit(1)
    code, detail = str(problem.get("code", "unknown")), str(problem.get("detail", ""))
    console.err.print(f"[red]error[/red] [bold]{code}[/bold]: ", end="")
    console.err.print(detail, markup=False)
    console.err.print(f"  {problem.get('next_step', '')}", markup=False)
    console.err.print(f"  request {problem.get('request_id', '')}", style="dim", markup=False)
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
