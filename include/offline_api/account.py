"""The organisation behind the keys: its workspaces, credit and limits, and why it is refused.

Everything here is set through ``/local/account`` and kept in the server's folder until ``/local/reset``.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from offline_api.account_blocks import BLOCKS
from offline_api.api_errors import ApiError
from offline_api.billing_meter import dollars
from offline_api.store import DEFAULT_WORKSPACE, Store

_SETTING = "account"
_PICO = 10**12


class _Limit(msgspec.Struct):
    """The total amount that all batches after a given one may spend."""

    picodollars: int
    after_ordinal: int


class _Workspace(msgspec.Struct):
    block: str | None = None
    inference_geo: str = "global"


class _State(msgspec.Struct):
    """The stored state; keys are stored only as hashes."""

    keys: dict[str, list[str]] = {}
    limits: dict[str, _Limit] = {}
    block: str | None = None
    workspaces: dict[str, _Workspace] = {}
    queue_limit: int | None = None
    requests_per_minute: int | None = None
    count_tokens_per_minute: int | None = None


class Change(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of ``POST /local/account``: only what is given changes.

    :param keys: key to the workspaces that it may act in.
    :param credit_usd: a balance, as a decimal string or a number; None has no limit.
    :param add_credit_usd: goes on top of the balance.
    :param spend_limit_usd: the organisation's own limit, from now on; None has no limit.
    :param block: one of ``BLOCKS``, or None for none; of one workspace when ``workspace_id`` is given.
    :param inference_geo: where the requests of ``workspace_id`` run by default.
    :param queue_limit: requests that may be in progress at once; None has no limit.
    :param requests_per_minute: HTTP requests to ``/v1`` in a minute of the server's clock, but for token counts.
    :param count_tokens_per_minute: the same of those that count tokens, which have a limit of their own.
    """

    keys: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET
    credit_usd: str | float | int | msgspec.UnsetType | None = msgspec.UNSET
    add_credit_usd: str | float | int | msgspec.UnsetType = msgspec.UNSET
    spend_limit_usd: str | float | int | msgspec.UnsetType | None = msgspec.UNSET
    block: str | msgspec.UnsetType | None = msgspec.UNSET
    inference_geo: Literal["global", "us"] | msgspec.UnsetType = msgspec.UNSET
    workspace_id: str | None = None
    queue_limit: int | msgspec.UnsetType | None = msgspec.UNSET
    requests_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET
    count_tokens_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET


class Account:
    """Keys, workspaces, credit and limits.

    :param store: where the state is kept.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.RLock()
        kept = store.note(_SETTING)
        self._state = msgspec.json.decode(kept, type=_State) if kept else _State()

    def change(self, data: bytes) -> None:
        """Change the fields that a body gives.

        :raises ApiError: 400: nothing was changed.
        """
        try:
            change = msgspec.json.decode(data, type=Change)
            with self._lock:
                state = msgspec.json.decode(msgspec.json.encode(self._state), type=_State)
                self._apply(state, change)
                self._state = state
                self.store.set_note(_SETTING, msgspec.json.encode(state))
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, InvalidOperation) as error:
            raise ApiError(400, f"account: {error}") from error

    def _apply(self, state: _State, change: Change) -> None:
        given = {
            name: value
            for name, value in msgspec.structs.asdict(change).items()
            if value is not msgspec.UNSET
        }
        for key, workspaces in given.get("keys", {}).items():
            if not workspaces:
                raise ValueError("keys: a key belongs to one workspace at least")
            state.keys[_hash(key)] = workspaces
        for name in ("credit", "spend_limit"):
            if f"{name}_usd" in given:
                self._set_limit(state, name, given[f"{name}_usd"])
        if "add_credit_usd" in given:
            if "credit" not in state.limits:
                raise ValueError("add_credit_usd: the credit has no limit; set credit_usd first")
            state.limits["credit"].picodollars += _picodollars(given["add_credit_usd"])
        for name in ("queue_limit", "requests_per_minute", "count_tokens_per_minute"):
            if name in given:
                if given[name] is not None and given[name] < 0:
                    raise ValueError(f"{name} is not negative")
                setattr(state, name, given[name])
        self._apply_to_workspace(state, given)

    def _set_limit(self, state: _State, name: str, usd: str | float | None) -> None:
        if usd is None:
            state.limits.pop(name, None)
        else:
            state.limits[name] = _Limit(_picodollars(usd), self.store.last_ordinal())

    @staticmethod
    def _apply_to_workspace(state: _State, given: dict[str, Any]) -> None:
        if given.get("block") not in (None, *BLOCKS):
            raise ValueError(f"block is null or one of {', '.join(BLOCKS)}")
        workspace_id = given.get("workspace_id")
        if "block" in given and workspace_id is None:
            state.block = given["block"]
        if workspace_id is not None or "inference_geo" in given:
            workspace = state.workspaces.setdefault(workspace_id or DEFAULT_WORKSPACE, _Workspace())
            workspace.block = (
                given.get("block", workspace.block) if workspace_id is not None else workspace.block
            )
            workspace.inference_geo = given.get("inference_geo", workspace.inference_geo)

    def forget(self) -> None:
        """Go back to one workspace without limits."""
        with self._lock:
            self._state = _State()
            self.store.set_note(_SETTING, msgspec.json.encode(self._state))

    def workspace(self, key: str, asked: str | None) -> str:
        """Return the workspace that a request acts in.

        :param key: an unknown key belongs to the default workspace.
        :param asked: the header ``anthropic-workspace-id``.
        :raises ApiError: 403: the key has no such workspace; 400: it has several and the header names none.
        """
        mine = self._state.keys.get(_hash(key), [DEFAULT_WORKSPACE])
        if asked is None and len(mine) > 1:
            raise ApiError(
                400, "anthropic-workspace-id: required, since the API key can act in several workspaces"
            )
        if asked is not None and asked not in mine:
            raise ApiError(403, "The API key does not belong to the workspace of anthropic-workspace-id")
        return asked or mine[0]

    def inference_geo(self, workspace_id: str) -> str:
        """Return where the requests of a workspace run by default."""
        return self._state.workspaces.get(workspace_id, _Workspace()).inference_geo

    @property
    def queue_limit(self) -> int | None:
        """Return how many requests may be in progress at once."""
        return self._state.queue_limit

    @property
    def requests_per_minute(self) -> int | None:
        """Return how many HTTP requests are allowed in a minute."""
        return self._state.requests_per_minute

    @property
    def count_tokens_per_minute(self) -> int | None:
        """Return how many HTTP requests to count tokens are allowed in a minute."""
        return self._state.count_tokens_per_minute

    def check(self, workspace_id: str, *, create: bool) -> None:
        """Refuse a request because of the state of the account.

        :raises ApiError: with the vendor's status and message.
        """
        mine = self._state.workspaces.get(workspace_id, _Workspace())
        for name in (self._state.block, mine.block):
            block = BLOCKS.get(name or "")
            if block is not None and (create or block.everywhere):
                headers = {} if block.retry_after is None else {"retry-after": block.retry_after}
                raise ApiError(block.status, block.message, headers=headers, error_code=block.error_code)

    def limits(self) -> dict[str, tuple[int, int]]:
        """Return the limits in force: by name, picodollars and the batch after which spending counts."""
        with self._lock:
            return {
                name: (limit.picodollars, limit.after_ordinal) for name, limit in self._state.limits.items()
            }

    def view(self, spent: Iterable[tuple[str, int]]) -> dict[str, Any]:
        """Return the state as ``GET /local/account`` shows it; keys are not shown.

        :param spent: picodollars that count against each limit.
        """
        limits, gone = self.limits(), dict(spent)
        left = {name: dollars(amount - gone.get(name, 0)) for name, (amount, _) in limits.items()}
        return {
            "credit_left_usd": left.get("credit"),
            "spend_limit_left_usd": left.get("spend_limit"),
            "block": self._state.block,
            "workspaces": msgspec.to_builtins(self._state.workspaces),
            "keys": len(self._state.keys),
            "queue_limit": self._state.queue_limit,
            "requests_per_minute": self._state.requests_per_minute,
            "count_tokens_per_minute": self._state.count_tokens_per_minute,
        }


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _picodollars(usd: str | float) -> int:
    amount = Decimal(str(usd))
    if not amount.is_finite() or not 0 <= amount <= 10**9:
        raise ValueError("an amount is a number of dollars from 0 to a billion")
    return int(amount * _PICO)
