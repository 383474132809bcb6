"""Files below a megabyte, by name, that cost a careless reader minutes or gigabytes, or crash it."""

from __future__ import annotations

import json

_N = 100_000


def _rss(description: str) -> str:
    text = description.replace("&", "&amp;").replace("<", "&lt;")
    item = f"<item><title>t</title><description>{text}</description></item>"
    return f"<?xml version='1.0'?><rss version='2.0'><channel>{item}</channel></rss>"


def _aliases() -> str:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "---\nl0: &l0 [x]\n" + "\n".join(levels) + "\n---\nText."


HOSTILE: dict[str, str] = {
    # Searches that restart at each of many positions (quadratic time).
    "comments.html": "<!---->" * 285 + "x",
    "spaces in comments.html": "<!-- -->  " * 200 + "<p>",
    "comments.csv": "<!-- a -->" * 190 + "x\n1,2\n",
    "headings.md": ("# a" + " " * 1_000 + "b\n") * 300,
    "one heading.md": "# " + "# " * _N + "x",
    "tags without an end.rss": _rss("<a" * _N + ">"),
    "comments without an end.rss": _rss("<p>" + "<!--" * _N),
    "declarations without an end.rss": _rss("<b>" + "<?" * _N),
    "CDATA without an end.rss": _rss("<b>" + "<![CDATA[" * 20_000),
    "quotes without an end.rss": _rss("<b>" + '<a x="' * 50_000),
    "a script without an end.rss": _rss("<script>" + "</scrip" * 30_000),
    "entities without an end.rss": _rss("<b>" + "&#" * _N),
    "quotes.csv": 'id,content\n1,"' + '"' * _N + "\n",
    "an open quote in each line.csv": "id,content\n" + '1,"a\n' * 30_000,
    "backslashes.jsonl": '{"id":1,"content":"' + "\\\\" * _N + "\n",
    # Deep nesting.
    "deep.json": "[" * _N,
    "deep.jsonl": '{"content":' + '{"a":' * 50_000 + "\n",
    "deep.xml": "<?xml version='1.0'?>" + "<a>" * _N,
    "deep.html": "<html><body>" + "<div>" * 10_000 + "text",
    "deep front matter.md": "---\n" + "[" * 20_000 + "\n---\nText.",
    "deep TOML.md": "+++\na = " + "[" * 20_000 + "\n+++\nText.",
    # Content that expands.
    "aliases.md": _aliases(),
    "an alias of itself.md": "---\na: &a [*a]\n---\nText.",
    "code in YAML.md": "---\na: !!python/object/apply:os.system ['true']\n---\nText.",
    # Many columns or members.
    "separators.csv": "sep=" + ";" * _N,
    "commas.csv": "," * _N + "\n1\n",
    "three separators.csv": "a;b,c|d\te" * 10_000,
    "attributes.xml": "<r><article "
    + " ".join(f"a{n}='1'" for n in range(20_000))
    + "><content>x</content></article></r>",
    "lists.json": json.dumps({f"l{n}": [{"content": "x"}] for n in range(5_000)}),
    "articles by key.json": json.dumps({str(n): {"content": "x"} for n in range(10_000)}),
    # Huge numbers.
    "a long id.jsonl": '{"id": ' + "9" * 400 + ', "content": "x"}\n',
    "a number without an end.jsonl": '{"id": 1, "content": "x", "n": ' + "9" * _N + "}\n",
    # No content, only white space or control characters.
    "line breaks.csv": "\n" * _N,
    "carriage returns.csv": "\r" * _N,
    "NUL.csv": "\0" * _N,
    "spaces.txt": " \n" * _N,
}
