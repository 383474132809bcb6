"""Remove each safeguard of "paid exactly once" in turn; at least one test must go red.

``make mutation`` (or ``python -m tests.mutation.check_safeguards [--only a,e]``). Each mutation is an exact
replacement in a copy of the tree; a source that no longer holds the text fails loudly, so that this list
cannot rot in silence. Exit code: 0 every mutation was noticed, 1 one was not, 2 it could not be tried.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_COPIED = ("include", "plugins", "launch", "tests", "pyproject.toml")
_TESTS = (
    "tests/unit/test_batches_one_post.py",
    "tests/unit/test_batches_polling.py",
    "tests/unit/test_batches_submission.py",
    "tests/unit/test_batches_submission_states.py",
)
_RUN_TESTS = (
    "tests/unit/test_runs_ceilings.py",
    "tests/unit/test_runs_failed_articles.py",
    "tests/unit/test_runs_given_requests.py",
    "tests/unit/test_runs_unrequested.py",
)
_TIMEOUT_SECONDS = 1_200
_WORKERS = 2
_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Mutation:
    """One safeguard, and the source without it.

    :param old: text that is there exactly once.
    :param new: what stands there instead.
    :param tests: of which one must go red.
    """

    name: str
    safeguard: str
    file: str
    old: str
    new: str
    tests: Sequence[str] = _TESTS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said.

    :param noticed: True when one went red.
    :param by: the first tests that did, or why there is no verdict.
    """

    mutation: Mutation
    noticed: bool
    by: str
    seconds: float


class MutationError(Exception):
    """The mutation could not be made: the source has changed, or its tests do not run."""


_SUBMISSION, _LEDGER = "include/nightpress/batches/submission.py", "include/nightpress/batches/ledger.py"
_CANDIDATES = "include/nightpress/batches/candidates.py"
_FAILED = "include/nightpress/runs/failed_articles.py"
_CLIENT, _POLLING = "include/nightpress/batches/client.py", "include/nightpress/batches/polling.py"

MUTATIONS = (
    Mutation(
        "a",
        "the SDK's retries are off for create",
        "include/nightpress/batches/lean_client.py",
        "self._client.with_options(max_retries=0).post(",
        "self._client.post(",
    ),
    Mutation(
        "b1",
        "the intent is written before the POST",
        _SUBMISSION,
        "    entry = ledger.intend(intent)\n",
        "    entry = ledger.load(intent.key) or intent\n",
    ),
    Mutation(
        "b2",
        "the attempt is written before the POST",
        _LEDGER,
        "        create_exclusively(path, data)\n"
        "        taken = self._read(Attempt, path)\n"
        "        if taken is None or taken.token != attempt.token:\n"
        "            return None\n"
        "        return self.save(msgspec.structs.replace(entry, attempts=(*entry.attempts, attempt)))\n",
        "        return msgspec.structs.replace(entry, attempts=(*entry.attempts, attempt))\n",
    ),
    Mutation(
        "c",
        "a candidate is proved by its custom_id",
        _CANDIDATES,
        "                return custom_id.startswith(custom_id_prefix(entry.key))\n",
        "                return True\n",
    ),
    Mutation(
        "d",
        "the listing has time to settle",
        "include/nightpress/batches/unknown_outcome.py",
        "SETTLING_SECONDS = 60.0\n",
        "SETTLING_SECONDS = 0.0\n",
    ),
    Mutation(
        "e",
        "one 404 is not absence",
        _POLLING,
        "ABSENCES_TOLERATED = 5\n",
        "ABSENCES_TOLERATED = 1\n",
    ),
    Mutation(
        "f1",
        "another shard's batch is not a candidate",
        _CANDIDATES,
        "            if ledger.owner(batch.id) in {None, entry.key}:\n",
        "            if True:\n",
    ),
    Mutation(
        "f2",
        "a batch is recorded for one shard only",
        "include/nightpress/batches/submission_records.py",
        "    if not ledger.take_batch(batch.id, entry.key, identity):\n",
        "    ledger.take_batch(batch.id, entry.key, identity)\n    if False:\n",
    ),
    Mutation(
        "f3",
        "a batch without answers is not a candidate",
        _CANDIDATES,
        "    known = {*entry.earlier, *list_known_before(entry), *ledger.discarded_batches(entry.key)}\n",
        "    known = {*list_known_before(entry), *ledger.discarded_batches(entry.key)}\n",
    ),
    Mutation(
        "g",
        "the body is cut off at its deadline",
        "include/nightpress/batches/streamed_body.py",
        "            if self.now() > self.deadline:\n",
        "            if False:\n",
    ),
    Mutation(
        "h",
        "an attempt is taken exclusively",
        _LEDGER,
        "        create_exclusively(path, data)\n",
        "        write_atomically(path, data)\n",
    ),
    Mutation(
        "i",
        "a form cannot lift a declared budget",
        "include/nightpress/runs/ceilings.py",
        "            if most is None or (wanted is not None and wanted <= most):\n",
        "            if most is None or wanted is not None:\n",
        _RUN_TESTS,
    ),
    Mutation(
        "j",
        "the second round stays within the budget",
        _FAILED,
        "        fits = upper <= max(left if entry is None else budget, 0.0) + 1e-12\n",
        "        fits = True\n",
        _RUN_TESTS,
    ),
    Mutation(
        "p",
        "what a sent shard costs is not left for others",
        _FAILED,
        "            spent += upper_usd(shard) if entry.cost_usd is None else entry.cost_usd\n",
        "            pass\n",
        _RUN_TESTS,
    ),
    Mutation(
        "k",
        "hand-made requests are staged once",
        "include/nightpress/runs/given_requests.py",
        "        return Shard.from_reference(msgspec.json.decode(record.read_bytes()))\n",
        "        record.stat()\n",
        _RUN_TESTS,
    ),
    Mutation(
        "l",
        "a run stops for an account problem",
        "include/nightpress/runs/account_pause.py",
        "    if new:\n",
        "    if False:\n",
        _RUN_TESTS,
    ),
    Mutation(
        "m",
        "a late scheduled run waits for approval",
        "include/nightpress/runs/unrequested_runs.py",
        "self.started - self.due <= LATE_AFTER",
        "True",
        _RUN_TESTS,
    ),
    Mutation(
        "n",
        "a run that its DAG's switch started waits for approval",
        "include/nightpress/runs/unrequested_runs.py",
        "        if self.switched_on is not None and self.switched_on > self.due:\n",
        "        if False:\n",
        _RUN_TESTS,
    ),
    Mutation(
        "o",
        "a shard that a lowered budget forbids to send is only looked for",
        "include/nightpress/runs/shard_submission.py",
        "    if shard.look_only:\n",
        "    if False:\n",
        (*_RUN_TESTS, "tests/unit/test_runs_shard_submission.py"),
    ),
    Mutation(
        "q",
        "a batch that a person gave up is not a candidate",
        _CANDIDATES,
        ", *ledger.discarded_batches(entry.key)}\n",
        "}\n",
        ("tests/unit/test_runs_driven_days.py",),
    ),
    Mutation(
        "r",
        "a body that another shard's replaced is not sent",
        _SUBMISSION,
        "    if _names_another_shard(entry, body):\n",
        "    if False:\n",
        ("tests/unit/test_runs_driven_days.py",),
    ),
    Mutation(
        "s",
        "short results are not taken for the whole",
        "include/nightpress/results/short_results.py",
        "    if known and counts.succeeded <= report.answers:\n",
        "    if True:\n",
        ("tests/unit/test_results_collect.py",),
    ),
    Mutation(
        "t",
        "what another run sent since the plan is not",
        _SUBMISSION,
        "    if check_taken is not None:\n",
        "    if False:\n",
        ("tests/unit/test_runs_sent_meanwhile.py",),
    ),
)


def try_mutation(mutation: Mutation, tests: Sequence[str] | None = None) -> Verdict:
    """Run the tests on a copy of the tree without one safeguard.

    :raises MutationError: the source does not hold the text once, or the tests could not run.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nightpress-mutation-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        mutate(tree, mutation)
        code, said = run_tests(tree, tests or mutation.tests)
    failed = [_short(name) for name in re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.MULTILINE)]
    if code not in (0, 1) or (code == 1 and not failed):
        raise MutationError(f"({mutation.name}) the tests did not run: exit code {code}\n{said[-2_000:]}")
    by = ", ".join(failed) or "NO TEST WENT RED"
    return Verdict(mutation, code == 1, by, time.monotonic() - begun)


def copy_tree(target: Path) -> None:
    """Copy what the tests need."""
    for name in _COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, target / name)


def mutate(tree: Path, mutation: Mutation) -> None:
    """Replace the mutation's text in a copy of the tree.

    :raises MutationError: it is not there exactly once.
    """
    path = tree / mutation.file
    text = path.read_text()
    found = text.count(mutation.old)
    if found != 1:
        raise MutationError(
            f"({mutation.name}) {mutation.file} holds {mutation.old.strip()!r} {found} times instead of once: the "
            "source has changed, and this mutation has to follow it"
        )
    path.write_text(text.replace(mutation.old, mutation.new))


def run_tests(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests in a tree and return pytest's exit code and what it said."""
    options = ("-q", "--tb=no", f"--maxfail={_ENOUGH}", "-p", "no:cacheprovider", "-p", "no:randomly")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"AIRFLOW_HOME": str(tree / ".airflow"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MutationError(f"the tests took more than {_TIMEOUT_SECONDS} s") from error
    return done.returncode, done.stdout + done.stderr


def _short(test: str) -> str:
    return test.rsplit("::", 1)[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all mutations, print the table and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.check_safeguards", description=__doc__)
    parser.add_argument("--only", default="", help="names, e.g. a,b1,e (default: all)")
    wanted = {name for name in parser.parse_args(arguments).only.split(",") if name}
    if unknown := wanted - {mutation.name for mutation in MUTATIONS}:
        parser.error(f"no mutation is named {', '.join(sorted(unknown))}")
    chosen = [mutation for mutation in MUTATIONS if not wanted or mutation.name in wanted]
    begun = time.monotonic()
    try:
        _check_unchanged()
        with ThreadPoolExecutor(_WORKERS) as pool:
            verdicts = []
            for verdict in pool.map(try_mutation, chosen):
                _print_row(verdict)
                verdicts.append(verdict)
    except MutationError as error:
        print(f"nightpress: {error}", file=sys.stderr)
        return 2
    noticed = sum(verdict.noticed for verdict in verdicts)
    print(f"\n{noticed} of {len(verdicts)} mutations were noticed ({time.monotonic() - begun:.0f} s)")
    return 0 if noticed == len(verdicts) else 1


def _check_unchanged() -> None:
    """Make sure that the tests are green without a mutation; otherwise red would mean nothing."""
    print("without a mutation: ", end="", flush=True)
    with tempfile.TemporaryDirectory(prefix="nightpress-mutation-") as folder:
        copy_tree(Path(folder))
        code, said = run_tests(Path(folder), (*_TESTS, *_RUN_TESTS))
    if code:
        raise MutationError(f"the tests are red without any mutation\n{said[-2_000:]}")
    print("green\n")


def _print_row(verdict: Verdict) -> None:
    sign = "red " if verdict.noticed else "GREEN"
    mutation = verdict.mutation
    print(
        f"{mutation.name:<3} {mutation.safeguard:<43} {sign:<5} {verdict.seconds:4.0f} s  {verdict.by}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
