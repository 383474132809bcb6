"""Who may see what: Airflow's own permissions, for the page as a whole and for each DAG's runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Annotated, TypeAlias

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from fastapi import Depends, HTTPException
from sqlalchemy import select

MayRead: TypeAlias = Callable[[str, str], bool]
"""Tells from a DAG id (empty when not known) and a pipeline whether its runs may be seen."""

guard = requires_access_dag("GET", DagAccessEntity.RUN)
"""401 without a login, 403 for a user who may not read runs (of the DAG in ``?dag_id=``, when there is one)."""


def find_readable(user: GetUserDep) -> MayRead:
    """Return what the user may see."""
    permitted = get_auth_manager().get_authorized_dag_ids(user=user)
    with create_session() as session:
        known = set(session.scalars(select(DagModel.dag_id)))
    return make_rule(permitted, known)


def make_rule(permitted: set[str], known: set[str]) -> MayRead:
    """Return the rule for a user who may read the DAGs ``permitted`` out of ``known``.

    Records of an unknown DAG (older records without one, a deleted DAG) are visible only to users who may read all
    DAGs. If Airflow has no DAG at all, for example in an empty database, nothing is visible.
    """
    reads_all = bool(known) and known <= permitted

    def may_read(dag_id: str, pipeline: str) -> bool:  # noqa: ARG001 - a pipeline's name is not a permission
        return reads_all or dag_id in permitted

    return may_read


ReadableDep = Annotated[MayRead, Depends(find_readable)]


def check_dags(may_read: MayRead, dags: Iterable[str]) -> None:
    """Refuse a user who may not read all of these DAGs; an empty id stands for an unknown DAG.

    :raises HTTPException: 403.
    """
    if not all(may_read(dag_id, "") for dag_id in dags):
        raise HTTPException(HTTPStatus.FORBIDDEN, "Forbidden")
