"""An image file or an array in, its inspection, picture and document out: what `edge-inspect` does, for programs."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge import sem
from edge.cache import cache_folder, private_cache
from edge.config import DeviceSettings, InspectionSettings, change, load_for_command
from edge.errors import ConfigError, ImageError
from edge.folder.file import read_file
from edge.inspection import overlay, parity
from edge.inspection.pipeline import OpenNetwork, Pipeline, limits_of, remembering
from edge.records import Inspection, Micrograph, Source, Timing
from edge.wire.encode import display_path, verdict_id
from edge.wire.inspection import encode_inspection

ImagePath = str | os.PathLike[str]
Stages = Literal["both", "segment", "classify"]

NO_JOURNALS_EPOCH = "6f7a3c52-2f0e-5d55-9f0c-1c2c50d7a3b1"
"""Stands for the journal's epoch where there is no journal, so that the same file has the same id in every run."""


class Inspector:
    """Inspects many images with models that are loaded once; opened, used and closed by one thread."""

    def __init__(
        self,
        config: ImagePath | InspectionSettings | None = None,
        *,
        backend: str | None = None,
        stages: Stages | None = None,
        confidence: float | None = None,
        pixel_size_nm: float | None = None,
        segmenter: ImagePath | None = None,
        classifier: ImagePath | None = None,
        regions: ImagePath | None = None,
    ) -> None:
        """Load the models.

        config: the daemon's TOML file, which then needs no folder, or settings; the defaults without one. Except where
        settings are given, EDGE_SECTION__KEY variables count. The other arguments are those of docs/use/configuration.md
        and take the place of what `config` says.
        Raises ConfigError, ModelError or BackendError.
        """
        settings: InspectionSettings
        if isinstance(config, InspectionSettings):
            settings = config
        else:
            settings = load_for_command(None if config is None else Path(config))
        models = {"backend": backend, "segmenter": _text(segmenter), "classifier": _text(classifier), "regions": _text(regions)}
        wanted = {"stages": stages, "confidence": confidence, "pixel_size_nm": pixel_size_nm}
        self._settings = change(settings, {"models": models, "inspect": wanted})
        precision, open_network = precision_for(self._settings), opener_for(self._settings)
        self._pipeline = Pipeline(self._settings, precision=precision, open_network=open_network)

    def inspect(
        self, image: ImagePath | ArrayLike, page: int = 0, *, pixel_size_nm: float | None = None, name: str | None = None
    ) -> Inspection:
        """The inspection of one page, the first by default.

        image: the path of a file, or grey values [H, W] or RGB [H, W, 3] of uint8, uint16 or float, in any range. An array
        is treated as a file with these values and no metadata: a data bar at its bottom is found and left out.
        pixel_size_nm: edge of a pixel, where neither the file nor a text file beside it says it.
        name: what the image is called in the inspection; the file's own name, or "array".
        Raises ImageError, ConfigError for a page that is not there, BackendError.
        """
        pages, source, spent = self._read(image, pixel_size_nm, name)
        if not 0 <= page < len(pages):
            raise ConfigError(f"{source.name} has no page {page}: pages count from 0, and there are {len(pages)}")
        return self._pipeline.inspect(pages[page], source, spent=spent)

    def inspect_pages(
        self, image: ImagePath | ArrayLike, *, pixel_size_nm: float | None = None, name: str | None = None
    ) -> list[Inspection]:
        """The inspections of all pages; see `inspect`."""
        pages, source, spent = self._read(image, pixel_size_nm, name)
        return [self._pipeline.inspect(page, source, spent=spent) for page in pages]

    def close(self) -> None:
        """Free the models."""
        self._pipeline.close()

    def __enter__(self) -> Inspector:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _read(
        self, image: ImagePath | ArrayLike, pixel_size_nm: float | None, name: str | None
    ) -> tuple[Sequence[Micrograph], Source, Timing]:
        """Every page, which image it is, and what reading cost each page. Raises ImageError."""
        if pixel_size_nm is not None and not 0 < pixel_size_nm < math.inf:
            raise ConfigError(f"pixel_size_nm {pixel_size_nm} is no length: give the edge of a pixel in nanometres")
        limits = limits_of(self._settings)
        nm = self._settings.inspect.pixel_size_nm if pixel_size_nm is None else pixel_size_nm
        started = time.perf_counter()
        if isinstance(image, str | os.PathLike):
            path = Path(image)
            file = read_file(path, limits.max_bytes)
            data, sidecars, sha256 = file.data, file.sidecars, file.sha256
            called = name or path.name
        else:
            data, sha256 = _tiff(np.asarray(image), limits)
            sidecars = {}
            called = name or "array"
        read = time.perf_counter()
        pages = sem.read(data, called, sidecars, limits, nm)
        spent = Timing(read=(read - started) * 1e3, decode=(time.perf_counter() - read) * 1e3)
        return pages, source_of(called, called, sha256), spent.shared_by(len(pages))


def inspect(
    image: ImagePath | ArrayLike,
    page: int = 0,
    *,
    config: ImagePath | InspectionSettings | None = None,
    backend: str | None = None,
    stages: Stages | None = None,
    confidence: float | None = None,
    pixel_size_nm: float | None = None,
    name: str | None = None,
) -> Inspection:
    """The inspection of one page of an image; the models are loaded for it alone. See `Inspector`."""
    with Inspector(config, backend=backend, stages=stages, confidence=confidence) as inspector:
        return inspector.inspect(image, page, pixel_size_nm=pixel_size_nm, name=name)


def inspect_pages(
    image: ImagePath | ArrayLike,
    *,
    config: ImagePath | InspectionSettings | None = None,
    backend: str | None = None,
    stages: Stages | None = None,
    confidence: float | None = None,
    pixel_size_nm: float | None = None,
    name: str | None = None,
) -> list[Inspection]:
    """The inspections of all pages of an image; the models are loaded for it alone. See `Inspector`."""
    with Inspector(config, backend=backend, stages=stages, confidence=confidence) as inspector:
        return inspector.inspect_pages(image, pixel_size_nm=pixel_size_nm, name=name)


def draw(inspection: Inspection, longest_px: int = overlay.LONGEST_PX) -> NDArray[np.uint8]:
    """The picture to check an inspection by: uint8 [h, w, 3] in RGB; see `edge.inspection.overlay.draw`."""
    return np.asarray(cv2.cvtColor(overlay.draw(inspection, longest_px), cv2.COLOR_BGR2RGB), np.uint8)


def label_image(inspection: Inspection) -> NDArray[np.int32]:
    """Which region each pixel of `inspection.micrograph.grey` belongs to: int32 [H, W].

    0 where there is none, else the index of the region + 1. Of regions that overlap, the smaller is seen.
    """
    labels = np.zeros(inspection.micrograph.grey.shape, np.int32)
    regions = inspection.regions
    for label, ((x, y, width, height), mask) in enumerate(zip(regions.boxes_px.tolist(), regions.masks, strict=True), start=1):
        labels[y : y + height, x : x + width][mask] = label
    return labels


def to_dict(inspection: Inspection) -> dict[str, Any]:
    """The inspection as the daemon publishes it, `edge.inspection/2` (docs/use/mqtt.md), with no epoch and no seq."""
    return dict(json.loads(encode(inspection, DeviceSettings())))


def encode(inspection: Inspection, device: DeviceSettings) -> bytes:
    """The inspection as `edge.inspection/2` in JSON, with no epoch and no seq: it stands in no journal."""
    source = inspection.source
    key = f"{source.sha256}/{source.path}"
    identity = verdict_id(NO_JOURNALS_EPOCH, key, 1, 1, page=inspection.micrograph.page)
    return encode_inspection(inspection, inspection_id=identity, epoch=None, seq=None, device=device)


def source_of(name: str, called: str, sha256: str | None) -> Source:
    """Which file it is, in text that is always valid UTF-8."""
    return Source(display_path(name), display_path(called), sha256)


def precision_for(settings: InspectionSettings) -> str:
    """What "auto" takes here, as far as it has been checked on this machine before."""
    precision, _why = parity.gated_precision(settings, cache_folder(), may_run=False)
    return precision


def opener_for(settings: InspectionSettings) -> OpenNetwork:
    """What opens networks and keeps what was compiled in the user's own cache."""
    return remembering(settings, private_cache())


def _text(path: ImagePath | None) -> str | None:
    return None if path is None else os.fspath(path)


def _tiff(values: NDArray[Any], limits: sem.Limits) -> tuple[bytes, str]:
    """A TIFF of these values and the SHA-256 of the values; a file's way in is the one way in. Raises ImageError."""
    if values.dtype.kind not in "biuf" or not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))):
        kind = f"an array of {values.dtype} {list(values.shape)}"
        raise ImageError("unsupported", f"{kind} is no image: give numbers [H, W], or RGB [H, W, 3]")
    if not values.size:
        raise ImageError("empty", f"an array of {list(values.shape)} has no pixels")
    if values.nbytes > limits.max_bytes:
        raise ImageError(
            "too_large", f"{values.nbytes} bytes are more than the {limits.max_bytes} of inspect.max_file_mib: raise it"
        )
    import tifffile

    values = np.ascontiguousarray(values)
    stream = BytesIO()
    tifffile.imwrite(stream, values, photometric="minisblack" if values.ndim == 2 else "rgb", metadata=None)
    return stream.getvalue(), hashlib.sha256(values.data).hexdigest()
