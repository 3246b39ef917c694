import sys
import xml.etree.ElementTree as ET

import pytest

from laptop.recording import FRAME_S, animation, record, thinned
from stillhouse.errors import ServiceFailed

SVG = "{http://www.w3.org/2000/svg}"


def program(code: int = 0) -> list[str]:
    """A command that prints a line in green and one in no colour."""
    return [sys.executable, "-c", f"print('\\x1b[32mfirst <stage>\\x1b[0m'); print('second'); raise SystemExit({code})"]


def test_recording_shows_what_the_command_left_on_its_terminal_in_colour(tmp_path):
    record(program(), tmp_path / "demo.svg", "make <demo>", tmp_path)
    svg = ET.parse(tmp_path / "demo.svg").getroot()
    assert svg.find(f"{SVG}title").text == "make <demo>"
    last = svg.findall(f"{SVG}g")[-1]
    words = {span.text: span.get("fill") for span in last.iter(f"{SVG}tspan")}
    assert set(words) == {"first <stage>", "second"}
    assert words["first <stage>"] != words["second"]


def test_recording_of_a_command_that_fails_writes_nothing(tmp_path):
    with pytest.raises(ServiceFailed, match="ended with exit code 3; nothing was recorded"):
        record(program(3), tmp_path / "demo.svg", "make demo", tmp_path)
    assert not (tmp_path / "demo.svg").exists()


def test_recording_has_each_frame_in_its_turn_and_no_script():
    frames = [[[(("default", False), f"frame {number}")]] for number in range(3)]
    svg = animation(frames, "t")
    assert [f"animation-delay:{number * FRAME_S}s" in svg for number in range(4)] == [True, True, True, False]
    assert "<script" not in svg


def test_thinned_frames_keep_the_first_and_the_last():
    frames = [[[(("default", False), str(number))]] for number in range(100)]
    kept = thinned(frames, 10)
    assert len(kept) == 10
    assert (kept[0], kept[-1]) == (frames[0], frames[-1])


def test_recording_shows_no_path_of_the_machine(tmp_path):
    record([sys.executable, "-c", f"print('report {tmp_path}/store/report.html')"], tmp_path / "demo.svg", "make demo", tmp_path)
    svg = (tmp_path / "demo.svg").read_text()
    assert "report .stillhouse/store/report.html" in svg
    assert str(tmp_path) not in svg
