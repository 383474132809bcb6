"""Hand-made requests as one shard, written once so that every try sends the same bytes.

A request is ``{"custom_id": …, "params": {…}}`` as in the Message Batches API. In the batch, a generated
custom_id identifies the shard; the given custom_id becomes the column ``article_id`` of the results.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from nightpress.batches.ledger import Ledger
from nightpress.errors import ConfigurationError, InputError
from nightpress.folders import RunFolder
from nightpress.layout import DataRoot
from nightpress.models.lookup import get_model
from nightpress.runs.ceilings import MAX_ANSWER_TOKENS
from nightpress.runs.given_cost import GivenCost, GivenPlan, read_given_plan, write_given_plan
from nightpress.settings import API_MAX_BYTES, API_MAX_REQUESTS, ShardLimits
from nightpress.shards.requests import canonical_params
from nightpress.shards.shard import GIVEN_PREFIX, Shard, ShardFiles
from nightpress.shards.shard_writer import StagedRequest
from nightpress.shards.writer import write_staged_shards
from nightpress.storage import INVALID_JSON, StoragePath, write_atomically

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NEEDED = ("model", "max_tokens", "messages")
_MAX_UNPACKED = 2 * API_MAX_BYTES
"""Most bytes of a decompressed file; what is not sent (spaces, escapes) may take more room than the body."""

_ONE_BATCH = ShardLimits(API_MAX_REQUESTS, API_MAX_BYTES)


def stage_requests(
    requests: Iterable[Mapping[str, Any]],
    folder: StoragePath,
    root: DataRoot,
    name: str,
    *,
    betas: tuple[str, ...] = (),
) -> Shard:
    """Write requests as one shard, unless they were written before; return its reference.

    Every later call returns the shard that was written first, whatever its arguments: a retry must send the
    same bytes, or it could pay for both.

    :param folder: folder of the run.
    :param name: the task's part of the file names: lower-case letters, digits and dashes.
    :raises InputError: the API would refuse a request, or they do not fit into one batch; nothing is sent.
    """
    record = RunFolder(folder).given(name)
    try:
        return Shard.from_reference(msgspec.json.decode(record.read_bytes()))
    except FileNotFoundError:
        pass
    cost = GivenCost()
    shards = write_staged_shards(
        _iter_staged(requests, cost),
        folder,
        limits=_ONE_BATCH,
        prefix=f"{GIVEN_PREFIX}{name}-",
        salt="",
        betas=betas,
    )
    if len(shards) != 1:
        found = (
            "no request"
            if not shards
            else f"more than {API_MAX_REQUESTS:,} requests or {API_MAX_BYTES:,} bytes"
        )
        raise InputError(f"{found} were given; one batch takes 1 to {API_MAX_REQUESTS:,}. Nothing was sent.")
    (shard,) = shards
    shard = replace(shard, uri=root.reference(ShardFiles(folder, shard.name).requests))
    write_given_plan(cost.plan(), plan_path(folder, name))
    write_atomically(record, msgspec.json.encode(shard.to_reference()))
    return shard


def plan_path(folder: StoragePath, name: str) -> StoragePath:
    """Return the path of the stored plan for a task's requests."""
    return RunFolder(folder).given_plan(name)


def check_given_budget(
    shard: Shard, folder: StoragePath, name: str, max_cost_usd: float | None, ledger: Ledger
) -> GivenPlan:
    """Refuse staged requests that may exceed the budget, unless they have a batch or may have one.

    If it is unknown whether a batch exists, it has to be looked for, and the budget may refuse only if there
    is none. So the caller calls :meth:`GivenPlan.check_budget` again before the POST.

    :param name: the name under which they were staged.
    :raises BudgetError: they may exceed the budget; nothing was sent.
    """
    plan = read_given_plan(plan_path(folder, name), shard.articles)
    entry = ledger.load(shard.key)
    if entry is None or not entry.may_have_batch:
        plan.check_budget(max_cost_usd)
    return plan


def read_requests(path: StoragePath) -> Iterator[Mapping[str, Any]]:
    """Yield the requests of a file: JSON lines, or a POST body ``{"requests": […]}``; compressed or not.

    :raises InputError: the file has neither format.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no {path}; nothing was sent") from None
    if text.startswith(b"\x1f\x8b"):
        text = _unpack(text, path)
    try:
        whole = msgspec.json.decode(text)
        found = whole.get("requests", [whole]) if isinstance(whole, dict) else whole
    except INVALID_JSON:
        found = _read_lines(text, path)
    if not isinstance(found, list):
        raise InputError(f"{path} is not a list of requests; nothing was sent")
    yield from found


def _unpack(packed: bytes, path: StoragePath) -> bytes:
    try:
        with gzip.open(io.BytesIO(packed)) as stream:
            text = stream.read(_MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be decompressed ({error}); nothing was sent") from None
    if len(text) > _MAX_UNPACKED:
        raise InputError(
            f"{path} has more than {_MAX_UNPACKED:,} bytes, and no batch takes them; nothing was sent"
        )
    return text


def _read_lines(text: bytes, path: StoragePath) -> list[Any]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line))
        except INVALID_JSON as error:
            raise InputError(f"line {number} of {path} is not JSON ({error}); nothing was sent") from None
    return found


def _iter_staged(requests: Iterable[Mapping[str, Any]], cost: GivenCost) -> Iterator[StagedRequest]:
    seen: set[str] = set()
    for position, request in enumerate(requests, start=1):
        custom_id, params = _check(request, position)
        if custom_id in seen:
            raise InputError(
                f"request {position} has the custom_id {custom_id!r} of another one; nothing was sent"
            )
        seen.add(custom_id)
        row: dict[str, object] = {"article_id": custom_id, "title": None}
        row |= {"source_file": "requests", "source_position": position}
        encoded = canonical_params(dict(params))
        cost.add(params, encoded)
        yield StagedRequest(encoded, row)


def _check(request: Any, position: int) -> tuple[str, Mapping[str, Any]]:
    """Return the two parts of a request.

    :raises InputError: the API would refuse it; the message names its position, never its text.
    """
    custom_id = request.get("custom_id") if isinstance(request, Mapping) else None
    if not isinstance(custom_id, str) or not _CUSTOM_ID.fullmatch(custom_id):
        raise InputError(
            f"request {position} has the custom_id {custom_id!r:.80}; 1 to 64 letters, digits, '_' or '-' are needed. "
            "Nothing was sent."
        )
    params = request.get("params")
    if not isinstance(params, Mapping):
        raise InputError(f"request {position} ({custom_id}) has no params; nothing was sent")
    missing = [name for name in _NEEDED if params.get(name) in (None, "", [])]
    if missing:
        raise InputError(
            f"the params of request {position} ({custom_id}) lack {', '.join(missing)}; nothing was sent"
        )
    if params.get("stream"):
        raise InputError(f"request {position} ({custom_id}) asks for a stream, which a batch cannot give")
    tokens = params["max_tokens"]
    if not isinstance(tokens, int) or isinstance(tokens, bool) or not 1 <= tokens <= MAX_ANSWER_TOKENS:
        raise InputError(
            f"max_tokens of request {position} ({custom_id}) is {tokens!r:.40}; it must be 1 or more, "
            f"{MAX_ANSWER_TOKENS:,} at most. Nothing was sent."
        )
    try:
        get_model(params["model"])
    except ConfigurationError as error:
        raise InputError(f"request {position} ({custom_id}): {error}. Nothing was sent.") from None
    if not isinstance(params["messages"], list):
        raise InputError(f"the messages of request {position} ({custom_id}) are no list; nothing was sent")
    return custom_id, params


def task_file_name(task_id: str, map_index: int = -1) -> str:
    """Return a task's part of a file name.

    :raises ConfigurationError: the id is empty.
    """
    if not task_id:
        raise ConfigurationError("a task without an id cannot stage requests")
    plain = re.sub(r"[^0-9a-z]+", "-", task_id.lower()).strip("-")[:60]
    digest = hashlib.sha256(task_id.encode()).hexdigest()[:6]
    return "-".join(filter(None, [plain, digest, "" if map_index < 0 else str(map_index)]))
