"""What every suite shares: a clean environment.

Nothing of the machine's owner is used: no token, no login, no cache of the Hub, no settings of an arena.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

for name in [*os.environ]:
    if name.startswith(("ARENA_", "HF_", "HUGGING", "SPACE", "GRADIO_")):
        del os.environ[name]

_HOME = tempfile.mkdtemp(prefix="image-arena-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ |= {
    "HF_HOME": _HOME,
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "TOKENIZERS_PARALLELISM": "false",
}

# Properties are tried on the same examples at every run, and none fails because this machine is busy. Other examples:
# --hypothesis-profile=default.
settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
settings.load_profile("steady")
