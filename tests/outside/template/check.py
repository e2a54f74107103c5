"""Checks rules for template.yaml as SAM expands it: authorization, permissions, time-outs, dead letters, data.

`check.py TEMPLATE`. Prints a line for each violation and exits with 1. If there is none, it breaks each rule once, in
memory, and exits with 1 if a break is not noticed.
"""

import copy
import json
import os
import re
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

ROOT = Path(__file__).parents[3]
PERMISSIONS = Path(__file__).with_name("permissions.txt")
CONFIGURATION = ROOT / "shared" / "service" / "src" / "config.rs"
# How long the gateway waits for an answer, whatever the function's time-out.
GATEWAY_SECONDS = 30
FORTNIGHT = 1_209_600
# Each function that answers HTTP owns the table of its routes, with their scopes.
TABLES = [ROOT / "functions" / name / "src" / "lib.rs" for name in ("api", "ingest")]
# The functions that ask for a key with the route's scope.
GUARDED = {"ApiFunction", "IngestFunction"}
# The routes of the console, which asks for a session and the page's scope itself.
CONSOLE = {"GET /", "GET /console", "GET /console/{page+}", "POST /console/{page+}"}


class Template:
    """The expanded template, with functions to query it."""

    def __init__(self, document):
        self.document = document
        self.resources = document["Resources"]

    def of(self, kind):
        """(logical id, properties) of the resources of a type."""
        return [(k, r.get("Properties", {})) for k, r in self.resources.items() if r["Type"] == f"AWS::{kind}"]

    def properties(self, name):
        return self.resources[name]["Properties"]

    def routes(self):
        for path, operations in self.properties("Api")["Body"]["paths"].items():
            for method, operation in operations.items():
                yield f"{method.upper()} {path}", operation


def name_of(value):
    """The logical id that a reference names."""
    if isinstance(value, dict) and "Ref" in value:
        return value["Ref"]
    if isinstance(value, dict) and "Fn::GetAtt" in value:
        attribute = value["Fn::GetAtt"]
        return (attribute.split(".") if isinstance(attribute, str) else attribute)[0]
    return None


def listed(value):
    return value if isinstance(value, list) else [value]


# ---- Callers ---------------------------------------------------------------------------------------------------------


def routes_are_authorized(t):
    """Each route has a scope in the functions' table, and goes to a function that asks for keys."""
    routes = dict(t.routes())
    tables = "".join(table.read_text() for table in TABLES)
    scopes = dict(re.findall(r'\(Method::(\w+, "[^"]+"), (?:Scope::)?(\w+)\)', tables))
    scopes = {route.replace(",", "").replace('"', ""): scope for route, scope in scopes.items()}
    if len(scopes) < 30:
        yield f"the tables have only {len(scopes)} routes"
    for name in (routes.keys() - CONSOLE) ^ scopes.keys():
        yield f"{name}: has a route but no scope, or a scope but no route"
    for name in CONSOLE - routes.keys():
        yield f"{name}: the console has no such route"
    for name, operation in routes.items():
        function = re.search(r"\$\{(\w+)\.Arn\}", operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"])
        if function.group(1) not in ({"ConsoleFunction"} if name in CONSOLE else GUARDED):
            yield f"{name}: goes to {function.group(1)}, which asks for no key"


def functions_are_called_by_nobody_else(t):
    for name, _ in t.of("Lambda::Url"):
        yield f"{name}: a function has an address of its own, which bypasses the gateway"
    for name, p in t.of("Lambda::Permission"):
        if p["Principal"] not in ("apigateway.amazonaws.com", "events.amazonaws.com"):
            yield f"{name}: {p['Principal']} may call a function"
        if "SourceArn" not in p:
            yield f"{name}: {p['Principal']} may call a function for any account"


# ---- Permissions -----------------------------------------------------------------------------------------------------


def resource_name(value):
    """A policy's resource as permissions.txt writes it."""
    if name_of(value):
        return name_of(value)
    sub = value.get("Fn::Sub") if isinstance(value, dict) else None
    text = sub[0] if isinstance(sub, list) else sub
    if text is None:
        return json.dumps(value)
    match = re.fullmatch(r"\$\{(\w+)\.Arn\}(/.*)", text)
    if match:
        return match.group(1) + match.group(2)
    identity = "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/"
    if text == identity + "${MailSender}":
        return "the sender's address"
    if sub == [identity + "${Domain}", {"Domain": {"Fn::Select": [1, {"Fn::Split": ["@", {"Ref": "MailSender"}]}]}}]:
        return "the sender's domain"
    return json.dumps(sub)


def condition_name(condition):
    """A statement's condition as permissions.txt writes it."""
    match condition:
        case None:
            return ""
        case {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}} if len(condition) == 1:
            return f"keys {' '.join(listed(keys))}"
        case {"StringEquals": {"ses:FromAddress": {"Ref": "MailSender"}}} if len(condition) == 1:
            return "from the sender"
    return json.dumps(condition)


def expected_permissions():
    expected, function = {}, None
    for line in PERMISSIONS.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            function = line.strip()
            expected[function] = set()
        else:
            action, resource, *condition = re.split(r"\s{2,}", line.strip())
            expected[function].add((action, resource, *(condition or [""])))
    return expected


def functions_may_do_what_they_do_and_nothing_else(t):
    expected = expected_permissions()
    functions = {name.removesuffix("Function").lower(): p for name, p in t.of("Lambda::Function")}
    if functions.keys() != expected.keys():
        yield f"the functions are {sorted(functions)}, not {sorted(expected)}"
    for function in functions.keys() & expected.keys():
        role = name_of(functions[function]["Role"])
        if role != f"{function.capitalize()}Role":
            yield f"{function}: its role is {role}"
            continue
        p = t.properties(role)
        if p.get("ManagedPolicyArns") or p.get("PermissionsBoundary"):
            yield f"{role}: has more policies than its own"
        trusted = [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]
        if p["AssumeRolePolicyDocument"]["Statement"] != trusted:
            yield f"{role}: others than Lambda may assume it"
        found = set()
        for policy in p["Policies"]:
            for s in policy["PolicyDocument"]["Statement"]:
                if s["Effect"] != "Allow" or not s.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}:
                    yield f"{role}: {s.get('Sid')} is not a plain permission"
                    continue
                condition = condition_name(s.get("Condition"))
                found |= {
                    (action, resource_name(resource), condition)
                    for action in listed(s["Action"])
                    for resource in listed(s["Resource"])
                }
        for permission in sorted(found - expected[function]):
            yield f"{role}: may do {' '.join(permission)}, which permissions.txt does not list"
        for permission in sorted(expected[function] - found):
            yield f"{role}: may not do {' '.join(permission)}, which permissions.txt lists"


def there_are_no_other_permissions(t):
    for kind in ["IAM::Policy", "IAM::ManagedPolicy", "IAM::RolePolicy", "IAM::User", "IAM::Group"]:
        for name, _ in t.of(kind):
            yield f"{name}: an {kind} besides the functions' roles"
    for name, p in t.of("IAM::Role"):
        if name.removesuffix("Role").lower() not in expected_permissions():
            yield f"{name}: a role that belongs to no function"
    for kind in ["S3::BucketPolicy", "SQS::QueuePolicy", "SNS::TopicPolicy"]:
        for name, p in t.of(kind):
            for s in p["PolicyDocument"]["Statement"]:
                if s["Effect"] == "Allow" and (s["Principal"] == "*" or "Condition" not in s):
                    yield f"{name}: {s.get('Sid')} allows more than one caller"


# ---- Time-outs and failures ------------------------------------------------------------------------------------------


def functions_answer_before_the_gateway_gives_up(t):
    called = {re.search(r"\$\{(\w+)\.Arn\}", json.dumps(o["x-amazon-apigateway-integration"])).group(1) for _, o in t.routes()}
    for function in sorted(called):
        if t.properties(function)["Timeout"] >= GATEWAY_SECONDS:
            yield f"{function}: runs for {t.properties(function)['Timeout']} s, and the gateway waits {GATEWAY_SECONDS} s"


def queues_hide_messages_long_enough(t):
    for name, p in t.of("Lambda::EventSourceMapping"):
        queue, function = name_of(p["EventSourceArn"]), name_of(p["FunctionName"])
        hidden, runs = t.properties(queue).get("VisibilityTimeout", 30), t.properties(function)["Timeout"]
        if hidden < 6 * runs:
            yield f"{queue}: hides a message for {hidden} s, less than six times the {runs} s of {function}"
        if p.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name}: one message that fails brings its whole batch back"


def what_fails_is_kept(t):
    dead = set()
    for name, p in t.of("SQS::Queue"):
        if not p.get("SqsManagedSseEnabled"):
            yield f"{name}: is not encrypted"
        if "RedrivePolicy" in p:
            dead.add(name_of(p["RedrivePolicy"]["deadLetterTargetArn"]))
        elif p.get("MessageRetentionPeriod") != FORTNIGHT or "RedriveAllowPolicy" not in p:
            yield f"{name}: has no dead-letter queue, and is not made to be one"
    for name, p in t.of("Events::Rule"):
        for target in p["Targets"]:
            dead.add(name_of(target.get("DeadLetterConfig", {}).get("Arn")))
            if "DeadLetterConfig" not in target or "RetryPolicy" not in target:
                yield f"{name}: a tick that does not reach its function is lost"
            function = name_of(target["Arn"])
            if "DeadLetterConfig" not in t.properties(function):
                yield f"{function}: a tick that fails in it is lost"
    watched = {
        name_of(d["Value"])
        for _, p in t.of("CloudWatch::Alarm")
        if p["MetricName"] == "ApproximateNumberOfMessagesVisible"
        for d in p["Dimensions"]
    }
    for queue in sorted((dead | {n for n, _ in t.of("SQS::Queue") if n.endswith("DeadLetters")}) - {None} - watched):
        yield f"{queue}: no alarm tells of messages in it"


def functions_that_fail_are_noticed(t):
    watched = {name_of(d["Value"]) for _, p in t.of("CloudWatch::Alarm") if p["MetricName"] == "Errors" for d in p["Dimensions"]}
    for function in sorted({name for name, _ in t.of("Lambda::Function")} - watched):
        yield f"{function}: no alarm tells of its failures"
    for name, p in t.of("CloudWatch::Alarm"):
        if p.get("AlarmActions") != [{"Ref": "AlarmTopic"}] or "TreatMissingData" not in p:
            yield f"{name}: tells nobody, or does not say how missing data counts"


# ---- Data and logs ---------------------------------------------------------------------------------------------------


def logs_end(t):
    for name, p in t.of("Logs::LogGroup"):
        if "RetentionInDays" not in p:
            yield f"{name}: is kept for ever"
    for name, p in t.of("Lambda::Function"):
        logs = name_of(p.get("LoggingConfig", {}).get("LogGroup"))
        if logs != name.replace("Function", "Logs"):
            yield f"{name}: logs to {logs}, which Lambda would make as a group that is kept for ever"


def data_outlives_the_stack(t):
    for name, r in t.resources.items():
        if r["Type"] in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
            if (r.get("DeletionPolicy"), r.get("UpdateReplacePolicy")) != ("Retain", "Retain"):
                yield f"{name}: goes with the stack"
    for name, p in t.of("DynamoDB::Table"):
        wanted = {
            "BillingMode": "PAY_PER_REQUEST",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {"SSEEnabled": True},
            "DeletionProtectionEnabled": True,
        }
        for key, value in wanted.items():
            if p.get(key) != value:
                yield f"{name}: {key} is {p.get(key)}, not {value}"


def the_bucket_is_closed(t):
    for name, p in t.of("S3::Bucket"):
        access = p.get("PublicAccessBlockConfiguration", {})
        for key in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]:
            if access.get(key) is not True:
                yield f"{name}: {key} is not on"
        if p.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name}: has no versions"
        if "BucketEncryption" not in p:
            yield f"{name}: is not encrypted"
        rules = [r for r in p["LifecycleConfiguration"]["Rules"] if r["Status"] == "Enabled"]
        if not any("AbortIncompleteMultipartUpload" in r for r in rules):
            yield f"{name}: keeps incomplete uploads"
        for rule in rules:
            if "ExpirationInDays" in rule or "ExpirationDate" in rule:
                yield f"{name}: {rule.get('Id')} deletes archives"
        denied = [
            s["Condition"]
            for _, policy in t.of("S3::BucketPolicy")
            if name_of(policy["Bucket"]) == name
            for s in policy["PolicyDocument"]["Statement"]
            if s["Effect"] == "Deny" and s["Principal"] == "*" and s["Action"] == "s3:*" and len(s["Resource"]) == 2
        ]
        if {"Bool": {"aws:SecureTransport": "false"}} not in denied:
            yield f"{name}: may be reached without TLS"


# ---- The functions themselves ----------------------------------------------------------------------------------------


def functions_are_configured(t):
    """Each variable that the configuration reads is set; otherwise a function would refuse to start."""
    read = set(re.findall(r'(?:required|lookup|period)\("([A-Z_]+)"', CONFIGURATION.read_text()))
    if len(read) < 6:
        yield f"{CONFIGURATION.name} reads only {sorted(read)}"
    for name, p in t.of("Lambda::Function"):
        variables = p["Environment"]["Variables"].keys()
        if variables != read:
            yield f"{name}: {sorted(variables ^ read)} is set and not read, or read and not set"
        if (p["Runtime"], p["Architectures"]) != ("provided.al2023", [{"Ref": "Architecture"}]):
            yield f"{name}: is not of the parameter's architecture, or not of Amazon Linux 2023"


def parameters_explain_themselves(t):
    for name, p in t.document["Parameters"].items():
        if not p.get("Description"):
            yield f"{name}: has no description"
        # The sender of the mails is the one parameter without a sensible default.
        if "Default" not in p and name != "MailSender":
            yield f"{name}: has no default"
        if not p.keys() & {"AllowedPattern", "AllowedValues", "MaxValue"} and name != "Notify":
            yield f"{name}: takes anything"


RULES = [
    routes_are_authorized,
    functions_are_called_by_nobody_else,
    functions_may_do_what_they_do_and_nothing_else,
    there_are_no_other_permissions,
    functions_answer_before_the_gateway_gives_up,
    queues_hide_messages_long_enough,
    what_fails_is_kept,
    functions_that_fail_are_noticed,
    logs_end,
    data_outlives_the_stack,
    the_bucket_is_closed,
    functions_are_configured,
    parameters_explain_themselves,
]


def policy(t, function):
    return t.properties(f"{function}Role")["Policies"][0]["PolicyDocument"]["Statement"]


def an_open_route(t):
    paths = t.properties("Api")["Body"]["paths"]
    paths["/v1/everything"] = paths["/v1/users"]


def an_unguarded_function(t):
    integration = t.properties("Api")["Body"]["paths"]["/v1/users"]["get"]["x-amazon-apigateway-integration"]
    integration["uri"] = {"Fn::Sub": integration["uri"]["Fn::Sub"].replace("ApiFunction", "SweeperFunction")}


def a_page_from_elsewhere(t):
    integration = t.properties("Api")["Body"]["paths"]["/console"]["get"]["x-amazon-apigateway-integration"]
    integration["uri"] = {"Fn::Sub": integration["uri"]["Fn::Sub"].replace("ConsoleFunction", "ApiFunction")}


# At least one break for each rule, to show that the rule can fail.
BREAKS = {
    "a route without authorization": an_open_route,
    "a route to a function that asks for no key": an_unguarded_function,
    "a page of the console from another function": a_page_from_elsewhere,
    "a function with an address of its own": lambda t: t.resources.update(U={"Type": "AWS::Lambda::Url", "Properties": {}}),
    "an additional action": lambda t: policy(t, "Ingest")[0].update(Action=["dynamodb:GetItem", "dynamodb:DeleteItem"]),
    "a missing action": lambda t: policy(t, "Restorer").pop(),
    "a bare *": lambda t: policy(t, "Sweeper")[0].update(Resource="*"),
    "a missing condition": lambda t: policy(t, "Notifier")[3].pop("Condition"),
    "a role that anybody assumes": lambda t: t.properties("ApiRole")["AssumeRolePolicyDocument"]["Statement"][0].update(Principal="*"),
    "another function's role": lambda t: t.properties("ApiFunction").update(Role={"Fn::GetAtt": "SweeperRole.Arn"}),
    "a managed policy": lambda t: t.properties("ApiRole").update(ManagedPolicyArns=["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
    "an additional policy": lambda t: t.resources.update(P={"Type": "AWS::IAM::Policy", "Properties": {}}),
    "a function slower than the gateway": lambda t: t.properties("ApiFunction").update(Timeout=30),
    "a message that comes back too soon": lambda t: t.properties("NoticesQueue").update(VisibilityTimeout=359),
    "a batch that fails as one": lambda t: t.properties("NotifierFunctionNotices").pop("FunctionResponseTypes"),
    "a queue without dead letters": lambda t: t.properties("RestoresQueue").pop("RedrivePolicy"),
    "a tick without dead letters": lambda t: t.properties("SweeperFunctionClock")["Targets"][0].pop("DeadLetterConfig"),
    "dead letters without an alarm": lambda t: t.resources.pop("RestoresDeadLettersAlarm"),
    "a function without an alarm": lambda t: t.resources.pop("NotifierErrorsAlarm"),
    "an alarm that tells nobody": lambda t: t.properties("DamageAlarm").pop("AlarmActions"),
    "logs for ever": lambda t: t.properties("ApiLogs").pop("RetentionInDays"),
    "a table that goes with the stack": lambda t: t.resources["LedgerTable"].pop("DeletionPolicy"),
    "a table without recovery": lambda t: t.properties("CatalogTable").pop("PointInTimeRecoverySpecification"),
    "a public bucket": lambda t: t.properties("ArchiveBucket")["PublicAccessBlockConfiguration"].update(BlockPublicPolicy=False),
    "a bucket without TLS": lambda t: t.resources.pop("ArchiveBucketPolicy"),
    "a bucket that deletes": lambda t: t.properties("ArchiveBucket")["LifecycleConfiguration"]["Rules"][0].update(ExpirationInDays=90),
    "a missing variable": lambda t: t.properties("SweeperFunction")["Environment"]["Variables"].pop("RETENTION"),
    "a parameter that takes anything": lambda t: t.document["Parameters"]["RetentionPeriod"].pop("AllowedPattern"),
}


def findings(template):
    return [finding for rule in RULES for finding in rule(template)]


def expanded(file):
    """The template as CloudFormation's SAM transform expands it, made on this machine and without an account."""

    class NoManagedPolicies:
        def load(self):
            return {}

    # The translator asks for a region, though it changes nothing here.
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    document = yaml_parse(file.read_text())
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The place where `sam deploy` would have put the code.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(document, {}, NoManagedPolicies())


def main():
    document = expanded(Path(sys.argv[1]))
    found = findings(Template(document))
    for finding in found:
        print(f"FAILED: {finding}")
    if found:
        sys.exit(1)
    for name, break_it in BREAKS.items():
        broken = Template(copy.deepcopy(document))
        break_it(broken)
        if not findings(broken):
            print(f"FAILED: no rule notices {name}")
            sys.exit(1)
    print(f"{len(RULES)} rules hold, and {len(BREAKS)} ways to break them are noticed")


main()
