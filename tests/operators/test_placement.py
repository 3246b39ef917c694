from operators.placement import cpu, gpu, model


def test_model_is_a_gpu_on_a_cluster_and_cores_where_stages_are_processes(monkeypatch):
    monkeypatch.delenv("STILLHOUSE_RUNNER", raising=False)
    assert model("vllm", cores=2) == gpu(1, "vllm")
    monkeypatch.setenv("STILLHOUSE_MODELS_ON", "cpu")
    assert model("vllm", cores=2) == cpu(2, "train")
    monkeypatch.setenv("STILLHOUSE_RUNNER", "process")
    assert model("vllm", cores=2) == cpu(2)


def test_model_that_trains_takes_the_gpus_and_nodes_of_the_environment(monkeypatch):
    monkeypatch.delenv("STILLHOUSE_RUNNER", raising=False)
    monkeypatch.delenv("STILLHOUSE_MODELS_ON", raising=False)
    monkeypatch.setenv("STILLHOUSE_TRAIN_GPUS", "8")
    monkeypatch.setenv("STILLHOUSE_TRAIN_NODES", "4")
    assert model("train", trains=True) == gpu(8, "train", nodes=4)
    assert model("vllm") == gpu(1, "vllm")
    monkeypatch.setenv("STILLHOUSE_RUNNER", "process")
    assert model("train", cores=2, trains=True) == cpu(8) | {"processes": 8}
    assert model("vllm", cores=2) == cpu(2)


def test_gpu_takes_as_many_slots_of_its_pool_as_it_asks_for_gpus():
    placed = gpu(8)
    assert (placed["pool"], placed["pool_slots"], placed["resources_needed"]["nvidia.com/gpu"]) == ("gpu", 8, "8")
