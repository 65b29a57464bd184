"""Text commands in prompts: found, said, and taken out."""

from __future__ import annotations

import pytest

from seedance_lab.view.panel_prompts import COMMANDS, commands_in, length, lifted, warnings, without_commands


def test_commands_are_found_wherever_they_stand_and_words_with_dashes_are_not() -> None:
    prompt = "--rs 480p a slow-motion -- well--known shot --dur=5, and --CameraFixed true --wm"
    assert [(c.name, c.value, c.input) for c in commands_in(prompt)] == [
        ("rs", "480p", "resolution"),
        ("dur", "5", "duration"),
        ("camerafixed", "true", "camera_fixed"),
        ("wm", "", ""),
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_said_with_what_it_may_do(name: str) -> None:
    fields = {
        "resolution": "480p",
        "aspect_ratio": "1:1",
        "duration": "2",
        "camera_fixed": "moving",
        "seed": "1",
    }
    (said,) = warnings([f"boats --{name} 7"], fields)
    assert said.startswith(f"--{name} 7: a text command of the model")
    if COMMANDS[name]:
        assert f"{COMMANDS[name]} ({fields[COMMANDS[name]]} here)" in said
    else:
        assert "no input for" in said


def test_a_command_that_nobody_knows_has_near_ones_named() -> None:
    assert warnings(["boats --resolutoin 720p"], {}) == [
        "--resolutoin is no text command that is known of the model. Did you mean 'resolution'?"
    ]


def test_each_thing_is_said_once() -> None:
    assert len(warnings(["a --dur 5", "b --dur 5"], {})) == 1
    assert warnings(["no commands - none -- here"], {}) == []


def test_only_what_stands_for_an_input_is_taken_out() -> None:
    assert without_commands("boats --dur 5 bob --wm true --rs 480p") == "boats bob --wm true"


def test_only_what_all_prompts_say_alike_is_lifted() -> None:
    assert lifted(["a --dur 5 --rs 480p", "b --rs 480p --dur 5"]) == {"duration": "5", "resolution": "480p"}
    assert lifted(["a --dur 5", "b --dur 6"]) == {}
    assert lifted(["a --dur 5", "b"]) == {}
    assert lifted(["a --dur"]) == {}
    assert lifted([]) == {}


def test_the_length_is_that_of_the_longest_and_says_when_it_is_too_much() -> None:
    assert length([]) == ""
    assert length(["one"]) == "1 word, 3 characters"
    assert length(["a b", "one two three"]) == "2 prompts, an axis; the longest has 3 words, 13 characters"
    assert "more than the 1,000 words or 500 Chinese characters" in length(["word " * 1001])
    assert "more than" in length(["海" * 501])
    assert "more than" not in length(["海" * 500])
