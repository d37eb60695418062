"""What /v1/openapi.json says is what is answered: schemathesis sends what it allows, and what it does not."""

import asyncio
import json
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from app.db.engine import Database
from app.security.scopes import ADMIN
from tests.people import House

pytest_plugins = ["tests.databases"]

# A date in the past, or an address that is taken, is well-formed and refused all the same.
CONFIG = SchemathesisConfig.from_dict(
    {"checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 422]}}}
)


async def test_every_answer_is_documented_and_none_is_our_fault(
    sqlite_database: Database, tmp_path: Path
) -> None:
    house = House(sqlite_database, tmp_path)
    house.server.requests.burst = house.server.requests.per_second = 1e9
    tokens = [await house.token(ADMIN), await house.token("walls:read"), "sw_none"]
    async with house.served() as url:
        await asyncio.to_thread(attack, url, tokens)


def attack(url: str, tokens: list[str]) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json", config=CONFIG)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        tried += 1
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            attack_one(operation, tokens[0], mode, 5)
        for weaker in tokens[1:]:
            attack_one(operation, weaker, GenerationMode.POSITIVE, 1)
    assert tried >= 20


def attack_one(
    operation: schemathesis.schemas.APIOperation, token: str, mode: GenerationMode, examples: int
) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"})

    check()


async def test_the_description_says_who_may_do_what(sqlite_database: Database, tmp_path: Path) -> None:
    async with House(sqlite_database, tmp_path).client() as client:
        described = json.loads((await client.get("/v1/openapi.json")).content)
    assert described["openapi"].startswith("3.1")
    operations = [op for path in described["paths"].values() for op in path.values()]
    assert len({op["operationId"] for op in operations}) == len(operations)
    for operation in operations:
        assert "Takes the scope" in operation["description"]
        assert {"401", "403", "429", "500", "503"} <= set(operation["responses"])
    given = described["components"]["schemas"]["TokenGiven"]
    assert given["additionalProperties"] is False
    assert "enum" in str(described["components"]["schemas"]["UserGiven"]) or "Role" in str(described)
    with pytest.raises(KeyError):
        described["paths"]["/login"]
