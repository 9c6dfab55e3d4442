"""A quality verdict as a DICOM Structured Report and as a FHIR DiagnosticReport, both ways.

The report is a Comprehensive SR of template TID 1500: one measurement group about the image, in it a qualitative
evaluation for each fault of the list, present or absent (SNOMED CT 52101004, 2667000), faults coded by their ids in the
scheme 99WARDROUND. It is unverified and the DiagnosticReport preliminary: a device has said this and no person has
signed it. An SR belongs to its image's patient and study, so it carries their identifiers and is for the archive the
image came from, not for a model; the DiagnosticReport refers to them by UID alone.
"""

from __future__ import annotations

import io
import warnings
from datetime import datetime
from typing import Any

import msgspec

from wardround import __version__
from wardround.errors import InputError, UsageError
from wardround.images.held import extra
from wardround.images.labels import LISTS, names, shown
from wardround.records import Record

SCHEME = "99WARDROUND"
SYSTEM = "urn:wardround:cxr-fault"
PRESENT, ABSENT = "52101004", "2667000"
_EVALUATED = "cxr_quality"
_PATIENT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


class Verdict(Record, frozen=True, kw_only=True):
    """What `observer` (a model's or rule's name) said of one image's quality: faults present; the rest are absent."""

    study: str
    series: str
    image: str
    image_class: str
    present: tuple[str, ...]
    observer: str

    @property
    def absent(self) -> tuple[str, ...]:
        """The list's other faults."""
        return tuple(f for f in names("cxr").ids if f not in self.present)


def verdict_on(dicom: bytes, present: tuple[str, ...], observer: str) -> Verdict:
    """The verdict about the image in a DICOM file; `UsageError` for a fault that isn't in the list."""
    unknown = sorted(set(present) - set(names("cxr").ids))
    if unknown:
        raise UsageError(
            f"no fault named {', '.join(unknown)}", hint="see wardround list cxr_faults"
        )
    ds = _dataset(dicom)
    return Verdict(
        study=str(ds.StudyInstanceUID), series=str(ds.SeriesInstanceUID), image=str(ds.SOPInstanceUID),
        image_class=str(ds.SOPClassUID), observer=observer,
        present=tuple(f for f in names("cxr").ids if f in present),
    )  # fmt: skip


def _dataset(data: bytes) -> Any:
    with extra(), warnings.catch_warnings():
        import pydicom

        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        except Exception as e:  # whatever pydicom meets
            raise InputError(f"not a DICOM object ({e})", path="DICOM") from e
    missing = [
        k for k in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
        if not ds.get(k)
    ]  # fmt: skip
    if missing:
        raise InputError(f"lacks {', '.join(missing)}", path="DICOM")
    return ds


# -- SR -------------------------------------------------------------------------------------------------------


def write_sr(verdict: Verdict, dicom: bytes) -> bytes:
    """The verdict as a DICOM file beside the image in `dicom`, in a series of its own.

    Its UIDs come from the verdict, so the same verdict is the same object; content date and time are now.
    """
    with extra(), warnings.catch_warnings():
        import highdicom
        from pydicom.uid import generate_uid

        warnings.simplefilter("ignore")
        source = _dataset(dicom)
        if str(source.SOPInstanceUID) != verdict.image:
            raise UsageError(f"the verdict is about {verdict.image}, not this image")
        for keyword in _PATIENT:
            if keyword not in source:
                setattr(source, keyword, None)
        entropy = [verdict.image, verdict.observer, *verdict.present]
        report = highdicom.sr.ComprehensiveSR(
            evidence=[source], content=_content(highdicom, verdict)[0],
            series_instance_uid=generate_uid(entropy_srcs=["series", *entropy]),
            sop_instance_uid=generate_uid(entropy_srcs=["instance", *entropy]),
            series_number=9900, instance_number=1, manufacturer="Wardround", is_complete=True,
            manufacturer_model_name=verdict.observer[:64], software_versions=__version__,
            device_serial_number="1",
        )  # fmt: skip
        out = io.BytesIO()
        report.save_as(out)
        return out.getvalue()


def _content(highdicom: Any, verdict: Verdict) -> Any:
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    sr = highdicom.sr
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=["observer", verdict.observer]), name=verdict.observer[:64]
    )
    context = sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )
    found = [
        sr.QualitativeEvaluation(
            name=sr.CodedConcept(fault, SCHEME, shown("cxr", fault, "en")),
            value=sr.CodedConcept(*((PRESENT, "SCT", "Present") if yes else (ABSENT, "SCT", "Absent"))),
        )
        for fault, yes in [(f, f in verdict.present) for f in names("cxr").ids]
    ]  # fmt: skip
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=generate_uid(entropy_srcs=["group", verdict.image]), identifier=_EVALUATED
        ),
        qualitative_evaluations=found,
        source_images=[
            sr.SourceImageForMeasurementGroup(
                referenced_sop_class_uid=verdict.image_class,
                referenced_sop_instance_uid=verdict.image,
            )
        ],
    )
    return sr.MeasurementReport(
        observation_context=context,
        procedure_reported=sr.CodedConcept("399208008", "SCT", "Plain X-ray of chest"),
        imaging_measurements=[group],
    )


def read_sr(data: bytes) -> Verdict:
    """The verdict in a DICOM file that `write_sr` made; `InputError` for any other."""
    with extra(), warnings.catch_warnings():
        import highdicom

        warnings.simplefilter("ignore")
        try:
            report = highdicom.sr.srread(io.BytesIO(data))
            groups = report.content.get_image_measurement_groups()
            group = next(g for g in groups if g.tracking_identifier == _EVALUATED)
            said = {
                e.name.value: e.value.value
                for e in group.get_qualitative_evaluations()
                if e.name.scheme_designator == SCHEME
            }
            image = group.source_images[0]
            evidence = report.CurrentRequestedProcedureEvidenceSequence[0]
            observer = next(c.DeviceObserverName for c in _observers(report))
            verdict = Verdict(
                study=str(evidence.StudyInstanceUID),
                series=str(evidence.ReferencedSeriesSequence[0].SeriesInstanceUID),
                image=str(image.referenced_sop_instance_uid),
                image_class=str(image.referenced_sop_class_uid),
                present=tuple(f for f in names("cxr").ids if said.get(f) == PRESENT),
                observer=observer,
            )
        except Exception as e:  # no such template, no such group, no DICOM at all
            raise InputError(f"not a quality verdict ({type(e).__name__}: {e})", path="SR") from e
    if {f for f, v in said.items() if v == ABSENT} != set(verdict.absent):
        raise InputError("its faults aren't this list's", path="SR", hint=f"list: {LISTS['cxr']}")
    return verdict


def _observers(report: Any) -> Any:
    """Names of the devices that observed (DCM 121013)."""
    from types import SimpleNamespace

    for item in report.ContentSequence:
        code = item.ConceptNameCodeSequence[0]
        if code.get("CodeValue") == "121013":
            yield SimpleNamespace(DeviceObserverName=str(item.TextValue))


# -- FHIR -----------------------------------------------------------------------------------------------------


def write_fhir(verdict: Verdict, when: datetime | None = None) -> dict[str, Any]:
    """The verdict as a FHIR R4 DiagnosticReport with an Observation for each fault contained in it."""
    observations = [
        {
            "resourceType": "Observation",
            "id": f"f{k}",
            "status": "preliminary",
            "code": {"coding": [_coding(fault)], "text": shown("cxr", fault)},
            "valueBoolean": fault in verdict.present,
        }
        for k, fault in enumerate(names("cxr").ids, start=1)
    ]
    conclusion = "、".join(shown("cxr", f) for f in verdict.present) or "无问题"
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [{"text": "image quality"}],
        "code": {"text": "胸片质量控制 / Chest X-ray quality"},
        "contained": [*observations, {"resourceType": "Device", "id": "observer",
                                      "deviceName": [{"name": verdict.observer, "type": "model-name"}]}],
        "performer": [],
        "resultsInterpreter": [],
        "result": [{"reference": f"#{o['id']}"} for o in observations],
        "imagingStudy": [{"identifier": _uid(verdict.study)}],
        "extension": [
            {"url": f"{SYSTEM}:{name}", "valueString": value}
            for name, value in (
                ("series", verdict.series), ("image", verdict.image), ("class", verdict.image_class),
                ("observer", verdict.observer),
            )
        ],
        "conclusion": conclusion,
    }  # fmt: skip
    if when is not None:
        report["effectiveDateTime"] = when.isoformat()
    return {k: v for k, v in report.items() if v != []}


def _coding(fault: str) -> dict[str, str]:
    return {"system": SYSTEM, "code": fault, "display": shown("cxr", fault, "en")}


def _uid(uid: str) -> dict[str, str]:
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}


def read_fhir(report: dict[str, Any]) -> Verdict:
    """The verdict in a DiagnosticReport that `write_fhir` made; `InputError` for any other."""
    try:
        said = {
            o["code"]["coding"][0]["code"]: o["valueBoolean"]
            for o in report["contained"]
            if o["resourceType"] == "Observation" and o["code"]["coding"][0]["system"] == SYSTEM
        }
        more = {e["url"].removeprefix(f"{SYSTEM}:"): e["valueString"] for e in report["extension"]}
        study = report["imagingStudy"][0]["identifier"]["value"].removeprefix("urn:oid:")
        found = Verdict(
            study=study, series=more["series"], image=more["image"], image_class=more["class"],
            observer=more["observer"], present=tuple(f for f in names("cxr").ids if said[f] is True),
        )  # fmt: skip
    except (KeyError, IndexError, TypeError, AttributeError) as e:
        raise InputError(
            f"not a quality verdict ({type(e).__name__}: {e})", path="DiagnosticReport"
        ) from e
    return found


def fhir_bytes(verdict: Verdict, when: datetime | None = None) -> bytes:
    """`write_fhir` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(write_fhir(verdict, when)), indent=1) + b"\n"
