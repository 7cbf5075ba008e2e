"""The page about commands through the proxy says what was measured, and leaves out nothing that is refused."""

from __future__ import annotations

from tdredis.manifests.envoy import REFUSED_COMMANDS
from tests.proxy.outcomes import DIFFERS, KNOWN_DIFFERENCES, REFUSED
from tests.proxy.page import FAULT, render
from tests.proxy.recorded import PAGE, load


def test_the_page_is_made_of_the_record() -> None:
    assert PAGE.read_text() == render(load()), "make proxy-commands"


def test_what_differs_is_what_no_setting_can_refuse() -> None:
    scenes = [scene for command in load().commands for scene in command.scenes]

    assert {scene.scene for scene in scenes if scene.outcome == DIFFERS} == set(KNOWN_DIFFERENCES)


def test_the_operator_refuses_nothing_else_than_the_table_says() -> None:
    by_fault = {
        command.command.partition(" ")[0]
        for command in load().commands
        if all(scene.refused_by_both or FAULT in scene.error for scene in command.scenes)
        and any(scene.outcome == REFUSED for scene in command.scenes)
    }

    assert by_fault == set(REFUSED_COMMANDS)
