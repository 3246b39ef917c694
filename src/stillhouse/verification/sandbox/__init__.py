"""Untrusted programs, run where they can do no harm: ``runner.Sandbox`` is the way in."""
