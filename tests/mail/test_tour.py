# SPDX-License-Identifier: ISC
"""Every step of contrib/tour, each a test."""

from tour import STEPS, Story

story = Story()


def as_test(step):
    def test():
        story.begin()
        step(story)
    test.__name__ = f"test_{step.__name__}"
    return test


def more_tests():
    return [as_test(step) for step in STEPS]
