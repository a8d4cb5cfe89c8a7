"""The engine that erases and restores: MONAI's supervised trainer with a teacher and named loss terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer, SimpleInferer
from monai.networks.utils import eval_mode
from monai.utils.enums import CommonKeys
from torch import nn

from monai_unlearn.engines.views import MirrorView
from monai_unlearn.losses import TermInputs, UnlearningTerm
from monai_unlearn.networks import adapters_off, freeze_normalisation, has_adapters

__all__ = ["UnlearningTrainer"]


class UnlearningTrainer(SupervisedTrainer):
    r"""Train a student to forget some cases of each batch and to keep the others, against a frozen teacher.

    The loss of a batch with retain cases :math:`R` and forget cases :math:`F` is

    .. math:: \sum_k w_k \frac{1}{|R|} \sum_{i \in R} \ell_k(i) + \sum_j w_j \frac{1}{|F|} \sum_{i \in F} \ell_j(i)

    over the retention terms :math:`k` and the erasure terms :math:`j` (Erase to Retain, the erase phase; without
    erasure terms it is the restore phase). Cases that an earlier request had forgotten have terms of their own, which
    hold them where the teacher, the result of that request, has them. The unweighted mean of every term is in
    ``engine.state.output`` under its name, NaN where the batch has no case for it, and its mean over the epoch so far
    in ``engine.state.metrics``.

    The teacher is the student with its adapters off. Where the student has none (scope ``weights``), give ``teacher``.
    Normalisation statistics stay frozen unless ``moving_statistics`` is set. Everything else, such as handlers,
    automatic mixed precision, gradient accumulation and metrics, is MONAI's.

    While ``settling`` is set, by :class:`monai_unlearn.handlers.ErasureCycles`, the forget cases are taken out of each
    batch and of the retention terms only those named in ``settle`` act: plain fine-tuning on retain.

    Args:
        network: the student.
        retention: terms for the retain cases, by name.
        erasure: terms for the forget cases, by name; empty in the restore phase.
        hold: terms for the cases that an earlier request had forgotten, by name.
        locality: terms that hold the student to the teacher on randomly drawn views of the forget cases, by name.
        views: these views.
        settle: names of the retention terms that act while settling.
        moving_statistics: whether normalisation statistics move, as in any training; for students without adapters.
        teacher: a network for students without adapters whose terms compare with the teacher; it is frozen and moved to
            the device.
        forget_key: key of the batch that marks the cases to forget.
        held_key: key of the batch that marks the cases an earlier request had forgotten; a batch may lack it.
        id_key: key of the batch that holds the case ids.
        inferer: MONAI inferer, for student and teacher alike.
        arguments: any other argument of :class:`monai.engines.SupervisedTrainer` except ``loss_function``.

    Raises:
        ValueError: if there is no term, a name is taken twice or is one of MONAI's keys, or a term needs a teacher and
            there is none; and after the first backward pass, if a parameter of the optimizer got no gradient.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        retention: Mapping[str, UnlearningTerm],
        erasure: Mapping[str, UnlearningTerm] | None = None,
        hold: Mapping[str, UnlearningTerm] | None = None,
        locality: Mapping[str, UnlearningTerm] | None = None,
        views: Sequence[MirrorView] = (),
        settle: Sequence[str] = ("supervised",),
        moving_statistics: bool = False,
        teacher: nn.Module | None = None,
        forget_key: str = "forget",
        held_key: str = "held",
        id_key: str = "id",
        inferer: Inferer | None = None,
        **arguments: Any,
    ) -> None:
        self.retention = dict(retention)
        self.erasure = dict(erasure or {})
        self.hold = dict(hold or {})
        self.locality = dict(locality or {})
        self.views = tuple(views)
        if self.locality and not self.views:
            raise ValueError("'locality' needs 'views', such as monai_unlearn.engines.mirror_views(2)")
        names = [*self.retention, *self.erasure, *self.hold, *self.locality]
        terms = {**self.retention, **self.erasure, **self.hold, **self.locality}
        taken = {name for name in names if names.count(name) > 1} | set(terms) & {str(key) for key in CommonKeys}
        if not terms or taken:
            raise ValueError(
                f"the terms need names of their own, none of which is a key of MONAI's output; mend {sorted(taken)}"
                if taken
                else "give at least one retention or erasure term"
            )
        self._adapted = has_adapters(network)
        if moving_statistics and self._adapted:
            raise ValueError("'moving_statistics' would move the teacher's, too: adapters off is the teacher")
        if teacher is None and not self._adapted and any(term.uses_teacher for term in terms.values()):
            needy = sorted(name for name, term in terms.items() if term.uses_teacher)
            raise ValueError(
                f"the terms {needy} compare with a teacher: inject adapters into the network or give 'teacher'"
            )
        self.case_views: dict[str, MirrorView] = {}
        self.settle = tuple(settle)
        self.settling = False
        self.forget_key = forget_key
        self.held_key = held_key
        self.id_key = id_key
        self._forward = _FrozenNormalisation(inferer or SimpleInferer(), frozen=not moving_statistics)
        super().__init__(network=network, loss_function=self._unlearning_loss, inferer=self._forward, **arguments)
        self.teacher = None if teacher is None else teacher.to(self.state.device).eval().requires_grad_(False)
        for term in terms.values():
            term.to(self.state.device)
        _EpochMeans(tuple(terms)).attach(self)
        self._idle_check = self.add_event_handler(IterationEvents.BACKWARD_COMPLETED, _refuse_idle_parameters)

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> dict[Any, Any]:
        """Run one step of MONAI's trainer; while settling without the forget cases."""
        if self.settling:
            batchdata = engine.state.batch = _cases_of(batchdata, ~torch.as_tensor(batchdata[self.forget_key]).bool())
        output: dict[Any, Any] = super()._iteration(engine, batchdata)
        return output

    def _unlearning_loss(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Combine the terms of one batch; MONAI calls it as its loss function."""
        batch, output = self.state.batch, self.state.output
        forget = torch.as_tensor(batch[self.forget_key], device=prediction.device, dtype=torch.bool)
        ids = [str(name) for name in batch[self.id_key]]
        held = torch.as_tensor(batch.get(self.held_key, torch.zeros(len(ids))), device=forget.device).bool() & ~forget
        for name in (*self.retention, *self.erasure, *self.hold, *self.locality):
            output[name] = prediction.new_full((), float("nan"))
        retention = self.retention
        if self.settling:
            retention = {name: self.retention[name] for name in self.settle}
        sides = [(retention, ~forget & ~held), (self.erasure, forget), (self.hold, held)]
        wanted = any(term.uses_teacher for terms, side in sides if bool(side.any()) for term in terms.values())
        taught = self._teacher_logits(output[CommonKeys.IMAGE]) if wanted else None
        groups = []
        for terms, side in sides:
            chosen = side.nonzero().flatten()
            cases = TermInputs(
                student=prediction[chosen],
                teacher=taught[chosen] if taught is not None else None,
                label=label[chosen],
                ids=tuple(ids[index] for index in chosen.tolist()),
                view=self._view_answers(output[CommonKeys.IMAGE][chosen], [ids[index] for index in chosen.tolist()])
                if any(term.uses_view for term in terms.values())
                else None,
            )
            groups.append((terms, cases))
        if self.locality and not self.settling:
            groups.append((self.locality, self._mirrored(groups[1][1], output[CommonKeys.IMAGE][forget])))
        weighted = []
        for terms, cases in groups:
            for name, term in terms.items():
                if not cases.ids:
                    continue
                mean = term(cases).mean()
                output[name] = mean.detach()
                weighted.append(term.weight * mean)
        if not weighted:
            raise ValueError(
                f"there is no term for any case of this batch ({len(ids)} cases, {int(forget.sum())} of them to "
                "forget): give a term for both sides, or take those cases out of the dataset"
            )
        return torch.stack(weighted).sum()

    def _view_answers(self, images: torch.Tensor, ids: Sequence[str]) -> torch.Tensor | None:
        """Ask the teacher about the view of each image that calibration chose for its case; map the answers back."""
        if unknown := [name for name in ids if name not in self.case_views]:
            raise ValueError(f"no view was chosen for the case {unknown[0]!r}: add CalibrationTargets to the handlers")
        answers: dict[int, torch.Tensor] = {}
        for view in dict.fromkeys(self.case_views[name] for name in ids):
            rows = [row for row, name in enumerate(ids) if self.case_views[name] == view]
            logits = view.invert(self._teacher_logits(view.apply(images[rows])))
            answers.update(zip(rows, logits, strict=True))
        return torch.stack([answers[row] for row in range(len(ids))]) if answers else None

    def _mirrored(self, cases: TermInputs, images: torch.Tensor) -> TermInputs:
        """Show student and teacher a randomly drawn view of some cases."""
        if not cases.ids:
            return cases
        view = self.views[int(torch.randint(len(self.views), ()))]
        images = view.apply(images)
        return TermInputs(
            student=self._forward.run(images, self.network),
            teacher=self._teacher_logits(images),
            label=view.apply(cases.label),
            ids=cases.ids,
        )

    @contextmanager
    def as_teacher(self) -> Iterator[nn.Module]:
        """Yield the teacher: the separate one, or for the time of the block the student with its adapters off."""
        if self.teacher is not None:
            yield self.teacher
            return
        wrapped = isinstance(self.network, nn.parallel.DistributedDataParallel)  # which has nothing to add here
        network: nn.Module = self.network.module if wrapped else self.network
        with adapters_off(network):
            yield network

    def _teacher_logits(self, images: torch.Tensor) -> torch.Tensor:
        with self.as_teacher() as network:
            with torch.no_grad(), eval_mode(network):
                logits: torch.Tensor = self._forward.run(images, network)
            self._forward.freeze(network)  # eval_mode sets everything back to training
        return logits


class _FrozenNormalisation(Inferer):
    """Freeze normalisation statistics before each forward pass: the trainer calls ``network.train()`` every time.

    With ``frozen`` off they move; the inferer is then all there is to it.
    """

    def __init__(self, inferer: Inferer, *, frozen: bool) -> None:
        super().__init__()
        self.inferer = inferer
        self.frozen = frozen
        self.arguments: tuple[Any, ...] = ()
        self.keywords: dict[str, Any] = {}

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Any:
        self.freeze(network, alone=len(inputs) == 1)
        self.arguments, self.keywords = args, kwargs
        return self.run(inputs, network)

    def freeze(self, network: nn.Module, *, alone: bool = False) -> None:
        """Freeze the statistics, unless they are to move; a case that is ``alone`` in its batch gives none."""
        if self.frozen or alone:
            freeze_normalisation(network)

    def run(self, inputs: torch.Tensor, network: nn.Module) -> Any:
        """Run another network with the arguments of the last call: the teacher sees what the student saw."""
        return self.inferer(inputs, network, *self.arguments, **self.keywords)


def _cases_of(batch: dict[str, Any], kept: torch.Tensor) -> dict[str, Any]:
    """Take some cases out of a collated batch.

    Raises:
        ValueError: if none is left.
    """
    rows = kept.nonzero().flatten().tolist()
    if not rows:
        raise ValueError(
            "a batch has no case to settle on: settling needs retain cases in every batch, the sampler's mode 'joint'"
        )
    chosen: dict[str, Any] = {}
    for key, value in batch.items():
        whole = isinstance(value, (torch.Tensor, list, tuple)) and len(value) == len(kept)
        if isinstance(value, torch.Tensor) and whole:
            chosen[key] = value.as_subclass(torch.Tensor)[rows]
        else:
            chosen[key] = [value[row] for row in rows] if whole else value
    return chosen


class _EpochMeans:
    """Keep the running mean over the epoch of every term in ``engine.state.metrics``."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = (*names, str(CommonKeys.LOSS))
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def reset(self, engine: Engine) -> None:
        self.sums = dict.fromkeys(self.names, 0.0)
        self.counts = dict.fromkeys(self.names, 0)
        for name in self.names:
            engine.state.metrics.pop(name, None)  # an epoch without a case for a term has no mean of it

    def __call__(self, engine: Engine) -> None:
        for name in self.names:
            value = engine.state.output[name].item()
            if name == CommonKeys.LOSS or value == value:  # NaN in a term: the batch has no case for it
                self.sums[name] += value
                self.counts[name] += 1
                engine.state.metrics[name] = self.sums[name] / self.counts[name]


def _refuse_idle_parameters(engine: UnlearningTrainer) -> None:
    engine._idle_check.remove()  # the first step tells
    trained = {id(parameter) for group in engine.optimizer.param_groups for parameter in group["params"]}
    idle = [
        name
        for name, parameter in engine.network.named_parameters()
        if id(parameter) in trained and parameter.grad is None
    ]
    if idle:
        raise ValueError(
            f"{len(idle)} trained parameters got no gradient in the first step, {idle[0]} among them: the forward pass "
            "does not reach their layers. For adapters give inject_lora an 'example_input', so that such layers are "
            "left out; else leave these parameters out of the optimizer."
        )
