"""What the README promises is what the binary does; see also test_readme_runs.py."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from peers import AGENT, ROOT, Agent, Certificates, curl, free_port  # noqa: E402
from readme import README, blocks, known_profiles  # noqa: E402


def test_the_table_of_settings_is_the_binarys_own():
    table = re.search(r"<!-- ptth-agent help --markdown -->\n(.*)<!-- end -->", README, re.DOTALL)[1]
    printed = subprocess.run([AGENT, "help", "--markdown"], capture_output=True, text=True,
                             check=True).stdout
    assert table.strip() == printed.strip(), "put the output of `help --markdown` into README.md"


def test_each_configuration_has_a_marker_that_says_how_it_is_run():
    unmarked = [block.text for block in blocks() if block.is_configuration() and block.kind is None]
    assert not unmarked, "put <!-- run: NAME --> before it, and a peer into test_readme_runs.py"
    names = [(block.kind, block.name) for block in blocks() if block.kind]
    assert len(names) == len(set(names))
    assert {name for kind, name in names if kind == "with"} <= {name for kind, name in names if kind == "run"}


@pytest.mark.parametrize("text, count", (
    ("words\n\n    ptth-agent --gateway x\n", 1), ("```\nptth-agent run --gateway x\n```\n", 1),
    ("    {\n      // A file.\n    }\n", 1), ("    scripts/dev build\n\nptth-agent --gateway x\n", 0),
))
def test_a_configuration_without_a_marker_is_noticed(text, count):
    assert len([block for block in blocks(text) if block.is_configuration()]) == count


def test_the_schema_of_discovery_documents_knows_all_profiles():
    schema = json.loads((ROOT / "agent/discovery.schema.json").read_text())
    gateway = schema["properties"]["gateways"]["items"]["properties"]
    assert gateway["profile"]["enum"] == known_profiles()


def test_links_inside_the_readme_lead_somewhere():
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", README)) <= anchors


def test_the_exit_codes_are_those_of_the_source():
    source = (ROOT / "agent/exit_code.h").read_text()
    codes = set(re.findall(r"= (\d+),", source))
    assert set(re.findall(r"^\| (\d+) \| ", README[README.index("| code |"):], re.MULTILINE)) == codes


def yaml_with(words):
    block, = [block for block in blocks() if words in block.text]
    return yaml.safe_load(block.text)


@pytest.fixture(scope="module", name="exposed")
def fixture_exposed(tmp_path_factory):
    """What Prometheus gets of an agent."""
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    with Agent(free_port(), certificates, f"http://127.0.0.1:{free_port()}",
               admin="127.0.0.1:0").running(wait=False) as agent:
        line = agent.wait_for(lambda line: line["message"] == "admin listening", "admin")
        return curl(f"http://127.0.0.1:{line['port']}/metrics").stdout.decode()


def test_the_autoscaler_goes_by_gauges_that_the_agent_has(exposed):
    scaler = yaml_with("kind: HorizontalPodAutoscaler")
    assert (scaler["apiVersion"], scaler["kind"]) == ("autoscaling/v2", "HorizontalPodAutoscaler")
    spec = scaler["spec"]
    assert set(spec["scaleTargetRef"]) == {"apiVersion", "kind", "name"}
    assert 1 <= spec["minReplicas"] < spec["maxReplicas"]
    names = []
    for metric in spec["metrics"]:
        assert metric["type"] == "Pods" and set(metric) == {"type", "pods"}
        names.append(metric["pods"]["metric"]["name"])
        target = metric["pods"]["target"]
        assert target["type"] == "AverageValue"
        # A quantity of Kubernetes; a number without quotes would be refused.
        assert re.fullmatch(r"[1-9]\d*m?", target["averageValue"])
        assert f"# TYPE {names[-1]} gauge" in exposed.splitlines()
    assert "ptth_saturation" in names
    rules = {}
    for rule in yaml_with("seriesQuery")["rules"]["custom"]:
        name = re.fullmatch(r"(\w+)\{namespace!=\"\",pod!=\"\"\}", rule["seriesQuery"])[1]
        assert rule["resources"]["overrides"] == {"namespace": {"resource": "namespace"},
                                                  "pod": {"resource": "pod"}}
        assert re.fullmatch(r"(max|sum)\(<<\.Series>>\{<<\.LabelMatchers>>\}\) by \(<<\.GroupBy>>\)",
                            rule["metricsQuery"])
        rules[name] = rule
    assert sorted(rules) == sorted(names)


def test_the_metrics_that_are_named_are_there(exposed):
    section = README[README.index("#### More pods when they are busy"):README.index("\n## Security")]
    for name in set(re.findall(r"ptth_[a-z_]+", section)):
        assert re.search(rf"^{name}(_bucket)?(\{{| )", exposed, re.MULTILINE), name
