"""The pipelines that the DAG files declare, read by Airflow's own DagBag."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from message_batches.command.command_settings import CommandError, find_checkout, find_home, find_root_url

if TYPE_CHECKING:
    from message_batches import ReadArticlesOperator


@dataclass(frozen=True, slots=True)
class DagFiles:
    """What the DAG files hold.

    :param folder: where they are.
    :param pipelines: first task of each pipeline, by the pipeline's name.
    :param broken: file → last line of the error, for files that cannot be loaded.
    """

    folder: Path
    pipelines: Mapping[str, ReadArticlesOperator]
    broken: Mapping[str, str]

    def find(self, pipeline: str) -> ReadArticlesOperator:
        """Return the first task of a pipeline.

        :raises CommandError: no file declares it; a similar name and the broken files are named.
        """
        if pipeline in self.pipelines:
            return self.pipelines[pipeline]
        near = get_close_matches(pipeline, self.pipelines, n=1)
        parts = [f"no pipeline {pipeline!r} in {self.folder}"]
        if near:
            parts.append(f"did you mean {near[0]}?")
        parts.append(f"there are: {', '.join(sorted(self.pipelines)) or 'none'}")
        parts += [f"{name} cannot be loaded: {error}" for name, error in sorted(self.broken.items())]
        raise CommandError("; ".join(parts))


def read_dag_files(settings: Mapping[str, str]) -> DagFiles:
    """Load the DAG files as Airflow does: in a checkout its ``dags/``, else Airflow's DAGs folder."""
    prepare_airflow(settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.configuration import conf
        from airflow.dag_processing.dagbag import BundleDagBag

        from message_batches import ReadArticlesOperator

        checkout, given = find_checkout(), settings.get("NIGHTPRESS_DAGS")
        default = str(checkout / "dags") if checkout else conf.get("core", "dags_folder")
        folder = Path(given or default).expanduser().absolute()
        logging.getLogger("airflow").setLevel(logging.CRITICAL + 1)
        bag = BundleDagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="nightpress-plan")
    pipelines = {
        task.pipeline: task
        for dag in bag.dags.values()
        for task in dag.tasks
        if isinstance(task, ReadArticlesOperator)
    }
    broken = {name: text.strip().splitlines()[-1][:300] for name, text in bag.import_errors.items()}
    return DagFiles(folder, pipelines, broken)


def prepare_airflow(settings: Mapping[str, str]) -> None:
    """Give Airflow its settings before it is imported: it reads them only then."""
    os.environ["NIGHTPRESS_ROOT"] = find_root_url(settings)
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    # As Airflow's own command does: connections are looked for in its database too.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    checkout = find_checkout()
    if checkout is None:
        return
    home = find_home(settings)
    if home is None or not home.exists():
        home = Path(tempfile.mkdtemp(prefix="nightpress-plan-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ.setdefault("AIRFLOW_HOME", str(home))
    for folder in (checkout / "plugins", checkout / "include", checkout):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
