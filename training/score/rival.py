"""Weights and images in, what ultralytics' and timm's own pipeline takes for them out: the rival of `edge-bench --rival`.

    python -m training.score.rival '{"engine": "torch", "segmenter": "runs/segmenter.pt", …}'

Each line of JSON on stdin is answered by one on stdout: {"do": "block"} runs every image once. The pipeline is what one
writes with those libraries' documentation at hand: `YOLO.predict`, then the field of view through EfficientNet, which makes
`total`. Then the largest regions go through EfficientNet, too, in one batch, as the paper judges them: `regions`. `engine`
"onnx" has both run in ONNX Runtime, the segmenter through ultralytics' own export. Weights are a checkpoint, or an exported
ONNX file that they are read back from.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import EdgeError
from edge.inspection.classify import crop_region, field_of_view

LONGEST_PX = 640
STRIDE = 32
MOST_REGIONS = 1024
"""As many candidates as our graph keeps; ultralytics' 300 would spare it work."""
CROP_PX = 224
CROP_MARGIN = 0.25

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Grey views uint8 [N, 224, 224] to logits [N, C]."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked for. threads: of each library.  folder: where an export may be written.

    region_crops: so many regions, the largest, are judged.
    """

    engine: str
    segmenter: Path
    classifier: Path
    threads: int
    confidence: float
    iou: float
    region_crops: int
    images: tuple[Path, ...]
    folder: Path

    @classmethod
    def parse(cls, text: str) -> Task:
        """From JSON."""
        fields = json.loads(text)
        paths = {name: Path(fields[name]) for name in ("segmenter", "classifier", "folder")}
        return cls(**{**fields, **paths, "images": tuple(Path(name) for name in fields["images"])})


class Rival:
    """Both networks, loaded by their own libraries."""

    def __init__(self, task: Task) -> None:
        """Load the weights. Raises EdgeError, ImportError."""
        self.task = task
        self._size = _network_size(task.images)
        self._half = task.engine == "torch" and device_of("torch") == "cuda"  # as ours: the faster of what it offers there
        segmenter, classifier = _weights(task.segmenter, "segment"), _weights(task.classifier, "classify")
        self._classes = classifier.classes
        self._yolo = _yolo(segmenter, task, self._size)
        self._classify = (_torch_classifier if task.engine == "torch" else _onnx_classifier)(classifier, task)

    def block(self) -> list[dict[str, Any]]:
        """Every image once."""
        self._set_threads()
        return [self._inspect(path) for path in self.task.images]

    def warm_up(self) -> None:
        """Twice, as ours; ultralytics sets the number of threads itself when it first loads the network."""
        for _ in range(2):
            self.block()

    @property
    def precision(self) -> str:
        """What both networks run in."""
        return "float16" if self._half else "float32"

    def threads(self) -> int:
        """What torch uses now."""
        import torch

        return int(torch.get_num_threads())

    def _set_threads(self) -> None:
        import torch

        torch.set_num_threads(self.task.threads)

    def _inspect(self, path: Path) -> dict[str, Any]:
        task = self.task
        started = time.perf_counter()
        image: Any = cv2.imread(str(path), cv2.IMREAD_COLOR)
        decoded = time.perf_counter()
        (found,) = self._yolo.predict(
            image,
            imgsz=self._size or LONGEST_PX,
            conf=task.confidence,
            iou=task.iou,
            agnostic_nms=True,
            max_det=MOST_REGIONS,
            half=self._half,
            verbose=False,
        )
        corners = found.boxes.xyxy.cpu().numpy()
        segmented = time.perf_counter()
        boxes = np.column_stack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).round().astype(np.int32)
        boxes = boxes[np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")]
        views = field_of_view(image[..., 0], CROP_PX)[None]
        cropped = time.perf_counter()
        logits = self._classify(views)
        finished = time.perf_counter()
        if len(boxes) and task.region_crops:
            crops = [crop_region(image[..., 0], box, CROP_MARGIN, CROP_PX) for box in boxes[: task.region_crops]]
            self._classify(np.stack(crops))
        judged = time.perf_counter()
        speed = found.speed
        return {
            "decode": (decoded - started) * 1e3,
            "letterbox": speed["preprocess"],
            "segment": speed["inference"],
            # what the call takes beside its networks, the results' making included
            "masks": (segmented - decoded) * 1e3 - speed["preprocess"] - speed["inference"],
            "crops": (cropped - segmented) * 1e3,
            "classify": (finished - cropped) * 1e3,
            "total": (finished - started) * 1e3,
            "regions": (judged - finished) * 1e3,
            "boxes": boxes.tolist(),
            "severity": self._classes[int(logits[0].argmax())],
        }


def main(argument: str, questions: IO[str], answers: IO[str]) -> int:
    """Answer each line of `questions`; the first answer comes when everything is warm and has what runs here as "ready"."""

    def send(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    rival = None
    for line in questions:
        try:
            first = {}
            if rival is None:
                rival = Rival(Task.parse(argument))
                rival.warm_up()
                first = {"ready": {"device": device_of(rival.task.engine), "precision": rival.precision, **_versions()}}
            if json.loads(line)["do"] != "block":
                raise EdgeError(f"unknown question {line.strip()}")
            cpu, started = time.process_time(), time.perf_counter()
            samples = rival.block()
            spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - started}
            send({**first, "samples": samples, "threads": rival.threads(), **spent})
        except Exception as error:  # whatever it is, whoever asked has to hear of it
            send({"error": f"{type(error).__name__}: {error}"})
            return 1
    return 0


def _weights(path: Path, task: Literal["segment", "classify"]) -> Any:
    """The checkpoint at `path`, or the one that the exported file there came from. Raises ModelError."""
    if path.suffix != ".onnx":
        from export.checkpoint import Checkpoint

        return Checkpoint.load(path)
    from export.recovered import recovered

    return recovered(path, task)


def device_of(engine: str) -> str:
    """Where both libraries run their networks by themselves: "cuda" or "cpu"."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    if engine == "torch":
        return "cuda"
    import onnxruntime

    return "cuda" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "cpu"


def _network_size(images: tuple[Path, ...]) -> tuple[int, int] | None:
    """Rows and columns of the network's input where all images have the same, which an export is best made for."""
    sizes = set()
    for path in images:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise EdgeError(f"OpenCV cannot read {path}")
        scale = min(1.0, LONGEST_PX / max(image.shape))
        rows, columns = (-(-round(side * scale) // STRIDE) * STRIDE for side in image.shape)
        sizes.add((rows, columns))
    return sizes.pop() if len(sizes) == 1 else None


def _yolo(checkpoint: Any, task: Task, size: tuple[int, int] | None) -> Any:
    """ultralytics' own model with the trained weights, or its own export of it."""
    from ultralytics import YOLO

    model = YOLO(f"{checkpoint.architecture}.yaml", task="segment", verbose=False)
    network = checkpoint.network()
    network.args, network.task = model.model.args, "segment"
    network.pt_path = str(task.folder / "segmenter.pt")  # an export is written beside it
    model.model = network
    if task.engine == "torch":
        return model
    exported = model.export(format="onnx", imgsz=size or LONGEST_PX, dynamic=size is None, verbose=False)
    return YOLO(str(exported), task="segment", verbose=False)


def _torch_classifier(checkpoint: Any, task: Task) -> Classify:
    import torch

    device = device_of("torch")
    network = checkpoint.network().to(device)
    if device == "cuda":
        network = network.half()

    def classify(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            grey = torch.from_numpy(views)[:, None].to(device).float()
            images = _normalised(grey, checkpoint).expand(-1, 3, -1, -1).to(next(network.parameters()).dtype)
            logits: NDArray[np.float32] = network(images).float().cpu().numpy()
        return logits

    return classify


def _onnx_classifier(checkpoint: Any, task: Task) -> Classify:
    import onnxruntime
    import torch

    path = task.folder / "rival-classifier.onnx"
    torch.onnx.export(
        checkpoint.network(),
        (torch.zeros(2, 3, CROP_PX, CROP_PX),),
        str(path),
        input_names=["images"],
        output_names=["logits"],
        dynamic_axes={"images": {0: "N"}, "logits": {0: "N"}},
        opset_version=17,
        dynamo=False,
    )
    providers = ["CUDAExecutionProvider"] if device_of("onnx") == "cuda" else []
    session = onnxruntime.InferenceSession(str(path), providers=[*providers, "CPUExecutionProvider"])

    def classify(views: NDArray[np.uint8]) -> NDArray[np.float32]:
        images = np.broadcast_to(_normalised(views[:, None].astype(np.float32), checkpoint), (len(views), 3, CROP_PX, CROP_PX))
        logits: NDArray[np.float32] = session.run(None, {"images": np.ascontiguousarray(images)})[0]
        return logits

    return classify


def _normalised(grey: Any, checkpoint: Any) -> Any:
    """As the classifier was trained; grey 0…255, array or tensor."""
    return (grey / np.float32(255) - np.float32(checkpoint.grey_mean)) / np.float32(checkpoint.grey_std)


def _versions() -> dict[str, str]:
    from importlib import metadata

    names = ("torch", "ultralytics", "timm", "onnxruntime", "numpy", "opencv-python", "opencv-python-headless")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    # Libraries print to stdout, and ultralytics installs what it misses: the answers get a stream of their own.
    os.environ |= {"YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        sys.exit(main(sys.argv[1], sys.stdin, answers))
