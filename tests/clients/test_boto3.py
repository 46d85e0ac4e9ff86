"""Whole conversations, as boto3 has them."""

import io
import json
import os
import unittest

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from service import Service, until

ROLE = "arn:aws:iam::123456789012:role/any"
SERVICE = None


def setUpModule():
    global SERVICE
    SERVICE = Service()
    os.environ.update(SERVICE.environment)


def tearDownModule():
    SERVICE.stop()


def client(name, attempts=1):
    retries = {"total_max_attempts": attempts, "mode": "standard"}
    return boto3.client(name, config=Config(retries=retries, read_timeout=70))


class Case(unittest.TestCase):
    def tearDown(self):
        SERVICE.call("DELETE", "/_stepfleet/faults")

    def refused(self, code, call, **arguments):
        with self.assertRaises(ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response


class StepFunctions(Case):
    """Define, start, poll, report."""

    def setUp(self):
        self.sfn = client("stepfunctions")

    def machine(self, name, **fields):
        activity = self.sfn.create_activity(name=name)["activityArn"]
        state = {"Type": "Task", "Resource": activity, "End": True} | fields
        definition = json.dumps({"StartAt": "Work", "States": {"Work": state}})
        machine = self.sfn.create_state_machine(name=name, definition=definition, roleArn=ROLE)
        return activity, machine["stateMachineArn"]

    def ended(self, execution):
        describe = lambda: self.sfn.describe_execution(executionArn=execution)
        until("the execution ends", lambda: describe()["status"] != "RUNNING")
        return describe()

    def test_a_task_succeeds(self):
        activity, machine = self.machine("boto-good", TimeoutSeconds=300, HeartbeatSeconds=60)
        started = self.sfn.start_execution(
            stateMachineArn=machine, name="one", input=json.dumps({"n": 1})
        )
        task = self.sfn.get_activity_task(activityArn=activity, workerName="boto")
        self.assertEqual(json.loads(task["input"]), {"n": 1})
        self.sfn.send_task_heartbeat(taskToken=task["taskToken"])
        self.sfn.send_task_success(taskToken=task["taskToken"], output='{"loaded": 2}')
        ended = self.ended(started["executionArn"])
        self.assertEqual((ended["status"], ended["output"]), ("SUCCEEDED", '{"loaded":2}'))
        self.refused("TaskTimedOut", self.sfn.send_task_heartbeat, taskToken=task["taskToken"])
        pages = self.sfn.get_paginator("get_execution_history").paginate(
            executionArn=started["executionArn"], PaginationConfig={"PageSize": 2}
        )
        events = [event["type"] for page in pages for event in page["events"]]
        self.assertEqual(
            events,
            ["ExecutionStarted", "TaskStateEntered", "ActivityScheduled", "ActivityStarted"]
            + ["ActivitySucceeded", "TaskStateExited", "ExecutionSucceeded"],
        )

    def test_a_task_fails(self):
        activity, machine = self.machine("boto-bad")
        started = self.sfn.start_execution(stateMachineArn=machine)
        task = self.sfn.get_activity_task(activityArn=activity)
        self.sfn.send_task_failure(taskToken=task["taskToken"], error="Load.Bad", cause="a row")
        ended = self.ended(started["executionArn"])
        self.assertEqual((ended["status"], ended["error"]), ("FAILED", "Load.Bad"))

    def test_a_heartbeat_of_an_hour_lapses_in_a_moment(self):
        activity, machine = self.machine("boto-late", TimeoutSeconds=7200, HeartbeatSeconds=3600)
        started = self.sfn.start_execution(stateMachineArn=machine)
        self.sfn.get_activity_task(activityArn=activity)
        SERVICE.advance("61m")
        self.assertIn(self.ended(started["executionArn"])["status"], ("FAILED", "TIMED_OUT"))

    def test_lists_come_in_pages(self):
        names = {f"boto-page-{n}" for n in range(5)}
        for name in names:
            self.sfn.create_activity(name=name)
        pages = self.sfn.get_paginator("list_activities").paginate(
            PaginationConfig={"PageSize": 2}
        )
        listed = {activity["name"] for page in pages for activity in page["activities"]}
        self.assertLessEqual(names, listed)

    def test_what_is_not_there_is_refused(self):
        missing = "arn:aws:states:eu-west-1:123456789012:activity:nobody"
        self.refused("ActivityDoesNotExist", self.sfn.get_activity_task, activityArn=missing)
        self.refused("InvalidToken", self.sfn.send_task_heartbeat, taskToken="nonsense")


class Signals(Case):
    """Alarm, publish, receive, delete."""

    def setUp(self):
        self.cloudwatch, self.sns, self.sqs = map(client, ("cloudwatch", "sns", "sqs"))
        self.topic = self.sns.create_topic(Name="boto-signals")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="boto-signals")["QueueUrl"]
        wanted = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        self.queue_arn = wanted["Attributes"]["QueueArn"]
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": self.queue_arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": self.topic}},
                }
            ],
        }
        self.sqs.set_queue_attributes(
            QueueUrl=self.queue, Attributes={"Policy": json.dumps(policy)}
        )
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self.queue_arn)

    def tearDown(self):
        super().tearDown()
        self.sqs.delete_queue(QueueUrl=self.queue)
        self.sns.delete_topic(TopicArn=self.topic)

    def receive(self):
        received = self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=5)
        return received.get("Messages", [])

    def test_an_alarm_is_heard_and_deleted(self):
        self.cloudwatch.put_metric_alarm(
            AlarmName="boto-late",
            Namespace="Boto",
            MetricName="Late",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=5,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[self.topic],
        )
        self.cloudwatch.put_metric_data(
            Namespace="Boto", MetricData=[{"MetricName": "Late", "Value": 9.0}]
        )
        SERVICE.advance("2m")
        message = self.receive()[0]
        envelope = json.loads(message["Body"])
        said = json.loads(envelope["Message"])
        self.assertEqual((said["AlarmName"], said["NewStateValue"]), ("boto-late", "ALARM"))
        self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        described = self.cloudwatch.describe_alarms(AlarmNames=["boto-late"])["MetricAlarms"]
        self.assertEqual(described[0]["Namespace"], "Boto")
        self.cloudwatch.set_alarm_state(
            AlarmName="boto-late", StateValue="OK", StateReason="by hand"
        )
        self.cloudwatch.delete_alarms(AlarmNames=["boto-late"])
        self.assertEqual(
            self.cloudwatch.describe_alarms(AlarmNames=["boto-late"])["MetricAlarms"], []
        )
        data = self.cloudwatch.get_metric_data(
            StartTime=described[0]["StateUpdatedTimestamp"].timestamp() - 600,
            EndTime=described[0]["StateUpdatedTimestamp"].timestamp() + 600,
            MetricDataQueries=[
                {
                    "Id": "late",
                    "MetricStat": {
                        "Metric": {"Namespace": "Boto", "MetricName": "Late"},
                        "Period": 60,
                        "Stat": "Maximum",
                    },
                }
            ],
        )
        self.assertEqual(data["MetricDataResults"][0]["Values"], [9.0])

    def test_what_is_published_is_received_once_and_deleted(self):
        self.sns.publish(
            TopicArn=self.topic,
            Subject="subject",
            Message="message",
            MessageAttributes={"kind": {"DataType": "String", "StringValue": "test"}},
        )
        message = self.receive()[0]
        envelope = json.loads(message["Body"])
        self.assertEqual((envelope["Subject"], envelope["Message"]), ("subject", "message"))
        self.assertEqual(envelope["MessageAttributes"]["kind"]["Value"], "test")
        self.assertTrue(envelope["SigningCertURL"].startswith(SERVICE.url))
        self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        SERVICE.advance("31s")
        self.assertEqual(self.sqs.receive_message(QueueUrl=self.queue).get("Messages", []), [])

    def test_messages_go_in_batches(self):
        entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(3)]
        sent = self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)
        self.assertEqual([one["Id"] for one in sent["Successful"]], ["0", "1", "2"])
        received = self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, AttributeNames=["All"]
        )["Messages"]
        self.assertEqual(sorted(one["Body"] for one in received), ["m0", "m1", "m2"])
        self.assertEqual(received[0]["Attributes"]["ApproximateReceiveCount"], "1")
        gone = [{"Id": one["Body"], "ReceiptHandle": one["ReceiptHandle"]} for one in received]
        deleted = self.sqs.delete_message_batch(QueueUrl=self.queue, Entries=gone)
        self.assertEqual(len(deleted["Successful"]), 3)

    def test_a_queue_that_is_not_there_is_refused(self):
        missing = self.queue + "-missing"
        with self.assertRaises(self.sqs.exceptions.QueueDoesNotExist):
            self.sqs.receive_message(QueueUrl=missing)


class Objects(Case):
    """Put, list, copy on condition."""

    def setUp(self):
        self.s3 = client("s3")
        self.s3.create_bucket(
            Bucket="boto", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )

    def tearDown(self):
        super().tearDown()
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="boto")
        keys = [{"Key": one["Key"]} for page in pages for one in page.get("Contents", [])]
        if keys:
            self.s3.delete_objects(Bucket="boto", Delete={"Objects": keys})
        self.s3.delete_bucket(Bucket="boto")

    def test_objects_are_put_listed_and_read(self):
        keys = [f"incoming/a b+c/{n}.csv" for n in range(5)]
        for key in keys:
            self.s3.put_object(Bucket="boto", Key=key, Body=b"1,2\n", Metadata={"batch": "7"})
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket="boto", Prefix="incoming/", PaginationConfig={"PageSize": 2}
        )
        self.assertEqual([one["Key"] for page in pages for one in page["Contents"]], keys)
        folders = self.s3.list_objects_v2(Bucket="boto", Delimiter="/")["CommonPrefixes"]
        self.assertEqual(folders, [{"Prefix": "incoming/"}])
        got = self.s3.get_object(Bucket="boto", Key=keys[0], Range="bytes=2-")
        self.assertEqual((got["Body"].read(), got["Metadata"]), (b"2\n", {"batch": "7"}))
        self.refused("NoSuchKey", self.s3.get_object, Bucket="boto", Key="nothing")
        self.refused("404", self.s3.head_object, Bucket="boto", Key="nothing")

    def test_a_copy_has_its_condition(self):
        put = self.s3.put_object(Bucket="boto", Key="from", Body=b"one", IfNoneMatch="*")
        where = {"Bucket": "boto", "Key": "from"}
        self.refused(
            "PreconditionFailed",
            self.s3.put_object,
            **where,
            Body=b"two",
            IfNoneMatch="*",
        )
        to = {"Bucket": "boto", "Key": "to", "CopySource": where}
        other = '"00000000000000000000000000000000"'
        self.refused("PreconditionFailed", self.s3.copy_object, **to, CopySourceIfMatch=other)
        self.s3.copy_object(**to, CopySourceIfMatch=put["ETag"])
        self.assertEqual(self.s3.get_object(Bucket="boto", Key="to")["Body"].read(), b"one")
        self.s3.delete_object(**where)
        self.refused("NoSuchKey", self.s3.get_object, **where)

    def test_a_large_object_goes_in_parts(self):
        body = os.urandom(12 * 1024 * 1024)
        parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
        self.s3.upload_fileobj(io.BytesIO(body), "boto", "large", Config=parts)
        back = io.BytesIO()
        self.s3.download_fileobj("boto", "large", back, Config=parts)
        self.assertEqual(back.getvalue(), body)


class DataApi(Case):
    """Execute, describe, fetch."""

    def setUp(self):
        self.data = client("redshift-data")
        self.where = {"WorkgroupName": "analytics", "Database": "dev"}

    def finished(self, asked):
        describe = lambda: self.data.describe_statement(Id=asked["Id"])
        ended = ("FINISHED", "FAILED", "ABORTED")
        until("the statement ends", lambda: describe()["Status"] in ended)
        return describe()

    def test_a_statement_has_a_typed_result(self):
        sqls = ["CREATE TABLE boto (n int, t varchar)", "INSERT INTO boto VALUES (1, 'a'), (2, NULL)"]
        batch = self.data.batch_execute_statement(Sqls=sqls, **self.where)
        self.assertEqual(self.finished(batch)["Status"], "FINISHED")
        asked = self.data.execute_statement(
            Sql="SELECT n, t FROM boto WHERE n >= :least ORDER BY n",
            Parameters=[{"name": "least", "value": "1"}],
            StatementName="boto-select",
            **self.where,
        )
        described = self.finished(asked)
        self.assertEqual((described["Status"], described["ResultRows"]), ("FINISHED", 2))
        pages = self.data.get_paginator("get_statement_result").paginate(Id=asked["Id"])
        rows = [row for page in pages for row in page["Records"]]
        self.assertEqual(
            rows,
            [[{"longValue": 1}, {"stringValue": "a"}], [{"longValue": 2}, {"isNull": True}]],
        )
        listed = self.data.list_statements(StatementName="boto-select")["Statements"]
        self.assertEqual([one["Id"] for one in listed], [asked["Id"]])

    def test_a_bad_statement_says_why(self):
        asked = self.data.execute_statement(Sql="SELECT nonsense", **self.where)
        described = self.finished(asked)
        self.assertEqual(described["Status"], "FAILED")
        self.assertIn("nonsense", described["Error"])
        unknown = "00000000-0000-0000-0000-000000000000"
        self.refused("ResourceNotFoundException", self.data.describe_statement, Id=unknown)

    def test_a_token_stands_for_a_statement(self):
        token = "boto-token"
        first = self.data.execute_statement(Sql="SELECT 1", ClientToken=token, **self.where)
        again = self.data.execute_statement(Sql="SELECT 1", ClientToken=token, **self.where)
        self.assertEqual(first["Id"], again["Id"])
        SERVICE.advance("8h 1m")
        later = self.data.execute_statement(Sql="SELECT 1", ClientToken=token, **self.where)
        self.assertNotEqual(first["Id"], later["Id"])


class Faults(Case):
    """What boto3 makes of a bad day."""

    def plan(self, text):
        status, said = SERVICE.call("PUT", "/_stepfleet/faults", text)
        self.assertEqual(status, 200, said)

    def struck(self):
        return SERVICE.call("GET", "/_stepfleet/faults")[1]["faults"][0]["struck"]

    def test_throttles_are_retried_by_every_client(self):
        calls = {
            "stepfunctions": "list_activities",
            "sqs": "list_queues",
            "sns": "list_topics",
            "cloudwatch": "describe_alarms",
            "s3": "list_buckets",
            "redshift-data": "list_statements",
            "sts": "get_caller_identity",
        }
        for name, call in calls.items():
            with self.subTest(name):
                self.plan("faults: [{on: '*', when: {first: 1}, throttle: true}]")
                answer = getattr(client(name, attempts=3), call)()
                self.assertEqual(answer["ResponseMetadata"]["RetryAttempts"], 1)
                self.assertEqual(self.struck(), 1)

    def test_a_hang_up_is_retried(self):
        self.plan("faults: [{on: 'sqs:CreateQueue', when: {first: 1}, hang_up: after}]")
        client("sqs", attempts=3).create_queue(QueueName="boto-unheard")
        self.assertEqual(self.struck(), 1)


if __name__ == "__main__":
    unittest.main()
