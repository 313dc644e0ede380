"""The HTTP application of a node, put together."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from api.http import openapi, problems
from api.http.batches import batch_routes
from api.http.events import EventsNode, event_routes
from api.http.health import health_routes
from api.http.keyed import KeyedPosts
from api.http.late import LatePages
from api.http.limits import BodyLimits, LimitedBodies
from api.http.log import node_log_routes
from api.http.metrics import metrics_routes
from api.http.oauth import oauth_routes
from api.http.quick import QuickScores
from api.http.requests import RequestContext
from api.http.score_requests import score_request_routes
from api.http.scores import decision_routes, score_handler, score_routes
from audit.proofs import LogReader
from audit.witness_state import Operation
from node.access.clients import Clients
from node.access.wiring import Access
from node.network.documents import Documents
from node.scoring.proofs import ScoreProofs
from node.scoring.service import ScoringService
from node.scoring.wiring import AroundScores
from node.telemetry.gauges import Gauges
from node.telemetry.telemetry import Telemetry
from node.witnessing.wiring import Witnessing

VERSION = "1.0.0"
DESCRIPTION = """\
Scores of a node of the Credence network, for financing platforms.

Errors are problem documents (RFC 9457) with a stable `code`, a `request_id`, whether a repetition
may help (`retryable`) and what to do (`next_step`).
"""


class ScoringNode(EventsNode, Protocol):
    """What the application needs of a node; `node.bootstrap.Node` is one."""

    @property
    def clients(self) -> Clients:
        """Who may call."""
        ...

    @property
    def access(self) -> Access:
        """How they show who they are."""
        ...

    @property
    def scoring(self) -> ScoringService:
        """Makes scores."""
        ...

    @property
    def around_scores(self) -> AroundScores:
        """What else may be asked about scores."""
        ...

    @property
    def log_reader(self) -> LogReader:
        """Shows its audit log."""
        ...

    @property
    def witnessing(self) -> Witnessing:
        """How its log stands before its witnesses."""
        ...

    @property
    def telemetry(self) -> Telemetry:
        """What it counts and traces."""
        ...

    @property
    def gauges(self) -> Gauges:
        """How it stands."""
        ...

    @property
    def metrics_token(self) -> bytes | None:
        """What who reads its metrics has to show; None: they are read from this machine."""
        ...

    @property
    def documents(self) -> Documents:
        """Directory and catalogue in force."""
        ...


def create_app(
    node: ScoringNode,
    limits: BodyLimits | None = None,
    *,
    faces: Sequence[APIRouter] = (),
    late: LatePages | None = None,
) -> FastAPI:
    """The application that serves `node`, with the pages of `api.http.faces` if it is given them.

    Args:
        node: what answers.
        limits: of bodies.
        faces: pages that are there already.
        late: pages that are still to be loaded; they answer what nothing else does.

    The framework's documentation pages load scripts from elsewhere and are not served; `/docs` is
    ours (`api.http.docs`), over `/openapi.json`.
    """
    app = FastAPI(
        title="Credence node",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    problems.install(app)
    take = partial(_take, app)
    app.state.front = node.access.front
    take(oauth_routes(node.access))
    handler = score_handler(node.scoring, node.clients)
    scores = score_routes(node.scoring, node.clients, handler)
    for router in (scores, *_around(node), *_standing(node), *faces):
        take(router)
    if late is not None:
        app.router.default = late
    openapi.install(app)
    # Added last runs first: an id for every request, the limits, repeated calls, the routes.
    app.add_middleware(QuickScores, route=_creating(scores), handler=handler)
    app.add_middleware(KeyedPosts, clients=node.clients, calls=node.access.keyed_calls)
    app.add_middleware(LimitedBodies, limits=limits or BodyLimits())
    app.add_middleware(RequestContext, telemetry=node.telemetry)
    return app


def _around(node: ScoringNode) -> Iterator[APIRouter]:
    """What may be asked around scores, and of the log that they are in."""
    around, clients = node.around_scores, node.clients
    yield decision_routes(around, clients)
    yield score_request_routes(around.jobs, around.reader, clients)
    yield batch_routes(around.jobs, around.results, clients)
    yield from event_routes(node)
    reader = node.log_reader
    yield node_log_routes(reader, clients, ScoreProofs(reader, node.scoring, clients))


def _standing(node: ScoringNode) -> Iterator[APIRouter]:
    """How the node is."""
    yield health_routes(
        {
            "database": node.clients.every,
            "directory": node.documents.directory,
            "model": node.scoring.check_model,
            "witnesses": lambda: node.witnessing.gate.require(Operation.SCORE),
        }
    )
    yield metrics_routes(node.telemetry.measures, node.gauges.read, node.metrics_token)


def _creating(scores: APIRouter) -> APIRoute:
    routes = [one for one in scores.routes if isinstance(one, APIRoute)]
    return next(one for one in routes if one.operation_id == "createScore")


def _take(app: FastAPI, router: APIRouter) -> None:
    """Serve the routes of `router` as they are.

    `include_router` makes every route once more, with what the application adds to it, here
    nothing: a tenth of a second of the first call.
    """
    app.router.routes.extend(router.routes)
