"""awd_lstm.py against stock torch and fastai modules and against plain loops, in float32 on tiny networks."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genomic_ulmfit.allowed import DROPOUTS
from genomic_ulmfit.awd_lstm import (
    AWDLSTM,
    Classifier,
    KmerEmbedding,
    LanguageModel,
    NextKmerLoss,
    drop_weights,
    has_fast_bf16,
    layer_groups,
)

few = settings(deadline=None, max_examples=15)

# k, stride and contexts that fit together; 9 and more bases share hashed rows
SETTINGS = [(3, 1, ()), (3, 1, (4, 6, 9)), (4, 2, (8,)), (5, 2, (7, 11)), (2, 2, (4, 10))]
DROPOUT_PLACES = {
    "embedding": ("embedding.dropped", "embed_p"),
    "weight": ("", "weight_dropout"),
    "input": ("input_dropout", "p"),
    "hidden": ("hidden_dropout", "p"),
    "output": ("output_dropout", "p"),
}


def make_encoder(k=3, stride=1, contexts=(), layers=3, seed=0) -> AWDLSTM:
    """A small float32 encoder; tables of contexts start at zero, so they are filled to have a say."""
    torch.manual_seed(seed)
    encoder = AWDLSTM(k, stride, 8, 12, layers, contexts)
    encoder.bf16 = False
    for table in encoder.embedding.contexts.values():
        with torch.no_grad():
            table.weight[1:].normal_(0, 0.3)
    return encoder.eval()


def make_model(k=3, stride=1, contexts=(), predicts="bases", seed=0) -> LanguageModel:
    return LanguageModel(make_encoder(k, stride, contexts, seed=seed), predicts).eval()


def random_bases(rows: int, n_bases: int, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (rows, n_bases))


def tokens_of(bases: np.ndarray, k: int, stride: int) -> torch.Tensor:
    """k-mer ids of consistent text: each row of bases cut by slicing."""
    return torch.tensor(
        [
            [1 + int("".join(map(str, row[i : i + k])), 4) for i in range(0, len(row) - k + 1, stride)]
            for row in bases.tolist()
        ]
    )


def make_ids(rows: int, n_tokens: int, k=3, stride=1, seed=0) -> torch.Tensor:
    return tokens_of(random_bases(rows, k + stride * (n_tokens - 1), seed), k, stride)


def only_dropout(encoder: AWDLSTM, place: str, p: float) -> None:
    encoder.set_dropouts("language_model", 0.0)
    path, attribute = DROPOUT_PLACES[place]
    setattr(encoder.get_submodule(path), attribute, p)


# --- Embedding ----------------------------------------------------------------------------------------------


def context_rows(k: int, stride: int, c: int, ids: torch.Tensor, history=None) -> np.ndarray:
    """Rows that an embedding takes for a context: every row of the table holds its own number."""
    embedding = KmerEmbedding(k, stride, 1, (c,)).eval()
    with torch.no_grad():
        embedding.kmers.weight.zero_()
        table = embedding.contexts[str(c)].weight
        table[:, 0] = torch.arange(len(table))
        return embedding(ids, history)[..., 0].long().numpy()


def last_bases(k: int, stride: int, c: int, row: list[int]) -> list[str | None]:
    """Text of the last c bases at each token, glued together token by token.

    None where a pad or the row's start is met.
    """
    texts = [None if i == 0 else np.base_repr(i - 1, 4).zfill(k) for i in row]
    glued = []
    for t in range(len(row)):
        window = texts[max(0, t - (c - k) // stride) : t + 1]
        full = len(window) == (c - k) // stride + 1 and None not in window
        glued.append(window[0] + "".join(text[-stride:] for text in window[1:]) if full else None)
    return glued


@few
@given(
    st.sampled_from([(3, 1, 4), (3, 1, 8), (4, 2, 6), (4, 2, 8), (2, 2, 6), (1, 1, 5), (3, 3, 6)]),
    st.integers(0, 9999),
    st.data(),
)
def test_context_rows_are_the_last_bases(setting, seed, data):
    k, stride, c = setting
    ids = make_ids(2, 14, k, stride, seed)
    for position in data.draw(st.lists(st.integers(0, 27), max_size=3)):
        ids.view(-1)[position] = 0
    for row, found in zip(ids.tolist(), context_rows(k, stride, c, ids)):
        assert found.tolist() == [
            0 if text is None else 1 + int(text, 4) for text in last_bases(k, stride, c, row)
        ]


def test_long_contexts_share_hashed_rows():
    k, stride, c = 4, 2, 12
    ids = make_ids(4, 5000, k, stride)
    rows = context_rows(k, stride, c, ids)
    seen: dict[str, int] = {}
    for row, found in zip(ids.tolist(), rows.tolist()):
        for text, index in zip(last_bases(k, stride, c, row), found):
            assert (index == 0) == (text is None)
            if text:
                assert seen.setdefault(text, index) == index  # one text, one row
    slots = KmerEmbedding(k, stride, 1, (c,)).contexts[str(c)].num_embeddings - 1
    expected = slots * (1 - (1 - 1 / slots) ** len(seen))  # distinct rows that a uniform hash takes
    assert slots == 4**8 and rows.max() <= slots
    assert len(set(seen.values())) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("c", [16, 31])
def test_longest_contexts_stay_in_their_table_and_tell_texts_apart(c):
    rows = context_rows(1, 1, c, make_ids(1, 4000, 1, 1))[0, c - 1 :]
    assert 1 <= rows.min() and rows.max() <= 4**8
    assert len(np.unique(rows)) > 0.9 * len(rows)


@pytest.mark.parametrize("changed", [slice(0, 15), slice(8, 23), slice(16, 31)])
def test_every_base_of_a_long_context_counts(changed):
    bases = np.repeat(random_bases(1, 31), 1000, 0)
    bases[:, changed] = random_bases(1000, 15, seed=1)
    rows = context_rows(1, 1, 31, tokens_of(bases, 1, 1))[:, -1]
    assert len(np.unique(rows)) > 0.95 * 1000


def test_history_continues_contexts():
    ids = make_ids(2, 20, 3, 1)
    whole = context_rows(3, 1, 7, ids)
    assert (context_rows(3, 1, 7, ids[:, 9:], ids[:, 5:9]) == whole[:, 9:]).all()
    assert (context_rows(3, 1, 7, ids[:, 9:])[:, :4] == 0).all()


@pytest.mark.parametrize(
    "k, stride, context, message", [(4, 2, 7, "6, 8"), (4, 2, 4, "6, 8"), (4, 2, 2, "6, 8"), (1, 1, 32, "31")]
)
def test_impossible_contexts_are_refused(k, stride, context, message):
    with pytest.raises(ValueError, match=message):
        KmerEmbedding(k, stride, 4, (context,))


def test_contexts_add_nothing_before_training():
    torch.manual_seed(0)
    encoder = AWDLSTM(3, 1, 8, 12, 2, (5, 9)).eval()
    ids = make_ids(2, 10)
    assert torch.equal(encoder.embedding(ids), encoder.embedding.kmers(ids))


# --- Encoder ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
def test_without_dropout_it_is_a_plain_lstm_stack(training):
    encoder, ids = make_encoder().train(training), make_ids(3, 11)
    stack = [nn.LSTM(rnn.input_size, rnn.hidden_size, batch_first=True) for rnn in encoder.rnns]
    x = F.embedding(ids, encoder.embedding.kmers.weight)
    for ours, stock in zip(encoder.rnns, stack):
        stock.load_state_dict(ours.state_dict())
        x, _ = stock(x)
    raw, dropped, _ = encoder(ids)
    torch.testing.assert_close(raw, x)
    torch.testing.assert_close(dropped, x)
    raw.square().sum().backward()
    x.square().sum().backward()
    for ours, stock in zip(encoder.rnns, stack):
        for name, p in ours.named_parameters():
            torch.testing.assert_close(p.grad, stock.get_parameter(name).grad)


def test_agrees_with_fastai_over_two_windows():
    encoder, ids = make_encoder(), make_ids(2, 16)
    stock = AWD_LSTM(65, 8, 12, 3, pad_token=0).eval()
    stock.encoder.weight.data.copy_(encoder.embedding.kmers.weight)
    for ours, theirs in zip(encoder.rnns, stock.rnns):
        for name, p in ours.named_parameters():
            target = theirs.weight_hh_l0_raw if name == "weight_hh_l0" else theirs.module.get_parameter(name)
            target.data.copy_(p)
    state = None
    for window in ids.split(8, 1):
        raw, _, state = encoder(window, state)
        torch.testing.assert_close(raw, stock(window))


@pytest.mark.parametrize("place", DROPOUT_PLACES)
def test_each_dropout_acts_in_training_only(place):
    encoder, ids = make_encoder(), make_ids(4, 12)
    plain = encoder(ids)[1]
    only_dropout(encoder, place, 0.5)
    assert torch.equal(encoder(ids)[1], plain)
    encoder.train()
    torch.manual_seed(1)
    first, second = encoder(ids)[1], encoder(ids)[1]
    assert not torch.allclose(first, plain) and not torch.allclose(first, second)
    torch.manual_seed(1)
    assert torch.equal(encoder(ids)[1], first)
    encoder.eval()
    assert torch.equal(encoder(ids)[1], plain)


def test_output_dropout_spares_the_raw_output():
    encoder, ids = make_encoder(), make_ids(4, 12)
    plain = encoder(ids)[0]
    only_dropout(encoder, "output", 0.5)
    raw, dropped, _ = encoder.train()(ids)
    torch.testing.assert_close(raw, plain)
    kept = dropped != 0
    assert torch.equal(kept.all(1), kept.any(1))  # one mask for all tokens of a row
    torch.testing.assert_close(dropped[kept], 2 * raw[kept])


@pytest.mark.parametrize("stage", ["language_model", "classifier"])
@pytest.mark.parametrize("source", ["fastai", "genomic_ulmfit"])
def test_set_dropouts_multiplies_those_that_are_named(stage, source):
    encoder = make_encoder()
    encoder.set_dropouts(stage, 0.5, source)
    for place, (path, attribute) in DROPOUT_PLACES.items():
        assert getattr(encoder.get_submodule(path), attribute) == pytest.approx(
            0.5 * DROPOUTS[source][stage][place]
        )


def test_dropouts_called_fastai_are_those_of_its_text_models():
    """fastai still has the defaults of its version 1, under its own names."""
    for stage, config in (("language_model", awd_lstm_lm_config), ("classifier", awd_lstm_clas_config)):
        assert DROPOUTS["fastai"][stage] == {
            name: config[f"{'embed' if name == 'embedding' else name}_p"]
            for name in DROPOUTS["fastai"][stage]
        }


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("classifier", 0.5, "mine"), "use one of fastai, genomic_ulmfit"),
        (("classifier", 2.0), "weight dropout of a classifier would be 1;"),
        (("language_model", -0.1), "would be -"),
    ],
)
def test_dropouts_that_are_none_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_encoder().set_dropouts(*arguments)


def test_weight_dropout_is_dropconnect_on_the_recurrent_weights():
    encoder, ids, p = make_encoder(layers=1).train(), make_ids(3, 9), 0.4
    only_dropout(encoder, "weight", p)
    rnn, before = encoder.rnns[0], {name: value.clone() for name, value in encoder.state_dict().items()}
    parameters = dict(rnn.named_parameters())
    torch.manual_seed(7)
    raw, _, _ = encoder(ids)
    raw.square().sum().backward()

    torch.manual_seed(7)
    mask = drop_weights(torch.ones_like(rnn.weight_hh_l0), p)
    stock = nn.LSTM(8, 8, batch_first=True)
    stock.load_state_dict(rnn.state_dict())
    stock.weight_hh_l0.data.mul_(mask)
    expected, _ = stock(F.embedding(ids, encoder.embedding.kmers.weight.detach()))
    torch.testing.assert_close(raw, expected)
    expected.square().sum().backward()
    torch.testing.assert_close(rnn.weight_hh_l0.grad, stock.weight_hh_l0.grad * mask)
    torch.testing.assert_close(rnn.weight_ih_l0.grad, stock.weight_ih_l0.grad)
    assert (rnn.weight_hh_l0.grad[mask == 0] == 0).all() and (rnn.weight_hh_l0.grad[mask > 0] != 0).any()

    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(dict(rnn.named_parameters())[name] is value for name, value in parameters.items())
    encoder.eval()
    torch.testing.assert_close(encoder(ids)[0], make_encoder(layers=1)(ids)[0])


def test_an_optimizer_step_reaches_the_weights_that_dropconnect_masks():
    encoder, ids = make_encoder(layers=2).train(), make_ids(3, 9)
    encoder.set_dropouts("language_model", 1.0)
    optimizer = torch.optim.SGD(encoder.parameters(), 1.0)
    encoder(ids)[1].sum().backward()
    before = [rnn.weight_hh_l0.detach().clone() for rnn in encoder.rnns]
    optimizer.step()
    after = encoder.eval()(ids)[0]
    for rnn, old in zip(encoder.rnns, before):
        assert not torch.equal(rnn.weight_hh_l0, old)
        rnn.weight_hh_l0.data.copy_(old)
    assert not torch.allclose(encoder(ids)[0], after)


@pytest.mark.skipif(not has_fast_bf16("cpu"), reason="no bfloat16 in this processor")
def test_bfloat16_stays_close_and_carries_its_state():
    model, ids = make_model(4, 2, (8,)), make_ids(2, 24, 4, 2)
    exact = model(ids)[0]
    model.reset()
    model.encoder.bf16 = True
    near = torch.cat([model(window)[0] for window in ids.split(8, 1)], 1).float()
    torch.testing.assert_close(near, exact, atol=0.02, rtol=0.05)
    assert all(p.dtype == torch.float32 for p in model.parameters())


# --- Language model -----------------------------------------------------------------------------------------


@few
@given(
    st.sampled_from(SETTINGS),
    st.sampled_from(["bases", "kmer"]),
    st.integers(1, 30),
    st.lists(st.integers(0, 2 * 30 - 1), max_size=4),
)
def test_windows_add_up_to_one_long_window(setting, predicts, bptt, pads):
    k, stride, contexts = setting
    model, ids = make_model(k, stride, contexts, predicts), make_ids(2, 30, k, stride)
    for position in pads:
        if position % 30 % bptt:  # a pad at the start of a window means a new sequence
            ids.view(-1)[position] = 0
    with torch.no_grad():
        whole = model(ids)[0]
        model.reset()
        parts = torch.cat([model(window)[0] for window in ids.split(bptt, 1)], 1)
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("k, stride, contexts", SETTINGS)
def test_a_pad_at_the_start_forgets_the_past_of_that_row_only(k, stride, contexts):
    model, ids = make_model(k, stride, contexts), make_ids(3, 20, k, stride)
    ids[1, 10] = 0
    with torch.no_grad():
        whole = model(ids)[0]
        model.reset()
        fresh = model(ids[1:2, 10:])[0]
        model.reset()
        model(ids[:, :10])
        second = model(ids[:, 10:])[0]
    torch.testing.assert_close(second[[0, 2]], whole[[0, 2], 10:])
    torch.testing.assert_close(second[1:2], fresh)
    # Without a window's border the past still counts.
    assert not torch.allclose(whole[1:2, 11:], fresh[:, 1:], atol=1e-6)


def test_state_is_forgotten_on_reset_and_with_another_batch_size():
    model, ids = make_model(3, 1, (5,)), make_ids(3, 8)
    with torch.no_grad():
        first, carried = model(ids)[0], model(ids)[0]
        assert not torch.allclose(first, carried, atol=1e-6)
        model.reset()
        assert torch.equal(model(ids)[0], first)
        torch.testing.assert_close(model(ids[:2])[0], first[:2])


def test_the_carried_state_holds_no_graph():
    model, ids = make_model().train(), make_ids(2, 6)
    for _ in range(3):
        model(ids)[0].sum().backward()  # a kept graph would be run through, and refused, a second time


def test_kmer_output_shares_its_weights_with_the_embedding():
    model, ids = make_model(predicts="kmer"), make_ids(2, 6)
    logits, raw, dropped = model(ids)
    assert model.decoder.weight is model.encoder.embedding.kmers.weight
    assert logits.shape == (2, 6, 65) and raw.shape == dropped.shape == (2, 6, 8)
    torch.testing.assert_close(logits, dropped @ model.encoder.embedding.kmers.weight.T + model.decoder.bias)
    assert len(list(model.parameters())) == 1 + 3 * 4 + 1  # embedding, three LSTM layers, bias


@pytest.mark.parametrize("k, stride", [(3, 1), (4, 2), (3, 3)])
def test_bases_output_has_a_class_for_every_string_of_new_bases(k, stride):
    assert make_model(k, stride)(make_ids(2, 5, k, stride))[0].shape == (2, 5, 4**stride)


def test_unknown_output_is_refused():
    with pytest.raises(ValueError, match="use one of bases, kmer"):
        make_model(predicts="codons")


# --- Loss ---------------------------------------------------------------------------------------------------


@few
@given(
    st.sampled_from([(3, 1), (4, 2), (5, 2), (3, 3)]),
    st.sampled_from(["bases", "kmer"]),
    st.integers(0, 9999),
)
def test_loss_is_the_mean_over_targets_that_are_no_pads(setting, predicts, seed):
    k, stride = setting
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 4**k + 1, (3, 7))
    targets[0, 0], targets[1] = 1, 0
    logits = rng.normal(size=(3, 7, 4**stride if predicts == "bases" else 4**k + 1))
    loss, terms = NextKmerLoss(predicts, stride), []
    classes = loss.classes(torch.tensor(targets))
    for row, column in np.ndindex(targets.shape):
        target = int(targets[row, column])
        if target == 0:
            assert classes[row, column] < 0
            continue
        new_bases = np.base_repr(target - 1, 4).zfill(k)[-stride:]
        wanted = target if predicts == "kmer" else int(new_bases, 4)
        assert classes[row, column] == wanted
        terms.append(math.log(sum(math.exp(v) for v in logits[row, column])) - logits[row, column, wanted])
    arguments = torch.tensor(logits), torch.tensor(targets)
    assert float(loss(*arguments)) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(loss(*arguments, reduction="sum")) == pytest.approx(np.sum(terms), rel=1e-5)
    if predicts == "kmer":
        stock = F.cross_entropy(arguments[0].flatten(0, 1).float(), arguments[1].flatten(), ignore_index=0)
        torch.testing.assert_close(loss(*arguments), stock)


def test_a_window_without_targets_costs_nothing():
    logits = torch.randn(2, 5, 4, requires_grad=True)
    loss = NextKmerLoss("bases", 1)(logits, torch.zeros(2, 5, dtype=torch.long))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


# --- Classifier ---------------------------------------------------------------------------------------------


def padded(rows: list[list[int]], width: int) -> torch.Tensor:
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


id_rows = st.lists(st.lists(st.integers(0, 64), max_size=9), min_size=1, max_size=5)


@few
@given(id_rows, st.integers(0, 3), st.integers(0, 9999))
def test_pooling_is_last_maximum_and_mean_over_real_tokens(rows, more, seed):
    ids = padded([[0, *row] for row in rows], 10 + more)
    # Mostly negative: no zero may win.
    outputs = torch.randn(*ids.shape, 8, generator=torch.Generator().manual_seed(seed)) - 3
    pooled = Classifier(make_encoder()).pool(outputs, ids)
    assert pooled.shape == (len(rows), 24)
    for row_ids, row_outputs, found in zip(ids, outputs, pooled):
        real = [o for i, o in zip(row_ids, row_outputs) if i != 0]
        if not real:
            assert torch.isfinite(found).all() and (found[8:] == 0).all()
            continue
        for feature in range(8):
            values = [float(o[feature]) for o in real]
            assert found[feature] == values[-1] and found[8 + feature] == max(values)
            assert float(found[16 + feature]) == pytest.approx(np.mean(values), rel=1e-4, abs=1e-5)


@few
@given(id_rows, st.integers(0, 6))
def test_logits_do_not_depend_on_padding_or_neighbours(rows, more):
    torch.manual_seed(0)
    model = Classifier(make_encoder(3, 1, (5,))).eval()
    ids = padded([[0, *row] for row in rows], 10)
    with torch.no_grad():
        alone = torch.cat([model(torch.tensor([[0, *row]]))[0] for row in rows])
        together, wider = model(ids)[0], model(F.pad(ids, (0, more)))[0]
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(wider, alone, atol=1e-6, rtol=1e-5)


def test_classifier_keeps_no_state_between_batches():
    model, ids = Classifier(make_encoder()).eval(), make_ids(4, 12)
    assert torch.equal(model(ids)[0], model(ids)[0])


# --- Parameter groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build", [lambda e: LanguageModel(e, "bases"), lambda e: LanguageModel(e, "kmer"), Classifier]
)
def test_layer_groups_hold_every_parameter_once_from_input_to_output(build):
    model = build(make_encoder(3, 1, (5, 9)))
    groups = layer_groups(model)
    names = {id(p): name for name, p in model.named_parameters()}
    found = [names[id(p)] for group in groups for p in group]
    assert sorted(found) == sorted(names.values())
    tops = [
        {".".join(names[id(p)].split(".")[: 3 if "rnns" in names[id(p)] else 2]) for p in group}
        for group in groups
    ]
    assert tops[:4] == [{"encoder.embedding"}, {"encoder.rnns.0"}, {"encoder.rnns.1"}, {"encoder.rnns.2"}]
    assert groups[4] and not any(names[id(p)].startswith("encoder") for p in groups[4])


@pytest.mark.parametrize("p", [0.02, 0.25, 0.9])
def test_dropped_weights_are_as_many_as_asked_and_the_mean_stays(p):
    torch.manual_seed(0)
    weight = torch.full((400, 500), 2.0, requires_grad=True)
    dropped = drop_weights(weight, p)
    n = weight.numel()
    zero = (dropped == 0).sum().item() / n
    assert abs(zero - p) < 5 * (p * (1 - p) / n) ** 0.5
    torch.testing.assert_close(dropped[dropped != 0], torch.full_like(dropped[dropped != 0], 2 / (1 - p)))
    dropped.sum().backward()
    # Gradients reach the weights that were kept.
    torch.testing.assert_close(weight.grad, (dropped != 0) / (1 - p))
    assert not torch.equal(dropped == 0, drop_weights(weight, p) == 0)


@pytest.mark.parametrize("build", [Classifier, lambda encoder: LanguageModel(encoder, "bases")])
def test_half_precision_ends_with_the_encoder_and_can_be_switched_off(build, monkeypatch):
    """Added log-odds and the head's own are float32, whatever the LSTM computes in."""
    monkeypatch.setattr("genomic_ulmfit.awd_lstm.has_fast_bf16", lambda device: True)
    model, ids = build(make_encoder()).eval(), make_ids(3, 12)
    exact = model(ids)
    assert all(values.dtype == torch.float32 for values in exact)
    model.encoder.bf16 = True
    if isinstance(model, Classifier):
        log_odds = torch.tensor([1.0009765, -3.0043, 7.0001])
        plain, moved = model(ids)[0], model(ids, log_odds)[0]
        assert moved.dtype == torch.float32
        torch.testing.assert_close((moved - plain) @ torch.tensor([-1.0, 1.0]), log_odds, atol=1e-5, rtol=0)
    assert model(ids)[1].dtype == torch.bfloat16
