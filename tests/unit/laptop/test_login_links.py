from laptop import login_links


def secret_of(link):
    return link.removeprefix(f"{login_links.PREFIX}/")


def test_link_logs_in_once_and_then_only_leads_to_its_page(tmp_path):
    secret = secret_of(login_links.new(tmp_path / "links", "/dags/toy"))
    uses = [login_links.use(tmp_path / "links", secret) for _ in range(3)]
    assert uses == [("/dags/toy", True), ("/dags/toy", False), ("/dags/toy", False)]


def test_link_that_nobody_made_leads_to_the_front_page(tmp_path):
    login_links.new(tmp_path, "/dags/toy")
    assert [login_links.use(tmp_path, secret) for secret in ("guess", "..", "")] == [("/", False)] * 3


def test_link_cannot_be_read_from_its_directory(tmp_path):
    secret = secret_of(login_links.new(tmp_path, "/"))
    [file] = tmp_path.iterdir()
    assert secret not in file.name + file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_links_are_useless_once_forgotten(tmp_path):
    secret = secret_of(login_links.new(tmp_path, "/dags/toy"))
    login_links.forget(tmp_path)
    assert login_links.use(tmp_path, secret) == ("/", False)


def test_links_differ(tmp_path):
    assert len({login_links.new(tmp_path, "/") for _ in range(5)}) == 5
