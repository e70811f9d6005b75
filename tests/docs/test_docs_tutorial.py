"""Pages that lead by the hand are walked through from top to bottom, with real processes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from docs.fenced import ROOT
from docs.walking import walking

_PAGES = [
    ROOT / "docs" / "tutorial" / "first-rule.md",
    ROOT / "docs" / "how-to" / "find-out-why.md",
    ROOT / "docs" / "how-to" / "back-up.md",
    ROOT / "docs" / "how-to" / "change-rules.md",
    ROOT / "docs" / "how-to" / "rotate-a-secret.md",
    ROOT / "docs" / "how-to" / "test-rules.md",
    ROOT / "docs" / "how-to" / "try-changed-rules.md",
]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_a_page_that_leads_by_the_hand_works_as_it_is_written(tmp_path: Path, page: Path) -> None:
    with walking(tmp_path, page) as walk:
        daemon = walk.started["rulewave serve"]
        assert daemon.poll() is None
        daemon.send_signal(signal.SIGINT)
        daemon.communicate(timeout=20)
        assert daemon.returncode == 0
