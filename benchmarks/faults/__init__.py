"""Campaigns that try to break the laws: kills, damage, malformed input, long runs, reruns.

``python -m benchmarks.faults [campaign ...]``; what happened is stored in ``results/faults.json``.
"""
