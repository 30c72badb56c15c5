"""The solver: a process of its own, so that a search never delays an answer to the scheduler."""
