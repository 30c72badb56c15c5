"""``python -m moorage_extender.probe``."""

from moorage_extender.probe.main import run

run()
