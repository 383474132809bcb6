"""Google's and Azure's stores, as far as their drivers' own words: what is asked of them, and what they answer."""

from __future__ import annotations

from typing import Any

import pytest

from nightpress.exclusive_create import check_exclusive_create, create_if_absent


class GoogleError(Exception):
    """As gcsfs' HttpError: no OSError, with the status as ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code}")
        self.code = code


class AzureError(Exception):
    """As azure-core's HttpResponseError, which adlfs passed on before it raised FileExistsError."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status_code, self.error_code = status, code


class Driver:
    """A driver that writes down what it is asked, and raises."""

    def __init__(self, protocol: tuple[str, ...], error: Exception | None = None) -> None:
        self.protocol = protocol
        self.error = error
        self.asked: list[dict[str, Any]] = []

    def pipe_file(self, path: str, data: bytes, **how: Any) -> None:
        self.asked.append(how)
        if self.error is not None:
            raise self.error


GOOGLE, AZURE = ("gs", "gcs"), ("abfs", "az", "abfss")


@pytest.mark.parametrize(("protocol", "how"), [(GOOGLE, {"mode": "create"}), (AZURE, {"overwrite": False})])
def test_the_driver_is_asked_for_an_exclusive_create(protocol: tuple[str, ...], how: dict[str, Any]) -> None:
    driver = Driver(protocol)
    check_exclusive_create(driver, "bucket/root")
    assert create_if_absent(driver, "bucket/root/claim", b"x")
    assert driver.asked == [how]


@pytest.mark.parametrize(
    ("protocol", "error"),
    [
        (GOOGLE, FileExistsError("claim")),
        (GOOGLE, GoogleError(412)),
        (AZURE, FileExistsError("claim")),
        (AZURE, AzureError(409, "BlobAlreadyExists")),
        (AZURE, AzureError(412, "ConditionNotMet")),
    ],
)
def test_a_name_that_is_taken_is_told(protocol: tuple[str, ...], error: Exception) -> None:
    assert not create_if_absent(Driver(protocol, error), "bucket/root/claim", b"x")


@pytest.mark.parametrize(
    ("protocol", "error"),
    [
        (GOOGLE, GoogleError(403)),
        (GOOGLE, GoogleError(503)),
        (GOOGLE, PermissionError("Forbidden")),
        (AZURE, AzureError(403, "AuthorizationFailure")),
        (AZURE, AzureError(409, "LeaseIdMissing")),
        (AZURE, AzureError(404, "ContainerNotFound")),
    ],
)
def test_trouble_is_neither_a_win_nor_a_loss(protocol: tuple[str, ...], error: Exception) -> None:
    with pytest.raises(type(error)):
        create_if_absent(Driver(protocol, error), "bucket/root/claim", b"x")
