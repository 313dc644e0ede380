"""`credence node models`: which version this node answers with, and its own rules about it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome

if TYPE_CHECKING:
    from node.releases import Standing
    from node.storage.models import Comparison

app = typer.Typer(
    help="See which model this node answers with; pin or refuse a version.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Version = Annotated[str, typer.Argument(help="A model version.", show_default=False)]
Why = Annotated[str, typer.Option(help="Why, for the log.", show_default=False)]

FEWEST = 20  # a mean over fewer says too much about too few


@app.command("list", epilog="Example: credence node models list ./bank-a")
def list_(home: NodeHome, as_json: AsJson = False) -> None:
    """Show the versions, what is answered with and why, and how the challenger compares."""
    with opened_node(home) as node:
        found = node.releases.standing()
    versions = _versions(found)
    if as_json:
        release = found.release
        console.print_json({
            "release": None if release is None else release.serial,
            "answers_with": found.choice.active,
            "shadow": found.choice.shadow,
            "named": found.named,
            "versions": versions,
            "comparisons": [_compared(one) for one in found.comparisons],
        })  # fmt: skip
        return
    if found.release is None:
        console.say("the network has released no model that this node has seen")
        return
    console.say(f"release {found.release.serial}; answers with {found.choice.active or 'nothing'}")
    if found.named != found.choice.active:
        console.say(f"  the network names {found.named or 'nothing'} for this node")
    for one in versions:
        marks = [one["part"], *(["kept here"] if one["kept"] else [])]
        if one["rule"]:
            marks.append(f"{one['rule']} by this node" + (f": {one['why']}" if one["why"] else ""))
        console.say(f"  {one['version']:<14} {', '.join(marks)}")
    for compared in found.comparisons:
        console.say(f"  {_sentence(compared)}")


@app.command(epilog="Example: credence node models pin ./bank-a model-0001 --why 'validated'")
def pin(home: NodeHome, version: Version, why: Why = "", as_json: AsJson = False) -> None:
    """Answer with one version alone, whatever the network names; fetched when it is not here."""
    with opened_node(home) as node:
        active = node.releases.pin(version, _line(why))
    _done(f"{version} is pinned", active, as_json)


@app.command(
    epilog="Example: credence node models refuse ./bank-a model-0003 --why 'not validated'"
)
def refuse(home: NodeHome, version: Version, why: Why = "", as_json: AsJson = False) -> None:
    """Never answer with a version, nor score it in the shadow."""
    with opened_node(home) as node:
        active = node.releases.refuse(version, _line(why))
    _done(f"{version} is refused", active, as_json)


@app.command(epilog="Example: credence node models unpin ./bank-a")
def unpin(
    home: NodeHome,
    version: Annotated[
        str,
        typer.Argument(help="The version; none: the pinned one.", show_default=False),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Take back a pin or a refusal: what the network names is answered with again."""
    with opened_node(home) as node:
        active = node.releases.unpin(version)
    _done("the rule is taken back", active, as_json)


def _versions(found: "Standing") -> list[dict[str, Any]]:
    release = found.release
    named = [] if release is None else [*release.models, *release.withdrawn]
    return [
        {
            "version": version,
            "part": _part(found, version),
            "kept": version in found.kept,
            "rule": found.rules[version].rule if version in found.rules else None,
            "why": found.rules[version].why if version in found.rules else "",
        }
        for version in sorted({*named, *found.kept, *found.rules}, reverse=True)
    ]


def _part(found: "Standing", version: str) -> str:
    release = found.release
    if release is None or (version not in release.models and version not in release.withdrawn):
        return "unknown"
    if version in release.withdrawn:
        return "withdrawn"
    staged = release.staged
    parts = {release.champion: "champion", release.challenger: "challenger"}
    if staged is not None:
        parts[staged.version] = "staged"
    return parts.get(version, "no part")


def _compared(one: "Comparison") -> dict[str, Any]:
    few = one.count < FEWEST
    return {
        "version": one.version,
        "challenger": one.challenger,
        "count": one.count,
        "failed": one.failed,
        "mean_pd_difference": None if few else one.pd_difference / one.count,
        "mean_points_difference": None if few else one.points_difference / one.count,
        "mean_points_distance": None if few else one.points_distance / one.count,
        "better_band": None if few else one.better_band,
        "worse_band": None if few else one.worse_band,
        "since_ms": one.since_ms,
        "until_ms": one.until_ms,
    }


def _sentence(one: "Comparison") -> str:
    begin = f"{one.challenger} beside {one.version}: {one.count:,} scores"
    if one.count < FEWEST:
        return f"{begin}; figures are shown from {FEWEST} on"
    failed = f", {one.failed:,} that it could not make" if one.failed else ""
    return (
        f"{begin}{failed}; PD {one.pd_difference / one.count:+.4f}, "
        f"{one.points_difference / one.count:+.1f} points "
        f"(mean distance {one.points_distance / one.count:.1f}), "
        f"better band {one.better_band:,}, worse band {one.worse_band:,}"
    )


def _done(text: str, active: str | None, as_json: bool) -> None:
    if as_json:
        console.print_json({"answers_with": active})
        return
    console.say(f"{text}; this node answers with {active or 'nothing'}")


def _line(why: str) -> str:
    if len(why) > 200 or not why.isprintable():
        raise console.usage_error("--why is one line of at most 200 characters")
    return why
