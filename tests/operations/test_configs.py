"""Every file of configs/ is what the system it is for takes, and agrees with the program."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
MILLRACE = os.environ["MILLRACE"]
STATUS_LIST = (ROOT / "src/millrace.h").read_text()
EXIT_CODES = {int(code) for code in re.findall(r"X\([A-Z_]+, \d+, (\d+),", STATUS_LIST)}


def is_command(words):
    """Does the subcommand take these flags? (run takes those of embed.)"""
    helps = [subprocess.run([MILLRACE, name, "--help"], capture_output=True, text=True, check=True).stdout for name in (words[1], "embed")]
    known = helps[0] + (helps[1] if words[1] == "run" else "")
    flags = [word for word in words if word.startswith("--")]
    return words[0].endswith("millrace") and all(flag in known for flag in flags)


class Configs(unittest.TestCase):
    def test_jobs(self):
        for path in (CONFIGS / "jobs").glob("*.yaml"):
            job = yaml.safe_load(path.read_text())
            self.assertEqual(job["version"], 1, path)

    def pod(self, name):
        job = yaml.safe_load((CONFIGS / "k8s" / name).read_text())
        self.assertEqual((job["apiVersion"], job["kind"]), ("batch/v1", "Job"))
        self.assertRegex(job["metadata"]["name"], r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
        pod = job["spec"]["template"]["spec"]
        self.assertEqual(pod["restartPolicy"], "Never")
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            self.assertTrue(is_command(container["command"]), container["command"])
            self.assertEqual(container["resources"]["requests"], container["resources"]["limits"])
            self.assertLessEqual({mount["name"] for mount in container["volumeMounts"]}, volumes)
        return job["spec"], pod

    def test_kubernetes(self):
        spec, pod = self.pod("embed.yaml")
        container = pod["containers"][0]
        environment = {item["name"]: item["value"] for item in container["env"]}
        self.assertEqual(spec["completionMode"], "Indexed")
        self.assertEqual(environment["JOB_COMPLETIONS"], str(spec["completions"]))
        for rule in spec["podFailurePolicy"]["rules"]:
            self.assertIn(rule["action"], ("Ignore", "FailJob", "Count", "FailIndex"))
            self.assertEqual(len(rule.keys() & {"onExitCodes", "onPodConditions"}), 1)
            codes = rule.get("onExitCodes", {"values": [], "containerName": container["name"], "operator": "In"})
            self.assertEqual((codes["containerName"], codes["operator"]), (container["name"], "In"))
            self.assertLessEqual(set(codes["values"]), EXIT_CODES)
        _, merge = self.pod("merge.yaml")
        self.assertEqual(merge["volumes"], pod["volumes"])

    def test_aws_batch(self):
        job = json.loads((CONFIGS / "aws-batch/job-definition.json").read_text())
        container = job["containerProperties"]
        self.assertTrue(is_command(container["command"]))
        for word in container["command"]:
            if word.startswith("Ref::"):
                self.assertIn(word[5:], job["parameters"])
        self.assertEqual({volume["name"] for volume in container["volumes"]}, {mount["sourceVolume"] for mount in container["mountPoints"]})
        self.assertLessEqual(len(job["retryStrategy"]["evaluateOnExit"]), 5)
        submit = (CONFIGS / "aws-batch/submit.sh").read_text()
        self.assertIn(f"--job-definition {job['jobDefinitionName']}", submit)
        self.assertIn("AWS_BATCH_JOB_ARRAY_SIZE", submit)  # what --shard auto reads

    def test_scripts(self):
        scripts = [CONFIGS / "aws-batch/submit.sh", CONFIGS / "slurm/embed.sbatch", ROOT / "tests/slurm/run.sh"]
        for script in scripts:
            subprocess.run(["bash", "-n", script], check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", *scripts], check=True)

    def test_systemd(self):
        unit = (CONFIGS / "systemd/millrace-embed.service").read_text()
        start = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1).split()
        self.assertTrue(is_command(start))
        codes = {int(code) for code in re.search(r"^RestartPreventExitStatus=(.*)$", unit, re.M).group(1).split()}
        self.assertLessEqual(codes, EXIT_CODES - {0, 3, 75})
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze here")
        with tempfile.TemporaryDirectory() as folder:
            service, timer = pathlib.Path(folder) / "millrace-embed.service", pathlib.Path(folder) / "millrace-embed.timer"
            service.write_text(unit.replace(start[0], MILLRACE))
            shutil.copy(CONFIGS / "systemd/millrace-embed.timer", timer)
            done = subprocess.run(["systemd-analyze", "verify", service, timer], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_cron(self):
        lines = [line for line in (CONFIGS / "cron/millrace").read_text().splitlines() if line and line[0] != "#" and "=" not in line.split()[0]]
        for line in lines:
            minute, hour, day, month, weekday, user, command = line.split(None, 6)
            for field, top in ((minute, 59), (hour, 23), (day, 31), (month, 12), (weekday, 7)):
                self.assertRegex(field, r"^(\*|\d+(-\d+)?)(/\d+)?(,\d+(-\d+)?)*$")
                self.assertLessEqual(max(map(int, re.findall(r"\d+", field)), default=0), top)
            self.assertNotIn("%", command)  # cron's newline
            words = command[command.index("millrace run") :].split()
            self.assertTrue(is_command(words[: words.index("--json") + 1]))
        self.assertTrue(lines)


if __name__ == "__main__":
    unittest.main()
