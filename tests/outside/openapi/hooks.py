"""Teaches schemathesis about Rekindle: names that exist, NDJSON and compression, and two checks of our own."""

import atexit
import gzip
import json
import os
from collections import Counter
from datetime import datetime, timedelta, timezone

import jsonschema_rs
import schemathesis

# `.ci/schemathesis` registers most of these. A random name would hardly ever exist.
IDS = ["spring-sale", "welcome", "old", "fans", "promo", "A", "B", "V1", "s1", "a", "b"]
KNOWN = {
    "Id": IDS,
    "UserId": ["u1", "u2", "u3", "u4", "é"],
    "Source": ["campaign/spring-sale", "campaign/old", "campaign/a", "canvas/welcome", "canvas/b"],
    "CampaignSource": ["campaign/spring-sale", "campaign/old", "campaign/a"],
    "CanvasSource": ["canvas/welcome", "canvas/b"],
    "Period": ["P30D", "P3M", "PT12H", "P1Y2M4DT5H6M7S"],
    "MailAddress": ["me@example.com", "you@example.com"],
}

# A quick run generates filters for one question only. Filters have thousands of cases, and the same code reads them in every
# request.
FILTERS = [
    {"received": {"source": "campaign/spring-sale"}}, {"segment": "fans"}, {"received": {"source": "campaign/old"}},
    {"any": [{"not": {"received": {"tag": "promo"}}}, {"last_engaged": {"less_than": "P30D"}}]},
]

original = {}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Adds known names to the generated ones. This changes no value between valid and invalid."""
    original.update(json.loads(json.dumps(raw_schema)))
    schemas = raw_schema["components"]["schemas"]
    for name, values in KNOWN.items():
        validator = jsonschema_rs.validator_for(schemas[name], validate_formats=True)
        assert all(validator.is_valid(value) for value in values), name
        schemas[name] = {"anyOf": [{"enum": values}, schemas[name]]}
    # A generated version nearly never is the source's. Canvases are put without If-Match, or hardly any would be put.
    canvas = raw_schema["paths"]["/v1/canvases/{id}"]["put"]
    canvas["parameters"] = [one for one in canvas["parameters"] if one["name"] != "If-Match"]
    if os.environ.get("QUICK"):
        schemas["FewFilters"] = {"enum": FILTERS}
        for name in ["CampaignInput", "CanvasInput", "SegmentInput", "MembersRequest", "MatchRequest"]:
            schema = json.dumps(schemas[name])
            assert "/schemas/Filter" in schema, name
            schemas[name] = json.loads(schema.replace("/schemas/Filter", "/schemas/FewFilters"))
    body = raw_schema["paths"]["/v1/interactions"]["post"]["requestBody"]["content"]
    # The document can only describe NDJSON as text. Its lines are interactions.
    body["application/x-ndjson"] = {"schema": body["application/json"]["schema"]["oneOf"][1]}


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    items = value if isinstance(value, list) else [value]
    return "".join(json.dumps(item) + "\n" for item in items).encode()


# The id of the key that each request presents; `.ci/schemathesis` sets it.
OWN_KEY = os.environ["KEY"].split("_")[1]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Changes requests before they are sent.

    No request may revoke or rotate the key that all requests present: every later one would be refused. A body is compressed if
    its header says gzip. A body whose header says zstd is not compressed, and is refused: zstd is tested elsewhere.
    """
    if case.operation.path.startswith("/v1/keys/") and (case.path_parameters or {}).get("id") == OWN_KEY:
        case.path_parameters["id"] = "0" * 26
    if (case.headers or {}).get("Content-Encoding") != "gzip":
        return
    if "json" in kwargs:
        kwargs["data"] = json.dumps(kwargs.pop("json"))
        kwargs.setdefault("headers", {}).setdefault("Content-Type", "application/json")
    data = kwargs.get("data")
    if isinstance(data, (str, bytes)):
        kwargs["data"] = gzip.compress(data.encode() if isinstance(data, str) else data)


answers = Counter()
atexit.register(lambda: print("Answers:", dict(sorted(answers.items()))))


@schemathesis.hook
def after_call(context, case, response):
    answers[response.status_code] += 1


# Codes of requests whose form is wrong, whatever is stored.
MALFORMED = {
    "invalid_json", "unknown_field", "missing_field", "invalid_field", "incomplete_body", "invalid_query", "invalid_id",
    "invalid_header", "invalid_if_match", "invalid_batch", "unsupported_encoding", "body_too_large", "batch_too_large",
    "invalid_tag", "invalid_limit", "invalid_source", "invalid_sources", "invalid_notify", "invalid_idempotency_key",
    "unknown_route", "method_not_allowed", "foreign_request",
}


def code_of(response):
    try:
        return json.loads(response.content).get("code")
    except ValueError:
        return None


@schemathesis.check
def well_formed_is_not_called_malformed(context, response, case):
    """A request that the document allows may be refused for the stored state, but not for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    code = code_of(response) if response.status_code >= 400 else None
    if code not in MALFORMED:
        return
    # No schema says that the source in the body is the one in the path.
    if code == "invalid_source" and case.method in ("PUT", "PATCH") and case.operation.path.endswith("/{id}"):
        return
    # A merge patch is any object; the result of the merge is checked as the body of a PUT.
    if case.method == "PATCH" and code in ("unknown_field", "missing_field", "invalid_field"):
        return
    # No pattern says how long the whole name before an @ is.
    if code == "invalid_notify":
        return
    # In JSON Schema 1.0 is a whole number. Rekindle refuses it, as the document says in words; and no pattern says where the
    # calendar ends.
    excused = ("floating point", "whole number of milliseconds", "outside of the calendar")
    if code in ("invalid_field", "invalid_query") and any(text in response.text for text in excused):
        return
    raise AssertionError(f"a request that the document allows was refused as {code}: {response.text[:500]}")


@schemathesis.check
def interactions_are_rejected_as_documented(context, response, case):
    """An interaction is accepted if and only if it is valid by the document's schema, except for bounds that a schema cannot state."""
    if case.operation.path != "/v1/interactions" or case.method != "POST":
        return
    if response.status_code != 200 and code_of(response) != "nothing_accepted":
        return
    body = case.body
    items = body["interactions"] if isinstance(body, dict) and "interactions" in body else body
    if not isinstance(items, list):
        items = [items]
    answer = json.loads(response.content)
    rejected = {one["index"]: one for one in answer["rejected"]}
    assert answer["accepted"] + answer["rejected_count"] == len(items), response.text[:500]
    schema = {**original["components"]["schemas"]["Interaction"], "components": original["components"]}
    is_one = jsonschema_rs.validator_for(schema, validate_formats=True).is_valid
    for index, item in enumerate(items):
        if isinstance(item, dict):
            # A null counts as a missing field, except for required fields.
            item = {k: v for k, v in item.items() if v is not None}
        if not is_one(item):
            assert index in rejected, f"an invalid interaction was accepted: {item!r}"
        elif index in rejected and not is_beyond_the_schema(item):
            raise AssertionError(f"a valid interaction was rejected: {item!r}: {rejected[index]}")


def is_beyond_the_schema(item):
    """Whether an item breaks a rule that the schema cannot state: bounds in bytes, bounds of time, numbers with a fraction."""
    if isinstance(item.get("conversion"), float) or isinstance(item.get("time"), float):
        return True
    if len(item["user_id"].encode()) > 512 or len(item.get("link_alias", "").encode()) > 256:
        return True
    time = item.get("time")
    if time is None:
        return False
    try:
        at = datetime.fromtimestamp(time / 1000, timezone.utc) if isinstance(time, int) else datetime.fromisoformat(time)
    except (ValueError, OverflowError, OSError):
        return True  # A time that Python cannot parse.
    latest = datetime.now(timezone.utc) + timedelta(hours=23)
    return not datetime(2000, 1, 1, tzinfo=timezone.utc) <= at <= latest
