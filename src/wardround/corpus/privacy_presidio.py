"""The detectors of `privacy` as Presidio recognisers, where `presidio-analyzer` is installed.

An optional adapter, imported by nothing here: for those who already run Presidio and want Chinese identifiers
found by it. Presidio's own recognisers bound numbers by `\\b`, which never fires between a Chinese character and a
digit, and know no Chinese names or hospitals.

    registry = RecognizerRegistry(recognizers=recognizers(), supported_languages=["zh"])

Everything is found in one pass by one recogniser; each finding has the entity of `ENTITIES` and score `SCORE`.
"""

from __future__ import annotations

import importlib
from typing import Any

from wardround.corpus import privacy
from wardround.errors import UsageError

ENTITIES = {
    "resident_id": "CN_ID", "mobile": "PHONE_NUMBER", "landline": "PHONE_NUMBER", "name": "PERSON", "address": "LOCATION",
    "hospital": "CN_HOSPITAL", "ward_bed": "CN_WARD_BED", "record_number": "MEDICAL_RECORD", "email": "EMAIL_ADDRESS",
    "account": "CN_ACCOUNT", "card": "CN_CARD", "plate": "CN_LICENSE_PLATE", "workplace": "ORGANIZATION", "date": "DATE_TIME",
}  # fmt: skip
SCORE = 0.85


def recognizers(language: str = "zh") -> list[Any]:
    """Presidio `EntityRecognizer`s over `privacy.find`; `UsageError` when Presidio is not installed."""
    try:
        presidio: Any = importlib.import_module("presidio_analyzer")
    except ImportError:
        raise UsageError(
            "the Presidio adapter needs presidio-analyzer",
            hint="pip install presidio-analyzer, or call wardround.corpus.privacy.clean, which needs none",
        ) from None

    class ChineseClinical(presidio.EntityRecognizer):  # type: ignore[misc]
        """All kinds of `privacy.KINDS` in one pass; needs no NLP engine's artifacts."""

        def load(self) -> None:
            """Nothing to load."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
            found = ((ENTITIES[s.kind], s.start, s.end) for s in privacy.find(text))
            return [
                presidio.RecognizerResult(entity_type=entity, start=start, end=end, score=SCORE)
                for entity, start, end in found
                if not entities or entity in entities
            ]

    return [
        ChineseClinical(
            supported_entities=sorted(set(ENTITIES.values())),
            supported_language=language,
            name="WardroundChineseClinical",
        )
    ]
