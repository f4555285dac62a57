"""Networks that were never trained, and noise to show them."""

from __future__ import annotations

from typing import Any

import numpy as np


def noise(n: int, height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (n, 1, height, width), dtype=np.uint8)


def facts() -> Any:
    from edge.models.card import Training

    return Training(data="noise", data_sha256="0" * 64, initialised_from="none", epochs=0, images=0, seed=0, command="a test")


def unsettle(torch: Any, network: Any) -> None:
    """Give every BatchNorm statistics of its own, so that folding it is a real test."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))


# --- other architectures ---------------------------------------------------------------------------------------------


def untrained(exporters: Any, architecture: str) -> Any:
    import torch

    torch.manual_seed(0)
    network = exporters.checkpoint.segmentation_network(("pit", "product"), architecture).eval()
    with torch.no_grad():
        unsettle(torch, network)
    return exporters.checkpoint.Checkpoint("segment", architecture, ("pit", "product"), network.state_dict(), facts())
