"""What schemathesis has to know of Rekindle: names that exist, NDJSON and compression, and two checks of our own."""

import atexit
import gzip
import json
import os
from collections import Counter
from datetime import datetime, timedelta, timezone

import jsonschema_rs
import schemathesis

# `.ci/schemathesis` registers most of them: a random name would hardly ever be one that exists.
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

# A quick run makes up filters for one question only: of each of their forms there are thousands of cases, and wherever a
# filter is taken, it is read by the same code.
FILTERS = [
    {"received": {"source": "campaign/spring-sale"}}, {"segment": "fans"}, {"received": {"source": "campaign/old"}},
    {"any": [{"not": {"received": {"tag": "promo"}}}, {"last_engaged": {"less_than": "P30D"}}]},
]

original = {}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Generates known names now and then. Nothing becomes valid, or ceases to be, by that."""
    original.update(json.loads(json.dumps(raw_schema)))
    schemas = raw_schema["components"]["schemas"]
    for name, values in KNOWN.items():
        validator = jsonschema_rs.validator_for(schemas[name], validate_formats=True)
        assert all(validator.is_valid(value) for value in values), name
        schemas[name] = {"anyOf": [{"enum": values}, schemas[name]]}
    # A version made up is nearly always another than the source's: Canvases are put without one, or hardly any would be put.
    canvas = raw_schema["paths"]["/v1/canvases/{id}"]["put"]
    canvas["parameters"] = [one for one in canvas["parameters"] if one["name"] != "If-Match"]
    if os.environ.get("QUICK"):
        schemas["FewFilters"] = {"enum": FILTERS}
        for name in ["CampaignInput", "CanvasInput", "SegmentInput", "MembersRequest", "MatchRequest"]:
            schema = json.dumps(schemas[name])
            assert "/schemas/Filter" in schema, name
            schemas[name] = json.loads(schema.replace("/schemas/Filter", "/schemas/FewFilters"))
    body = raw_schema["paths"]["/v1/interactions"]["post"]["requestBody"]["content"]
    # The document can only say that it is text; its lines are interactions.
    body["application/x-ndjson"] = {"schema": body["application/json"]["schema"]["oneOf"][1]}


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    items = value if isinstance(value, list) else [value]
    return "".join(json.dumps(item) + "\n" for item in items).encode()


# The key that is shown with each request: `.ci/schemathesis` says which.
OWN_KEY = os.environ["KEY"].split("_")[1]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Leaves the key alone that is shown: revoked, or with another secret, it would have all else refused. Compresses as the header says. What is said to be zstd is left as it is, and refused: that is tested elsewhere."""
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


# Codes that say that a request is out of shape, whatever is stored.
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
    """What the document allows may still not fit, but is not refused for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    code = code_of(response) if response.status_code >= 400 else None
    if code not in MALFORMED:
        return
    # The two that exclude each other are in no schema.
    if case.operation.path in ("/v1/campaigns", "/v1/canvases") and {"tag", "sort"} <= set(case.query or {}):
        return
    # To JSON Schema, 1.0 is a whole number; to us it is not, as the document says in words.
    if code == "invalid_field" and "floating point" in json.loads(response.content)["detail"]:
        return
    raise AssertionError(f"a request that the document allows was refused as {code}: {response.text[:500]}")


@schemathesis.check
def interactions_are_rejected_as_documented(context, response, case):
    """Each interaction is taken if and only if it is one by the document, as far as that can say."""
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
            # Null is as good as left out, save for what must be there.
            item = {k: v for k, v in item.items() if v is not None}
        if not is_one(item):
            assert index in rejected, f"taken, and is no interaction: {item!r}"
        elif index in rejected and not is_beyond_the_schema(item):
            raise AssertionError(f"refused, and is an interaction: {item!r}: {rejected[index]}")


def is_beyond_the_schema(item):
    """Bounds in bytes, the bounds of time, and whole numbers that are written with a fraction."""
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
        return True  # Years and seconds that Python does not have.
    latest = datetime.now(timezone.utc) + timedelta(hours=23)
    return not datetime(2000, 1, 1, tzinfo=timezone.utc) <= at <= latest
