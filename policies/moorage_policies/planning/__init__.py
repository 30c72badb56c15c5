"""Plans for pods that fit nowhere: when to look, what to ask the solver, what to answer."""
