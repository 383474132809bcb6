"""POST of a shard of 100,000 requests, compared with others: ``python -m benchmarks.submit_speed [REQUESTS] [ROUNDS]``.

The same requests go to a loopback server that discards them, from a separate process for each contender:

* ``ours``: the submission with its ledger; the SDK's client streams the staged file once;
* ``bare POST``: the same file sent with the standard library's HTTP client, the floor;
* ``SDK typed``: ``client.messages.batches.create(requests=[…])``;
* ``anthropic provider``: ``AnthropicHook.create_batch``; ``common-ai``: its adapter's check and submit.

The others need the requests as objects, which are made before the clock starts but count as memory. Before any
time counts, each contender sends a small shard, and the received body is compared with the file.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from upath import UPath

from benchmarks.contest import Goal, Outcome, alternate, middle, peak_mb, reset_peak, resident_mb, run_child
from benchmarks.sink import Sink
from nightpress.articles.article import Article
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import write_shards

CONTENDERS = ("ours", "bare POST", "SDK typed", "anthropic provider", "common-ai")
LARGEST = 100_000
MODEL, MAX_TOKENS = "claude-haiku-4-5", 200
_WARM_UP = 100
_TEXT = "It goes on and on, as articles do, with a little more to say each time. " * 28
_CREATED = "msgbatch_local_sink"

Send = Callable[[], object]


def run(requests: int = LARGEST, rounds: int = 5) -> Outcome:
    """Measure all contenders."""
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder, Sink() as sink:
        place = Path(folder)
        stage(place / "small", _WARM_UP)
        size = stage(place / "large", requests).bytes
        measured = alternate(
            CONTENDERS, rounds, lambda name: run_child("benchmarks.submit_speed", name, place, sink.url)
        )
    ratio = middle(measured, "ours") / middle(measured, "bare POST")
    goals = (
        Goal("submit ÷ bare POST of the same file", ratio, 1.5, "×"),
        Goal("submit: memory above imports", middle(measured, "ours", "extra_mb"), 16, "MB"),
    )
    return Outcome(f"submit {requests:,} requests, {size / 1e6:.0f} MB", measured, goals)


def stage(place: Path, requests: int) -> Shard:
    """Write a shard of articles of 2 KB as the read task does."""
    place.mkdir()
    articles = (Article(f"a-{n}", "", f"Article {n} begins. {_TEXT}", {}, "", n) for n in range(requests))
    template = RequestTemplate(MODEL, MAX_TOKENS, PromptTemplate("{content}"))
    limits = ShardLimits(max_requests=LARGEST, max_bytes=256_000_000)
    (shard,) = write_shards(articles, UPath(place), template, limits=limits).shards
    (place / "shard.json").write_text(json.dumps(shard.to_reference()))
    return shard


def child(name: str, place: Path, url: str) -> None:
    """Send the small shard and compare, then send the large one and measure."""
    os.environ["AIRFLOW_CONN_ANTHROPIC_DEFAULT"] = json.dumps(
        {"conn_type": "anthropic", "password": "bench", "host": url}
    )
    contender = {
        "ours": _ours,
        "bare POST": _bare,
        "SDK typed": _sdk_typed,
        "anthropic provider": _provider,
        "common-ai": _common_ai,
    }[name]
    small, large = (
        Shard.from_reference(json.loads((place / size / "shard.json").read_text()))
        for size in ("small", "large")
    )
    contender(small, url)()
    _compare(small, url, exact=name in ("ours", "bare POST"))
    reset_peak()
    before = resident_mb()
    send = contender(large, url)
    started = time.perf_counter()
    received = send()
    seconds = time.perf_counter() - started
    assert name not in ("ours", "bare POST") or received in (large.bytes, _CREATED), (name, received)
    print(json.dumps({"seconds": seconds, "extra_mb": peak_mb() - before}))


def _compare(shard: Shard, url: str, *, exact: bool) -> None:
    """Compare the received body with the shard's file, byte by byte or request by request."""
    with urllib.request.urlopen(f"{url}/last") as response:
        arrived = response.read()
    staged = UPath(shard.uri).read_bytes()
    if exact:
        assert arrived == staged
        return
    wanted, found = (json.loads(body)["requests"] for body in (staged, arrived))
    assert [request["params"] for request in found] == [request["params"] for request in wanted]


def _ours(shard: Shard, url: str) -> Send:
    import anthropic

    from nightpress.batches.client import MessageBatches
    from nightpress.batches.ledger import Entry, Ledger
    from nightpress.batches.submission import Body, submit_shard
    from nightpress.batches.submission_records import Submitted

    api = MessageBatches(anthropic.Anthropic(api_key="bench", base_url=url))
    ledger = Ledger(UPath(tempfile.mkdtemp(dir=Path(UPath(shard.uri).path).parent)), api.scope)

    def send() -> str:
        intent = Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes)
        outcome = submit_shard(intent, Body(UPath(shard.uri), shard.bytes), api, ledger, time.time)
        assert isinstance(outcome, Submitted)
        return outcome.batch_id

    return send


def _bare(shard: Shard, url: str) -> Send:
    def send() -> int:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, blocksize=256 * 1024)
        with UPath(shard.uri).open("rb") as file:
            headers = {"Content-Length": str(shard.bytes)}
            connection.request("POST", "/v1/messages/batches", body=file, headers=headers)
            received: int = json.loads(connection.getresponse().read())["received"]
        return received

    return send


def _sdk_typed(shard: Shard, url: str) -> Send:
    import anthropic

    client = anthropic.Anthropic(api_key="bench", base_url=url)
    requests: list[Any] = list(_requests(shard))
    return lambda: client.messages.batches.create(requests=requests).id


def _provider(shard: Shard, url: str) -> Send:  # noqa: ARG001 - the connection has it
    from airflow.providers.anthropic.hooks.anthropic import AnthropicHook

    hook = AnthropicHook(conn_id="anthropic_default")
    requests = list(_requests(shard))
    assert hook.conn
    return lambda: hook.create_batch(requests).id


def _common_ai(shard: Shard, url: str) -> Send:
    from airflow.providers.common.ai.batch.anthropic import AnthropicBatchAdapter
    from airflow.providers.common.ai.batch.output_schema import build_output_spec

    adapter = AnthropicBatchAdapter(api_key="bench", base_url=url)
    requests: list[Any] = [
        {"prompt": request["params"]["messages"][0]["content"], "params": {}} for request in _requests(shard)
    ]
    given: dict[str, Any] = {
        "model": MODEL,
        "idempotency_key": shard.key[:16],
        "output_spec": build_output_spec(str),
        "max_tokens": MAX_TOKENS,
    }

    def send() -> str:
        adapter.validate_requests(requests, **given)
        return adapter.submit(requests, input_fingerprint="", **given).batch_id

    return send


def _requests(shard: Shard) -> Iterator[dict[str, Any]]:
    """Yield the staged requests one by one, so that no contender holds the whole file in memory."""
    path = UPath(shard.uri)
    decoder = json.JSONDecoder()
    with path.open("r") as file:
        text = file.read(len('{"requests":['))
        assert text == '{"requests":[', text
        buffer = ""
        while chunk := file.read(1 << 20):
            buffer += chunk
            position = 0
            while True:
                try:
                    one, end = decoder.raw_decode(buffer, position)
                except ValueError:
                    break
                yield one
                position = end + 1
            buffer = buffer[position:]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        print("\n".join(run(*map(int, sys.argv[1:])).lines()))
