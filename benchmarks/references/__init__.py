"""Numbers that others published, trained for again: ``python -m benchmarks.references``.

One experiment per file; each returns lines that say what was published, what is accepted, and what
came out. The experiments that take seconds also run, shortened, in ``tests/test_published.py``.
"""
