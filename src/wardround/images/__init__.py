"""Pictures and reports of imaging: what benchmarks, rules and generators of both have in common.

Pictures: `picture` prepares one file for a vision endpoint, `dicom` reads DICOM pixels, `burned` suspects text in the
picture, `headers` checks a DICOM header, `cxr_faults` makes faults of known truth, `collect` gathers cases into an
artifact, `dicomweb` fetches and stores over the network, `verdict` writes and reads SR and DiagnosticReport. Reports: the
`report*` files. Pillow, pydicom and highdicom are the extra `images`, imported where they are used.
"""
