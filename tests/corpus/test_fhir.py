"""FHIR bundles and bulk exports become cases."""

import base64
import json
from pathlib import Path
from typing import Any

from wardround.corpus.formats import inspect, rows, sources_of
from wardround.corpus.kinds import documents_of
from wardround.records import Document, Exclusion


def concept(words: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://x.invalid", "code": "1", "display": "x"}], "text": words}


def patient(name: str = "p1") -> list[dict[str, Any]]:
    """A visit for pneumonia, by someone with asthma."""
    who = {"subject": {"reference": f"Patient/{name}"}}
    here = who | {"encounter": {"reference": f"Encounter/{name}-v2"}}
    note = base64.b64encode("出院小结：<b>好转</b>。".encode("gb18030")).decode()
    return [
        {"resourceType": "Patient", "id": name, "gender": "male", "birthDate": "1960-05-02", "name": [{"text": "赵某"}]},
        {"resourceType": "Encounter", "id": f"{name}-v1", **who, "status": "finished", "period": {"start": "2019-01-01"}},
        {"resourceType": "Encounter", "id": f"{name}-v2", **who, "status": "finished", "class": {"code": "IMP"},
         "period": {"start": "2024-03-01T08:00:00Z"}, "reasonCode": [concept("咳嗽、发热2天")],
         "serviceType": concept("呼吸内科"),
         "diagnosis": [{"condition": {"reference": f"Condition/{name}-c1"}, "rank": 1}]},
        {"resourceType": "Condition", "id": f"{name}-c0", **who, "code": concept("支气管哮喘")},
        {"resourceType": "Condition", "id": f"{name}-c1", **here, "code": concept("社区获得性肺炎")},
        {"resourceType": "Condition", "id": f"{name}-c2", **here, "code": concept("肺结核"),
         "verificationStatus": {"coding": [{"code": "refuted"}]}},
        {"resourceType": "Observation", "id": f"{name}-o1", **here, "status": "final", "code": concept("白细胞计数"),
         "valueQuantity": {"value": 15.2, "unit": "10⁹/L"}, "interpretation": [{"coding": [{"code": "H"}]}],
         "referenceRange": [{"low": {"value": 3.5}, "high": {"value": 9.5}}]},
        {"resourceType": "Observation", "id": f"{name}-o2", **here, "status": "final", "code": concept("血压"),
         "component": [{"code": concept("收缩压"), "valueQuantity": {"value": 128, "unit": "mmHg"}},
                       {"code": concept("舒张压"), "valueQuantity": {"value": 76, "unit": "mmHg"}}]},
        {"resourceType": "Observation", "id": f"{name}-o3", **here, "status": "entered-in-error",
         "code": concept("体温"), "valueQuantity": {"value": 99, "unit": "℃"}},
        {"resourceType": "Medication", "id": f"{name}-m", "code": concept("左氧氟沙星片")},
        {"resourceType": "MedicationRequest", "id": f"{name}-r1", **here, "status": "active", "intent": "order",
         "authoredOn": "2024-03-01", "medicationReference": {"reference": f"Medication/{name}-m"},
         "dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": 0.5, "unit": "g"}}],
                                "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                                "route": concept("口服")}]},
        {"resourceType": "MedicationRequest", "id": f"{name}-r2", **who, "status": "completed", "intent": "order",
         "authoredOn": "2020-01-01", "medicationCodeableConcept": concept("布地奈德吸入剂")},
        {"resourceType": "DocumentReference", "id": f"{name}-d", **here, "status": "current", "content": [
            {"attachment": {"contentType": "text/html; charset=GBK", "data": note}},
            {"attachment": {"contentType": "application/pdf", "data": note}},
            {"attachment": {"contentType": "text/plain", "url": "http://x.invalid"}}]},
        {"resourceType": "Claim", "id": f"{name}-x"},
    ]  # fmt: skip


def bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": r} for r in resources],
    }


def read(path: Path) -> tuple[list[Document], list[Exclusion]]:
    source = inspect(path)
    assert source.kind == "fhir"
    found = [d for r in rows(path, source) for d in documents_of(r, source)]
    return (
        [d for d in found if isinstance(d, Document)],
        [d for d in found if isinstance(d, Exclusion)],
    )


def test_a_bundle_is_a_case(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(bundle(patient()), ensure_ascii=False, indent=1), encoding="utf-8")
    (found,), aside = read(path)
    assert (found.title, found.specialty) == ("社区获得性肺炎", "respiratory")
    assert found.fields == {
        "description": "患者，男，63岁，住院。\n就诊原因：咳嗽、发热2天。\n既往及伴随疾病：支气管哮喘。\n用药史：布地奈德吸入剂。\n"
        "检查结果：白细胞计数：15.2 10⁹/L（偏高，参考值 3.5–9.5）；血压：收缩压 128 mmHg，舒张压 76 mmHg。",
        "conditions": ("社区获得性肺炎", "支气管哮喘"),
        "medications": ("左氧氟沙星片，0.5 g，每1天1次，口服", "布地奈德吸入剂"),
        "observations": (
            "白细胞计数：15.2 10⁹/L（偏高，参考值 3.5–9.5）", "血压：收缩压 128 mmHg，舒张压 76 mmHg",
        ),
        "encounter": "咳嗽、发热2天",
        "notes": ("出院小结：好转。",),
    }  # fmt: skip
    assert sorted((e.reason, e.detail) for e in aside) == [
        ("attachment_elsewhere", "DocumentReference p1-d: its text is not in the bundle but at an address"),
        ("attachment_not_text", "DocumentReference p1-d: a application/pdf"),
        ("resources_not_read", "1 Claim"),
    ]  # fmt: skip
    assert "赵某" not in json.dumps([found.title, found.fields], ensure_ascii=False)


def test_bundles_of_several_patients_and_as_ndjson(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    two = bundle(patient("p1") + patient("p2"))
    path.write_text(json.dumps(two) + "\n" + json.dumps(bundle(patient("p3"))), encoding="utf-8")
    found, _ = read(path)
    assert [d.provenance.row for d in found] == [1, 1, 2]
    # The same case is the same document, whoever the patient is.
    assert len({d.id for d in found}) == 1


def test_an_english_bundle_is_told_in_english(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    who = {"subject": {"reference": "urn:uuid:1"}}
    resources = [
        {"resourceType": "Condition", **who, "code": concept("Pneumonia")},
        {"resourceType": "Observation", **who, "code": concept("CRP"), "valueQuantity":
            {"value": 120, "unit": "mg/L", "comparator": ">"}},
    ]  # fmt: skip
    given = bundle(resources)
    person = {"resourceType": "Patient", "id": "1", "gender": "female"}
    given["entry"].append({"fullUrl": "urn:uuid:1", "resource": person})
    path.write_text(json.dumps(given), encoding="utf-8")
    (found,), _ = read(path)
    assert found.fields["description"] == "Patient, female.\nFindings: CRP: >120 mg/L."


def test_a_bulk_export_is_put_together_by_patient(tmp_path: Path) -> None:
    """One file a type, patients in any order: the same documents as from their bundles."""
    folder = tmp_path / "export"
    folder.mkdir()
    resources = patient("p2") + patient("p1")
    for kind in {r["resourceType"] for r in resources} - {"Claim"}:
        lines = [json.dumps(r) for r in resources if r["resourceType"] == kind]
        (folder / f"{kind}.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with open(folder / "Condition.ndjson", "a", encoding="utf-8") as f:
        f.write("{broken\n")
    ((path, source),), aside = sources_of([folder])
    assert (path, source.file, source.kind, aside) == (folder, "export", "fhir", [])
    found, excluded = read(folder)
    single = tmp_path / "a.json"
    single.write_text(json.dumps(bundle(patient())), encoding="utf-8")
    assert [d.id for d in found] == [read(single)[0][0].id] * 2
    assert "Condition.ndjson, line 7" in next(
        e.detail for e in excluded if e.reason == "malformed_row"
    )


def test_a_bundle_without_a_case_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    rows_ = [bundle(patient()), bundle(patient()[:1]), bundle([])]
    path.write_text("\n".join(map(json.dumps, rows_)), encoding="utf-8")
    found, aside = read(path)
    assert len(found) == 1
    assert [(e.row, e.reason) for e in aside if e.row > 1] == [(2, "no_case"), (3, "no_case")]
