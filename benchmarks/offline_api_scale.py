"""A million requests through the offline API: seconds, and the server's memory.

python -m benchmarks.offline_api_scale [--requests 1000000] [--batch 10000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.support.offline_api_server import LocalApiServer

ROUTE = "/v1/messages/batches"
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
CONTENT = "This is one of the sentences of an article, and it is like all the others. " * 40


def body(first: int, count: int) -> bytes:
    """Return the body of a create with requests of about 3.3 KB."""
    prompt = "Summarize in two sentences.\n<article>Article {}. " + CONTENT + "</article>"
    requests = [
        {
            "custom_id": f"article-{number}",
            "params": {
                "model": "claude-haiku-4-5",
                "max_tokens": 200,
                "messages": [{"role": "user", "content": prompt.format(number)}],
            },
        }
        for number in range(first, first + count)
    ]
    return json.dumps({"requests": requests}).encode()


def count_result_lines(server: LocalApiServer, batch_id: str) -> int:
    """Stream a batch's results."""
    request = urllib.request.Request(f"{server.base_url}{ROUTE}/{batch_id}/results", headers=HEADERS)
    lines = 0
    with urllib.request.urlopen(request, timeout=600) as response:
        while chunk := response.read(1 << 20):
            lines += chunk.count(b"\n")
    return lines


def timed(seconds: list[float], call: Callable[[], object]) -> object:
    """Call and note how long it took."""
    started = time.monotonic()
    answer = call()
    seconds.append(time.monotonic() - started)
    return answer


def main() -> None:
    """Run and print one line per stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=10_000)
    options = parser.parse_args()
    creates: list[float] = []
    reads: list[float] = []
    memory: list[int] = []
    ids: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalApiServer(Path(folder), seconds_per_batch=0) as server,
    ):
        print(f"server at rest: {server.rss_bytes() / 1e6:.0f} MB")
        for first in range(0, options.requests, options.batch):
            data = body(first, options.batch)
            batch = timed(creates, lambda data=data: server.request("POST", ROUTE, data))  # type: ignore[misc]
            ids.append(batch["id"])  # type: ignore[index]
            memory.append(server.rss_bytes())
        print(
            f"create: {sum(creates):.1f} s, median {median(creates):.2f} s a batch of {len(data) / 1e6:.1f} MB"
        )
        lines = 0
        for batch_id in ids:
            lines += timed(reads, lambda batch_id=batch_id: count_result_lines(server, batch_id))  # type: ignore[misc, operator]
            memory.append(server.rss_bytes())
        print(f"results: {sum(reads):.1f} s, median {median(reads):.2f} s a batch; {lines:,} lines")
        listing: list[float] = []
        timed(listing, lambda: server.get(f"{ROUTE}?limit=1000"))
        print(
            f"list of {len(ids)}: {listing[0] * 1000:.0f} ms; billed {server.billing()['requests_billed']:,}"
        )
        print(
            f"server memory: first {memory[0] / 1e6:.0f}, last {memory[-1] / 1e6:.0f}, most {max(memory) / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()
