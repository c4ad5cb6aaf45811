"""models/README.md: parts between markers that evaluate.py writes anew, and the tables in them."""
import os
import re


def cell(value):
    return value if isinstance(value, str) else "" if value is None or value != value else f"{value:.2f}"


def table(head, rows):
    """Markdown; numbers get two decimals, NaN an empty cell."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cell(v) for v in r) + " |" for r in rows])


def markers(name):
    return f"<!-- measured: {name} -->", f"<!-- end: {name} -->"


def put(text, name, body):
    """`text` with `body` between the markers of `name`, which must stand there once."""
    begin, end = markers(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"markers {begin} and {end} must stand once, in this order")
    return re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: f"{begin}\n{body.strip()}\n{end}", text, flags=re.S)


def update(path, name, body):
    """Likewise, in a file; it is never seen half written."""
    with open(path, encoding="utf-8") as f:
        text = put(f.read(), name, body)
    with open(path + ".part", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".part", path)
