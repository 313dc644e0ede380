"""`credence coordinator models`: which model version plays which part in the network."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_coordinator
from api.cli.options import AsJson, CoordinatorHome
from api.cli.times import now_ms

if TYPE_CHECKING:
    from coordinator.bootstrap import Coordinator
    from coordinator.model_overview import Overview, VersionView
    from coordinator.releases import Order
    from protocols.releases import Release

app = typer.Typer(
    help="See and change which model version members answer with.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Version = Annotated[str, typer.Argument(help="A model version.", show_default=False)]
By = Annotated[str, typer.Option(help="Who does it, for the log.", show_default=False)]
Why = Annotated[str, typer.Option(help="Why, for the log.", show_default=False)]

_DAY = "%Y-%m-%d %H:%MZ"


@app.command("list", epilog="Example: credence coordinator models list ./coordinator")
def list_(home: CoordinatorHome, as_json: AsJson = False) -> None:
    """Show every version, its part, and which members say that they answer with it."""
    with opened_coordinator(home) as coordinator:
        found = _overview(coordinator)
        kinds = {
            one.version: _kind(coordinator.registry.find(one.version).campaign_id)
            for one in found.versions
        }
    if as_json:
        release = found.release
        console.print_json({
            "release": None if release is None else _release(release),
            "versions": [_version(one) | {"kind": kinds[one.version]} for one in found.versions],
            "members": {one.member_id: {"version": one.version, "release": one.serial,
                                        "since_ms": one.since_ms}
                        for one in found.running.values()},
        })  # fmt: skip
        return
    if not found.versions:
        console.say(f"no model is published yet; train one with `credence train {home}`")
        return
    if found.release is not None:
        console.say(f"release {found.release.serial}, {_utc(found.release.at_ms)}")
    for one in reversed(found.versions):
        said = f"  {kinds[one.version]:<17} {one.version:<18} {one.state:<11} {_run_by(one)}"
        console.say(said.rstrip())
    if found.release is None:
        return
    behind = [
        f"{one.member_id} (release {one.serial or 'none'})"
        for one in found.running.values()
        if one.serial != found.release.serial
    ]
    if behind:
        console.say(f"  not at this release yet: {', '.join(behind)}")


@app.command(epilog="Example: credence coordinator models show ./coordinator model-0002")
def show(home: CoordinatorHome, version: Version, as_json: AsJson = False) -> None:
    """Show one version: its part, its hash, who answers with it, and every move it made."""
    with opened_coordinator(home) as coordinator:
        found = _overview(coordinator)
        one = found.find(version)
        if one is None:
            raise _unknown(version)
        campaign_id = coordinator.registry.find(version).campaign_id
        kind = _kind(campaign_id)
    release = found.release
    manifest_sha256 = release.models.get(version) if release is not None else None
    if as_json:
        console.print_json(
            {
                **_version(one),
                "kind": kind,
                "campaign_id": campaign_id,
                "manifest_sha256": manifest_sha256,
            }
        )
        return
    console.say(f"{one.version}, a {kind}, is {one.state}")
    console.say(f"  campaign  {campaign_id}")
    console.say(f"  manifest  {manifest_sha256 or 'in no release any more'}")
    console.say(f"  members   {_run_by(one) or 'none answers with it'}")
    for move in one.moves:
        by = f" by {move.who}" if move.who else ""
        why = f": {move.why}" if move.why else ""
        console.say(
            f"  {_utc(move.at_ms)}  release {move.serial}  {move.before} -> {move.after}{by}{why}"
        )


@app.command(epilog="Example: credence coordinator models challenge ./coordinator model-0003")
def challenge(
    home: CoordinatorHome, version: Version, by: By = "", why: Why = "", as_json: AsJson = False
) -> None:
    """Have every member score with a version in the shadow of its answers, to compare."""
    with opened_coordinator(home) as coordinator:
        release = coordinator.releases.challenge(version, _order(by, why))
    _done(f"{version} is challenger: scored in the shadow, never the answer", release, as_json)


@app.command(
    epilog="Example: credence coordinator models stage ./coordinator model-0003 --member bank-a"
)
def stage(
    home: CoordinatorHome,
    version: Version,
    member: Annotated[list[str], typer.Option(help="A member's id; repeat.", show_default=False)],
    by: By = "",
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Have some members answer with a version before the others do."""
    with opened_coordinator(home) as coordinator:
        release = coordinator.releases.stage(version, member, _order(by, why))
    named = ", ".join(release.staged.members) if release.staged else ""
    _done(f"{version} is staged at {named}", release, as_json)


@app.command(epilog="Example: credence coordinator models promote ./coordinator model-0003")
def promote(
    home: CoordinatorHome, version: Version, by: By = "", why: Why = "", as_json: AsJson = False
) -> None:
    """Have all members answer with a version; the champion retires."""
    with opened_coordinator(home) as coordinator:
        release = coordinator.releases.promote(version, _order(by, why))
    _done(f"{version} is champion", release, as_json)


@app.command(epilog="Example: credence coordinator models rollback ./coordinator --why 'KS fell'")
def rollback(
    home: CoordinatorHome,
    version: Annotated[
        str,
        typer.Argument(help="A former champion; none: the one before.", show_default=False),
    ] = "",
    by: By = "",
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Make a former champion champion again; members keep its bundle, so it is back at once."""
    with opened_coordinator(home) as coordinator:
        release = coordinator.releases.rollback(_order(by, why), version)
    _done(f"{release.champion} is champion again", release, as_json)


@app.command(epilog="Example: credence coordinator models drop ./coordinator model-0003")
def drop(
    home: CoordinatorHome, version: Version, by: By = "", why: Why = "", as_json: AsJson = False
) -> None:
    """End a challenge, or the answers of some members with a staged version."""
    with opened_coordinator(home) as coordinator:
        release = coordinator.releases.drop(version, _order(by, why))
    _done(f"{version} plays no part any more", release, as_json)


@app.command(
    epilog="Example: credence coordinator models withdraw ./coordinator model-0002 --why 'bad data'"
)
def withdraw(
    home: CoordinatorHome,
    version: Version,
    why: Annotated[str, typer.Option(help="Why, for the log.", show_default=False)],
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Forbid all members to answer with a version, for good."""
    with opened_coordinator(home) as coordinator:
        release = coordinator.releases.withdraw(version, _order(by, why))
    then = f"{release.champion} is champion" if release.champion else "there is no champion"
    _done(f"{version} is withdrawn; {then}", release, as_json)


@app.command(epilog="Example: credence coordinator models expert ./coordinator")
def expert(home: CoordinatorHome, as_json: AsJson = False) -> None:
    """Publish the expert scorecard: a version that learnt from nobody; it plays no part yet."""
    from coordinator.expert import publish_expert
    from models.catalogue import Catalogue

    with opened_coordinator(home) as coordinator:
        catalogue = Catalogue.from_body(coordinator.membership.document("catalogue").body)
        version = publish_expert(coordinator, catalogue, now_ms())
    if as_json:
        console.print_json({"version": version})
        return
    console.say(f"{version} is in the registry; its PD rests on an assumed default rate")
    console.say(f"next: credence coordinator models challenge {home} {version}")


def _done(text: str, release: "Release", as_json: bool) -> None:
    if as_json:
        console.print_json(_release(release))
        return
    console.say(f"{text} (release {release.serial}; members follow within ten seconds)")


def _release(release: "Release") -> dict[str, Any]:
    staged = release.staged
    return {
        "serial": release.serial,
        "at_ms": release.at_ms,
        "champion": release.champion,
        "challenger": release.challenger,
        "staged": None
        if staged is None
        else {"version": staged.version, "members": list(staged.members)},
        "withdrawn": list(release.withdrawn),
    }


def _version(one: "VersionView") -> dict[str, Any]:
    return {
        "version": one.version,
        "state": one.state,
        "since_ms": one.since_ms,
        "members": list(one.members),
        "moves": [{"release": move.serial, "event": move.event, "from": move.before,
                   "to": move.after, "who": move.who, "why": move.why, "at_ms": move.at_ms}
                  for move in one.moves],
    }  # fmt: skip


def _kind(campaign_id: str) -> str:
    from models.baselines.published import kind_of

    return kind_of(campaign_id)


def _run_by(one: "VersionView") -> str:
    return f"answered with by {', '.join(one.members)}" if one.members else ""


def _overview(coordinator: "Coordinator") -> "Overview":
    from coordinator.model_overview import overview

    return overview(coordinator.database, coordinator.releases)


def _unknown(version: str) -> Exception:
    from coordinator.releases import UnknownBundle

    return UnknownBundle(f"no bundle {version}")


def _order(by: str, why: str) -> "Order":
    from coordinator.releases import Order

    return Order(now_ms(), by, why)


def _utc(at_ms: int) -> str:
    return time.strftime(_DAY, time.gmtime(at_ms / 1000))
