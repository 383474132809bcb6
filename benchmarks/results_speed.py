"""Results of an ended batch to a file: ours compared with others, from the same HTTP bytes.

``python -m benchmarks.results_speed [ROWS] [ROUNDS]`` serves one prepared result stream (about 1 KB a line,
shuffled) from a static server to every contender in turn, each in a separate process:

* ``ours``: download, store, decode, check every line, Parquet in article order, cost, ledger;
* ``SDK typed``: the official SDK's objects to a Parquet table, no checks, no order;
* ``common-ai``: ``stream_results_to_jsonl`` of the provider as installed;
* ``seed``: the program from which the project started, into one JSON;
* ``bare``: what no program on these libraries can leave out: receive, decode seven fields with msgspec, one Parquet
  file. No checks, no order, no kept stream, no costs, no ledger, everything in memory, one thread;
* ``floor``: the official SDK's byte stream, lines counted.

Rows are compared before any time counts. Every process first handles a batch of 100 results, so that imports
do not count; memory is the peak above the process's memory after that. More than 100,000 results are several
batches, one after the other.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from upath import UPath

from benchmarks.contest import Goal, Outcome, alternate, middle, peak_mb, run_child
from nightpress.articles.article import Article
from nightpress.batches.ledger import Entry, Ledger
from nightpress.settings import ShardLimits
from nightpress.shards.prompts import PromptTemplate
from nightpress.shards.request_keys import custom_id
from nightpress.shards.requests import RequestTemplate
from nightpress.shards.shard import Shard
from nightpress.shards.writer import write_shards

BATCH = "msgbatch_local_bench"
WARM_UP, LARGEST = 100, 100_000
SENTENCE = "the press runs at night and the answers are there by morning as rows of a table"
WORDS = SENTENCE.split()
API_KEY = "sk-ant-api03-" + "k" * 95
"""As long as a real key, since every block of a stream is searched for it."""

CONTENDERS = ("ours", "SDK typed", "common-ai", "seed", "bare", "floor")


def run(rows: int = LARGEST, rounds: int = 3, *contenders: str) -> Outcome:
    """Measure the named contenders, or else all."""
    with tempfile.TemporaryDirectory(prefix="nightpress-bench-") as folder:
        place = Path(folder)
        size = prepare(place, rows)
        with serving(place) as url:
            measured = alternate(contenders or CONTENDERS, rounds, lambda name: measure(name, place, url))
    ours = middle(measured, "ours")
    goals = [
        Goal(f"{name} ÷ ours", middle(measured, name) / ours, most, "×", at_least=True)
        for name, most in (("SDK typed", 10), ("common-ai", 12))
        if name in measured
    ]
    if "floor" in measured:
        goals.append(Goal("results ÷ floor", ours / middle(measured, "floor"), 4, "×"))
    # 96 MB is for one shard, as in a task; with several, the allocator keeps memory of the earlier ones.
    most = 96 if rows <= LARGEST else 128
    goals.append(Goal("results: memory above imports", middle(measured, "ours", "extra_mb"), most, "MB"))
    return Outcome(f"{rows:,} results, {size / 1e6:.0f} MB, to a file", measured, tuple(goals))


def prepare(place: Path, rows: int) -> int:
    """Write the batches' shards and result streams from a seed; return the bytes of all streams but the first.

    The first batch is the small one for warming up.
    """
    sizes = [WARM_UP, *(min(LARGEST, rows - done) for done in range(0, rows, LARGEST))]
    return sum([_prepare_batch(place / str(number), size) for number, size in enumerate(sizes)][1:])


def _prepare_batch(place: Path, rows: int) -> int:
    articles = (
        Article(f"a-{n}", f"title {n}", f"text {n}", {"section": n % 7}, "bench", n) for n in range(rows)
    )
    limits = ShardLimits(max_requests=LARGEST, max_bytes=256 * 1024 * 1024)
    template = RequestTemplate("claude-haiku-4-5", 200, PromptTemplate("{content}"))
    (shard,) = write_shards(articles, UPath(place / "run"), template, limits=limits).shards
    (place / "shard.json").write_text(json.dumps(shard.to_reference()))
    order = list(range(rows))
    chance = random.Random(1)
    chance.shuffle(order)
    with (place / "results.jsonl").open("w") as stream:
        for ordinal in order:
            stream.write(json.dumps(line(custom_id(shard.key, ordinal), ordinal, chance)) + "\n")
    return (place / "results.jsonl").stat().st_size


def line(name: str, ordinal: int, chance: random.Random) -> dict[str, Any]:
    """Return a result; one in fifty is errored."""
    if ordinal % 50 == 7:
        error = {"type": "error", "error": {"type": "api_error", "message": "x"}, "request_id": "req_1"}
        return {"custom_id": name, "result": {"type": "errored", "error": error}}
    text = f"Answer {ordinal}: " + " ".join(chance.choices(WORDS, k=90))
    usage = {"input_tokens": 500, "output_tokens": 110, "service_tier": "batch"}
    usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    message = {
        "id": f"msg_{ordinal:024d}",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    return {"custom_id": name, "result": {"type": "succeeded", "message": message}}


class serving:  # noqa: N801 - a context manager
    """A server of ended batches and their results: ``/<number>/v1/messages/batches/…``."""

    def __init__(self, place: Path) -> None:
        streams = {path.parent.name: path.read_bytes() for path in place.glob("*/results.jsonl")}
        # Counted in advance, so that no contender pays for it when it retrieves a batch.
        counts = {number: _counts(found) for number, found in streams.items()}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                number = self.path.split("/")[1]
                found = streams[number]
                if not self.path.endswith("/results"):
                    found = json.dumps(self.batch(number)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                self.wfile.write(found)

            def batch(self, number: str) -> dict[str, Any]:
                now = "2026-11-22T00:00:00Z"
                url = f"http://{self.headers['Host']}/{number}/v1/messages/batches/{BATCH}/results"
                return {
                    "id": BATCH,
                    "type": "message_batch",
                    "processing_status": "ended",
                    "results_url": url,
                    **dict.fromkeys(("created_at", "ended_at", "expires_at"), now),
                    "request_counts": counts[number],
                    "archived_at": None,
                    "cancel_initiated_at": None,
                }

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def _counts(stream: bytes) -> dict[str, int]:
    succeeded = stream.count(b'"succeeded"')
    others = dict.fromkeys(("processing", "canceled", "expired"), 0)
    return others | {"succeeded": succeeded, "errored": stream.count(b"\n") - succeeded}


def measure(name: str, place: Path, url: str) -> dict[str, float]:
    """Run a contender in a separate process, with Arrow's allocator set as in the task."""
    return run_child(
        "benchmarks.results_speed", name, place, url, extra={"ARROW_DEFAULT_MEMORY_POOL": "system"}
    )


def child(name: str, place: Path, url: str) -> None:
    """Warm up with the small batch, run and measure the others, then check the output."""
    contender = {
        "ours": _ours,
        "SDK typed": _sdk_typed,
        "common-ai": _common_ai,
        "seed": _seed,
        "bare": _bare,
        "floor": _floor,
    }[name]
    prepared = []
    for batch in sorted(
        (path.parent for path in place.glob("*/shard.json")), key=lambda path: int(path.name)
    ):
        shard = Shard.from_reference(json.loads((batch / "shard.json").read_text()))
        work = Path(tempfile.mkdtemp(dir=batch))
        prepared.append((shard, *contender(shard, work, f"{url}/{batch.name}")))
    prepared[0][1]()
    before, started, cpu = peak_mb(), time.perf_counter(), time.process_time()
    for _, run, _ in prepared[1:]:
        run()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    extra = peak_mb() - before
    for shard, _, answers in prepared:
        count, sample = answers()
        assert count == shard.articles, (name, count)
        assert sample is None or sample.startswith("Answer 12: "), (name, sample)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "extra_mb": extra}))


Contender = tuple[Callable[[], None], Callable[[], tuple[int, str | None]]]


def _client(url: str) -> Any:
    import anthropic

    return anthropic.Anthropic(api_key=API_KEY, base_url=url)


def _ours(shard: Shard, work: Path, url: str) -> Contender:
    import pyarrow.parquet as pq

    from nightpress.batches.client import MessageBatches
    from nightpress.layout import DataRoot
    from nightpress.results.collect import collect_batch
    from nightpress.results.shard_rows import Provenance

    api = MessageBatches(_client(url))
    ledger = Ledger(UPath(work / "ledger"), "offline")
    ledger.save(Entry(key=shard.key, requests=shard.articles, bytes=shard.bytes, batch_id=BATCH))
    results = Path(shard.uri).with_name("results-00000.parquet")
    root = DataRoot(UPath(results.parent))

    def answers() -> tuple[int, str | None]:
        table = pq.read_table(results, columns=["article_id", "text"])
        assert table["article_id"].to_pylist() == [f"a-{n}" for n in range(shard.articles)]
        return table.num_rows, table["text"][12].as_py()

    def collect() -> None:
        collect_batch(shard, root, Provenance("", "", BATCH), api, ledger)

    return collect, answers


def _sdk_typed(shard: Shard, work: Path, url: str) -> Contender:
    import pyarrow as pa
    import pyarrow.parquet as pq

    client = _client(url)

    def run() -> None:
        rows = []
        for result in client.messages.batches.results(BATCH):
            row: dict[str, Any] = {"custom_id": result.custom_id, "status": result.result.type}
            if result.result.type == "succeeded":
                message = result.result.message
                row |= {"text": message.content[0].text, "model": message.model}
                row |= {
                    "input_tokens": message.usage.input_tokens,
                    "output_tokens": message.usage.output_tokens,
                }
            rows.append(row)
        pq.write_table(pa.Table.from_pylist(rows), work / "out.parquet", compression="zstd")

    def answers() -> tuple[int, str | None]:
        table = pq.read_table(work / "out.parquet")
        index = table["custom_id"].to_pylist().index(custom_id(shard.key, 12))
        return table.num_rows, table["text"][index].as_py()

    return run, answers


def _common_ai(shard: Shard, work: Path, url: str) -> Contender:
    from airflow.providers.common.ai.batch.anthropic import AnthropicBatchAdapter
    from airflow.providers.common.ai.batch.output_schema import build_output_spec
    from airflow.providers.common.ai.batch.results import stream_results_to_jsonl
    from airflow.sdk import ObjectStoragePath

    adapter = AnthropicBatchAdapter.__new__(AnthropicBatchAdapter)
    adapter._client = _client(url)
    out = work / "out.jsonl"
    prefix = custom_id(shard.key, 0).rpartition("-")[0]

    def run() -> None:
        stream_results_to_jsonl(
            adapter=adapter,
            batch_id=BATCH,
            output_spec=build_output_spec(str),
            request_count=shard.articles,
            custom_id_prefix=prefix,
            destination=ObjectStoragePath(f"file://{out}"),
        )

    def answers() -> tuple[int, str | None]:
        rows = {row["index"]: row["output"] for row in map(json.loads, out.open())}
        return len(rows), rows[12]

    return run, answers


def _seed(shard: Shard, work: Path, url: str) -> Contender:
    client = _client(url)
    found: dict[str, str | None] = {}

    def run() -> None:
        for result in client.messages.batches.results(BATCH):
            if result.result.type == "succeeded":
                found[result.custom_id] = result.result.message.content[0].text
            else:
                found[result.custom_id] = None
        (work / "summaries.json").write_text(json.dumps(found, ensure_ascii=False, indent=2))

    return run, lambda: (len(found), found[custom_id(shard.key, 12)])


def _bare(shard: Shard, work: Path, url: str) -> Contender:
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    from nightpress.batches.client import MessageBatches

    api = MessageBatches(_client(url))
    text: Any = msgspec.defstruct("Text", [("text", str)], gc=False)
    usage = msgspec.defstruct("Usage", [("input_tokens", int), ("output_tokens", int)], gc=False)
    message = msgspec.defstruct(
        "Message", [("model", str), ("content", list[text]), ("usage", usage)], gc=False
    )
    result = msgspec.defstruct("Result", [("type", str), ("message", message | None, None)], gc=False)
    line = msgspec.defstruct("Line", [("custom_id", str), ("result", result)], gc=False)
    decode = msgspec.json.Decoder(line).decode_lines
    names = ("custom_id", "status", "text", "model")
    schema = pa.schema(
        [(name, pa.string()) for name in names]
        + [(name, pa.int64()) for name in ("input_tokens", "output_tokens")]
    )

    def run() -> None:
        batches, rest = [], b""
        for chunk in api.stream_results(api.retrieve(BATCH)):
            whole, feed, rest = (rest + chunk).rpartition(b"\n")
            batches.append(columns(decode(whole + feed)))
        table = pa.Table.from_batches(batches)
        pq.write_table(table, work / "bare.parquet", compression="zstd", use_dictionary=["status", "model"])

    def columns(lines: list[Any]) -> pa.RecordBatch:
        messages = [line.result.message for line in lines]
        values = {
            "custom_id": [line.custom_id for line in lines],
            "status": [line.result.type for line in lines],
            "text": [message and message.content[0].text for message in messages],
            "model": [message and message.model for message in messages],
            "input_tokens": [message and message.usage.input_tokens for message in messages],
            "output_tokens": [message and message.usage.output_tokens for message in messages],
        }
        return pa.RecordBatch.from_pydict(values, schema)

    def answers() -> tuple[int, str | None]:
        table = pq.read_table(work / "bare.parquet")
        index = table["custom_id"].to_pylist().index(custom_id(shard.key, 12))
        return table.num_rows, table["text"][index].as_py()

    return run, answers


def _floor(shard: Shard, work: Path, url: str) -> Contender:  # noqa: ARG001
    from nightpress.batches.client import MessageBatches

    api = MessageBatches(_client(url))
    counted = [0]

    def run() -> None:
        counted[0] = sum(chunk.count(b"\n") for chunk in api.stream_results(api.retrieve(BATCH)))

    return run, lambda: (counted[0], None)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        rows = int(sys.argv[1]) if len(sys.argv) > 1 else LARGEST
        rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
        print("\n".join(run(rows, rounds, *sys.argv[3:]).lines()))
