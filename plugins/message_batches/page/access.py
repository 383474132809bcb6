"""Who may see what: Airflow's own permissions, for the page as a whole and for each DAG's runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeAlias

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from fastapi import Depends
from sqlalchemy import select

MayRead: TypeAlias = Callable[[str, str], bool]
"""From a DAG id (empty when not known) and a pipeline: whether its runs may be seen."""

guard = requires_access_dag("GET", DagAccessEntity.RUN)
"""401 without a login, 403 for who may not read runs (of the DAG in ``?dag_id=``, when there is one)."""


def find_readable(user: GetUserDep) -> MayRead:
    """Return what the user may see.

    A run whose DAG is not known (an older ledger entry, a deleted DAG) is seen by who may read the DAG of
    the pipeline's name, or all DAGs.
    """
    permitted = get_auth_manager().get_authorized_dag_ids(user=user)
    with create_session() as session:
        known = set(session.scalars(select(DagModel.dag_id)))
    return make_rule(permitted, known)


def make_rule(permitted: set[str], known: set[str]) -> MayRead:
    """Return the rule for a user who may read the DAGs ``permitted`` out of ``known``."""
    reads_all = known <= permitted

    def may_read(dag_id: str, pipeline: str) -> bool:
        if reads_all:
            return True
        return (dag_id or pipeline) in permitted

    return may_read


ReadableDep = Annotated[MayRead, Depends(find_readable)]
