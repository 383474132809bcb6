"""How xdist distributes the tests to its processes. A separate module, since `make compat` has no xdist."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from tests.support.suite_order import scope


class FoldersAndFiles(LoadScopeScheduling):  # type: ignore[misc]
    """Hands whole scopes to the processes, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
