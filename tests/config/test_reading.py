from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from configuration import lay_down
from liftwright.config import environment
from liftwright.config.loader import FILES
from liftwright.errors import ConfigurationError, InputError
from liftwright.log import Log, event, logging_to
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lay_down(tmp_path)


def change(root: Path, name: str, old: str, new: str) -> Path:
    file = root / "config" / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return file


def refused(root: Path, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_settings(root, overrides)
    return str(caught.value)


def test_read_settings_of_a_sound_configuration_gives_its_values(root: Path) -> None:
    settings = read_settings(root)

    assert settings.experiment.name == "test-campaign"
    assert settings.experiment.arms == ("control", "urgent", "informational", "friendly")
    assert settings.experiment.arm_shares() == dict.fromkeys(settings.experiment.arms, 0.25)
    assert settings.safety.threshold_of("hate") == 4
    assert settings.channel.variant.body_max_words == 200
    assert set(settings.frames) == {"urgent", "informational", "friendly"}
    assert settings.prompts["tone_urgent"] == "Be urgent."
    assert settings.overrides == {}


def test_read_settings_without_the_composer_needs_no_frames(root: Path) -> None:
    (root / "config/frames/urgent.yaml").unlink()

    settings = read_settings(root, ["adapters.complete=openai_compatible"])

    assert settings.frames == {}


@pytest.mark.parametrize("name", [*FILES, "prompts/base_template.txt", "frames/urgent.yaml"])
def test_read_settings_with_a_broken_file_names_it(root: Path, name: str) -> None:
    file = root / "config" / name
    for content, expected in (
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"\xff\xfea\x00", "not UTF-8"),
        (None, "no such file"),
    ):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        message = refused(root)
        assert str(file) in message
        assert expected in message
        assert "\n" not in message


@pytest.mark.parametrize("name", FILES)
def test_read_settings_with_malformed_yaml_or_a_list_names_the_file(root: Path, name: str) -> None:
    file = root / "config" / name
    file.write_text("a: 1\nb: [1, 2\nc: 3\n")
    assert f"{file}:3: malformed" in refused(root)
    file.write_text("- a\n")
    assert "list" in refused(root)


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("safety_thresholds", "threshold: 4", "threshold: four", ":1: threshold: found 'four'"),
        ("safety_thresholds", "threshold: 4", "threshold: 9", ":1: threshold: found 9"),
        ("safety_thresholds", "threshold: 4", "treshold: 4", "'threshold'?"),
        ("safety_thresholds", "threshold: 4", "threshold: 4\ncategories: {hte: 2}", "'hate'?"),
        ("experiment_config", "seed: 7", "seed: 7.5", ":2: seed: found 7.5"),
        ("experiment_config", "seed: 7", "seed: -1", ":2: seed: found -1"),
        ("experiment_config", "seed: 7", "seed: 7\nseed: 8", ":3: seed: duplicate key"),
        ("experiment_config", "name: Larkspur", "nom: Larkspur", "brand.name"),
        (
            "experiment_config",
            "informational, friendly]",
            "informational]",
            "tones: found ['urgent', 'informational']",
        ),
        (
            "experiment_config",
            "{mean: 0.1, sd: 0.05}",
            "{mean: 0.1, sd: -0.05}",
            "urgent.sd: found -0.05",
        ),
        ("experiment_config", "urgent: {mean", "polite: {mean", "'polite'"),
        (
            "experiment_config",
            "seed: 7",
            "seed: 7\nshares: {control: 0.5, urgent: 0.2, informational: 0.2, friendly: 0.2}",
            "1.1",
        ),
        ("experiment_config", "seed: 7", "seed: 7\nshares: {control: 0.5, urgent: 0.5}", "shares"),
        ("experiment_config", "seed: 7", "seed: 7\nchannel: fax", "channel: found 'fax'"),
        (
            "experiment_config",
            "seed: 7",
            "seed: 7\nanalysis: {test_type: magic}",
            "analysis.test_type: found 'magic'",
        ),
        ("customers", "path: data/customers.csv", "path: null", "path"),
        (
            "customers",
            "path: data/customers.csv",
            "path: a.csv\ncolumns:\n  age: {from: Born, as: yeers}",
            ":3: columns.age.as: found 'yeers'",
        ),
        (
            "customers",
            "path: data/customers.csv",
            "path: a.csv\nas_of: yesterday",
            ":2: as_of: found 'yesterday'",
        ),
        ("segments", "weight: 1", "weight: heavy", "rules.0.conditions.1.weight: found 'heavy'"),
        ("segments", "label: Gone quiet", "label: '2'", "label"),
        ("segments", "label: Gone quiet", "label: Everyone else", "unique"),
        ("channels", "body_min_words: 150", "body_min_words: 250", "body_max_words"),
        ("channels", "footer:", "foter:", "'footer'?"),
        ("azure_config", "complete: embedded", "complete: ''", "adapters.complete: found ''"),
        (
            "azure_config",
            "complete: embedded",
            "complete: ${NOT_SET_ANYWHERE}",
            "found ${NOT_SET_ANYWHERE}",
        ),
        ("prompts/base_template.txt", "{brand}", "{brnad}", ":1: unknown placeholder {brnad}"),
        ("prompts/base_template.txt", "{passages}", "", "{passages}"),
        ("channels", 'footer: "{brand}"', 'footer: "{brnd}"', "{brnd}"),
        (
            "frames/urgent.yaml",
            "[Hello,]",
            '["Hello {name},"]',
            "greetings.0: unknown placeholder {name}",
        ),
        ("prompts/base_template.txt", "{passages}", "{passages", ":2:"),
        ("prompts/tone_urgent.txt", "Be", "Be {tone}", ":1: unknown placeholder {tone}"),
        ("prompts/control_message.txt", "Subject: ", "", "'Subject: …'"),
    ],
)
def test_read_settings_with_a_wrong_value_says_where_what_and_what_is_allowed(
    root: Path, name: str, old: str, new: str, expected: str
) -> None:
    file = change(root, name if "/" in name else f"{name}.yaml", old, new)

    message = refused(root)

    assert message.startswith(str(file)), message
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=11", "experiment_config.seed", 11),
        ("experiment_config.seed=11", "experiment_config.seed", 11),
        ("experiment.seed=11", "experiment_config.seed", 11),
        ("alpha=0.1", "experiment_config.analysis.alpha", 0.1),
        ("analysis.alpha=0.1", "experiment_config.analysis.alpha", 0.1),
        (
            "simulation.uplift.urgent.mean=0.3",
            "experiment_config.simulation.uplift.urgent.mean",
            0.3,
        ),
        ("channels.email.footer=Bye", "channels.email.footer", "Bye"),
        ("segments.rules.0.label=Fans", "segments.rules.0.label", "Fans"),
        ("safety_thresholds.threshold=2", "safety_thresholds.threshold", 2),
        ("as_of=2026-01-31", "customers.as_of", "2026-01-31"),
    ],
)
def test_read_settings_with_an_override_changes_one_value_and_records_it(
    root: Path, override: str, key: str, value: object
) -> None:
    settings = read_settings(root, [override])

    assert settings.overrides == {key: value}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("sede=3", "'seed'?"),
        ("screen=x", "azure_config.adapters.screen"),
        ("seed=[1", "--set seed:"),
        ("seed=x", "--set experiment_config.seed: seed: found 'x'"),
        ("segments.rules.9.label=x", "no such key"),
        ("segments.rules.9.conditions.0.weight=2", "no such key"),
    ],
)
def test_read_settings_with_a_wrong_override_says_what_is_allowed(
    root: Path, override: str, expected: str
) -> None:
    assert expected in refused(root, override)


VARIABLES = """
TEST_API=openai_compatible
TEST_SEED=11
TEST_NUMBER=2026
TEST_EMPTY=
TEST_TEXT=a {brand} day
API_TOKEN=CANARY-1
"""


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("azure_config.yaml", "complete: embedded", "complete: ${TEST_API}", "openai_compatible"),
        ("experiment_config.yaml", "seed: 7", "seed: ${TEST_SEED}", 11),
        ("experiment_config.yaml", "seed: 7", "seed: ${TEST_NONE:-12}", 12),
        ("experiment_config.yaml", "seed: 7", 'seed: "${TEST_EMPTY:-13}"', 13),
        ("experiment_config.yaml", "test-campaign", "${TEST_NUMBER}", "2026"),
        ("customers.yaml", "path: data/", "as_of: ${TEST_EMPTY}\npath: data/", None),
        ("customers.yaml", "data/customers.csv", "${TEST_SEED}/${A:-b}.csv", "11/b.csv"),
        ("safety_thresholds.yaml", "threshold: 4", "threshold: ${TEST_NONE:-2}", 2),
        ("segments.yaml", "label: Gone quiet", "label: ${TEST_API}", "openai_compatible"),
        ("channels.yaml", 'footer: "{brand}"', 'footer: "$${{x}} ${TEST_SEED}"', "${{x}} 11"),
        ("frames/urgent.yaml", "[Hello,]", '["${TEST_TEXT}"]', "a {brand} day"),
        ("prompts/tone_urgent.txt", "Be urgent.", "Be ${TEST_TEXT}", "Be a {brand} day"),
    ],
)
def test_read_settings_replaces_variables_in_every_file(
    root: Path, name: str, old: str, new: str, expected: object
) -> None:
    change(root, name, old, new)
    (root / ".env").write_text(VARIABLES)
    found = read_settings(root)
    assert expected in {
        "azure_config.yaml": [found.services.adapters.complete],
        "experiment_config.yaml": [found.experiment.seed, found.experiment.name],
        "customers.yaml": [found.customers.path, found.customers.as_of],
        "safety_thresholds.yaml": [found.safety.threshold_of("hate")],
        "segments.yaml": [rule.label for rule in found.segments.rules],
        "channels.yaml": [found.channel.footer],
        "frames/urgent.yaml": [line for one in found.frames.values() for line in one.greetings],
        "prompts/tone_urgent.txt": [found.prompts["tone_urgent"]],
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("experiment_config.yaml", "seed: 7", "seed: ${TEST_NONE}", ":2: seed: found ${TEST_NONE}"),
        ("experiment_config.yaml", "seed: 7", "seed: ${API_TOKEN}", "seed: found '${API_TOKEN}'"),
        ("experiment_config.yaml", "seed: 7", "seed: 7\nchannel: ${API_TOKEN}", "'${API_TOKEN}'"),
        ("experiment_config.yaml", "seed: 7", "seed: ${TEST_SEED", "found '${TEST_SEED'"),
        ("experiment_config.yaml", "seed: 7", "seed: ${TEST_SEED:?no}", "'${TEST_SEED:?no}'"),
        ("customers.yaml", "data/customers.csv", "a.csv\nas_of: ${API_TOKEN}", "'${API_TOKEN}'"),
        ("prompts/tone_urgent.txt", "Be", "Be ${TEST_NONE}", ":1: found ${TEST_NONE}"),
        ("frames/urgent.yaml", "[Hello,]", '["${TEST_NONE}"]', "greetings.0: found ${TEST_NONE}"),
    ],
)
def test_read_settings_with_a_wrong_variable_names_it_and_shows_no_value(
    root: Path, name: str, old: str, new: str, expected: str
) -> None:
    file = change(root, name, old, new)
    (root / ".env").write_text(VARIABLES)
    message = refused(root)
    assert message.startswith(str(file))
    assert expected in message
    assert "CANARY" not in message


def test_secret_in_a_variable_is_hidden_from_errors_and_logs(root: Path) -> None:
    change(root, "experiment_config.yaml", "test-campaign", "x-${API_TOKEN}")
    (root / ".env").write_text(VARIABLES)
    assert read_settings(root).experiment.name == "x-CANARY-1"
    assert str(InputError("https://host/CANARY-1: refused")) == "https://host/${API_TOKEN}: refused"
    with logging_to(Log(root / "logs")):
        event("service_called", agent="pipeline", address="https://host/CANARY-1")
    assert "CANARY" not in (root / "logs/system.log").read_text()


def test_environment_prefers_the_process_over_the_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".env").write_text("LIFTWRIGHT_TEST_A=file\nLIFTWRIGHT_TEST_B=file\n")
    monkeypatch.setenv("LIFTWRIGHT_TEST_A", "process")

    found = environment(root)

    assert (found["LIFTWRIGHT_TEST_A"], found["LIFTWRIGHT_TEST_B"]) == ("process", "file")


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("object_stores.s3_endpoint=https://user:CANARY@minio:9000", "https://…@minio:9000"),
        ("object_stores.s3_endpoint=https://minio/?token=CANARY", "https://minio/?…"),
        ("mlflow={tracking_uri: 'https://user:CANARY@host/'}", "https://…@host/"),
        ("object_stores.export_to=s3://bucket/x?sig=CANARY", "s3://…"),
    ],
)
def test_read_settings_with_a_secret_in_an_address_does_not_repeat_it(
    root: Path, override: str, shown: str
) -> None:
    message = refused(root, override)
    assert shown in message
    assert "CANARY" not in message


@pytest.mark.parametrize(
    "content", [None, b"", b" \n\n", b"# none\n  # risk free\n", b"\xef\xbb\xbf"]
)
def test_read_settings_without_prohibited_phrases_has_none(
    root: Path, content: bytes | None
) -> None:
    if content is not None:
        (root / "config/prohibited_phrases.txt").write_bytes(content)
    assert read_settings(root).prohibited_phrases == {}


def test_read_settings_reads_prohibited_phrases_and_their_reasons(root: Path) -> None:
    (root / "config/prohibited_phrases.txt").write_bytes(
        "\ufeff# Legal\r\nRisk free\tNothing is free of risk. # see the handbook\r\n"
        "  guaranteed  results  \n\nC#\nmiracle\t\nRISK  FREE\tNothing is free of risk.\n"
        "caf\u00e9 # a comment".encode()
    )
    assert read_settings(root).prohibited_phrases == {
        "Risk free": "Nothing is free of risk.",
        "guaranteed  results": "",
        "C#": "",
        "miracle": "",
        "caf\u00e9": "",
    }


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"free\n\tno phrase\n", 2),
        (b"free\n \t\treason\n", 2),
        (b"# all\n\nfree\tone\ttwo\n", 3),
        (b"free\tone\t\n", 1),
        (b"free\twhy\nFREE\tanother\n", 2),
        (b"free\nfree\twhy\n", 2),
        (b"free\nbo\xe9te\n", 2),
        (b"f\x00r\x00e\x00e\x00\n", 1),
        (b"\xff\xfef\x00", 1),
        (b"one\rtwo\n", 1),
        (b"free\n---\n", 2),
    ],
)
def test_read_settings_with_malformed_prohibited_phrases_names_file_and_line(
    root: Path, content: bytes, line: int
) -> None:
    file = root / "config/prohibited_phrases.txt"
    file.write_bytes(content)
    assert refused(root).startswith(f"{file}:{line}: ")


def test_read_settings_with_prohibited_phrases_that_cannot_be_read_is_refused(root: Path) -> None:
    file = root / "config/prohibited_phrases.txt"
    file.symlink_to(root / "none.txt")
    assert str(file) in refused(root)
    file.unlink()
    file.mkdir()
    assert str(file) in refused(root)
