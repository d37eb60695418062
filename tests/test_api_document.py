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
from app.security.scopes import ADMIN, SCOPES
from tests.people import House

pytest_plugins = ["tests.databases"]

# A date in the past, or an address that is taken, is well-formed and refused all the same.
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 412, 422]}},
        # Each case is sent with a token of ours, or without.
        "generation": {"with-security-parameters": False},
    }
)


# What is there, and is not removed as long as the attack lasts, by the beginning of its path.
THERE = {
    "/v1/components/{parent}": "api",
    "/v1/incidents/{parent}": "incident",
    "/v1/maintenances/{parent}": "work",
    "/v1/components/{id}": "shop",
    "/v1/monitors/{id}": "shop/http",
    "/v1/groups/{id}": "Payments / EU",
    "/v1/pages/{id}": "_main",
    "/v1/rules/{id}": "Outage / EU",
}


@pytest.mark.timeout(600)
# Hypothesis asks the collector of garbage who holds its own generator, and of what was there before a server
# started in this process that one does not tell.
@pytest.mark.filterwarnings("ignore:It looks like .register_random.")
async def test_every_answer_is_documented_and_none_is_our_fault(
    sqlite_database: Database, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """With `--examples 50`, deeper."""
    house = House(sqlite_database, tmp_path)
    house.server.requests.burst = house.server.requests.per_second = 1e9
    tokens = [await house.token(ADMIN), "", *[await house.token(scope) for scope in SCOPES if scope != ADMIN]]
    there = await furnish(house, tokens[0])
    async with house.served() as url:
        await asyncio.to_thread(attack, url, tokens, there, pytestconfig.getoption("examples"))


async def furnish(house: House, admin: str) -> dict[str, str]:
    """Something for each path to find: THERE, with the ids that they have got."""
    async with house.client(admin) as client:

        async def make(path: str, **given: object) -> str:
            answer = await client.post(path, json=given)
            assert answer.status_code == 201, answer.text
            return str(answer.json().get("id", ""))

        await make("/v1/groups", name="Payments / EU")
        await make("/v1/components", name="API", group="Payments / EU")
        await make("/v1/components", name="Shop")
        await make("/v1/monitors", component="shop", kind="http", target="https://shop.example/")
        await make("/v1/rules", name="Outage / EU", components=["shop"])
        await make("/v1/templates", name="a/b", title="t", words="w")
        incident = await make("/v1/incidents", title="t", words="w", components=[{"slug": "api"}])
        span = {"starts": "2030-01-01T00:00:00Z", "ends": "2030-01-01T01:00:00Z"}
        work = await make("/v1/maintenances", title="t", components=["api"], **span)
    ids = {"incident": incident, "work": work}
    return {path: ids.get(id, id) for path, id in THERE.items()}


def attack(url: str, tokens: list[str], there: dict[str, str], examples: int) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json", config=CONFIG)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        tried += 1
        given = next((id for path, id in there.items() if operation.path.startswith(path)), None)
        # There is no wrong way to write an id.
        has_wrong = len(operation.body) or len(operation.query)
        for mode in (GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if has_wrong else [])):
            if given is None or mode is GenerationMode.POSITIVE:
                attack_one(operation, tokens[:1], mode, examples, None)
            if given is not None and operation.method != "delete":
                attack_one(operation, tokens[:1], mode, examples, given)
        # Who holds another scope: each where nothing is changed, and in turn where something is.
        turn = 1 + tried % (len(tokens) - 1)
        weaker = tokens[1:] if operation.method == "get" else tokens[turn : turn + 1]
        attack_one(operation, weaker, GenerationMode.POSITIVE, 1, given)
    assert tried >= 70


def attack_one(
    operation: schemathesis.schemas.APIOperation,
    tokens: list[str],
    mode: GenerationMode,
    examples: int,
    there: str | None,
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
        if there is not None:
            case.path_parameters = {name: there for name in case.path_parameters}
            # What anybody has made up is never what is there.
            case.headers.pop("If-Match", None)
        for token in tokens:
            case.call_and_validate(headers={"Authorization": f"Bearer {token}"} if token else {})

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
    schemas = described["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []
    bodies = [
        op["requestBody"]["content"]["application/json"]
        for op in operations
        if op["operationId"].endswith(".make") and "requestBody" in op
    ]
    assert bodies and all("example" in body for body in bodies)
    given = described["components"]["schemas"]["TokenGiven"]
    assert given["additionalProperties"] is False
    assert "enum" in str(described["components"]["schemas"]["UserGiven"]) or "Role" in str(described)
    with pytest.raises(KeyError):
        described["paths"]["/login"]
