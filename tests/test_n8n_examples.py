"""The workflows to import into n8n: valid, without credentials, and documented."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples" / "n8n").glob("*.json"))
DOCUMENT = (ROOT / "docs" / "n8n.md").read_text(encoding="utf-8")


def test_there_are_four_and_each_is_documented_with_the_path_of_its_webhook() -> None:
    assert len(EXAMPLES) == 4
    rows = re.findall(r"^\| `([a-z-]+\.json)` \| `([a-z-]+)` \|", DOCUMENT, re.MULTILINE)
    assert sorted(rows) == [(path.name, webhook(path)["parameters"]["path"]) for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_a_workflow_without_credentials(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = json.loads(text)
    names = {node["name"] for node in workflow["nodes"]}
    assert not workflow["active"]
    assert "credentials" not in text
    assert not re.search(r"sk-|Bearer|apiKey|https?://", text)
    linked = set(workflow["connections"])
    for kinds in workflow["connections"].values():
        linked |= {
            link["node"] for outputs in kinds.values() for links in outputs for link in links
        }
    assert linked == names, "every node is connected, and every connection leads to one"
    assert len({node["id"] for node in workflow["nodes"]}) == len(names)
    assert webhook(path)["parameters"]["httpMethod"] == "POST"


def test_the_prompt_line_of_the_document_is_that_of_the_examples() -> None:
    (line,) = re.findall(r"^ {7}(\{\{ .* \}\})$", DOCUMENT, re.MULTILINE)
    for path in EXAMPLES:
        prompts = [
            node["parameters"]["options"]["systemMessage"]
            for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]
            if node["name"] == "Agent"
        ]
        (prompt,) = [text.replace("$('Webhook').item.json.body", "$json.body") for text in prompts]
        assert line.replace("? 'The", "? '\\n\\nThe") in prompt


def webhook(path: Path) -> dict[str, dict[str, str]]:
    """The node that a workflow begins with."""
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    (node,) = [node for node in nodes if node["type"] == "n8n-nodes-base.webhook"]
    found: dict[str, dict[str, str]] = node
    return found
