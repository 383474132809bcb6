"""Plots whose texts come from outside: the renderer is native code, and what XML forbids makes it abort."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
HOSTILE = [f"a{chr(n)}b" for n in (*range(0x20), 0x7F, 0x85, 0x9B, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0x202E)]
DRAW = """
import json, sys
from xml.etree import ElementTree
from nightpress.reports.plots import Bar, draw_bars
for text in json.loads(sys.argv[1]):
    svg = draw_bars(text, text, [Bar(text, 3, text), Bar("other", 2, text)]).svg
    ElementTree.fromstring(svg.replace("<svg ", "<svg xmlns:xlink='x' ", 1))
print("drawn")
"""


def test_control_characters_do_not_abort_the_process_that_draws() -> None:
    path = f"{PROJECT}:{PROJECT / 'include'}"
    done = subprocess.run(
        [sys.executable, "-c", DRAW, json.dumps(HOSTILE)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout.strip()) == (0, "drawn"), done.stderr[-500:]
