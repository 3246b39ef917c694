"""The chart without a cluster: lint, rendering of each preset, strict schemas, and what must hold of the objects."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from operators import placement, podspec, serving_objects
from stillhouse import stages
from stillhouse.execution import live_metrics

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "stillhouse"
HELM = str(ROOT / ".tools" / "helm") if (ROOT / ".tools" / "helm").exists() else shutil.which("helm")
PRESETS = sorted(path.stem for path in (CHART / "presets").glob("*.yaml"))
VERSIONS = tuple(f"1.{minor}" for minor in range(27, 38))
HOOKS = {"house-secrets", "house-restart"}
"""The Jobs that talk to the API server, around an install or upgrade."""

pytestmark = pytest.mark.skipif(HELM is None, reason="no helm: make .tools/helm")


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    return chart_with_a_stand_in(tmp_path_factory.mktemp("chart"))


def chart_with_a_stand_in(directory: Path) -> Path:
    """The chart with an empty stand-in for Airflow's, which `helm dependency build` would fetch."""
    copy = directory / "stillhouse"
    shutil.copytree(CHART, copy, ignore=shutil.ignore_patterns("charts"))
    [airflow] = yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]
    stand_in = {"apiVersion": "v2", "name": airflow["name"], "version": airflow["version"]}
    (copy / "charts" / "airflow").mkdir(parents=True)
    (copy / "charts" / "airflow" / "Chart.yaml").write_text(yaml.safe_dump(stand_in))
    return copy


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, env=kept)


def render(chart: Path, preset: str, *options: str) -> list[dict]:
    done = helm("template", "house", chart, "--namespace", "factory", "--values", chart / "presets" / f"{preset}.yaml", *options)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


@pytest.fixture(scope="module", params=PRESETS)
def objects(request, chart):
    return render(chart, request.param)


def of_kind(objects: list[dict], kind: str) -> dict[str, dict]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: list[dict]) -> dict[str, dict]:
    """The spec of every pod, alone or in a template."""
    templates = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in objects if "template" in each.get("spec", {})
    }
    return templates | {name: pod["spec"] for name, pod in of_kind(objects, "Pod").items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_lint_of_preset_finds_nothing(chart, preset):
    done = helm("lint", "--strict", chart, "--values", chart / "presets" / f"{preset}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_three_presets():
    assert PRESETS == ["cluster", "kind", "single-gpu-node"]


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_are_valid_by_the_strict_schemas(objects, version):
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


def test_pods_have_no_rights(objects):
    assert pods(objects)
    for name, spec in pods(objects).items():
        assert spec["automountServiceAccountToken"] is (name in HOOKS), name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            rights = container["securityContext"]
            assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False), name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name


def test_images_are_pinned(objects):
    for name, spec in pods(objects).items():
        for container in spec["containers"]:
            tag = container["image"].rpartition(":")[2]
            assert tag not in {"", "latest"}, name
            assert "/" not in tag, name


def test_launcher_may_not_read_secrets_or_run_commands(objects):
    role = of_kind(objects, "Role")["house-launcher"]
    allowed = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert {("pods", "create"), ("pods", "delete"), ("pods/log", "get")} <= allowed
    assert not {resource for resource, _ in allowed} & {"secrets", "pods/exec", "*", "configmaps", "roles", "serviceaccounts"}
    assert not {verb for _, verb in allowed} & {"*", "deletecollection"}
    assert of_kind(objects, "ClusterRole") == {}
    binding = of_kind(objects, "RoleBinding")["house-launcher"]
    assert [each["name"] for each in binding["subjects"]] == ["stillhouse-launcher"]


def test_role_is_what_airflows_own_chart_is_told_to_use():
    airflow = yaml.safe_load((CHART / "values.yaml").read_text())["airflow"]
    assert {airflow[part]["serviceAccount"]["name"] for part in ("scheduler", "triggerer")} == {"stillhouse-launcher"}
    assert airflow["rbac"]["create"] is False
    assert airflow["airflowVersion"] in (ROOT / "pyproject.toml").read_text()


def test_stage_policy_covers_the_operators_pods_and_lets_nobody_in(objects):
    policy = of_kind(objects, "NetworkPolicy")["house-stages"]["spec"]
    assert policy["podSelector"]["matchLabels"] == podspec.SELECTOR
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == []
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert ports <= {53, 443, 5000, 8000, 8333}
    assert all(rule["to"] for rule in policy["egress"])


def test_code_under_test_is_tried_in_the_image_and_with_the_labels_of_the_stage_that_runs_it(objects):
    pod = of_kind(objects, "Pod")["house-test-sandbox"]
    [container] = pod["spec"]["containers"]
    assert container["image"].rpartition("/")[2].partition(":")[0] == stages.REGISTRY["verified"].image == "sandbox"
    assert pod["metadata"]["labels"].items() >= (podspec.SELECTOR | {"stillhouse/stage": "verified"}).items()


def test_quota_and_pools_say_the_same(objects, monkeypatch):
    for name, value in of_kind(objects, "ConfigMap")["house-environment"]["data"].items():
        monkeypatch.setenv(name, value)
    quotas = of_kind(objects, "ResourceQuota")
    pools = json.loads(of_kind(objects, "ConfigMap")["house-pools"]["data"]["pools.json"])
    assert str(pools["gpu"]["slots"]) == quotas["house-gpus"]["spec"]["hard"]["requests.nvidia.com/gpu"]
    gpus, cores, hard = pools["gpu"]["slots"], pools["cpu"]["slots"], quotas["house-stages"]["spec"]["hard"]
    # Both pools full: every pod of theirs is within the quota.
    assert int(hard["requests.cpu"]) == cores + gpus * placement.cpus_per_gpu()
    assert hard["requests.memory"] == f"{cores * placement.memory_per_cpu_gi() + gpus * placement.memory_per_gpu_gi()}Gi"
    assert {pool["include_deferred"] for pool in pools.values()} == {True}


def test_environment_is_what_the_operators_read(objects, monkeypatch):
    given = of_kind(objects, "ConfigMap")["house-environment"]["data"]
    tops = ("operators", "dags", "src/stillhouse/execution")
    source = "".join(path.read_text() for top in tops for path in (ROOT / top).glob("*.py"))
    kinds = {"STILLHOUSE_GPU_NODES", "STILLHOUSE_CPU_NODES"}  # put together from the kind in placement.py
    unread = {name for name in given if name.startswith("STILLHOUSE_") and name not in source}
    assert unread - kinds == set()
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    options = podspec.options("sft", {"nvidia.com/gpu": "1"}, "", 1)
    assert options["priority_class_name"] in of_kind(objects, "PriorityClass")
    assert options["service_account_name"] in of_kind(objects, "ServiceAccount")
    assert options["namespace"] == "factory"


def test_models_run_on_cores_where_there_is_no_gpu(chart):
    on = {
        preset: of_kind(render(chart, preset), "ConfigMap")["house-environment"]["data"]["STILLHOUSE_MODELS_ON"]
        for preset in PRESETS
    }
    assert on == {"cluster": "gpu", "kind": "cpu", "single-gpu-node": "gpu"}


def variables(pod: dict) -> dict[str, str]:
    [container] = pod["containers"]
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def test_secrets_are_named_unless_they_are_to_be_made(chart):
    assert "house-secrets" not in pods(render(chart, "cluster"))
    objects = render(chart, "kind")
    assert of_kind(objects, "Secret") == {}
    wanted = json.loads(variables(pods(objects)["house-secrets"])["STILLHOUSE_WANTED"])
    assert set(wanted["stillhouse-stage"]) == {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD",
    }  # fmt: skip
    assert set(wanted["stillhouse-airflow"]) == {"connection", "fernet-key", "api-secret-key", "jwt-secret"}
    assert wanted["stillhouse-mlflow"]["MLFLOW_AUTH_ADMIN_PASSWORD"] == "{stillhouse-stage/MLFLOW_TRACKING_PASSWORD}"


@pytest.mark.parametrize("preset", PRESETS)
def test_chart_rendered_twice_is_the_same(chart, preset):
    assert render(chart, preset) == render(chart, preset)


def test_hooks_may_do_no_more_than_they_do(chart):
    roles = of_kind(render(chart, "kind"), "Role")
    create, services, named = roles["house-secrets"]["rules"]
    assert (create["verbs"], create["resources"]) == (["create"], ["secrets"])
    assert (services["verbs"], services["resources"]) == (["list"], ["services"])
    assert (named["verbs"], len(named["resourceNames"])) == (["get", "patch"], 4)
    [rule] = roles["house-restart"]["rules"]
    assert (rule["verbs"], rule["resources"]) == (["list", "patch"], ["deployments", "statefulsets"])


def test_upgrade_without_a_change_restarts_nothing(chart):
    checksums = {variables(pods(render(chart, "cluster"))["house-restart"])["STILLHOUSE_CHECKSUM"] for _ in range(2)}
    assert len(checksums) == 1


def test_airflows_chart_uses_no_hooks_that_waiting_for_it_would_deadlock():
    airflow = yaml.safe_load((CHART / "values.yaml").read_text())["airflow"]
    assert [airflow[job]["useHelmHooks"] for job in ("migrateDatabaseJob", "createUserJob")] == [False, False]


OF_THE_CLUSTER = {"PriorityClass", "ClusterRole", "ClusterRoleBinding", "StorageClass", "Namespace", "CustomResourceDefinition"}
BY_VALUE = {("ServiceAccount", "stillhouse-launcher")}
"""What Airflow's chart is told by name, in a value of its own."""


def of_release(chart: Path, release: str, namespace: str) -> set[tuple[str, str]]:
    """Kind and name of all objects of the largest release."""
    options = ["--set=monitoring.enabled=true", "--set=models.fetch={hf://a/b@main}"]
    values = ["--values", chart / "presets" / "single-gpu-node.yaml"]
    done = helm("template", release, chart, "--namespace", namespace, *values, *options)
    assert done.returncode == 0, done.stderr
    return {(made["kind"], made["metadata"]["name"]) for made in yaml.safe_load_all(done.stdout) if made}


def test_second_release_in_another_namespace_shares_no_name_of_the_cluster(chart):
    here, there = of_release(chart, "house", "a"), of_release(chart, "house", "b")
    assert {kind for kind, _ in here} & OF_THE_CLUSTER == {"PriorityClass"}
    assert {made for made in here & there if made[0] in OF_THE_CLUSTER} == set()


def test_second_release_of_another_name_shares_no_name_but_those_that_are_values(chart):
    assert of_release(chart, "house", "a") & of_release(chart, "other", "a") == BY_VALUE


def test_identities_annotate_the_accounts_and_reach_the_clouds_metadata(chart):
    role = "eks.amazonaws.com/role-arn"
    options = [f"identity.{who}.{role.replace('.', chr(92) + '.')}=arn:{who}" for who in ("stage", "mlflow", "launcher")]
    objects = render(chart, "cluster", *(f"--set={option}" for option in options), "--set=networkPolicies.metadata=true")
    accounts = of_kind(objects, "ServiceAccount")
    told = {name: account["metadata"]["annotations"][role] for name, account in accounts.items() if role in str(account)}
    assert told == {"house-stage": "arn:stage", "house-mlflow": "arn:mlflow", "stillhouse-launcher": "arn:launcher"}
    egress = of_kind(objects, "NetworkPolicy")["house-stages"]["spec"]["egress"]
    assert "169.254.169.254/32" in str(egress)
    assert "169.254.169.254/32" not in str(of_kind(render(chart, "cluster"), "NetworkPolicy")["house-stages"]["spec"]["egress"])


def test_sizes_and_quotas_follow_what_a_gpu_brings(chart, monkeypatch):
    objects = render(chart, "single-gpu-node", "--set=stages.perGpu.cpus=12", "--set=stages.perGpu.memory=80")
    for name, value in of_kind(objects, "ConfigMap")["house-environment"]["data"].items():
        monkeypatch.setenv(name, value)
    assert placement.gpu(2)["resources_needed"] == {"nvidia.com/gpu": "2", "cpu": "24", "memory": "160Gi"}
    hard = of_kind(objects, "ResourceQuota")["house-stages"]["spec"]["hard"]
    assert (hard["requests.cpu"], hard["requests.memory"]) == (str(64 + 8 * 12), f"{64 * 4 + 8 * 80}Gi")


@pytest.mark.parametrize(("cores", "memory_gi"), [(8, 32), (12, 85)])
def test_stage_with_a_gpu_fits_the_nodes_that_clouds_sell(chart, monkeypatch, cores, memory_gi):
    """A tenth of a node is Kubernetes' and its agents'."""
    for name, value in of_kind(render(chart, "single-gpu-node"), "ConfigMap")["house-environment"]["data"].items():
        monkeypatch.setenv(name, value)
    resources = placement.gpu(1)["resources_needed"]
    assert int(resources["cpu"]) <= 0.9 * cores
    assert int(resources["memory"].removesuffix("Gi")) <= 0.9 * memory_gi


def test_images_are_pinned_by_digest_where_values_say_so(chart, monkeypatch):
    digest = f"sha256:{'a' * 64}"
    objects = render(chart, "cluster", f"--set=images.digests.worker={digest}", f"--set=images.digests.services={digest}")
    for name, value in of_kind(objects, "ConfigMap")["house-environment"]["data"].items():
        monkeypatch.setenv(name, value)
    assert placement.cpu(1)["image"].endswith(f"/worker:0.1.0@{digest}")
    assert placement.cpu(1, "sandbox")["image"].endswith("/sandbox:0.1.0")
    [mlflow] = pods(objects)["house-mlflow"]["containers"]
    assert mlflow["image"].endswith(f"/services:0.1.0@{digest}")


def test_volcano_schedules_where_values_say_so(chart, monkeypatch):
    objects = render(chart, "cluster", "--set=stages.scheduler=volcano", "--set=stages.queue=research")
    for name, value in of_kind(objects, "ConfigMap")["house-environment"]["data"].items():
        monkeypatch.setenv(name, value)
    options = podspec.options("sft", {"cpu": "1"}, "", 1)
    assert options["schedulername"] == "volcano"
    assert options["annotations"]["scheduling.volcano.sh/queue-name"] == "research"
    assert not [label for label in options["labels"] if "kueue" in label]


def test_pods_take_what_the_cluster_adds(chart, monkeypatch):
    values = "stages.pods.all.spec.runtimeClassName=nvidia"
    environment = of_kind(render(chart, "cluster", "--set", values), "ConfigMap")["house-environment"]["data"]
    assert json.loads(environment["STILLHOUSE_POD_OVERRIDES"]) == {"all": {"spec": {"runtimeClassName": "nvidia"}}}


def test_variables_of_the_fabric_reach_airflow_which_passes_them_on(chart):
    values = ("--set=stages.fabric.NCCL_IB_HCA=mlx5", "--set=stages.fabric.NCCL_IB_GID_INDEX=3")
    environment = of_kind(render(chart, "cluster", *values), "ConfigMap")["house-environment"]["data"]
    assert (environment["NCCL_IB_HCA"], environment["NCCL_IB_GID_INDEX"]) == ("mlx5", "3")
    assert all(name.startswith(podspec.FABRIC) for name in ("NCCL_IB_HCA", "NCCL_IB_GID_INDEX"))


def test_mlflows_schema_is_brought_up_to_date_before_it_starts(objects):
    [migrate] = of_kind(objects, "Deployment")["house-mlflow"]["spec"]["template"]["spec"]["initContainers"]
    assert "_upgrade_db" in migrate["command"][-1]
    assert migrate["securityContext"]["readOnlyRootFilesystem"] is True


def test_secrets_that_pods_refer_to_are_those_that_values_name(objects):
    named = {"stillhouse-stage", "stillhouse-mlflow", "stillhouse-postgres", "stillhouse-airflow"}
    containers = [container for spec in pods(objects).values() for container in spec["containers"]]
    from_keys = {
        each["valueFrom"]["secretKeyRef"]["name"] for one in containers for each in one.get("env", []) if "valueFrom" in each
    }
    whole = {each["secretRef"]["name"] for one in containers for each in one.get("envFrom", [])}
    assert from_keys | whole <= named
    assert "stillhouse-stage" in whole


def test_mlflow_asks_for_a_password(objects):
    [container] = of_kind(objects, "Deployment")["house-mlflow"]["spec"]["template"]["spec"]["containers"]
    assert "--app-name=basic-auth" in container["command"]


def test_disruption_budgets_guard_stages_on_a_cluster_alone(chart):
    budgets = of_kind(render(chart, "cluster"), "PodDisruptionBudget")
    ours = {"app.kubernetes.io/instance": "house"}
    assert budgets["house-stages"]["spec"]["selector"]["matchLabels"] == podspec.SELECTOR | ours
    assert budgets["house-teachers"]["spec"]["selector"]["matchLabels"] == serving_objects.ROLE | ours
    assert budgets["house-mlflow"]["spec"]["maxUnavailable"] == 1
    assert of_kind(render(chart, "kind"), "PodDisruptionBudget") == {}


def test_helm_test_runs_a_stage_as_operators_do(objects):
    pod = of_kind(objects, "Pod")["house-test-stage"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["metadata"]["labels"].items() >= podspec.SELECTOR.items()
    assert pod["spec"]["containers"][0]["command"][:3] == ["stillhouse", "questions", "--config=@toy/questions"]


def test_notes_tell_the_next_command(chart):
    done = helm("install", "house", chart, "--dry-run=client", "--values", chart / "presets" / "kind.yaml")
    assert "helm -n default test house" in done.stdout, done.stderr


def test_seaweedfs_is_an_s3_server_alone_whose_parts_share_a_key_made_at_its_start(chart):
    objects = render(chart, "kind")
    [container] = pods(objects)["house-store"]["containers"]
    shell, flag, script, *arguments = container["command"]
    assert (shell, flag) == ("sh", "-c")
    assert "-disableHttp" in arguments
    printed = script.replace("exec weed mini", "env | grep ^WEED_JWT; echo")
    outputs = [
        subprocess.run([shell, flag, printed, *arguments], capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    keys = [dict(line.split("=", 1) for line in output.splitlines() if line.startswith("WEED_JWT")) for output in outputs]
    assert set(keys[0]) == {f"WEED_JWT_{use}_KEY" for use in ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")}
    assert len({*keys[0].values(), *keys[1].values()}) == 8
    assert outputs[0].splitlines()[-1].split() == arguments[1:]


def test_tasks_of_the_cluster_are_patient_for_hours(chart):
    environment = of_kind(render(chart, "cluster"), "ConfigMap")["house-environment"]
    assert environment["data"]["STILLHOUSE_RETRY_FOR_S"] == "14400"


def test_task_logs_lie_in_the_store_unless_told_otherwise(chart):
    environment = of_kind(render(chart, "kind"), "ConfigMap")["house-environment"]["data"]
    assert environment["AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER"] == "s3://stillhouse/logs/house"
    connection = json.loads(environment["AIRFLOW_CONN_STILLHOUSE_STORE"])
    assert (connection["conn_type"], connection["extra"]["endpoint_url"]) == ("aws", "http://house-store:8333")
    off = of_kind(render(chart, "kind", "--set=logs.toStore=false"), "ConfigMap")["house-environment"]["data"]
    assert not {name for name in off if "LOGGING" in name}


def test_databases_are_saved_every_night_and_restored_on_demand(chart):
    objects = render(chart, "kind")
    save = of_kind(objects, "CronJob")["house-backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert save["containers"][0]["command"][2:] == ["operators.backup", "save", "/dump", "s3://stillhouse/backups/house", "14"]
    assert "pg_dump" in save["initContainers"][0]["command"][-1]
    assert not [name for name in of_kind(objects, "Job") if "restore" in name]
    jobs = of_kind(render(chart, "kind", "--set=backup.restore=latest"), "Job")
    restore = jobs["house-restore-latest"]["spec"]["template"]["spec"]
    assert restore["initContainers"][0]["command"][3] == "fetch"
    assert "pg_restore --clean" in restore["containers"][0]["command"][-1]
    assert of_kind(render(chart, "cluster"), "CronJob") == {}  # its database is managed elsewhere


def test_backup_pods_have_no_rights_and_are_valid(chart):
    objects = render(chart, "kind", "--set=backup.restore=latest")
    templates = [
        of_kind(objects, "CronJob")["house-backup"]["spec"]["jobTemplate"],
        of_kind(objects, "Job")["house-restore-latest"],
    ]
    for template in templates:
        spec = template["spec"]["template"]["spec"]
        assert (spec["automountServiceAccountToken"], spec["securityContext"]["runAsNonRoot"]) == (False, True)
        assert all(one["securityContext"]["readOnlyRootFilesystem"] for one in [*spec["containers"], *spec["initContainers"]])
    for each in objects:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)


def test_monitoring_scrapes_teachers_and_mlflow_alerts_and_has_a_dashboard(chart):
    assert not {each["kind"] for each in render(chart, "cluster")} & {"PodMonitor", "ServiceMonitor", "PrometheusRule"}
    objects = render(chart, "cluster", "--set=monitoring.enabled=true", "--set=monitoring.labels.release=prometheus")
    assert of_kind(objects, "PodMonitor")["house-teachers"]["metadata"]["labels"]["release"] == "prometheus"
    selected = of_kind(objects, "PodMonitor")["house-teachers"]["spec"]["selector"]["matchLabels"]
    assert selected == serving_objects.ROLE | {"app.kubernetes.io/instance": "house"}
    [group] = of_kind(objects, "PrometheusRule")["house"]["spec"]["groups"]
    assert {"StillhouseStagePending", "StillhouseVolumeFillsUp"} <= {rule["alert"] for rule in group["rules"]}
    assert "{{ $labels.pod }}" in group["rules"][0]["annotations"]["summary"]
    dashboard = json.loads(of_kind(objects, "ConfigMap")["house-dashboard"]["data"]["stillhouse.json"])
    assert dashboard["panels"][0]["targets"][0]["legendFormat"] == "{{phase}}"
    assert 'namespace="factory"' in dashboard["panels"][0]["targets"][0]["expr"]
    command = of_kind(objects, "Deployment")["house-mlflow"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert "--expose-prometheus=/scratch/metrics" in command


def test_prometheus_reaches_what_it_scrapes(chart):
    objects = render(chart, "cluster", "--set=monitoring.enabled=true")
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ports = {"house-stages": 9464, "house-teachers": 8000, "house-mlflow": 5000}
    for name, port in ports.items():
        rules = of_kind(objects, "NetworkPolicy")[name]["spec"]["ingress"]
        assert [each["port"] for rule in rules if where in rule["from"] for each in rule["ports"]] == [port]


def test_stages_serve_the_port_that_prometheus_scrapes(chart, monkeypatch):
    objects = render(chart, "cluster", "--set=monitoring.enabled=true")
    for name, value in of_kind(objects, "ConfigMap")["house-environment"]["data"].items():
        monkeypatch.setenv(name, value)
    [port] = podspec.options("sft", {"cpu": "1"}, "", 1)["ports"]
    monitor = of_kind(objects, "PodMonitor")["house-stages"]["spec"]
    assert (monitor["podMetricsEndpoints"][0]["port"], port.container_port) == (port.name, 9464)
    assert podspec.labels("sft").items() >= monitor["selector"]["matchLabels"].items()
    assert podspec.environment("", 1, "")["STILLHOUSE_METRICS_PORT"] == "9464"


OTHERS = {  # by kube-state-metrics, the kubelet with cAdvisor, and NVIDIA's DCGM exporter
    "kube_pod_status_phase", "kube_pod_container_resource_requests", "kube_pod_container_status_terminated_reason",
    "kube_pod_container_status_restarts_total", "kube_cronjob_status_last_successful_time", "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes", "container_cpu_usage_seconds_total", "container_memory_working_set_bytes",
    "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED",
}  # fmt: skip
OF_VLLM = {"vllm:generation_tokens_total", "vllm:num_requests_running", "vllm:num_requests_waiting"}


def test_dashboard_and_alerts_ask_for_numbers_that_are_there(chart):
    objects = render(chart, "cluster", "--set=monitoring.enabled=true")
    dashboard = json.loads(of_kind(objects, "ConfigMap")["house-dashboard"]["data"]["stillhouse.json"])
    [group] = of_kind(objects, "PrometheusRule")["house"]["spec"]["groups"]
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]] + [
        rule["expr"] for rule in group["rules"]
    ]
    names = {name for text in asked for name in re.findall(r"[A-Za-z][\w:]*_[\w:]+(?=[{ ])", text)} - {"by"}
    assert names <= {*live_metrics.NAMES, *OTHERS, *OF_VLLM}
    assert {*live_metrics.NAMES} <= names
    logged = (ROOT / "src/stillhouse/stages/verified.py").read_text()
    assert '"verifier_failure_rate"' in logged
    assert 'name="verifier_failure_rate"' in "".join(asked)


def test_numbers_of_vllm_are_those_of_the_pinned_version():
    python = ROOT / ".venv-vllm" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-vllm")
    where = "import importlib.util; print(importlib.util.find_spec('vllm').submodule_search_locations[0])"
    package = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    source = "".join(path.read_text() for path in (package / "v1" / "metrics").glob("*.py"))
    # prometheus_client adds _total to the name of a counter.
    assert [name for name in OF_VLLM if f'"{name.removesuffix("_total")}"' not in source] == []


def test_mlflow_is_reached_by_its_names_over_tls(chart):
    options = ["mlflow.ingress.enabled=true", "mlflow.hosts={mlflow.example.org}", "mlflow.ingress.tlsSecret=tls"]
    ingress = of_kind(render(chart, "cluster", *(f"--set={option}" for option in options)), "Ingress")["house-mlflow"]
    kubernetes_validate.validate(ingress, VERSIONS[-1], strict=True)
    assert ingress["spec"]["tls"] == [{"hosts": ["mlflow.example.org"], "secretName": "tls"}]
    done = helm("template", "house", chart, "--set=mlflow.ingress.enabled=true")
    assert "mlflow.ingress.enabled needs mlflow.hosts" in done.stderr


def test_models_to_fetch_are_a_job_that_fills_the_shared_volume(chart):
    [job] = [
        made
        for made in render(chart, "cluster", "--set", "models.fetch={hf://a/b@main}")
        if made["kind"] == "Job" and made["metadata"]["name"].endswith("-fetch")
    ]
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert (container["command"], container["args"]) == (["stillhouse", "fetch"], ["hf://a/b@main"])
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == "house-models"
    assert {"name": "HF_HOME", "value": "/models"} in container["env"]


def test_models_to_fetch_without_any_are_no_job(chart):
    assert [made for made in render(chart, "cluster") if made["metadata"]["name"].endswith("-fetch")] == []
