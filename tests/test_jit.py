"""Kernels are compiled when they are first called, whichever calls which, from however many threads."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from titin.dataset import transforms

MODULES = {
    "below.py": "from titin.jit import kernel\n\n@kernel\ndef twice(x):\n    return 2 * x\n",
    "above.py": (
        "from below import twice\nfrom titin.jit import kernel\n\n"
        "@kernel\ndef outer(x):\n    return inner(x) + twice(x)\n\n"
        "@kernel\ndef inner(x):\n    return twice(x) + 1\n\n"
        "@kernel\ndef factorial(x):\n    return 1 if x < 2 else x * factorial(x - 1)\n"
    ),
}


def python(code: str, folder: Path) -> list[str]:
    for name, text in MODULES.items():
        (folder / name).write_text(text)
    environment = {"PYTHONPATH": f"{folder}:{':'.join(sys.path)}", "NUMBA_CACHE_DIR": str(folder), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.splitlines()


def test_a_kernel_calls_others_of_its_module_and_of_others(tmp_path: Path) -> None:
    assert python("import above; print(above.outer(3), above.factorial(5))", tmp_path) == ["13 120"]


def test_many_threads_may_call_first(tmp_path: Path) -> None:
    code = (
        "import above\nfrom concurrent.futures import ThreadPoolExecutor as Pool\n"
        "with Pool(8) as pool: print(sum(pool.map(lambda x: above.outer(x) + above.inner(x), range(64))))"
    )
    assert python(code, tmp_path) == [str(sum(4 * x + 1 + 2 * x + 1 for x in range(64)))]


def test_numba_is_imported_when_a_kernel_is_called(tmp_path: Path) -> None:
    code = "import sys, above\nprint('numba' in sys.modules)\nabove.inner(1)\nprint('numba' in sys.modules)"
    assert python(code, tmp_path) == ["False", "True"]


@pytest.mark.parametrize("called", [False, True])
def test_a_kernel_can_be_sent_to_another_process(called: bool, tmp_path: Path) -> None:
    code = f"import above, pickle\nif {called}: above.inner(1)\nprint(pickle.loads(pickle.dumps(above.inner))(4))"
    assert python(code, tmp_path) == ["9"]


def test_a_kernel_says_what_it_is() -> None:
    kernel = pickle.loads(pickle.dumps(transforms.forward))
    assert kernel.__doc__ == "Value of count / scale."
    assert kernel(np.float64(2.0), 0.0) == 2.0
