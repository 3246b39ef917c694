"""A view or a review in the browser: pages on loopback, under an address that only its reader knows."""

import secrets
import socket
from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import uvicorn
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from stillhouse.browsing.library import Library, opened
from stillhouse.browsing.listing import ListPage, RowFilters, filterable, list_page
from stillhouse.browsing.marks import Marking
from stillhouse.browsing.row_view import RowView, diff, row_view
from stillhouse.errors import BadConfig, StillhouseError
from stillhouse.reporting.rendering import rendered
from stillhouse.reporting.texts import has_formula
from stillhouse.vocabulary.categories import CATEGORIES
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import KINDS, Keyed

HOST = "127.0.0.1"
NAMES = [HOST, "localhost", "[::1]"]
"""Names by which a browser may ask: a page of another site that makes its own name point here has none of them."""
HEADERS = {
    "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
LEVELS = ("1", "2", "3", "none")


class MarkRequest(BaseModel):
    """What the page sends for a mark: whether the verdict is right; null takes the mark away."""

    model_config = ConfigDict(extra="forbid", strict=True)

    right: bool | None


class Browser:
    """The pages of one view. Its address holds a token: other users of the machine, and other sites, do not know it."""

    def __init__(self, uris: list[str], marking: Marking | None = None) -> None:
        """Opens the artifacts. Raises MissingInput as ``library.opened`` does."""
        self.token, self._uris, self._marking = secrets.token_urlsafe(24), uris, marking
        self._libraries = {"": opened(uris)}

    @cached_property
    def app(self) -> Starlette:
        """The application."""
        routes = [
            Route(f"/{self.token}/", self._page(self._list)),
            Route(f"/{self.token}/row/{{number:int}}", self._page(self._row)),
            Route(f"/{self.token}/mark/{{number:int}}", self._mark, methods=["POST"]),
        ]
        return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=NAMES, www_redirect=False)])

    def _library(self, request: Request) -> Library:
        section = request.query_params.get("section", "")
        if section not in self._libraries:
            self._libraries[section] = opened(self._uris, section)
        return self._libraries[section]

    def _page(self, make: Callable[[Request], Response]) -> Callable[[Request], Any]:
        """A handler that makes its page in a thread, and shows an error as a page of one line."""

        async def handle(request: Request) -> Response:
            try:
                response = await run_in_threadpool(make, request)
            except StillhouseError as error:
                response = _html("view_error.html.j2", 404, title="Not here", error=one_line(error), home=f"/{self.token}/")
            response.headers.update(HEADERS)
            return response

        return handle

    def _list(self, request: Request) -> Response:
        library, params = self._library(request), request.query_params
        filters = RowFilters(**{name: params.get(name, "") for name in RowFilters.__dataclass_fields__})
        page = list_page(library, filters, _number(params.get("at", "0")))
        if self._marking is not None and "start" in params and page.rows:
            return RedirectResponse(self._address(f"row/{page.rows[0]['row_number']}", request, start=None), 303)
        return _html(
            "view.html.j2", title=library.title, uri=library.uri, library=library, page=page, filters=filters, shown=_columns(page),
            section=params.get("section", ""), categories=CATEGORIES, kinds=KINDS, levels=LEVELS, marking=self._marking,
            usable=filterable(library), marked=self._marked, params=params,
            address=lambda path, **changes: self._address(path, request, **changes),
        )  # fmt: skip

    def _row(self, request: Request) -> Response:
        library, params = self._library(request), request.query_params
        number = int(request.path_params["number"])
        view = row_view(library, number)
        texts = (str(text) for row in (view.row, view.question, view.response, *view.answers) for text in row.values())
        return _html(
            "row.html.j2", formulas=any(map(has_formula, texts)), title=f"{library.title} · row {number:,}", library=library,
            view=view, compared=_compared(view, params.getlist("compare")), chosen=params.getlist("compare"), marking=self._marking,
            marked=self._marked(view.verdict or view.row), following=self._following(library, request, number),
            token=self.token, section=params.get("section", ""),
            address=lambda path, **changes: self._address(path, request, **changes),
        )  # fmt: skip

    async def _mark(self, request: Request) -> Response:
        """Take a mark. Only our own script sends JSON: other sites cannot, without asking first, and are not answered."""
        if self._marking is None or request.headers.get("content-type") != "application/json":
            return JSONResponse({"error": "not a review"}, 400, HEADERS)
        try:
            right = MarkRequest.model_validate_json(await request.body()).right
        except ValidationError as error:
            return JSONResponse({"error": f"not a mark: {error.error_count()} errors"}, 400, HEADERS)
        try:
            view = await run_in_threadpool(row_view, self._library(request), int(request.path_params["number"]))
            await run_in_threadpool(self._marking.mark, view, right=right)
        except StillhouseError as error:
            return JSONResponse({"error": one_line(error)}, 409, HEADERS)
        return JSONResponse({"n_marks": len(self._marking.marks)}, 200, HEADERS)

    def _following(self, library: Library, request: Request, number: int) -> int | None:
        """The next row that fits the filters; None at the end."""
        filters = RowFilters(**{name: request.query_params.get(name, "") for name in RowFilters.__dataclass_fields__})
        if not filters.given:
            return number + 1 if number + 1 < library.listed.n_rows else None
        rows = list_page(library, filters, number + 1).rows
        return int(rows[0]["row_number"]) if rows else None

    def _marked(self, row: dict[str, Any]) -> bool | None:
        if self._marking is None or not all(name in row for name in Keyed.KEY):
            return None
        question_id, model, prompt_kind, round_, sample = (row[name] for name in Keyed.KEY)
        return self._marking.of((question_id, model, prompt_kind, round_, sample))

    def _address(self, path: str, request: Request, **changes: Any) -> str:
        """An address of this view that keeps the filters; a change of None leaves a parameter out."""
        kept = {name: value for name, value in request.query_params.items() if value and name != "compare"}
        query = {name: value for name, value in {**kept, **changes}.items() if value is not None}
        return f"/{self.token}/{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")


def listening(port: int) -> socket.socket:
    """A socket on loopback; 0 for a free port. Raises BadConfig if the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # now: a browser that is quicker than the server waits for it
    except OSError as error:
        listener.close()
        msg = f"--port {port}: {error.strerror}; choose another one, or leave it out for a free one"
        raise BadConfig(msg) from error
    return listener


def serve(browser: Browser, listener: socket.socket) -> None:
    """Answer until Ctrl-C."""
    config = uvicorn.Config(browser.app, log_level="error", access_log=False, timeout_graceful_shutdown=1, server_header=False)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # the usual end, which uvicorn passes on once it has stopped
        return
    finally:
        listener.close()


def _html(template: str, status: int = 200, *, formulas: bool = False, **values: Any) -> Response:
    page, policy = rendered(template, scripts=["view.js"], formulas=formulas, server=True, **values)
    return HTMLResponse(page, status, {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"})


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def _columns(page: ListPage) -> list[str]:
    """The columns of the list: those that its rows have."""
    order = (
        "category", "level", "model", "round", "sample_index", "kind", "verify_score", "right", "kept", "reason", "split", "mode",
        "source", "language", "discard_reason", "pass_rate", "cv", "key", "n", "detail",
    )  # fmt: skip
    return [name for name in order if any(row.get(name) is not None for row in page.rows)]


def _compared(view: RowView, chosen: list[str]) -> tuple[Any, ...] | None:
    """Two of the answers with their differences marked, if two are chosen by their position."""
    positions = [int(text) for text in chosen if text.isdecimal() and int(text) < len(view.answers)]
    if len(positions) != 2:
        return None
    one, other = (view.answers[position] for position in positions)
    return (one, other, *diff(str(one["text"]), str(other["text"])))
