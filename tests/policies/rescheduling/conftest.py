"""Fixtures for rescheduling: kernels are compiled once, before any test counts time."""

from __future__ import annotations

import pytest

from moorage_policies.rescheduling.solve import warm_up


@pytest.fixture(scope="session", autouse=True)
def _warm_kernels() -> None:
    warm_up()
