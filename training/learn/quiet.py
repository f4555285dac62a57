"""A run of ultralytics in, the same run without callers and downloads out: it trains on this machine and tells nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest import mock


@contextmanager
def ultralytics_alone() -> Iterator[None]:
    """Within it, its trainers and validators work without what would leave the machine.

    Off are: events; its platform, ClearML, Comet, DVC, MLflow and Weights & Biases, which it starts wherever they are
    installed; the font for plots that are not drawn; the network with which it tries half precision on a GPU.
    """
    import ultralytics.data.utils
    import ultralytics.utils.callbacks
    import ultralytics.utils.downloads

    def nothing(*_: Any, **__: Any) -> None:
        return None

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ConnectionError("nothing is downloaded during training")  # it takes half precision for tried then

    with (
        mock.patch.object(ultralytics.utils.callbacks, "add_integration_callbacks", nothing),
        mock.patch.object(ultralytics.data.utils, "check_font", nothing),
        mock.patch.object(ultralytics.utils.downloads, "safe_download", refuse),
    ):
        yield
