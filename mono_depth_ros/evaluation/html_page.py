# SPDX-License-Identifier: Apache-2.0
"""What every report of ours is made of: a page that needs no network, tables, pictures inside the page."""

import base64
import html
from collections.abc import Mapping, Sequence

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1400px;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #bbb;padding:.25em .7em;text-align:left}
th{background:#f2f2f2}img{max-width:100%}figure{margin:1.2em 0}figcaption{font-size:14px;color:#333}
.best{font-weight:bold}"""


def page(title: str, body: str) -> str:
    """A whole document; the title is escaped, the body is not."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """A row per mapping; headings are the keys of the first. Everything is escaped."""
    if not rows:
        return "<p>none</p>"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def facts(known: Mapping[str, object]) -> str:
    """A table of names and values."""
    return table([{"": name, "value": value} for name, value in known.items()])


def embedded_png(png: bytes, text: str) -> str:
    """A picture that is a part of the page."""
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def linked_picture(path: str, text: str) -> str:
    """A picture beside the page, loaded when it comes into view, with its text below; both are escaped."""
    shown = html.escape(text)
    return f'<figure><img loading="lazy" alt="" src="{html.escape(path)}"><figcaption>{shown}</figcaption></figure>'
