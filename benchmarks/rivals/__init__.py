"""Controllers that do for a Work what ours does for a run and nothing else: a pod, a status for each step, an end."""
