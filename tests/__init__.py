"""The tests mirror the package; ``tests.cases`` is the table that the contracts run over."""
