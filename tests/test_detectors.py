"""The list of what notices a loss is up to date; `python -m tests.detectors` tries it."""

import ast

import pytest

from tests.detectors import DETECTORS, ROOT, Detector


@pytest.mark.parametrize("detector", DETECTORS, ids=[detector.what for detector in DETECTORS])
def test_what_is_switched_off_stands_in_its_file_once_and_each_word_names_a_test(detector: Detector) -> None:
    source = (ROOT / detector.file).read_text()
    assert source.count(detector.text) == 1
    ast.parse(source.replace(detector.text, detector.off))
    tests = (ROOT / detector.tests).read_text()
    names = [line for line in tests.splitlines() if "def test_" in line]
    for word in detector.named.split(" or "):
        assert any(word in name for name in names), f"{detector.tests} has no test named {word}"
