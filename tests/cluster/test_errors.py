"""Whose fault each status is."""

from __future__ import annotations

import json

import pytest

from moorage_cluster.errors import (
    ApiError,
    ClusterUnavailableError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
    TooManyRequestsError,
    UnacceptableRequestError,
    UnauthorizedError,
    to_error,
)
from moorage_cluster.status import to_failure
from moorage_policies.errors import BadInputError, BrokenPromiseError, UnavailableError


@pytest.mark.parametrize(
    ("status", "kind", "root"),
    [
        (0, ClusterUnavailableError, UnavailableError),
        (302, UnacceptableRequestError, BrokenPromiseError),
        (400, InvalidError, BadInputError),
        (401, UnauthorizedError, UnavailableError),
        (403, ForbiddenError, UnavailableError),
        (404, NotFoundError, UnavailableError),
        (405, UnacceptableRequestError, BrokenPromiseError),
        (409, ConflictError, UnavailableError),
        (410, GoneError, UnavailableError),
        (415, UnacceptableRequestError, BrokenPromiseError),
        (422, InvalidError, BadInputError),
        (429, TooManyRequestsError, UnavailableError),
        (500, ClusterUnavailableError, UnavailableError),
        (504, ClusterUnavailableError, UnavailableError),
    ],
)
def test_each_status_has_its_error(
    status: int, kind: type[ApiError], root: type[Exception]
) -> None:
    error = to_error(to_failure("GET", "/x", status, {}, b'{"message": "why", "reason": "R"}'))
    assert type(error) is kind
    assert isinstance(error, root)
    assert "GET /x" in str(error)
    assert "why" in str(error)


@pytest.mark.parametrize(
    ("headers", "details", "expected_s"),
    [
        pytest.param({"Retry-After": "7"}, {}, 7.0, id="header"),
        pytest.param({}, {"retryAfterSeconds": 3}, 3.0, id="body"),
        pytest.param({"Retry-After": "7"}, {"retryAfterSeconds": 3}, 7.0, id="header-wins"),
        pytest.param({"Retry-After": "Fri, 01 Jan 2027 00:00:00 GMT"}, {}, None, id="a-date"),
        pytest.param({"Retry-After": "-1"}, {}, None, id="negative"),
        pytest.param({}, {}, None, id="none"),
    ],
)
def test_retry_after(
    headers: dict[str, str], details: dict[str, int], expected_s: float | None
) -> None:
    body = json.dumps({"message": "busy", "details": details}).encode()
    error = to_error(to_failure("GET", "/x", 429, headers, body))
    assert isinstance(error, TooManyRequestsError)
    assert error.retry_after_s == expected_s


def test_the_first_cause_names_the_field() -> None:
    causes = [
        {"field": "spec.a", "message": "must be positive", "reason": "FieldValueInvalid"},
        {"field": "spec.b", "message": "too long"},
    ]
    body = json.dumps({"message": "two faults", "details": {"causes": causes}}).encode()
    error = to_error(to_failure("POST", "/x", 422, {}, body))
    assert isinstance(error, InvalidError)
    assert error.field == "spec.a"
    assert [cause.message for cause in error.failure.causes] == ["must be positive", "too long"]


@pytest.mark.parametrize(
    "body",
    [b"", b"Too many requests, please try again later.", b"\xff\xfe", b"[1]", b'{"message": 4}'],
)
def test_a_body_that_is_no_status_still_gives_an_error(body: bytes) -> None:
    error = to_error(to_failure("GET", "/x", 429, {}, body))
    assert isinstance(error, TooManyRequestsError)
    assert error.failure.message
