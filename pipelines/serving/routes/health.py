"""Routes for what watches the server: whether it lives, and whether it can answer."""

from pipelines.serving.admission import Unavailable
from pipelines.serving.bodies import bodies
from pipelines.serving.error_responses import UNREADY
from pipelines.serving.routes.handlers import Admission, read_route


@read_route("/healthz", {})
async def healthz() -> bodies.Health:
    """Answer 200 while the process lives."""
    return bodies.Health()


@read_route("/readyz", UNREADY)
async def readyz(admission: Admission) -> bodies.Readiness:
    """Answer 200 with the release that is open; 503 until one is, and when the server ends."""
    if admission.draining:
        raise Unavailable("the server is ending; send requests elsewhere")
    return bodies.Readiness(release=admission.opened().release)


ROUTES = (healthz, readyz)
