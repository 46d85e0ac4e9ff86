"""The same conversations, as a person has them with the AWS CLI."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from service import Service, until

AWS = str(pathlib.Path(sys.executable).with_name("aws"))
ROLE = "arn:aws:iam::123456789012:role/any"
SERVICE = None


def setUpModule():
    global SERVICE
    SERVICE = Service()


def tearDownModule():
    SERVICE.stop()


def run(*words):
    # The CLI's own way with SQS's old host names goes past AWS_ENDPOINT_URL.
    return subprocess.run(
        [sys.executable, AWS, "--endpoint-url", SERVICE.url, *words],
        env=SERVICE.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def aws(*words):
    """What the CLI answers, read as JSON; as text if it is none."""
    ended = run(*words)
    if ended.returncode:
        raise AssertionError(f"aws {' '.join(words)}: {ended.stderr}")
    try:
        return json.loads(ended.stdout)
    except ValueError:
        return ended.stdout


class Cli(unittest.TestCase):
    def refused(self, code, *words):
        ended = run(*words)
        self.assertNotEqual(ended.returncode, 0, ended.stdout)
        self.assertIn(code, ended.stderr)

    def test_define_start_poll_report(self):
        sfn = lambda *words: aws("stepfunctions", *words)
        activity = sfn("create-activity", "--name", "cli")["activityArn"]
        state = {"Type": "Task", "Resource": activity, "End": True}
        definition = json.dumps({"StartAt": "Work", "States": {"Work": state}})
        machine = sfn(
            "create-state-machine", "--name", "cli", "--definition", definition, "--role-arn", ROLE
        )["stateMachineArn"]
        execution = sfn(
            "start-execution", "--state-machine-arn", machine, "--input", '{"n": 1}'
        )["executionArn"]
        task = sfn("get-activity-task", "--activity-arn", activity)
        self.assertEqual(json.loads(task["input"]), {"n": 1})
        token = ("--task-token", task["taskToken"])
        sfn("send-task-heartbeat", *token)
        sfn("send-task-success", *token, "--task-output", '{"loaded": 2}')
        describe = lambda: sfn("describe-execution", "--execution-arn", execution)
        until("the execution ends", lambda: describe()["status"] == "SUCCEEDED")
        self.assertEqual(json.loads(describe()["output"]), {"loaded": 2})
        listed = sfn("list-executions", "--state-machine-arn", machine, "--status-filter", "SUCCEEDED")
        self.assertEqual([one["executionArn"] for one in listed["executions"]], [execution])
        self.refused("TaskTimedOut", "stepfunctions", "send-task-heartbeat", *token)

    def test_alarm_publish_receive_delete(self):
        topic = aws("sns", "create-topic", "--name", "cli")["TopicArn"]
        queue = aws("sqs", "create-queue", "--queue-name", "cli")["QueueUrl"]
        at = ("--queue-url", queue)
        arn = aws("sqs", "get-queue-attributes", *at, "--attribute-names", "QueueArn")
        arn = arn["Attributes"]["QueueArn"]
        allow = {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
                }
            ]
        }
        policy = json.dumps({"Policy": json.dumps(allow)})
        aws("sqs", "set-queue-attributes", *at, "--attributes", policy)
        aws("sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", arn)
        aws(
            *("cloudwatch", "put-metric-alarm", "--alarm-name", "cli", "--alarm-actions", topic),
            *("--namespace", "Cli", "--metric-name", "Late", "--statistic", "Maximum"),
            *("--period", "60", "--evaluation-periods", "1", "--threshold", "5"),
            # Else an evaluation between two calls takes back what is set by hand.
            *("--comparison-operator", "GreaterThanThreshold", "--treat-missing-data", "ignore"),
        )
        aws(
            *("cloudwatch", "set-alarm-state", "--alarm-name", "cli"),
            *("--state-value", "ALARM", "--state-reason", "by hand"),
        )
        alarms = aws("cloudwatch", "describe-alarms", "--state-value", "ALARM")["MetricAlarms"]
        self.assertEqual([alarm["AlarmName"] for alarm in alarms], ["cli"])
        aws("sns", "publish", "--topic-arn", topic, "--message", "hello")
        heard = []
        for _ in range(2):
            received = aws("sqs", "receive-message", *at, "--wait-time-seconds", "5")["Messages"]
            heard.append(json.loads(received[0]["Body"])["Message"])
            receipt = received[0]["ReceiptHandle"]
            aws("sqs", "delete-message", *at, "--receipt-handle", receipt)
        self.assertEqual(json.loads(heard[0])["NewStateValue"], "ALARM")
        self.assertEqual(heard[1], "hello")
        SERVICE.advance("31s")
        self.assertEqual(aws("sqs", "receive-message", *at), "")

    def test_put_list_copy_on_condition(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a.csv", "b c.csv"):
                pathlib.Path(folder, name).write_text("1,2\n")
            aws("s3", "mb", "s3://cli")
            aws("s3", "sync", folder, "s3://cli/incoming/")
            listed = aws("s3", "ls", "s3://cli/incoming/")
            self.assertIn("b c.csv", listed)
            aws("s3", "mv", "s3://cli/incoming/b c.csv", "s3://cli/processed/b c.csv")
            back = os.path.join(folder, "back")
            aws("s3", "cp", "s3://cli/processed/b c.csv", back)
            self.assertEqual(pathlib.Path(back).read_text(), "1,2\n")
        head = aws("s3api", "head-object", "--bucket", "cli", "--key", "incoming/a.csv")
        copy = ("s3api", "copy-object", "--bucket", "cli", "--key", "copy")
        source = ("--copy-source", "cli/incoming/a.csv", "--copy-source-if-match")
        self.refused("PreconditionFailed", *copy, *source, '"00000000000000000000000000000000"')
        aws(*copy, *source, head["ETag"])
        keys = aws("s3api", "list-objects-v2", "--bucket", "cli", "--query", "Contents[].Key")
        self.assertEqual(keys, ["copy", "incoming/a.csv", "processed/b c.csv"])
        aws("s3", "rb", "--force", "s3://cli")
        self.refused("NoSuchBucket", "s3", "ls", "s3://cli")

    def test_execute_describe_fetch(self):
        where = ("--workgroup-name", "analytics", "--database", "dev")
        data = lambda *words: aws("redshift-data", *words)
        asked = data("execute-statement", *where, "--sql", "SELECT 7 AS n, 'x' AS t")["Id"]
        describe = lambda: data("describe-statement", "--id", asked)["Status"]
        until("the statement ends", lambda: describe() == "FINISHED")
        fetched = data("get-statement-result", "--id", asked)
        self.assertEqual(fetched["Records"], [[{"longValue": 7}, {"stringValue": "x"}]])
        self.assertEqual([one["name"] for one in fetched["ColumnMetadata"]], ["n", "t"])

    def test_the_caller_is_known(self):
        self.assertEqual(aws("sts", "get-caller-identity")["Account"], "123456789012")


if __name__ == "__main__":
    unittest.main()
