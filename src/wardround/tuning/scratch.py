"""`--base scratch:tiny`: a language model made from nothing but a dataset's own training documents.

For the offline demo, where no pretrained model can be fetched: a byte-level BPE tokenizer, a Qwen3-shaped
network with random weights, and a short pre-training on the text of the training side. The documents `tune`
holds out are left out here too, else its held-out loss would be taken on known text. The result is an
ordinary Hugging Face directory, and says of itself that it is of no medical use.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import Artifact, open_artifact, ref
from wardround.errors import InputError
from wardround.records import Document, Record
from wardround.tuning import card, processes, stack, tracking
from wardround.tuning.chats import Chat, read_chats, read_documents
from wardround.tuning.course import Course, Settings
from wardround.tuning.data import Encoded, Example, batches, held_out_documents
from wardround.tuning.plan import make_plan, show

TEXT_END = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
REPETITION_PENALTY = 1.2
"""A model this small repeats itself without one: measured, it adds a third to answers' overlap with references."""
LABEL = (
    "从零训练的微型演示模型，只用于演示流程，没有医学用途 / "
    "A tiny demo model trained from scratch to show the workflow; of no medical use"
)


class ScratchOptions(Record, frozen=True, kw_only=True):
    """Shape and training of the base. `hidden`, `layers`, … as in Qwen3; `block_tokens` is the length of a
    training row; the rest as in `sft.TuneOptions`."""

    vocabulary: int = 2048
    layers: int = 4
    hidden: int = 128
    heads: int = 4
    kv_heads: int = 4
    feed_forward: int = 384
    max_positions: int = 2048
    epochs: int = 1
    block_tokens: int = 256
    learning_rate: float = 2e-3
    batch_tokens: int = 512
    held_out_share: float = 0.05
    evaluations: int = 4
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    log_steps: int = 10
    seed: int = 0
    precision: stack.Precision = "auto"
    threads: int | None = 1
    save_seconds: float = 20.0
    machine: bool = False


PRESETS = {
    "tiny": ScratchOptions(
        vocabulary=2048, layers=4, hidden=128, heads=4, kv_heads=4, feed_forward=384,
        max_positions=2048, epochs=1, batch_tokens=512,
    ),
}  # fmt: skip


@processes.together
def make_base(dataset: Path, out: Path, options: ScratchOptions | None = None) -> Artifact:
    """Make the base checkpoint artifact `out` from the training side of `dataset`."""
    options = options or ScratchOptions()
    dataset, out = Path(dataset), Path(out)
    source = open_artifact(dataset, "dataset")
    stack.require()
    here = stack.set_up(options.precision, options.threads)
    inputs = [ref(dataset, "dataset", seen_from=out)]
    config = stack.settings_of("pretrain", options, here)
    with processes.begin(out, kind="checkpoint", config=config, inputs=inputs) as ws:
        if ws.done:
            return open_artifact(out)

        from wardround.tuning import loop, model_dir

        # Text of the training side, some documents held out; tokenizer; rows of equal length.
        documents = [d for d in read_documents(source) if d.split == "train"]
        chats = read_chats(source)
        held_out = held_out_documents(
            (c.document for c in chats), options.held_out_share, tasks=[c.task for c in chats]
        )
        tokenizer = make_tokenizer(training_texts(documents, chats, without=held_out), options)
        examples = rows_of(
            training_texts(documents, chats, without=held_out), tokenizer, options.block_tokens
        )
        kept_out = rows_of(
            training_texts(documents, chats, only=held_out), tokenizer, options.block_tokens
        )
        if not examples:
            raise InputError("holds too little text to train a model on", path=dataset)
        order = batches(
            examples, batch_tokens=options.batch_tokens, epochs=options.epochs, seed=options.seed
        )

        # Model and plan.
        model = make_model(tokenizer, options)
        encoded = Encoded(examples=tuple(examples), truncated={}, excluded=(), ends=())
        plan = make_plan(
            model, encoded, order, stage="pretrain", held_out=len(kept_out),
            epochs=options.epochs, steps=loop.steps_of(len(order), 1),
            batch_tokens=options.batch_tokens, max_tokens=options.block_tokens,
            here=here,
        )  # fmt: skip
        show(plan, machine=options.machine)
        ws.write_json("plan.json", plan)

        # Train.
        fitted = loop.fit(
            model,
            Course(
                examples=examples, order=order, held_out_examples=kept_out,
                held_out=batches(
                    kept_out, batch_tokens=options.batch_tokens, epochs=1, seed=options.seed
                ),
                epochs=options.epochs, pad=tokenizer.pad_token_id,
            ),
            Settings(
                stage="pretrain", learning_rate=options.learning_rate, warmup=options.warmup,
                weight_decay=options.weight_decay, clip=options.clip, accumulate=1,
                log_steps=options.log_steps,
                eval_steps=math.ceil(plan.steps / options.evaluations), seed=options.seed,
                bf16=here.precision == "bf16", save_seconds=options.save_seconds,
                metrics=ws.volatile(tracking.METRICS), machine=options.machine,
            ),
            ws.work(),
        )  # fmt: skip

        if isinstance(ws, processes.Beside):
            return ws.sealed()

        # Write and seal.
        model_dir.save(model, tokenizer, ws.path, dtype=model.dtype)
        ws.write_jsonl("training_log.jsonl", fitted.rows)
        labels = tuple(dict.fromkeys((LABEL, *card.inherited_labels(dataset))))
        card.write(
            ws.path, title="Wardround 从零基座 from-scratch base",
            made=["词表、结构与权重均由下列数据集的训练侧文本从零得到。",
                  "Vocabulary and weights come from the training side of the dataset below alone."],
            licences=(d.provenance.licence for d in documents), inputs=inputs, plan=plan,
            rows=fitted.rows, labels=labels, examples=(),
        )  # fmt: skip
        return ws.seal(
            counts={
                "documents": len(documents), "tokens": plan.tokens, "steps": plan.steps,
                "parameters": plan.parameters, "vocabulary": len(tokenizer),
            },
            labels=labels, seed=options.seed,
        )  # fmt: skip


def training_texts(
    documents: Iterable[Document], chats: Iterable[Chat], *,
    without: frozenset[str] = frozenset(), only: frozenset[str] | None = None,
) -> list[str]:  # fmt: skip
    """Plain text of training documents and of the samples drawn from them."""

    def wanted(document: str) -> bool:
        return document not in without and (only is None or document in only)

    texts = [_document_text(d) for d in documents if wanted(d.id)]
    texts += ["\n".join(m.text for m in c.messages) for c in chats if wanted(c.document)]
    return texts


def _document_text(document: Document) -> str:
    fields = (v if isinstance(v, str) else "、".join(v) for v in document.fields.values())
    return "\n".join((document.title, *fields))


def make_tokenizer(texts: Sequence[str], options: ScratchOptions) -> Any:
    """A byte-level BPE tokenizer (no unknown characters) with ChatML's control tokens and template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary,
        special_tokens=[TEXT_END, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=TEXT_END,
        additional_special_tokens=[TURN_START],
        chat_template=(Path(__file__).parent / "chat_template.jinja").read_text("utf-8"),
        model_max_length=options.max_positions,
        clean_up_tokenization_spaces=False,
    )


def rows_of(texts: Sequence[str], tokenizer: Any, block_tokens: int) -> list[Example]:
    """All texts joined by the end-of-text token, cut into rows of `block_tokens`; loss on every token that
    has one before it. A last piece shorter than 2 tokens is left off."""
    if not texts:
        return []
    stream = array("i")
    for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]:
        stream.extend(ids)
        stream.append(tokenizer.pad_token_id)
    pieces = [stream[i : i + block_tokens] for i in range(0, len(stream), block_tokens)]
    return [
        Example(id=f"row-{n}", task="", document="", ids=piece, spans=((1, len(piece)),))
        for n, piece in enumerate(pieces)
        if len(piece) > 1
    ]


def make_model(tokenizer: Any, options: ScratchOptions) -> Any:
    """A Qwen3-shaped model with random weights drawn from `options.seed`, embeddings tied."""
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(options.seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        intermediate_size=options.feed_forward,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.kv_heads,
        head_dim=options.hidden // options.heads,
        max_position_embeddings=options.max_positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        repetition_penalty=REPETITION_PENALTY,
    )
    return model
