"""Tuning: dataset artifacts in, a checkpoint artifact out, an ordinary Hugging Face directory.

`sft.tune` is supervised fine-tuning; `dpo.prefer` tunes on doctors' preferences (`preferences` reads them, `dpo_loss`
is what it minimises); `scratch.make_base` makes the tiny model of the offline demo from nothing. All are scripts that read top to bottom over the same parts: `guard` (what is refused), `chats` and `mixture` (what is
learned from), `data` and `packing` (chats → tokens and masks → batches), `adapters` (LoRA), `plan`, `course` and
`loop` (the Trainer) with `watch`, `evaluation`, `telling` and `tracking` (what is seen of it), `checkpoints` (what may be
resumed from), `processes` and `sharded` (several processes), `model_dir` and `weights` (reading and writing Hugging Face directories), `card`. Importing this
package, `sft`, `dpo` or `scratch` loads no torch.
"""
