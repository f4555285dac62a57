"""The head learns first, then all layers; weights of several kinds begin a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError
from tests.training.conftest import Modules
from tests.training.learn.fields import examples
from training.learn.classifier_recipe import Recipe


def test_the_first_phase_changes_the_head_alone(training: Modules, torch: Any) -> None:
    torch.manual_seed(0)
    network = training.fit.initial_network("resnet18", "none").network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    training.fit._fit_head(network, examples(training), Recipe(head_epochs=2))
    after = network.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}


def test_the_head_alone_tells_dark_from_bright(training: Modules, torch: Any) -> None:
    torch.manual_seed(0)
    network = training.fit.initial_network("resnet18", "none").network
    some = examples(training, 24)
    training.fit._fit_head(network, some, Recipe(head_epochs=40, dropout=0.0, mixup=0.0))
    with torch.no_grad():
        right = [(network(images).argmax(dim=1) == truth.labels).float().mean() for images, truth in some.batches()]
    assert np.mean(right) > 0.9


def test_the_second_phase_changes_all_layers(training: Modules, torch: Any) -> None:
    torch.manual_seed(0)
    network = training.fit.initial_network("resnet18", "none").network
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    training.fit._fit_all(network, examples(training), Recipe(epochs=3), rate=1e-3)
    assert all(not torch.equal(before[name], tensor) for name, tensor in network.named_parameters())


def test_weights_are_averaged_over_the_last_steps(training: Modules, torch: Any) -> None:
    """A step late in training moves the average by a part of what it moves the weights."""
    ends = []
    for averaged in (0.0, 0.5):
        torch.manual_seed(0)
        network = training.fit.initial_network("resnet18", "none").network
        recipe = Recipe(epochs=3, averaged=averaged, mixup=0.0)
        training.fit._fit_all(network, examples(training, 40), recipe, rate=1e-3)
        ends.append(network.get_classifier().weight.detach().clone())
    torch.manual_seed(0)
    begin = training.fit.initial_network("resnet18", "none").network.get_classifier().weight.detach()
    last, average = ((end - begin).norm() for end in ends)
    assert 0 < average < last


def test_the_network_answers_for_the_mix_of_the_data_unless_asked_not_to(training: Modules, torch: Any) -> None:
    biases = []
    some = examples(training, 40)
    some = replace(some, labels=np.where(np.arange(40) < 30, 0, 2))  # three times as many of the first, none of the second
    for prior in ("balanced", "data"):
        torch.manual_seed(0)
        beginning = training.fit.initial_network("resnet18", "none")
        some.rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
        training.fit.fit(beginning, some, Recipe(epochs=1, head_epochs=0, prior=prior))
        biases.append(beginning.network.get_classifier().bias.detach().numpy())
    added = biases[1] - biases[0]
    assert added[0] - added[2] == pytest.approx(np.log(3), abs=1e-4)
    assert added[1] == pytest.approx(0, abs=1e-4)


def test_without_mixup_inputs_stay_themselves(training: Modules, torch: Any) -> None:
    loss = training.fit._Loss(Recipe(mixup=0.0), examples(training), torch.device("cpu"))
    inputs = torch.rand(4, 3)
    mixed, mixture = loss.mix(inputs)
    assert torch.equal(mixed, inputs)
    assert mixture.part == 1


def test_mixed_inputs_are_judged_by_both_labels(training: Modules, torch: Any) -> None:
    some = examples(training)
    loss = training.fit._Loss(Recipe(mixup=0.4, label_smoothing=0.0), some, torch.device("cpu"))
    mixture = training.fit._Mixture(0.25, torch.tensor([1, 0]))
    logits = torch.tensor([[9.0, 0, 0], [9.0, 0, 0]])
    truth = training.data.Truth(torch.tensor([0, 2]), torch.ones(2), torch.full((2,), torch.nan))
    weights = some.class_weights()
    wrong = 9 * (0.75 * weights[2] + 0.25 * weights[2]) / 2
    assert float(loss(logits, None, truth, mixture)) == pytest.approx(float(wrong), rel=1e-2)


def test_a_known_area_is_learnt_and_an_unknown_one_counts_nothing(training: Modules, torch: Any) -> None:
    loss = training.fit._Loss(Recipe(area_weight=2.0), examples(training), torch.device("cpu"))
    severities = training.fit._Loss(Recipe(), examples(training), torch.device("cpu"))
    alone = training.fit._Mixture(1.0, torch.tensor([0, 1]))
    logits, truth = torch.zeros(2, 3), training.data.Truth(torch.tensor([0, 2]), torch.ones(2), torch.tensor([0.1, torch.nan]))
    wanted = float(np.log(0.1 + training.fit.LEAST_AREA))
    right, wrong = (loss(logits, torch.tensor([wanted + by, 5.0]), truth, alone) for by in (0.0, 3.0))
    assert float(right) == pytest.approx(float(severities(logits, None, truth, alone)))
    assert float(wrong - right) == pytest.approx(2.0 * (3.0 - 0.5) / 2)


def test_weights_of_another_layout_are_refused(training: Modules, torch: Any, tmp_path: Path) -> None:
    torch.save(training.fit.initial_network("resnet18", "none").network.state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ModelError, match="not the same layout"):
        training.fit.initial_network("efficientnet_b0", str(tmp_path / "resnet.pth"))


def test_weights_without_squeeze_and_excitation_begin_a_b0_with_open_gates(
    training: Modules, torch: Any, tmp_path: Path
) -> None:
    known = training.fit.initial_network("efficientnet_b0", "none").network.state_dict()
    lite = {f"another.{name}": tensor for name, tensor in known.items() if ".se." not in name}
    torch.save(lite, tmp_path / "lite.pth")
    beginning = training.fit.initial_network("efficientnet_b0", str(tmp_path / "lite.pth"))
    begun = beginning.network.state_dict()
    assert all(torch.equal(begun[name], known[name]) for name in known if ".se." not in name)
    gates = torch.cat([begun[name] for name in begun if name.endswith(".se.conv_expand.bias")])
    assert float(gates.sigmoid().min()) > 0.95
    assert beginning.head_first


def test_the_same_recipe_gives_the_same_weights(training: Modules, torch: Any) -> None:
    def learnt() -> dict[str, Any]:
        torch.manual_seed(0)
        beginning = replace(training.fit.initial_network("resnet18", "none"), head_first=True)
        training.fit.fit(beginning, examples(training), Recipe(head_epochs=2, epochs=2, small_part=0.5))
        return dict(beginning.network.state_dict())

    first, second = learnt(), learnt()
    assert all(torch.equal(first[name], second[name]) for name in first)
