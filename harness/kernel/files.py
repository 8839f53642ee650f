"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads meanwhile, or after a crash, finds the old text or
    the new one. Raises OSError, with the old file as it was.
    """
    replace_texts({path: text})


def replace_texts(texts: Mapping[Path, str]) -> None:
    """Write files that belong together, each in one step, once all of them are on the disk. Raises
    OSError; where that is for want of space, all old files are as they were.
    """
    drafts = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in texts}
    try:
        for path, draft in drafts.items():
            draft.write_text(texts[path])
        for path, draft in drafts.items():
            draft.replace(path)
    except BaseException:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
        raise
