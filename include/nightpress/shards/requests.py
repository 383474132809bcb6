"""One article's request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from nightpress.articles.article import Article
from nightpress.costs.shared_prefix import cached_system
from nightpress.errors import ConfigurationError
from nightpress.models.request_options import RequestOptions, resolve_options
from nightpress.models.thinking import ThinkingSetting
from nightpress.outputs.output_schema import OutputSchema
from nightpress.shards.prompts import PromptTemplate

_encoder = msgspec.json.Encoder(order="sorted")

RequestParams: TypeAlias = dict[str, object]
"""The params of one request, as in the Messages API."""


def canonical_params(params: RequestParams) -> bytes:
    """Return the canonical JSON of a request's params: keys sorted, UTF-8, no spaces."""
    return _encoder.encode(params)


class _Request(msgspec.Struct):
    params: msgspec.Raw


class _RequestBody(msgspec.Struct):
    requests: list[_Request]


_decode_body = msgspec.json.Decoder(_RequestBody).decode


def iter_params(body: bytes) -> Iterator[bytes]:
    """Yield the params of each request of a POST body, unchanged.

    :raises msgspec.MsgspecError: it is not a POST body.
    """
    for request in _decode_body(body).requests:
        yield bytes(request.params)


def _around_messages(params: RequestParams) -> tuple[bytes, bytes]:
    """Return the canonical JSON of the params before and after ``messages``; ``max_tokens`` and ``model`` are there.

    >>> _around_messages({"model": "m", "max_tokens": 5})
    (b'{"max_tokens":5', b'"model":"m"}')
    """
    before = {name: value for name, value in params.items() if name < "messages"}
    after = {name: value for name, value in params.items() if name > "messages"}
    return canonical_params(before)[:-1], canonical_params(after)[1:]


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """How an article becomes the ``params`` of a request.

    :param model: model id, e.g. ``claude-haiku-4-5``.
    :param max_tokens: most tokens of an answer, 1 or more; room for thinking is added to it.
    :param prompt: the user message.
    :param system: the system prompt, or None.
    :param output: the schema of the answers, or None for plain text.
    :param cache: keep the system prompt in the prompt cache for an hour.
    :param thinking: ``"off"`` (the least that the model allows), ``"auto"`` or a ``thinking`` object.
    :param effort: effort level, or None for the model's own.
    :param thinking_room: tokens added where the model may think; None goes by the effort.
    :param request: other parameters of a Messages request, by name, such as ``stop_sequences``.
    :param betas: beta headers that the batch is created with.
    :raises ConfigurationError: a value that the API would refuse for every article.
    """

    model: str
    max_tokens: int
    prompt: PromptTemplate
    system: str | None = None
    output: OutputSchema | None = None
    cache: bool = False
    thinking: ThinkingSetting = "off"
    effort: str | None = None
    thinking_room: int | None = None
    request: Mapping[str, object] | None = None
    betas: tuple[str, ...] = ()
    options: RequestOptions = field(init=False, repr=False, compare=False)
    """Model, thinking and other parameters as they are sent."""

    output_names: frozenset[str] = field(init=False, repr=False)
    """Columns of the output, lower case."""

    _before: bytes = field(init=False, repr=False, compare=False)
    """The canonical params of every article as far as the prompt."""

    _after: bytes = field(init=False, repr=False, compare=False)
    """The canonical params after the prompt."""

    def __post_init__(self) -> None:
        options = resolve_options(
            self.model,
            self.max_tokens,
            thinking=self.thinking,
            effort=self.effort,
            thinking_room=self.thinking_room,
            request=self.request,
            betas=self.betas,
        )
        if self.cache and not self.system:
            raise ConfigurationError("cache needs system: the shared part of the prompts is what is cached")
        fixed: RequestParams = options.params(self.output.output_config if self.output is not None else None)
        if self.system is not None:
            fixed["system"] = cached_system(self.system) if self.cache else self.system
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "betas", options.betas)
        before, after = _around_messages(fixed)
        object.__setattr__(self, "_before", before + b',"messages":[{"content":')
        object.__setattr__(self, "_after", b',"role":"user"}],' + after)
        names = (
            frozenset(column.name.casefold() for column in self.output.fields) if self.output else frozenset()
        )
        object.__setattr__(self, "output_names", names)

    def params(self, article: Article) -> bytes:
        """Return the canonical JSON of the request's params."""
        return b"%b%b%b" % (self._before, _encoder.encode(self.prompt.fill(article)), self._after)
