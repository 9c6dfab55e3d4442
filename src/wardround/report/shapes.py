"""The files the report reads, as types: what it relies on in each artifact kind, and nothing more.

Reading through them turns a malformed file into an error that names it, instead of a page with a hole. Fields
the report does not use are left unread, so a writer may add some.
"""

from __future__ import annotations

from typing import Any

from wardround.records import Record, Score


class Estimate(Record, frozen=True, kw_only=True):
    """A mean with its interval; None where nothing was scored or there is no interval. `clusters`: the cases that the
    `n` values came from, None where that isn't told."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int | None = None


class TaskCoverage(Record, frozen=True, kw_only=True):
    """One task in `coverage.json`."""

    id: str
    zh: str
    en: str
    phase: str
    origin: str
    covered: bool
    train: int
    test: int
    reason: str = ""


class SpecialtyCoverage(Record, frozen=True, kw_only=True):
    """One specialty in `coverage.json`; counts are of documents and samples."""

    id: str
    zh: str
    en: str
    documents: int
    train: int
    test: int
    origin: str = ""


class SourceFile(Record, frozen=True, kw_only=True):
    """One source file in `coverage.json`."""

    file: str
    kind: str
    encoding: str
    rows: int
    documents: int
    excluded: int
    licence: str
    sha256: str


class Coverage(Record, frozen=True, kw_only=True):
    """`coverage.json` of a dataset."""

    tasks: tuple[TaskCoverage, ...]
    specialties: tuple[SpecialtyCoverage, ...]
    matrix: dict[str, dict[str, int]]
    sources: tuple[SourceFile, ...]
    excluded: dict[str, int] = {}
    dialogues: dict[str, int] = {}
    refined: dict[str, Any] | None = None


class Row(Record, frozen=True, kw_only=True):
    """One line of a breakdown in `summary.json`: by task, by turn or by specialty."""

    counts: dict[str, int]
    estimate: Estimate
    task: str = ""
    specialty: str = ""
    turn: int = 0
    zh: str = ""
    en: str = ""
    origin: str = ""


class Column(Record, frozen=True, kw_only=True):
    """A column of a benchmark's own table; `kind` says how its cells are written (`formats.cell`)."""

    key: str
    zh: str
    en: str
    kind: str = "text"


class Table(Record, frozen=True, kw_only=True):
    """A table of a benchmark's own in `summary.json`; a row holds a cell for each column's key."""

    id: str
    zh: str
    en: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, Any], ...]
    note_zh: str = ""
    note_en: str = ""


class BenchmarkSummary(Record, frozen=True, kw_only=True):
    """One benchmark in `summary.json`."""

    zh: str
    en: str
    cases: int
    scale: tuple[float, float]
    counts: dict[str, int]
    overall: Estimate
    by_task: tuple[Row, ...] = ()
    by_turn: tuple[Row, ...] = ()
    by_specialty: tuple[Row, ...] = ()
    reasons: dict[str, int] = {}
    skipped: int = 0
    repeats: int = 1
    cut_by_length: int = 0
    tables: tuple[Table, ...] = ()


class RunSummary(Record, frozen=True, kw_only=True):
    """`summary.json` of a run."""

    model: str
    judges: tuple[str, ...]
    level: float
    resamples: int
    benchmarks: dict[str, BenchmarkSummary]
    seed: int | None = None


class RunItem(Record, frozen=True, kw_only=True):
    """One line of a run's `records.jsonl`."""

    benchmark: str
    case: str
    turn: int
    repeat: int
    question: str
    reference: str
    status: str
    answer: str | None
    score: Score
    task: str = ""
    category: str = ""
    specialty: str = ""
    reason: str = ""
    finish_reason: str = ""
    judges: dict[str, Score] = {}


class TaskDifference(Record, frozen=True, kw_only=True):
    """One task of a pair in `comparison.json`."""

    task: str
    zh: str
    en: str
    n: int
    a_mean: float | None
    b_mean: float | None
    difference: Estimate
    p: float | None = None
    p_holm: float | None = None
    smallest: float | None = None


class Pair(Record, frozen=True, kw_only=True):
    """Two runs on one benchmark: run `b` minus run `a`, over the items both scored. `differing`: the cases on which they
    differ at all."""

    a: int
    b: int
    n: int
    unpaired: int
    a_mean: float | None
    b_mean: float | None
    difference: Estimate
    p: float | None = None
    p_holm: float | None = None
    smallest: float | None = None
    differing: int | None = None
    by_task: tuple[TaskDifference, ...] = ()


class Place(Record, frozen=True, kw_only=True):
    """A run's rank among those of the comparison, with its interval."""

    rank: int
    low: int | None
    high: int | None
    mean: float


class Standing(Record, frozen=True, kw_only=True):
    """One run in a benchmark's league table; `rank` None where nothing of it was scored."""

    run: int
    rank: Place | None
    overall: Estimate
    counts: dict[str, int]
    by_task: tuple[Row, ...] = ()
    by_turn: tuple[Row, ...] = ()


class Shared(Record, frozen=True, kw_only=True):
    """What the ranks of a benchmark are of: the items that `runs` runs all scored."""

    runs: int
    items: int
    cases: int


class BenchmarkPairs(Record, frozen=True, kw_only=True):
    """One benchmark in `comparison.json`."""

    zh: str
    en: str
    pairs: tuple[Pair, ...]
    scale: tuple[float, float] = (0.0, 1.0)
    league: tuple[Standing, ...] = ()
    shared: Shared | None = None


class Spent(Record, frozen=True, kw_only=True):
    """What one run took, judges included, and its model's own part; None is not known, for the reason in `unknown`."""

    requests: float = 0.0
    cached: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    cost: float | None = None
    cost_model: float | None = None
    per_case: float | None = None
    unknown: str = ""


class ComparedRun(Record, frozen=True, kw_only=True):
    """One run in `comparison.json`."""

    model: str
    digest: str
    labels: tuple[str, ...] = ()
    cost: Spent = Spent(unknown="price")


class Comparison(Record, frozen=True, kw_only=True):
    """`comparison.json`."""

    level: float
    resamples: int
    runs: tuple[ComparedRun, ...]
    benchmarks: dict[str, BenchmarkPairs]
    seed: int | None = None
    reference: int = 0


class LogRow(Record, frozen=True, kw_only=True):
    """A line of `training_log.jsonl`: a step's loss, or a held-out loss; `measures` by name, then kind ("": all)."""

    stage: str
    step: int
    epoch: float | None = None
    loss: float | None = None
    eval_loss: float | None = None
    by_task: dict[str, float] = {}
    measures: dict[str, dict[str, float]] = {}
    lr: float | None = None
    tokens: int | None = None


class SaidThen(Record, frozen=True, kw_only=True):
    """What a model in training said to a probe after so many steps."""

    step: int
    text: str


class ProbeRow(Record, frozen=True, kw_only=True):
    """One line of `answers_over_time.jsonl`: a held-out question, and the answers as training went on."""

    stage: str
    id: str
    task: str
    prompt: str
    reference: str
    answers: tuple[SaidThen, ...]


class Measured(Record, frozen=True, kw_only=True):
    """One agreement measure with its interval, over `n` items."""

    measure: str
    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def estimate(self) -> Estimate:
        """The same, for charts and cells."""
        return Estimate(mean=self.value, low=self.low, high=self.high, n=self.n)


class Compared(Record, frozen=True, kw_only=True):
    """Who was compared with whom in `agreement.json`, and every measure of it."""

    id: str
    zh: str
    en: str
    measures: tuple[Measured, ...]


class HumanPair(Record, frozen=True, kw_only=True):
    """Two doctors of `agreement.json`."""

    a: str
    b: str
    measures: tuple[Measured, ...]


class Powered(Record, frozen=True, kw_only=True):
    """A corrected mean; `weight` is λ."""

    mean: float
    low: float
    high: float
    weight: float


class Corrected(Record, frozen=True, kw_only=True):
    """The judges' mean, the doctors', and the first corrected by the second; `corrected` None with a `reason`."""

    turns: tuple[int, ...]
    repeats: tuple[int, ...]
    cases: int
    scored_by_doctors: int
    partly: int
    judge: Estimate
    judge_same: Estimate
    human: Estimate
    corrected: Powered | None
    reason: str


class TaskAgreement(Record, frozen=True, kw_only=True):
    """One task of `agreement.json`."""

    task: str
    zh: str
    en: str
    origin: str
    items: int
    rated: int
    comparisons: tuple[Compared, ...]
    corrected: Corrected


class BenchmarkAgreement(Record, frozen=True, kw_only=True):
    """One benchmark of `agreement.json`."""

    zh: str
    en: str
    scale: tuple[float, float]
    items: int
    rated: int
    unscored: int
    comparisons: tuple[Compared, ...]
    pairs: tuple[HumanPair, ...]
    corrected: Corrected
    by_task: tuple[TaskAgreement, ...]


class Rater(Record, frozen=True, kw_only=True):
    """One doctor and how many items of the run they scored."""

    rater: str
    items: int


class ScoreRows(Record, frozen=True, kw_only=True):
    """What became of the rows of the human scores."""

    read: int
    matched: int
    unmatched: dict[str, int]


class Agreement(Record, frozen=True, kw_only=True):
    """`agreement.json`."""

    model: str
    judges: tuple[str, ...]
    level: float
    resamples: int
    raters: tuple[Rater, ...]
    rows: ScoreRows
    benchmarks: dict[str, BenchmarkAgreement]
