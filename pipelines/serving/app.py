"""The HTTP application: routes, admission control, error responses and headers put together."""

from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import Message, Scope

from pipelines.ads.ad_serving import AdServing
from pipelines.config.sections import Config
from pipelines.events.intake import EventIntake
from pipelines.serving.admission import AdmissionControl, ServedEngine
from pipelines.serving.answer_cache import AnswerCache
from pipelines.serving.connections.request_guard import RequestGuard
from pipelines.serving.error_responses import HANDLERS, LARGEST_BODY
from pipelines.serving.routes import ads as ads_route
from pipelines.serving.routes import campaigns, changes, health, people, search, storefront
from pipelines.serving.routes import events as events_route
from pipelines.serving.routes.handlers import admission_of
from pipelines.serving.routes.pages import DocsPage, page_routes

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
OPENAPI = OpenAPIConfig(
    title="Vetrina",
    version="1",
    description="Search and recommendation for one shop, from one release.",
    path="/docs",
    render_plugins=[DocsPage(path="/")],
    use_handler_docstrings=True,
)


def create_app(
    engine: ServedEngine | None,
    config: Config,
    events: EventIntake | None = None,
    ads: AdServing | None = None,
) -> Litestar:
    """Return the application; without an engine, it answers once `state.admission` has one."""
    admission = AdmissionControl(engine, config.serve, events, ads, config.consent)
    app = Litestar(
        [
            *search.ROUTES,
            *storefront.ROUTES,
            *health.ROUTES,
            *changes.ROUTES,
            *events_route.ROUTES,
            *people.ROUTES,
            *campaigns.ROUTES,
            *ads_route.ROUTES,
            *page_routes(),
        ],
        state=State(
            {
                "admission": admission,
                "answers": AnswerCache(config.serve),
                "people_over_http": config.people.http,
            }
        ),
        dependencies={
            "admission": Provide(admission_of, sync_to_thread=False),
            "replies": Provide(search.replies_of, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        before_send=[_add_headers],
        on_shutdown=[admission.close],
        request_max_body_size=LARGEST_BODY,
        openapi_config=OPENAPI,
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = RequestGuard(app.asgi_handler, config.serve, admission, search.KINDS)
    return app


async def _add_headers(message: Message, scope: Scope) -> None:
    """Add the headers of every answer; not a plain function, which would run in a thread."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders(message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if scope["litestar_app"].state.admission.draining:
            headers["connection"] = "close"
