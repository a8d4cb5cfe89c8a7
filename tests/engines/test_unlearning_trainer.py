from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.inferers import SimpleInferer
from torch import nn
from torch.utils.checkpoint import checkpoint

from monai_unlearn.engines import MirrorView, UnlearningTrainer, restore_parameters
from monai_unlearn.losses import SupervisedTerm
from monai_unlearn.networks import adapters_off, inject_lora, lora_parameters, merge_adapters
from tests.engines.example import Depth, Height, Recorder, SquaredGap, adapted_student, cases, plain_network, trainer_of


def logits_of(network: nn.Module, items: list[dict]) -> np.ndarray:
    with torch.no_grad():
        return network.eval()(torch.stack([item["image"] for item in items])).numpy()


def outputs_of(trainer: UnlearningTrainer) -> list[dict]:
    """What every iteration leaves in ``engine.state.output``; filled when the trainer runs."""
    kept: list[dict] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: kept.append(dict(engine.state.output)))
    return kept


def test_the_loss_is_the_weighted_sum_of_the_means_over_either_side():
    items = cases(5, forget=2)
    student = adapted_student(learned=0.3)
    taught, learned = logits_of(plain_network(), items), logits_of(merge_adapters(student), items)
    trainer = trainer_of(student, items, batch_size=5)
    outputs = outputs_of(trainer)
    trainer.run()

    gap = np.mean((learned[2:] - taught[2:] + 1) ** 2)
    height = np.mean(learned[2:])
    depth = np.mean((learned[:2] + 1) ** 2)
    (output,) = outputs
    figures = {name: output[name].item() for name in ("gap", "height", "depth", "loss")}
    assert figures == pytest.approx(
        {"gap": gap, "height": height, "depth": depth, "loss": 1.0 * gap + 0.5 * height + 0.25 * depth}, rel=1e-5
    )


def test_terms_are_given_the_cases_of_their_side_with_label_and_id():
    items = [cases(5, forget=2)[index] for index in (3, 0, 4, 1, 2)]
    retain, forget = Recorder(), Recorder()
    trainer_of(adapted_student(), items, batch_size=5, retention={"r": retain}, erasure={"f": forget}).run()
    assert [seen.ids for seen in retain.seen] == [("case_3", "case_4", "case_2")]
    assert [seen.ids for seen in forget.seen] == [("case_0", "case_1")]
    assert torch.equal(forget.seen[0].label, torch.stack([items[1]["label"], items[3]["label"]]))


def test_a_term_without_a_case_in_the_batch_is_nan_and_adds_nothing():
    trainer = trainer_of(adapted_student(), cases(4, forget=2), batch_size=2)  # forget, forget | retain, retain
    outputs = outputs_of(trainer)
    trainer.run()
    only_forget, only_retain = outputs
    assert math.isnan(only_forget["gap"])
    assert math.isnan(only_forget["height"])
    assert only_forget["loss"].item() == pytest.approx(0.25 * only_forget["depth"].item())
    assert math.isnan(only_retain["depth"])
    assert only_retain["loss"].item() == pytest.approx(only_retain["gap"].item() + 0.5 * only_retain["height"].item())


def test_the_metrics_are_the_means_over_the_batches_that_have_a_case():
    trainer = trainer_of(adapted_student(), cases(6, forget=2), batch_size=2)
    outputs = outputs_of(trainer)
    trainer.run()
    for name, batches in {"depth": (0,), "gap": (1, 2), "height": (1, 2), "loss": (0, 1, 2)}.items():
        mean = np.mean([outputs[batch][name].item() for batch in batches])
        assert trainer.state.metrics[name] == pytest.approx(mean, rel=1e-6), name


def test_the_metrics_of_an_epoch_do_not_outlive_it():
    items = cases(6, forget=2)
    trainer = trainer_of(adapted_student(), items, batch_size=2, max_epochs=2)
    after_each_epoch = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: after_each_epoch.append(set(engine.state.metrics)))

    @trainer.on(Events.EPOCH_STARTED(once=2))
    def leave_only_retain_cases(engine):
        engine.set_data(DataLoader(items[2:] + items[2:4], batch_size=2))

    trainer.run()
    assert after_each_epoch == [{"gap", "height", "depth", "loss"}, {"gap", "height", "loss"}]


def test_the_metrics_are_there_before_the_handlers_that_log_them():
    seen = []

    class Logger:
        def attach(self, engine):
            engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: seen.append(dict(engine.state.metrics)))

    trainer_of(adapted_student(), cases(4, forget=1), train_handlers=[Logger()]).run()
    assert [set(metrics) for metrics in seen] == [{"gap", "height", "depth", "loss"}]


def test_the_teacher_is_the_network_as_delivered_to_the_last_bit_whatever_was_learned():
    items = cases(8, forget=4)
    recorder = Recorder()
    student = adapted_student()
    trainer = trainer_of(
        student, items, max_epochs=3, retention={"gap": SquaredGap(), "recorder": recorder}, batch_size=8
    )
    trainer.run()
    with torch.no_grad():
        delivered = plain_network()(torch.stack([item["image"] for item in items]))[4:]
    assert len(recorder.seen) == 3
    for seen in recorder.seen:
        assert torch.equal(seen.teacher, delivered)
    assert not torch.equal(recorder.seen[-1].student, delivered), "nothing was learned"
    with torch.no_grad(), adapters_off(student.eval()):
        assert torch.equal(student(torch.stack([item["image"] for item in items]))[4:], delivered)


@pytest.mark.parametrize("scope", ["adapters", "weights"])
def test_the_teacher_drops_nothing_out_while_the_student_does(scope):
    items = cases(4, forget=0)
    recorder = Recorder()
    network = nn.Sequential(nn.Conv2d(1, 8, 1), nn.Dropout(0.5), nn.Conv2d(8, 1, 1)).requires_grad_(False)
    delivered = logits_of(copy.deepcopy(network), items)
    if scope == "adapters":
        teacher = None
        network = inject_lora(network, rank=1, dropout=0.0, example_input=torch.zeros(1, 1, 6, 6))
    else:
        teacher, network = copy.deepcopy(network), network.requires_grad_(True)
    trainer_of(network, items, teacher=teacher, retention={"recorder": recorder}, max_epochs=2).run()
    assert [np.array_equal(seen.teacher, delivered) for seen in recorder.seen] == [True, True]
    assert not np.allclose(recorder.seen[0].student.detach(), delivered)


def test_adapters_are_on_and_the_network_trains_when_the_gradient_is_taken():
    student = adapted_student(learned=0.3)
    modes = []
    trainer = trainer_of(student, cases(4, forget=1))
    trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, lambda engine: modes.append(engine.network.training))
    trainer.run()
    assert modes == [True]
    assert not any(getattr(module, "disable_adapters", False) for module in student.modules())


@pytest.mark.parametrize(("uses_teacher", "passes"), [(True, 2), (False, 1)])
def test_the_teacher_runs_only_if_a_term_asks_for_it(uses_teacher, passes):
    student = adapted_student()
    calls = []
    student[2].register_forward_hook(lambda *_: calls.append(1))
    terms = {"recorder": Recorder(uses_teacher=uses_teacher)}
    trainer_of(student, cases(4, forget=1), retention=terms).run()
    assert len(calls) == passes


def test_normalisation_statistics_stay_as_they_are():
    student = adapted_student()
    before = {name: value.clone() for name, value in student.named_buffers()}
    trainer_of(student, cases(8, forget=4), max_epochs=2).run()
    assert before, "the network has statistics that could move"
    assert all(torch.equal(value, before[name]) for name, value in student.named_buffers())


def test_normalisation_statistics_stay_where_the_forward_is_repeated_to_save_memory():
    """Activation checkpointing runs the network once more in the backward pass, after the teacher has run."""

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = adapted_student(learned=0.3)

        def forward(self, image):
            return checkpoint(self.network, image, use_reentrant=False)

    student = Checkpointed()
    before = {name: value.clone() for name, value in student.named_buffers()}
    trainer_of(student, cases(8, forget=4), max_epochs=2).run()
    assert all(torch.equal(value, before[name]) for name, value in student.named_buffers())


def test_without_us_the_statistics_would_move():
    """What the test above guards against: MONAI's own trainer, on the same frozen weights."""
    network = inject_lora(plain_network(), rank=1, dropout=0.0, example_input=torch.zeros(1, 1, 6, 6))
    before = network[1].running_mean.clone()
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(cases(4, forget=0), batch_size=4),
        network=network,
        optimizer=torch.optim.SGD(lora_parameters(network), lr=0.1),
        loss_function=nn.MSELoss(),
    ).run()
    assert not torch.equal(network[1].running_mean, before)


def test_only_what_the_optimizer_holds_moves():
    student = adapted_student()
    before = copy.deepcopy(student.state_dict())
    trainer_of(student, cases(4, forget=1), max_epochs=2).run()
    moved = {name for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all("lora_" in name for name in moved)


def test_at_scope_weights_the_teacher_is_the_network_that_is_given():
    items = cases(4, forget=1)
    student, teacher = plain_network(seed=5).requires_grad_(True), plain_network(seed=6).requires_grad_(True)
    kept = copy.deepcopy(teacher.state_dict())
    recorder = Recorder()
    trainer_of(
        student,
        items,
        teacher=teacher.train(),
        retention={"gap": SquaredGap(), "recorder": recorder},
        optimizer=torch.optim.SGD(student.parameters(), lr=0.1),
        max_epochs=2,
    ).run()
    with torch.no_grad():
        delivered = plain_network(seed=6)(torch.stack([item["image"] for item in items]))[1:]
    assert all(torch.equal(seen.teacher, delivered) for seen in recorder.seen)
    assert not torch.equal(recorder.seen[0].student, recorder.seen[1].student), "the student does not learn"
    assert all(torch.equal(value, kept[name]) for name, value in teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_the_teacher_is_moved_to_the_device():
    student, teacher = plain_network().requires_grad_(True), plain_network()
    trainer = UnlearningTrainer(
        device="meta",
        max_epochs=1,
        train_data_loader=[],
        network=student,
        teacher=teacher,
        retention={"gap": SquaredGap()},
        optimizer=torch.optim.SGD(student.parameters(), lr=0.1),
    )
    assert {parameter.device.type for parameter in trainer.teacher.parameters()} == {"meta"}


def test_gradients_are_accumulated_over_steps():
    items = cases(4, forget=1)
    student = adapted_student(learned=0.3)
    expected, plain = copy.deepcopy(student), plain_network()
    learned = [name for name, _ in expected.named_parameters() if "lora_" in name]
    images = [torch.stack([item["image"] for item in items[start : start + 2]]) for start in (0, 2)]
    first, second = expected(images[0]), expected(images[1])
    losses = (
        (first[1:] - plain(images[0])[1:] + 1).square().mean() + 0.25 * (first[:1] + 1).square().mean(),
        (second - plain(images[1]) + 1).square().mean(),
    )
    (sum(losses) / 2).backward()

    trainer = trainer_of(student, items, batch_size=2, retention={"gap": SquaredGap()}, accumulation_steps=2)
    outputs = outputs_of(trainer)
    trainer.run()
    for name in learned:
        parameter = expected.get_parameter(name)
        torch.testing.assert_close(student.get_parameter(name), parameter - 0.1 * parameter.grad)
    assert [output["loss"].item() for output in outputs] == pytest.approx([loss.item() for loss in losses], rel=1e-5)


@pytest.mark.parametrize("image_type", [torch.Tensor, MetaTensor])
def test_decollating_gives_every_case_the_named_terms(image_type):
    items = cases(4, forget=1)
    for item in items:
        plain = item["image"].as_subclass(torch.Tensor)
        item["image"] = plain if image_type is torch.Tensor else MetaTensor(plain)
    whole = trainer_of(adapted_student(), items)
    outputs = outputs_of(whole)
    whole.run()
    split = trainer_of(adapted_student(), items, decollate=True)
    split.run()
    assert [len(split.state.output), len(split.state.batch)] == [4, 4]
    assert [case["id"] for case in split.state.batch] == [item["id"] for item in items]
    for case in split.state.output:
        assert case["pred"].shape == (1, 6, 6)
        for name in ("gap", "height", "depth", "loss"):
            assert case[name] == outputs[0][name].item()


def test_arguments_of_the_forward_pass_reach_the_teacher_too():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = adapted_student()

        def forward(self, image, shift):
            return self.network(image) + shift

    def prepare(batch, device, non_blocking, **_):
        return batch["image"], batch["label"], (), {"shift": 10.0}

    recorder = Recorder()
    items = cases(4, forget=0)
    trainer_of(Shifted(), items, retention={"recorder": recorder}, erasure=None, prepare_batch=prepare).run()
    delivered = logits_of(plain_network(), items)
    np.testing.assert_allclose(recorder.seen[0].teacher, delivered + 10, rtol=1e-5)


def test_the_inferer_serves_student_and_teacher():
    class Doubling(SimpleInferer):
        def __call__(self, inputs, network, *args, **kwargs):
            return 2 * super().__call__(inputs, network, *args, **kwargs)

    recorder = Recorder()
    items = cases(4, forget=0)
    trainer_of(adapted_student(), items, retention={"recorder": recorder}, inferer=Doubling()).run()
    delivered = logits_of(plain_network(), items)
    np.testing.assert_allclose(recorder.seen[0].teacher, 2 * delivered, rtol=1e-5)
    np.testing.assert_allclose(recorder.seen[0].student.detach(), 2 * delivered, rtol=1e-5)


def test_the_restore_phase_is_supervised_and_moves_the_head_alone():
    items = cases(4, forget=0)
    student = adapted_student(learned=0.3)
    before = copy.deepcopy(student.state_dict())
    loss_function = nn.BCEWithLogitsLoss()
    logits, truth = logits_of(merge_adapters(student), items), torch.stack([item["label"] for item in items]).numpy()
    trainer = trainer_of(
        student,
        items,
        retention={"supervised": SupervisedTerm(loss_function=loss_function)},
        erasure=None,
        optimizer=torch.optim.SGD(restore_parameters(student), lr=0.1),
    )
    trainer.run()
    expected = np.mean(np.log1p(np.exp(-logits)) + (1 - truth) * logits)
    assert trainer.state.metrics["supervised"] == pytest.approx(expected, rel=1e-5)
    moved = {name for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"3.modules_to_save.default.weight", "3.modules_to_save.default.bias"}


def test_a_layer_that_the_forward_does_not_reach_is_named_after_the_first_step():
    class Detour(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

        def forward(self, image):
            return self.used(image)

    student = inject_lora(Detour(), rank=1, dropout=0.0, head=None)  # without example_input: every layer is adapted
    trainer = trainer_of(student, cases(8, forget=2), optimizer=torch.optim.SGD(lora_parameters(student), lr=0.1))
    with pytest.raises(ValueError, match=r"2 trained parameters got no gradient.*unused\.lora_A\.default\.weight"):
        trainer.run()
    assert trainer.state.iteration == 1


def test_a_batch_without_a_term_for_any_of_its_cases_is_refused():
    trainer = trainer_of(adapted_student(), cases(4, forget=4), erasure=None)
    with pytest.raises(ValueError, match=r"no term for any case of this batch \(4 cases, 4 of them to forget\)"):
        trainer.run()


@pytest.mark.parametrize("taken", ["loss", "pred", "image", "label"])
def test_a_term_may_not_take_the_name_of_a_key_of_monai(taken):
    with pytest.raises(ValueError, match=f"need names of their own.*'{taken}'"):
        trainer_of(adapted_student(), cases(4, forget=1), retention={taken: Height()})


def test_a_retention_and_an_erasure_term_may_not_share_a_name():
    with pytest.raises(ValueError, match=r"need names of their own.*'same'"):
        trainer_of(adapted_student(), cases(4, forget=1), retention={"same": Height()}, erasure={"same": Depth()})


def test_a_trainer_without_terms_is_refused():
    with pytest.raises(ValueError, match="at least one retention or erasure term"):
        trainer_of(adapted_student(), cases(4, forget=1), retention={}, erasure={})


def test_a_term_that_needs_a_teacher_is_refused_where_there_is_none():
    student = plain_network().requires_grad_(True)
    with pytest.raises(ValueError, match=r"\['gap'\] compare with a teacher: inject adapters.*or give 'teacher'"):
        trainer_of(student, cases(4, forget=1))


def test_a_misspelt_argument_is_refused():
    with pytest.raises(TypeError, match="epoch_lenght"):
        trainer_of(adapted_student(), cases(4, forget=1), epoch_lenght=3)


def test_locality_terms_compare_student_and_teacher_on_a_mirror_image_of_the_forget_cases():
    items, student = cases(4, forget=2), adapted_student(learned=0.5)
    seen = []

    class Recorded(SquaredGap):
        def forward(self, inputs):
            seen.append(inputs)
            return super().forward(inputs)

    view = MirrorView(axes=(-1,), swapped=True)
    trainer = trainer_of(student, items, erasure=None, locality={"near": Recorded()}, views=[view])
    trainer.run()
    mirrored = view.apply(torch.stack([item["image"] for item in items if item["forget"]]))
    taught = plain_network().eval()(mirrored)
    first = seen[0]
    assert first.ids == tuple(item["id"] for item in items if item["forget"])
    assert torch.allclose(first.teacher, taught, atol=1e-6)
    assert first.student.requires_grad
    assert not torch.allclose(first.student, taught)
    assert trainer.state.metrics["near"] > 0


def test_locality_without_views_is_refused():
    with pytest.raises(ValueError, match="'locality' needs 'views'"):
        trainer_of(adapted_student(), cases(4, forget=2), locality={"near": SquaredGap()})


def test_cases_forgotten_before_are_given_to_the_terms_that_hold_and_to_no_other():
    items = [{**item, "held": index in (2, 4)} for index, item in enumerate(cases(5, forget=2))]
    sides = {name: Recorder() for name in ("retention", "erasure", "hold")}
    trainer_of(
        adapted_student(), items, batch_size=5, **{side: {f"{side}_term": term} for side, term in sides.items()}
    ).run()
    seen = {name: term.seen[0].ids for name, term in sides.items()}
    assert seen == {
        "retention": ("case_3",),
        "erasure": ("case_0", "case_1"),
        "hold": ("case_2", "case_4"),
    }
    taught = logits_of(plain_network(), [items[2], items[4]])
    np.testing.assert_allclose(sides["hold"].seen[0].teacher, taught, atol=1e-6)


def test_a_term_that_reads_a_view_is_given_the_teachers_answer_to_the_view_of_each_case_mapped_back():
    class ViewRecorder(Recorder):
        uses_view = True

    items, term = cases(4, forget=3), ViewRecorder()
    student = adapted_student(learned=0.4)
    trainer = trainer_of(student, items, batch_size=4, erasure={"view": term})
    mirrored, upside = MirrorView(axes=(-1,)), MirrorView(axes=(-2,), swapped=True)
    trainer.case_views = {"case_0": mirrored, "case_1": upside, "case_2": mirrored}
    trainer.run()
    teacher = plain_network()
    for row, view in enumerate((mirrored, upside, mirrored)):
        image = items[row]["image"][None]
        seen = image.transpose(-1, -2).flip(-2) if view.swapped else image.flip(-1)
        with torch.no_grad():
            answer = teacher(seen)
        back = answer.flip(-2).transpose(-1, -2) if view.swapped else answer.flip(-1)
        torch.testing.assert_close(term.seen[0].view[row], back[0], atol=1e-5, rtol=1e-5)


def test_a_forget_case_without_a_chosen_view_is_named():
    class ViewRecorder(Recorder):
        uses_view = True

    trainer = trainer_of(adapted_student(), cases(4, forget=1), erasure={"view": ViewRecorder()})
    with pytest.raises(ValueError, match="no view was chosen for the case 'case_0': add CalibrationTargets"):
        trainer.run()


def settling_trainer(**arguments) -> tuple[UnlearningTrainer, list[dict]]:
    """A trainer at scope ``weights`` that settles on five retain cases in batches with one forget case each."""
    items = cases(6, forget=2)
    student = plain_network().requires_grad_(True)
    trainer = trainer_of(
        student,
        [items[index] for index in (0, 2, 3, 1, 4, 5)],
        retention={"supervised": SupervisedTerm(loss_function=nn.BCEWithLogitsLoss()), "height": Height()},
        erasure={"depth": Depth()},
        optimizer=torch.optim.SGD(student.parameters(), lr=0.1),
        batch_size=3,
        **arguments,
    )
    trainer.settling = True
    return trainer, items


def test_settling_is_plain_training_on_the_retain_cases():
    trainer, items = settling_trainer(moving_statistics=True)
    outputs = outputs_of(trainer)
    trainer.run()
    plain = plain_network().requires_grad_(True)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    for rows in ((2, 3), (4, 5)):
        plain.train()
        images, labels = (torch.stack([items[row][key] for row in rows]) for key in ("image", "label"))
        optimizer.zero_grad()
        nn.BCEWithLogitsLoss()(plain(images), labels).backward()
        optimizer.step()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(trainer.network.state_dict()[name], value)
    assert all(math.isnan(output[name].item()) for output in outputs for name in ("height", "depth"))


def test_settling_holds_what_an_earlier_request_had_forgotten():
    trainer, _ = settling_trainer(hold={"held": SquaredGap()}, teacher=plain_network())
    for number, item in enumerate(trainer.data_loader.dataset):
        item["held"] = number == 2
    outputs = outputs_of(trainer)
    trainer.run()
    assert not math.isnan(outputs[0]["held"].item())
    assert math.isnan(outputs[1]["held"].item())


def test_a_batch_with_nothing_to_settle_on_is_refused():
    trainer, items = settling_trainer()
    trainer.data_loader = DataLoader(items[:2], batch_size=2)
    with pytest.raises(ValueError, match="settling needs retain cases in every batch"):
        trainer.run()


def test_statistics_beside_adapters_cannot_move():
    with pytest.raises(ValueError, match="adapters off is the teacher"):
        trainer_of(adapted_student(), cases(4, forget=1), moving_statistics=True)
