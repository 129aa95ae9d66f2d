"""Campaigns that try to break the laws: kills, damage, malformed input, files larger
than memory, what saving costs, long runs, reruns.

``python -m benchmarks.faults [campaign ...]``; what happened is stored in ``results/faults.json``.
"""
