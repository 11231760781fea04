"""Routes of the files that a browser loads: the shop's page, and the page of this interface."""

from pathlib import Path
from typing import Any

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import OpenAPIRenderPlugin

from pipelines.serving.routes.handlers import AnyRequest

PAGE = Path(__file__).parents[1] / "page"
PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/docs.js": ("docs.js", "text/javascript"),
}


class DocsPage(OpenAPIRenderPlugin):
    """A page of our own: it reads /openapi.json, and loads nothing from elsewhere."""

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        return (PAGE / "docs.html").read_bytes()


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi(request: AnyRequest) -> dict[str, Any]:
    """Return the description of this interface, made from the nouns."""
    return request.app.openapi_schema.to_schema()


def page_routes() -> list[HTTPRouteHandler]:
    """Return the routes of the files, which are read once, and of the OpenAPI document."""
    return [openapi, *(_page_file(path, *file) for path, file in PAGE_FILES.items())]


def _page_file(path: str, name: str, media_type: str) -> HTTPRouteHandler:
    content = (PAGE / name).read_bytes()

    @get(path, media_type=media_type, include_in_schema=False, sync_to_thread=False)
    def page_file() -> bytes:
        return content

    return page_file
