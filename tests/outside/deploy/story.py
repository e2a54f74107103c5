"""The life of interactions in a deployed stack, tested over HTTP, and with AWS's APIs where HTTP shows nothing."""

import gzip
import json
import re
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlencode

from waiting import until

ARCHIVE_CHECK = Path(__file__).parents[1] / "archive" / "check.py"
# A stopped campaign's data expires after this period. It is long enough for the questions that are asked before.
RETENTION = "PT20S"
CAMPAIGN, BUSY = "spring-sale", "busy"
# The campaign whose archive gets a damaged object.
UNLUCKY = "autumn-sale"
UNLUCKY_USERS = 100
USERS = 4_000
CLICKED = {f"user-{n}" for n in range(0, USERS, 3)}
RECEIVED_NOT_CLICKED = {
    "all": [
        {"received": {"source": f"campaign/{CAMPAIGN}", "variant": "B"}},
        {"not": {"clicked": {"source": f"campaign/{CAMPAIGN}"}}},
    ]
}
FUNCTIONS = ["ingest", "api", "console", "sweeper", "compactor", "restorer", "notifier"]


def say(text):
    print(f"   {text}", flush=True)


def each_once(pairs):
    """Checks that a logged object has no key twice: log services differ in how they read that."""
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"a line logs a key twice: {names}"
    return dict(pairs)


def interactions():
    """Every user receives a mail in one of two variants, a third of them clicks, and a few convert."""
    at = datetime.now(timezone.utc) - timedelta(hours=1)
    for n in range(USERS):
        user, when = f"user-{n}", (at + timedelta(milliseconds=n)).isoformat(timespec="milliseconds")
        common = {"user_id": user, "campaign_id": CAMPAIGN, "time": when}
        yield {**common, "type": "received", "channel": "email", "variant_id": "AB"[n % 2]}
        if user in CLICKED:
            yield {**common, "type": "clicked", "channel": "email", "link_alias": "cta"}
        if n % 50 == 0:
            yield {**common, "type": "converted"}


class Story:
    def __init__(self, emulator, stack, api):
        self.emulator, self.stack, self.api = emulator, stack, api
        self.posted = list(interactions())

    # ---- Every route ---------------------------------------------------------------------------------------------

    def nobody_gets_in_unauthorized(self):
        """Each route of the template refuses requests without a key, and has a handler for requests with one."""
        routes = [route for route in self.stack.routes() if route[2] != "ConsoleFunction"]
        for method, path, _ in routes:
            path = path.replace("{id}", "nobody")
            refused = self.api.call(method, path, authorized=False)
            assert refused.status == 401, f"{method} {path} without a key: {refused}"
            answer = self.api.call(method, path)
            code = answer.body.get("code") if isinstance(answer.body, dict) else None
            is_handled = answer.status < 500 and code not in ("unknown_route", "method_not_allowed")
            # The gateway's own 404 has no code.
            assert is_handled and (answer.status != 404 or code), f"{method} {path}: {answer}"
        say(f"{len(routes)} routes refuse requests without a key, and have handlers")

    def people_sign_in(self):
        """The console leads to its sign-in page, takes a key there, and shows the list to whoever has the cookie."""
        for path in ["/", "/console", "/console/restores"]:
            assert self.api.call("GET", path, authorized=False).status == 303, f"{path} without a session"
        page = self.api.must(200, "GET", "/console/sign-in", authorized=False)
        sheet = re.search(r'href="(/console/assets/[^"]+\.css)"', page.decode()).group(1)
        self.api.must(200, "GET", sheet, authorized=False)
        form = urlencode({"key": self.api.key}).encode()
        kind, own = "application/x-www-form-urlencoded", f"https://{self.api.host}"
        answer = self.api.call("POST", "/console/sign-in", form, kind, authorized=False, origin=own)
        assert answer.status == 303 and "Secure" in answer.cookie and "HttpOnly" in answer.cookie, f"{answer} {answer.cookie}"
        page = self.api.must(200, "GET", "/console", authorized=False, cookie=answer.cookie.split(";")[0])
        assert b"Campaigns and Canvases" in page, page[:500]
        say("the console asks for a key, and shows the list to whoever signed in")

    # ---- Ingest --------------------------------------------------------------------------------------------------

    def interactions_arrive(self):
        self.api.must(
            201,
            "PUT",
            f"/v1/campaigns/{CAMPAIGN}",
            {"name": "Spring sale", "variants": [{"id": "A"}, {"id": "B"}]},
        )
        self.api.must(200, "POST", f"/v1/campaigns/{CAMPAIGN}/start")
        accepted = 0
        for at in range(0, len(self.posted), 2_000):
            batch = self.posted[at : at + 2_000]
            if at == 0:
                answer = self.api.must(200, "POST", "/v1/interactions", {"interactions": batch})
            else:
                lines = "\n".join(map(json.dumps, batch)).encode()
                answer = self.api.must(
                    200,
                    "POST",
                    "/v1/interactions",
                    gzip.compress(lines),
                    content_type="application/x-ndjson",
                    content_encoding="gzip",
                )
            accepted += answer["accepted"]
        assert accepted == len(self.posted), accepted
        self.post_received(UNLUCKY, [f"user-{n}" for n in range(UNLUCKY_USERS)])
        self.audience = self.members()
        expected = {f"user-{n}" for n in range(1, USERS, 2)} - CLICKED
        assert self.audience == expected, f"{len(self.audience)} are in the audience, not {len(expected)}"
        say(f"{accepted} interactions arrived; the audience has {len(expected)} users, the right ones")

    def members(self):
        """The members of the audience, page by page; their number must equal the count."""
        count = self.api.must(200, "POST", "/v1/audiences/count", {"filter": RECEIVED_NOT_CLICKED})
        found, cursor = [], None
        while True:
            page = {"cursor": cursor} if cursor else {}
            answer = self.api.must(
                200, "POST", "/v1/audiences/members", {"filter": RECEIVED_NOT_CLICKED, "limit": 500, **page}
            )
            found += answer["items"]
            cursor = answer["next"]
            if not cursor:
                break
        assert count["count"] == len(found) == len(set(found)), f"{count} and {len(found)} members"
        return set(found)

    def much_arrives(self):
        """Posts so much to one campaign that the compactor has work. It looks some two minutes later."""
        self.busy_users = {str(uuid.uuid4()) for _ in range(24_000)}
        users = sorted(self.busy_users)
        for at in range(0, len(users), 3_000):
            self.post_received(BUSY, users[at : at + 3_000])
        say(f"{len(users)} users received campaign/{BUSY}")

    def post_received(self, campaign, users):
        batch = [{"user_id": user, "campaign_id": campaign, "type": "received", "channel": "push"} for user in users]
        self.api.must(200, "POST", "/v1/interactions", {"interactions": batch})

    # ---- Expiry --------------------------------------------------------------------------------------------------

    def data_expires(self):
        """Stops the campaigns and waits until the sweeper has expired them."""
        for campaign in [CAMPAIGN, UNLUCKY]:
            self.api.must(200, "POST", f"/v1/campaigns/{campaign}/stop")
        # The template's rate is five minutes. Only the rate changes, not the rule's target and permission.
        self.set_rate("SweeperFunctionClock", "rate(1 minute)")
        for campaign in [CAMPAIGN, UNLUCKY]:
            until(f"{campaign} is expired", lambda: self.state(campaign) == "expired", seconds=240)
        self.set_rate("SweeperFunctionClock", "rate(5 minutes)")
        refused = self.api.must(409, "POST", "/v1/audiences/count", {"filter": RECEIVED_NOT_CLICKED})
        assert refused["code"] == "expired_interaction_data", refused
        assert refused["expired"] == [f"campaign/{CAMPAIGN}"], refused
        say("the sweeper expired the data; the audience is refused")

    def set_rate(self, rule, rate):
        name = self.stack.resources()[rule]
        # A rule's physical id may have the event bus in front.
        self.emulator.client("events").put_rule(Name=name.split("|")[-1], ScheduleExpression=rate)

    def state(self, campaign):
        return self.source(campaign)["interaction_data"]["state"]

    def source(self, campaign):
        return self.api.must(200, "GET", f"/v1/campaigns/{campaign}")

    def others_read_the_archive(self, folder):
        """Reads the bucket's objects with pyarrow and DuckDB: the rows must be those that were posted."""
        s3, bucket = self.emulator.client("s3"), self.stack.outputs()["ArchiveBucketName"]
        for key in self.archived(CAMPAIGN):
            file = folder / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        posted = folder / "posted" / f"{CAMPAIGN}.ndjson"
        posted.parent.mkdir(parents=True)
        posted.write_text("\n".join(map(json.dumps, self.posted)))
        run = subprocess.run([sys.executable, str(ARCHIVE_CHECK), str(folder)], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        for line in run.stdout.splitlines():
            say(line)

    def archived(self, campaign):
        """The keys of the campaign's objects."""
        s3, bucket = self.emulator.client("s3"), self.stack.outputs()["ArchiveBucketName"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"archive/campaign/{campaign}/")
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    # ---- Restore, while a new version is deployed ----------------------------------------------------------------

    def begin_restore(self, campaign):
        question = {"sources": [f"campaign/{campaign}"], "notify": ["boss@example.com"]}
        return self.api.must(202, "POST", "/v1/restores", question)["id"]

    def end_of_restore(self, id):
        def ended():
            answer = self.api.must(200, "GET", f"/v1/restores/{id}")
            return answer if answer["state"] not in ("queued", "running") else None

        return until("the restore ends", ended, seconds=120)

    def a_restore_begins(self):
        self.restore = self.begin_restore(CAMPAIGN)

    def a_sender_goes_on(self):
        """Posts small batches to a campaign until `sender_stops`; a refused batch is sent again, as senders do."""
        self.is_over = threading.Event()
        self.sent, self.refused = set(), []

        def send():
            n = 0
            while not self.is_over.is_set():
                users = [f"s-{n}-{k}" for k in range(20)]
                try:
                    self.post_received(BUSY, users)
                except (AssertionError, OSError) as error:
                    self.refused.append(str(error))
                    time.sleep(0.2)
                    continue
                self.sent.update(users)
                n += 1

        self.sender = threading.Thread(target=send, daemon=True)
        self.sender.start()

    def sender_stops(self):
        self.is_over.set()
        self.sender.join(90)
        assert not self.sender.is_alive() and self.sent, f"the sender could not send: {self.refused[-1:]}"
        say(f"{len(self.sent)} users were sent during the second deployment, with {len(self.refused)} batches sent again")

    def nothing_was_lost(self):
        """Everything that was acknowledged before and during the second deployment is there."""
        question = {"filter": {"received": {"source": f"campaign/{BUSY}"}}}
        count = self.api.must(200, "POST", "/v1/audiences/count", question)["count"]
        expected = len(self.busy_users | self.sent)
        assert count == expected, f"{count} users, not {expected}"
        say(f"all {expected} users whose batches were accepted are there")

    def data_comes_back(self):
        answer = self.end_of_restore(self.restore)
        assert answer["state"] == "completed", answer
        again = self.members()
        assert again == self.audience, f"{len(again)} are in the audience, not {len(self.audience)}"
        say("the restore is completed, and the audience is the same")

    def mails_arrive(self):
        """The address that the restore named gets a mail about it, as text and as HTML."""

        def found():
            return [m for m in self.emulator.mails() if m.to == "boss@example.com" and "restored" in m.subject]

        (mail,) = until("a mail tells of the restore", found, seconds=60)
        assert CAMPAIGN in mail.text and CAMPAIGN in mail.html and "</" in mail.html, mail
        say(f"a mail to {mail.to}: {mail.subject}")

    def the_compactor_merges(self):
        """The compactor runs by itself, once a minute. It leaves a ledger alone as long as ingest may still append."""
        until("the compactor merges", lambda: self.source(BUSY)["interaction_data"]["users"], seconds=300)
        say("the compactor merged what had arrived")

    def logs(self):
        """The log lines of each function."""
        logs, resources = self.emulator.client("logs"), self.stack.resources()
        for function in FUNCTIONS:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=resources[f"{function.capitalize()}Logs"])
            yield function, [event["message"].strip() for page in pages for event in page["events"]]

    # ---- The end -------------------------------------------------------------------------------------------------

    def nothing_failed(self):
        """Checks that there are no dead letters, failed invocations or logged errors."""
        sqs, resources = self.emulator.client("sqs"), self.stack.resources()
        for queue in ["RestoresDeadLetters", "NoticesDeadLetters", "SchedulesDeadLetters"]:
            answer = sqs.get_queue_attributes(QueueUrl=resources[queue], AttributeNames=["ApproximateNumberOfMessages"])
            assert answer["Attributes"]["ApproximateNumberOfMessages"] == "0", f"{queue} has messages"
        lines = objects = 0
        for function, messages in self.logs():
            assert messages, f"{function} never ran, or logged nothing"
            lines += len(messages)
            for message in messages:
                assert '"level":"ERROR"' not in message and "AccessDenied" not in message, f"{function} logged {message}"
                if message.startswith("{"):
                    json.loads(message, object_pairs_hook=each_once)
                    objects += 1
        assert objects, "no line is JSON, so no line was checked"
        say(f"no dead letters, and no error in {lines} lines of the logs of {len(FUNCTIONS)} functions, {objects} of them JSON")

    # ---- The procedures of docs/operations.md --------------------------------------------------------------------

    def aws(self, *arguments):
        """Runs the AWS CLI, as an operator does."""
        run = subprocess.run(
            # Version 1 of the CLI ignores AWS_ENDPOINT_URL for `sqs`.
            ["aws", *arguments, "--output", "json", "--endpoint-url", self.emulator.url],
            env=self.emulator.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == 0, f"aws {' '.join(arguments)}: {run.stderr}"
        return json.loads(run.stdout or "{}")

    def damage_is_mended(self):
        """An archived object is overwritten. The restore names it, and its earlier version is put back."""
        bucket, key = self.stack.outputs()["ArchiveBucketName"], self.archived(UNLUCKY)[0]
        self.emulator.client("s3").put_object(Bucket=bucket, Key=key, Body=b"something else")
        answer = self.end_of_restore(self.begin_restore(UNLUCKY))
        assert answer["state"] == "failed" and key in answer["items"][0]["error"], answer
        versions = self.aws("s3api", "list-object-versions", "--bucket", bucket, "--prefix", key)["Versions"]
        (good,) = [version["VersionId"] for version in versions if not version["IsLatest"]]
        source = f"{bucket}/{key}?versionId={good}"
        self.aws("s3api", "copy-object", "--bucket", bucket, "--key", key, "--copy-source", source)
        say("a damaged object was named, and its good version put back")

    def a_dead_letter_is_sent_back(self):
        """A role lacks a permission until a message has failed five times. With the permission back, the message is sent again and done."""
        resources = self.stack.resources()
        queue, dead = resources["RestoresQueue"], resources["RestoresDeadLetters"]
        # The template's time-out is 90 minutes, too long to wait for five deliveries.
        self.emulator.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
        with self.without("restorer", "ReadCatalog"):
            restore = self.begin_restore(UNLUCKY)
            look = ["sqs", "receive-message", "--queue-url", dead, "--visibility-timeout", "0"]
            (letter,) = until("a dead letter", lambda: self.aws(*look).get("Messages"), seconds=120)
            assert restore in letter["Body"], letter
        # These calls do the work of `start-message-move-task`, which MiniStack does not have.
        (letter,) = self.aws("sqs", "receive-message", "--queue-url", dead)["Messages"]
        self.aws("sqs", "send-message", "--queue-url", queue, "--message-body", letter["Body"])
        self.aws("sqs", "delete-message", "--queue-url", dead, "--receipt-handle", letter["ReceiptHandle"])
        answer = self.end_of_restore(restore)
        assert answer["state"] == "completed", answer
        question = {"filter": {"received": {"source": f"campaign/{UNLUCKY}"}}}
        count = self.api.must(200, "POST", "/v1/audiences/count", question)["count"]
        assert count == UNLUCKY_USERS, f"{count} users, not {UNLUCKY_USERS}"
        say("work that failed five times was sent back, and done")

    @contextmanager
    def without(self, function, statement=None):
        """A context in which the function's role lacks one statement of its policy, or all of it."""
        iam, role = self.emulator.client("iam"), self.stack.resources()[f"{function.capitalize()}Role"]
        policy = iam.get_role_policy(RoleName=role, PolicyName=function)["PolicyDocument"]
        if statement:
            rest = [given for given in policy["Statement"] if given["Sid"] != statement]
            assert len(rest) < len(policy["Statement"]), f"{function} has no statement {statement}"
            less = json.dumps({**policy, "Statement": rest})
            iam.put_role_policy(RoleName=role, PolicyName=function, PolicyDocument=less)
        else:
            iam.delete_role_policy(RoleName=role, PolicyName=function)
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=role, PolicyName=function, PolicyDocument=json.dumps(policy))

    def roles_count(self):
        """Checks that the emulator refuses calls that a role does not allow. Otherwise this test would not test the roles."""
        batch = [{"user_id": "nobody", "campaign_id": BUSY, "type": "converted"}]
        with self.without("ingest"):
            answer = self.api.call("POST", "/v1/interactions", {"interactions": batch})
            assert answer.status >= 500, f"without any permission ingest answers {answer}"
        self.api.must(200, "POST", "/v1/interactions", {"interactions": batch})
        say("without its policy a function can do nothing")

    def what_people_did_is_kept(self, outputs):
        """The tables and the bucket outlive the stack, with their content; the functions do not."""
        functions = self.emulator.client("lambda").list_functions()["Functions"]
        assert not functions, functions
        dynamodb, s3 = self.emulator.client("dynamodb"), self.emulator.client("s3")
        for table in ["CatalogTableName", "LedgerTableName"]:
            assert dynamodb.scan(TableName=outputs[table], Limit=1)["Items"], f"{table} is empty"
        assert s3.list_objects_v2(Bucket=outputs["ArchiveBucketName"], MaxKeys=1)["KeyCount"] == 1
        say("the stack is gone; the tables and the bucket are there, with their content")
