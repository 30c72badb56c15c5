"""Run the solver: ``python -m moorage_extender.solver``."""

from moorage_extender.solver.main import run

run()
