"""The quiet context used by scripts."""

from __future__ import annotations

import gc

from plantseg_app.core.context import Context, QuietContext


def test_quiet_context_satisfies_the_protocol_and_is_repeatable() -> None:
    context = QuietContext()
    assert isinstance(context, Context)
    assert context.rng(3).integers(1000) == context.rng(3).integers(1000)
    context.message("hello")
    assert context.messages == ["hello"]


def test_scratch_is_removed_with_the_context() -> None:
    context = QuietContext()
    folder = context.scratch
    assert folder.is_dir()
    del context
    gc.collect()
    assert not folder.exists()
