"""The routes of the tabs: what is drawn (GET), and what is done (POST, from this page only)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Response, jsonify, request, send_file, send_from_directory
from werkzeug.datastructures import ImmutableMultiDict

from harness.errors import HarnessError, UsageError
from harness.faults.fault import Condition
from harness.load.locust.tabs import (
    banner,
    cluster,
    delivery,
    faults,
    figures,
    form,
    quantities,
    topology,
    verdict,
)
from harness.load.locust.tabs.desk import Desk, sentence_of

STATIC = Path(__file__).parent / "static"
VIEWS = {
    "cluster": cluster.view,
    "faults": faults.view,
    "topology": topology.view,
    "verdict": verdict.view,
    "delivery": delivery.view,
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
INJECTED = (
    '<link rel="stylesheet" href="./p2p/static/tabs.css">'
    '<script src="./p2p/static/form.js"></script><script src="./p2p/static/tabs.js"></script>'
)


def add(web_ui: Any, environment: Any, desk: Desk) -> None:
    """Add the tabs to a Locust WebUI."""
    app, base = web_ui.app, getattr(web_ui, "web_base_path", None) or ""
    tabs = [{"title": key.capitalize(), "key": f"p2p-{key}"} for key in VIEWS]
    web_ui.template_args["extended_tabs"] = tabs
    web_ui.template_args["extended_tables"] = []
    fill = web_ui.update_template_args

    def fill_template() -> None:
        fill()
        web_ui.template_args["state"] = figures.state(web_ui.template_args["state"], desk)

    web_ui.update_template_args = fill_template

    def route(path: str, function: Callable[..., Any], method: str = "GET") -> None:
        guarded = web_ui.auth_required_if_enabled(function)
        app.add_url_rule(f"{base}/p2p/{path}", f"p2p {path}", guarded, methods=[method])

    route("view/<key>", lambda key: _view(desk, key))
    route("form", lambda: jsonify(faults.form()))
    route("scenarios", lambda: jsonify(form.scenarios(environment)))
    route("do/scenario", lambda: _scenario(environment, desk), "POST")
    route("report", lambda: _report(desk))
    route("static/<path:name>", lambda name: send_from_directory(STATIC, name))
    for name, function in ACTIONS.items():
        route(f"do/{name}", lambda function=function: _do(desk, function), "POST")

    def refuse() -> Response | None:
        foreign = _foreign(web_ui.host)
        if foreign:
            return _said(foreign, 403)
        if request.method == "POST" and request.path == f"{base}/swarm":
            return _checked(web_ui, environment, desk)
        if request.path == f"{base}/stop":
            desk.starts.wait()  # Locust would end it half-way, and its run be left
        return None

    def inject(response: Response) -> Response:
        if request.path in (f"{base}/", base) and response.mimetype == "text/html":
            page = response.get_data(as_text=True)
            response.set_data(page.replace("</body>", f"{INJECTED}</body>"))
        elif request.path == f"{base}/stats/requests" and response.is_json:
            answer = figures.corrected(response.get_json(), figures.counted(desk))
            answer["state"] = figures.state(answer["state"], desk)
            response.set_data(json.dumps(answer))
        return response

    environment.events.reset_stats.add_listener(lambda **_: figures.reset(desk))
    app.before_request(refuse)
    app.after_request(inject)


def _foreign(host: str | None) -> str:
    """The sentence of why a request is not from this page; empty where it is.

    A page of another site may neither start, stop nor change anything; nor may a name that only
    pretends to be this host (DNS rebinding).
    """
    origin = request.headers.get("Origin")
    changes = request.method != "GET" or request.path.rsplit("/", 1)[-1] == "stop"
    if changes and origin is not None and urlsplit(origin).netloc != request.host:
        return f"refused: this was asked by a page of {origin}"
    if changes and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        return "refused: this was asked by a page of another site"
    if host in LOOPBACK and urlsplit(f"//{request.host}").hostname not in LOOPBACK:
        return f"refused: this page is 127.0.0.1's, not {request.host}'s"
    return ""


def _checked(web_ui: Any, environment: Any, desk: Desk) -> Response | None:
    """Refuse a form that cannot be begun; else have Locust start a user for each stream."""
    asked = form.meant(request.form)
    try:
        form.require_idle(environment, desk)
        form.require_host(environment, request.form)
        names = form.streams(environment, desk, asked)
        form.require_idle(environment, desk)  # again: others may have started one meanwhile
        if web_ui._swarm_greenlet is not None and not web_ui._swarm_greenlet.ready():
            raise UsageError("a run is being started already")
    except HarnessError as error:
        return jsonify(form.refused(error, environment.host))
    asked["user_count"] = asked["spawn_rate"] = str(len(names))
    asked.setlist("user_classes", names)
    environment.parsed_options.run_time = None  # what the run before was given
    request.form = ImmutableMultiDict(asked)
    return None


def _scenario(environment: Any, desk: Desk) -> Response:
    """What a scenario would play; a POST, because it looks at files, which is no other site's."""
    body = request.get_json(silent=True)
    named = str(body.get("named", "")) if isinstance(body, dict) else ""
    return jsonify(form.told(environment, desk, named))


def _view(desk: Desk, key: str) -> Response:
    """The blocks of a tab, the banner and, where something else is wrong, its sentence."""
    wanted = request.args.get("filter", "").strip()
    told = banner.lines(desk)
    shown, wrong = sentence_of(lambda: VIEWS[key](desk, wanted)) if key in VIEWS else ([], "")
    if wrong in (line["text"] for line in told):
        wrong = ""
    return jsonify({"banner": told, "blocks": shown or [], "problem": wrong})


def _report(desk: Desk) -> Response:
    if desk.run is None or not (desk.run / verdict.REPORT).is_file():
        return _said("there is no report yet: it is written when the run has been judged", 404)
    return send_file(desk.run / verdict.REPORT)


def _do(desk: Desk, function: Callable[[Desk, dict[str, Any]], str]) -> Response:
    """Do what was asked; one sentence tells what came of it."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        return _said("refused: expected a JSON object", 400)
    try:
        return _said(function(desk, body), 200)
    except HarnessError as error:
        return _said(str(error), 409)


def _said(sentence: str, status: int) -> Response:
    response = jsonify({"says": sentence})
    response.status_code = status
    return response


def _set_condition(desk: Desk, body: dict[str, Any]) -> str:
    node, wanted = str(body.get("node")), str(body.get("condition"))
    if wanted not in list(Condition):
        raise UsageError(f"condition: expected one of {', '.join(Condition)}, found {wanted}")
    says = desk.ask("condition", node=node, condition=wanted)["says"]
    return f"{node} is {wanted}" + (f": {says}" if says else "")


def _set_fault(desk: Desk, body: dict[str, Any]) -> str:
    done = desk.ask("fault-set", words=faults.words(body))
    on, what = (done["paths"], "path") if done["paths"] else (done["nodes"], "node")
    said = quantities.count(on, what)
    return f"{done['name']}: in force on {said} after {done['took_ms']:.1f} ms"


def _heal(desk: Desk, body: dict[str, Any]) -> str:
    cleared = desk.ask("fault-clear", name=body.get("name"))["cleared"]
    return f"healed: {', '.join(cleared) or 'nothing was in force'}"


ACTIONS: dict[str, Callable[[Desk, dict[str, Any]], str]] = {
    "condition": _set_condition,
    "fault": _set_fault,
    "heal": _heal,
}
