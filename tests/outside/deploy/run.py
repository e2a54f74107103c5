"""Deploys the built stack onto MiniStack, tests its whole life through the deployed HTTP API, and takes it down again.

`run.py TEMPLATE`: TEMPLATE is the file that `sam build` wrote. Any failure ends the program with 1. If AWS_ENDPOINT_URL is
set, the stack is deployed there, and LocalStack must answer at that address.
"""

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from emulator import LocalStack, MiniStack
from http_api import HttpApi
from stack import Stack
from story import RETENTION, Story, say

NAME = "rekindle-test"
PARAMETERS = {
    "MailSender": "rekindle@example.com",
    "MailIdentity": "create",
    "AlarmEmail": "ops@example.com",
    "WarnBefore": "PT1S",
    "NoticePeriod": "PT1S",
}
GAPS = "what-ministack-checks"
# Where MiniStack 1.5 differs from AWS, and therefore what this test does not show.
NOT_SHOWN = """\
- routes: MiniStack ignores the OpenAPI body that SAM makes; this test makes the routes from it, by the gateway's own API
- permissions: MiniStack checks SendEmail against the resource `*`, and for a batch of messages asks for
  sqs:SendMessageBatch, which AWS does not have; this test gives the roles both, in addition to their own policies
- dead letters: MiniStack has no StartMessageMoveTask; this test receives the messages and sends them back one by one
- policies: MiniStack ignores dynamodb:LeadingKeys; the limits of a statement to some keys are not tested
- time to live and point-in-time recovery: MiniStack drops them. It accepts deletion protection, encryption, lifecycle
  rules, alarms, metrics, the dashboard and throttling, but they do nothing
- limits: MiniStack checks few properties against AWS's limits; cfn-lint and tests/outside/template check them
- time, memory, concurrency and scaling are this machine's, not Lambda's"""


def step(text):
    print(f"\n-- {text} (after {time.monotonic() - STARTED:.0f} s)", flush=True)


def permit_what_is_checked_otherwise(emulator, stack):
    """Gives each role a second policy with the permissions that MiniStack asks for and AWS does not; see NOT_SHOWN."""
    iam, resources = emulator.client("iam"), stack.resources()
    for role in [physical for logical, physical in resources.items() if logical.endswith("Role")]:
        own = [name for name in iam.list_role_policies(RoleName=role)["PolicyNames"] if name != GAPS]
        more = []
        for name in own:
            for statement in iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]:
                if statement["Action"] == "sqs:SendMessage":
                    more.append({**statement, "Sid": f"Batch{len(more)}", "Action": "sqs:SendMessageBatch"})
                if statement["Action"] == "ses:SendEmail":
                    more.append({"Sid": "AnyMail", "Effect": "Allow", "Action": "ses:SendEmail", "Resource": "*"})
        if more:
            document = json.dumps({"Version": "2012-10-17", "Statement": more})
            iam.put_role_policy(RoleName=role, PolicyName=GAPS, PolicyDocument=document)


def deploy(emulator, stack, template, retention):
    stack.deploy(template, RetentionPeriod=retention, **PARAMETERS)
    stack.make_routes()
    permit_what_is_checked_otherwise(emulator, stack)


def tell(emulator, template, folder):
    stack = Stack(emulator, NAME)
    step("deploy")
    deploy(emulator, stack, template, RETENTION)
    story = Story(emulator, stack, HttpApi(emulator, stack.resources()["Api"], stack.admin_key()))

    step("every route")
    story.much_arrives()
    story.nobody_gets_in_unauthorized()
    story.people_sign_in()

    step("interactions arrive")
    story.interactions_arrive()

    step("they expire")
    story.data_expires()
    story.others_read_the_archive(folder / "archive")

    step("a new version is deployed during a restore, and while interactions arrive")
    story.a_restore_begins()
    story.a_sender_goes_on()
    deploy(emulator, stack, template, "P3M")
    story.sender_stops()
    story.nothing_was_lost()
    story.data_comes_back()
    story.mails_arrive()
    story.the_compactor_merges()
    story.nothing_was_lost()
    story.nothing_failed()

    step("the procedures of docs/operations.md")
    story.damage_is_mended()
    story.a_dead_letter_is_sent_back()
    story.roles_count()

    step("take it down")
    kept = stack.outputs()
    stack.delete()
    story.what_people_did_is_kept(kept)


def show_logs(emulator):
    """Prints the last lines of each function's log, to help find the cause of a failure."""
    for function, messages in Story(emulator, Stack(emulator, NAME), None).logs():
        lines = [m for m in messages if not m.startswith(("START ", "END ", "REPORT "))]
        print(f"\n{function} logged last:", *lines[-8:], sep="\n")


def main():
    # When this program is terminated, it still ends the emulator that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    template = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="rekindle-deploy-") as folder:
        given = os.environ.get("AWS_ENDPOINT_URL")
        with LocalStack(folder, given) if given else MiniStack(folder) as emulator:
            try:
                tell(emulator, template, Path(folder))
            except Exception:
                traceback.print_exc()
                print(f"\nThe end of the emulator's log:\n{emulator.tail()}")
                show_logs(emulator)
                sys.exit(1)
    if not given:
        print(f"\nMiniStack cannot show:\n{NOT_SHOWN}")
    print(f"\ndeployed twice and tested in {time.monotonic() - STARTED:.0f} s")


STARTED = time.monotonic()
main()
