"""The frame of a page: head, style, script. A page asks the network for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from harness.reports import headline
from harness.reports.html.elements import escape

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(title: str, body: Sequence[str]) -> str:
    """Put a page together. Its policy lets no browser fetch anything for it."""
    assets = resources.files("harness.reports.html")
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv=Content-Security-Policy content="{POLICY}">'
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{(assets / 'report.css').read_text()}</style>"
        f"</head><body><main>{''.join(body)}</main>"
        f"<script>{(assets / 'report.js').read_text()}</script></body></html>\n"
    )


def header(facts: Mapping[str, Any]) -> str:
    """Say what was run, when, and let the reader choose the theme."""
    nodes = headline.nodes(facts, facts["topology"])
    started = str(facts.get("started", ""))[:16].replace("T", " ")
    when = f" · {started} UTC" if started else ""
    of = headline.replay_of(facts)
    what = f"{nodes} on {facts['runtime']['name']}{when}{f' · {of}' if of else ''}"
    return (
        f"<header><h1>{escape(facts['name'])}</h1><span class=soft>{escape(what)}</span>"
        "<button id=theme type=button>light / dark</button></header>"
    )


def contents(sections: Sequence[tuple[str, str]]) -> str:
    """Lead to the parts of the page."""
    links = "".join(f'<a href="#{escape(key)}">{escape(title)}</a>' for key, title in sections)
    return f"<nav>{links}</nav>" if links else ""
