"""What decides the bits is told apart: two machines of one name need not be alike."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxnets as jn
from jaxnets import compilation, environment

X86 = {"model name": "AMD EPYC", "cpu family": "25", "model": "17", "flags": "fpu sse2 avx2 fma"}
ARM = {"CPU implementer": "0x41", "CPU part": "0xd40", "Features": "fp asimd aes sve"}


def test_the_same_name_with_other_instructions_is_another_processor():
    wider = environment.processor(X86 | {"flags": X86["flags"] + " avx512f"})
    assert environment.processor(X86) == {
        "processor": "AMD EPYC (25, 17)",
        "instructions": "avx2 fma sse2",
    }
    assert wider != environment.processor(X86)
    assert environment.processor(X86 | {"model": "1"}) != environment.processor(X86)
    # Flags come and go with kernels and microcode; those that calculate nothing do not count.
    assert environment.processor(X86 | {"flags": "ibrs smep sme avx2 sse2 fma"}) == (
        environment.processor(X86)
    )


def test_another_architecture_and_none_at_all():
    found = environment.processor(ARM)
    assert found["processor"].endswith("(0x41, 0xd40)") and found["instructions"] == "asimd sve"
    nothing = environment.processor({})
    assert nothing["processor"] and not nothing["instructions"]


def test_a_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    here = compilation.processor()
    monkeypatch.setattr(Path, "read_text", missing)
    assert environment.cpuinfo() == {}
    assert len(compilation.processor()) == len(here)


def test_a_folder_of_another_processor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = jn.data.Dataset.from_splits(train=(np.eye(6), np.arange(6) % 2), valid=None, test=None)

    def fit() -> jn.Runs:
        return jn.fit(
            jax.random.key(0), data, jn.nn.MLP([3], outputs=2), loss="softmax_cross_entropy",
            epochs=1, batch_size=3, out=tmp_path,
        )  # fmt: skip

    monkeypatch.setattr(environment, "cpuinfo", lambda: X86)
    fit()
    assert len(fit()) == 1
    monkeypatch.setattr(environment, "cpuinfo", lambda: X86 | {"flags": "sse2"})
    message = 'machine.instructions is "avx2 fma sse2" there and "sse2" now'
    with pytest.raises(ValueError, match=message):
        fit()


def test_threads_are_cores_or_devices_whichever_are_more(monkeypatch: pytest.MonkeyPatch):
    """Seen: a ResNet-20 of 1, 2, 4, 8 devices on two cores has two, two, four, eight of them, and
    the bits of the first two are the same.
    """
    devices = jax.devices("cpu")
    for cores, expected in ((1, len(devices)), (64, 64)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)), False)
        found = environment.identity(devices[:1])["machine"]["devices"]
        assert (found["count"], found["threads"]) == (1, expected)
    monkeypatch.setenv("NPROC", "72")  # XLA asks it, too
    assert environment.threads(devices[0]) == 72


def test_what_changes_the_arithmetic_of_onednn_is_told(monkeypatch: pytest.MonkeyPatch):
    before = environment.identity(jax.devices()[:1])
    monkeypatch.setenv("ONEDNN_VERBOSE", "0")
    assert environment.identity(jax.devices()[:1]) == before
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found = environment.identity(jax.devices()[:1])["machine"]["oneDNN"]
    assert found == f"ONEDNN_MAX_CPU_ISA=AVX2 {before['machine']['oneDNN']}".strip()
