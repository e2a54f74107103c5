"""The deployed stack: runs `sam deploy` and `sam delete`, lists its resources, and makes the routes that MiniStack does not."""

import json
import re
import subprocess
from pathlib import Path

ADMIN_KEY = Path(__file__).parents[3] / "scripts" / "admin-key"


class Stack:
    """A stack in the emulator's account, by its name."""

    def __init__(self, emulator, name):
        self.emulator = emulator
        self.name = name
        self.cloudformation = emulator.client("cloudformation")

    def deploy(self, template, **parameters):
        """Deploys the built template; returns the output of `sam`."""
        pairs = [f"ParameterKey={name},ParameterValue={value}" for name, value in parameters.items()]
        return self.sam(
            "deploy",
            *["--template-file", str(template), "--resolve-s3", "--capabilities", "CAPABILITY_IAM"],
            *["--no-confirm-changeset", "--parameter-overrides", *pairs],
        )

    def delete(self):
        """Deletes the stack."""
        return self.sam("delete", "--no-prompts")

    def sam(self, command, *arguments):
        environment = self.emulator.environment()
        run = subprocess.run(
            ["sam", command, "--stack-name", self.name, "--region", environment["AWS_DEFAULT_REGION"], *arguments],
            env=environment,
            # A folder without samconfig.toml, so that every other option has sam's default.
            cwd=self.emulator.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        if run.returncode != 0:
            raise RuntimeError(f"sam {command} ended with {run.returncode}:\n{run.stdout}")
        return run.stdout

    def resources(self):
        """The resources' physical ids by their logical ids."""
        pages = self.cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return {
            found["LogicalResourceId"]: found["PhysicalResourceId"]
            for page in pages
            for found in page["StackResourceSummaries"]
        }

    def outputs(self):
        (stack,) = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def admin_key(self):
        """Makes an admin key with the script that operators use."""
        run = subprocess.run(
            [ADMIN_KEY, self.name],
            env=self.emulator.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=True,
        )
        return run.stdout.strip()

    def routes(self):
        """The routes of the processed template: (method, path, logical id of the function)."""
        answer = self.cloudformation.get_template(StackName=self.name, TemplateStage="Processed")
        body = answer["TemplateBody"]
        template = json.loads(body) if isinstance(body, str) else body
        found = []
        for path, operations in template["Resources"]["Api"]["Properties"]["Body"]["paths"].items():
            for method, operation in operations.items():
                uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
                function = re.search(r"\$\{(\w+)\.Arn\}", uri).group(1)
                found.append((method.upper(), path, function))
        return found

    def make_routes(self):
        """Makes the API's routes from the template's OpenAPI body, as AWS's gateway does. MiniStack does not."""
        gateway, functions = self.emulator.client("apigatewayv2"), self.emulator.client("lambda")
        resources = self.resources()
        api = resources["Api"]
        there = {route["RouteKey"] for route in gateway.get_routes(ApiId=api)["Items"]}
        integrations = {}
        for method, path, function in self.routes():
            key = f"{method} {path}"
            if key in there:
                continue
            if function not in integrations:
                configuration = functions.get_function_configuration(FunctionName=resources[function])
                integrations[function] = gateway.create_integration(
                    ApiId=api,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=configuration["FunctionArn"],
                    PayloadFormatVersion="2.0",
                )["IntegrationId"]
            gateway.create_route(
                ApiId=api,
                RouteKey=key,
                Target=f"integrations/{integrations[function]}",
            )
