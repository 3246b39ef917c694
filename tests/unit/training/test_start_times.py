from stillhouse.training import start_times
from stillhouse.training.start_times import StartTimes


def test_start_times_are_those_between_one_end_and_the_next(monkeypatch):
    now = iter([100.0, 101.0, 113.0, 118.5])
    monkeypatch.setattr(start_times.time, "monotonic", lambda: next(now))
    start = StartTimes()
    for part in ("init", "load", "first_step"):
        start.ended(part)
    assert start.metrics() == {"start/init_s": 1.0, "start/load_s": 12.0, "start/first_step_s": 5.5}
    assert start.in_words() == "first step done after 18 s: init 1 s, load 12 s, first step 6 s"
