from __future__ import annotations

import pytest
import torch

from monai_unlearn.audit import AdapterRemoval, AuditCases, plain_copy
from monai_unlearn.networks import LoraInjection, lora_parameters
from tests.audit.planted import audit_config
from tests.engines.example import SIZE, cases, plain_network

CONFIG = audit_config()
ITEMS = cases(6, forget=3)
IDS = [item["id"] for item in ITEMS]


def taught():
    """A network that finds something: half of its logits are positive."""
    network = plain_network()
    with torch.no_grad():
        network[3].bias.sub_(network(torch.stack([item["image"] for item in ITEMS])).median())
    return network


def adapted():
    injection = LoraInjection(rank=2, alpha=4, dropout=0.0, example_input=torch.zeros(1, 1, SIZE, SIZE), seed=1)
    student = injection(taught())
    with torch.no_grad():
        for parameter in lora_parameters(student):
            parameter.add_(torch.randn_like(parameter))
    return student


def subjects(student):
    models = {"teacher": taught(), "student": student}
    subsets = {"forget": tuple(IDS[:3]), "retain": tuple(IDS[3:]), "reference": (), "unseen": ()}
    bare = AuditCases(dataset=ITEMS, ids=IDS, subsets=subsets, batch_size=2, training=ITEMS, training_ids=IDS)
    scores = {name: CONFIG.score(network, bare.loader(IDS)) for name, network in models.items()}
    return models, AuditCases(**{**{n: getattr(bare, n) for n in bare.__dataclass_fields__}, "scores": scores})


def test_with_the_adapter_off_everything_is_known_again():
    models, audited = subjects(adapted())
    finding = AdapterRemoval()(models, audited, CONFIG)["forget"]
    of_student = float(CONFIG.values(audited.scores["student"], IDS[:3]).mean())
    assert finding.value == finding.teacher
    assert finding.value != pytest.approx(of_student), "the adapter does something"
    assert f"(student {of_student:.3f})" in finding.sentence


def test_the_student_has_its_adapters_on_again():
    student = adapted()
    models, audited = subjects(student)
    image = torch.stack([item["image"] for item in ITEMS])
    before = student(image)
    AdapterRemoval()(models, audited, CONFIG)
    assert torch.equal(student(image), before)


def test_from_a_merged_student_nothing_can_be_removed():
    models, audited = subjects(plain_copy(adapted()))
    finding = AdapterRemoval()(models, audited, CONFIG)["forget"]
    assert finding.value is None
    assert "no adapter to remove" in finding.reason
