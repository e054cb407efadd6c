"""Access tokens from a token endpoint on Node's https server, in the hello to Node as the gateway."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from node import NodeGateway, echo, stage  # noqa: E402
from peers import AGENT, Certificates, curl, free_port, wait_until  # noqa: E402
from test_proxy import Proxy  # noqa: E402

ENDPOINT = Path(__file__).with_name("token_endpoint.mjs")
SECRET = "client+canary-77ab"
QUICK = ("--reconnect-min", "20ms", "--reconnect-max", "200ms", "--reconnect-refused-min", "20ms",
         "--oauth-refetch-min", "100ms")
REFUSES = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def endpoint(certificates):
    with NodeGateway(certificates, program=ENDPOINT,
                     clients={"worker:1": SECRET}).running() as endpoint:
        yield endpoint


@pytest.fixture
def client(certificates, endpoint, tmp_path):
    """The settings of a client that the endpoint knows."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    return (*to(endpoint, certificates), "--oauth-client-id", "worker:1",
            "--oauth-client-secret-file", secret)


def to(endpoint, certificates):
    return (*QUICK, "--oauth-token-url", f"https://localhost:{endpoint.port}/token?x=1",
            "--oauth-ca-file", certificates.ca)


def command(endpoint, **message):
    done = endpoint.lines.count({"changed": True}) + 1
    endpoint.tell(**message)
    endpoint.wait_for(lambda line: line == {"changed": True}, count=done)


def asked(endpoint, count=1):
    return endpoint.wait_for(lambda line: line.get("asked"), count=count)


def hello(gateway, count=1):
    line = gateway.wait_for(lambda line: line.get("hello"), count=count)
    return line["headers"].get("authorization")


def attached(agent, count=1):
    return agent.wait_for(lambda line: line.get("to") == "attached", "attached", count=count)


def backing_off(agent, count=1):
    return agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off", count=count)


def no_token(agent, count=1):
    return agent.wait_for(lambda line: "access token" in line["message"] and "detail" in line,
                          "no token", count=count)


def serves(gateway):
    return gateway.ask(headers={":path": "/served"})["headers"][":status"] == 200


def metrics(port):
    return curl(f"http://127.0.0.1:{port}/metrics").stdout.decode()


def test_a_client_gets_a_token_before_its_first_hello(certificates, endpoint, client):
    with stage(certificates, echo, *client, "--oauth-scope", "read", "--oauth-scope", "write",
               profile="ptth") as (gateway, _, agent):
        question = asked(endpoint)
        assert (question["method"], question["url"]) == ("POST", "/token?x=1")
        assert question["form"] == {"grant_type": "client_credentials", "scope": "read write"}
        assert question["headers"]["content-type"] == "application/x-www-form-urlencoded"
        assert hello(gateway) == "Bearer token-1"
        assert serves(gateway)
        assert not [line for line in agent.lines if line.get("to") == "backing_off"]


def test_the_secret_can_go_into_the_form(certificates, endpoint, client):
    command(endpoint, post=True)
    with stage(certificates, echo, *client, "--oauth-client-auth", "post",
               profile="reverse") as (gateway, _, _):
        assert asked(endpoint)["form"]["client_secret"] == SECRET
        assert hello(gateway) == "Bearer token-1"


def test_a_certificate_can_be_the_secret(certificates, endpoint):
    command(endpoint, clients=None)
    with stage(certificates, echo, *to(endpoint, certificates), "--oauth-client-id", "worker1",
               "--oauth-client-auth", "tls", "--oauth-cert-file", certificates.worker,
               "--oauth-key-file", certificates.worker_key, profile="ptth") as (gateway, _, _):
        question = asked(endpoint)
        assert question["certificate"] is True
        assert question["form"]["client_id"] == "worker1"
        assert hello(gateway) == "Bearer token-1"


def test_a_projected_token_is_exchanged_and_read_anew_each_time(certificates, endpoint, tmp_path):
    def project(name, text):
        """As Kubernetes renews it: a new directory behind a link that is swapped."""
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(text)
        (tmp_path / "..tmp").symlink_to(name)
        (tmp_path / "..tmp").rename(tmp_path / "..data")

    project("..1", "projected-1")
    (tmp_path / "token").symlink_to("..data/token")
    command(endpoint, clients=None, lifetime=1)
    with stage(certificates, echo, *to(endpoint, certificates), "--oauth-subject-token-file",
               tmp_path / "token", "--oauth-audience", "https://gw.test",
               profile="ptth") as (gateway, _, agent):
        assert asked(endpoint)["form"] == {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": "projected-1",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "audience": "https://gw.test"}
        project("..2", "projected-2")
        endpoint.wait_for(lambda line: line.get("form", {}).get("subject_token") == "projected-2")
        # A link that is up stays so, whatever its token was.
        assert serves(gateway)
        assert len([line for line in agent.lines if line.get("to") == "attached"]) == 1


def test_a_token_is_renewed_ahead_of_its_end_and_used_by_the_next_hello(certificates, endpoint,
                                                                       client):
    command(endpoint, lifetime=2)
    with stage(certificates, echo, *client, profile="ptth") as (gateway, _, agent):
        assert hello(gateway) == "Bearer token-1"
        agent.wait_for(lambda line: line["message"] == "access token fetched", "the third", count=3)
        gateway.tell(destroy=True)
        # Never the first again.
        assert int(hello(gateway, count=2).removeprefix("Bearer token-")) >= 3


def test_an_endpoint_that_is_down_harms_no_link_that_is_up(certificates, endpoint, client):
    command(endpoint, lifetime=1)
    with stage(certificates, echo, *client, profile="ptth") as (gateway, _, agent):
        endpoint.tell(down=True)
        endpoint.wait_for(lambda line: line.get("isDown"))
        assert "localhost" in no_token(agent, count=3)["detail"]
        assert serves(gateway)
        assert not [line for line in agent.lines if line.get("to") == "backing_off"]
        # A new hello needs a token, and the one that was there has ended.
        agent.wait_for(lambda line: line["message"] == "no access token", "the end of the token")
        gateway.tell(destroy=True)
        assert "the access token has ended" in backing_off(agent, count=2)["reason"]
        endpoint.tell(up=True)
        attached(agent, count=2)
        assert serves(gateway)


def test_an_agent_starts_before_its_endpoint_and_dials_once_there_is_a_token(certificates, endpoint,
                                                                            client):
    endpoint.tell(down=True)
    endpoint.wait_for(lambda line: line.get("isDown"))
    with stage(certificates, echo, *client, profile="ptth", wait=False) as (gateway, _, agent):
        assert "there is no access token yet" in backing_off(agent)["reason"]
        assert not [line for line in gateway.lines if line.get("hello")]
        endpoint.tell(up=True)
        attached(agent)
        assert hello(gateway) == "Bearer token-1"


def test_a_wrong_secret_is_a_refusal_told_by_its_code(certificates, endpoint, client):
    command(endpoint, clients={"worker:1": "other"})
    with stage(certificates, echo, *client, profile="ptth", wait=False) as (gateway, _, agent):
        line = backing_off(agent)
        assert "invalid_client (401)" in line["reason"]
        assert "--oauth-client-id" in line["reason"]
        # Mended at the endpoint: nothing has to be restarted.
        command(endpoint, clients={"worker:1": SECRET})
        attached(agent)
        assert hello(gateway) == "Bearer token-1"


def test_a_wrong_secret_ends_an_agent_that_shall_not_go_on(certificates, endpoint, client):
    command(endpoint, clients={})
    with stage(certificates, echo, *client, "--exit-on-auth-failure", profile="ptth",
               wait=False) as (_, _, agent):
        assert agent.child.wait(20) == 77


def test_a_gateway_that_refuses_the_token_gets_another(certificates, endpoint, client):
    # It refuses for as long as the test lasts: how many hellos go out before the other token has
    # come is a matter of time.
    with stage(certificates, echo, *client, profile="ptth", wait=False,
               answers=[REFUSES] * 1000) as (gateway, _, _):
        assert hello(gateway) == "Bearer token-1"
        gateway.wait_for(lambda line: line.get("hello")
                         and line["headers"]["authorization"] != "Bearer token-1")


@pytest.mark.parametrize("answer, words", [
    ({"body": {"bytes": 2_000_000}}, "over 65536 bytes"),
    ({"body": "<html>not JSON</html>"}, "JSON"),
    ({"body": '{"access_token":["a"],"token_type":"Bearer"}'}, "access_token"),
    ({"body": '{"access_token":"a","token_type":"Bearer","expires_in":-5}'}, "expires_in"),
    ({"body": '{"access_token":"a\\r\\nX: y","token_type":"Bearer"}'}, "no field can carry"),
    ({"body": '{"access_token":"a","token_type":"mac"}'}, "token_type"),
    ({"status": 302, "headers": {"Location": "https://evil.example/"}, "body": ""}, "redirects"),
    ({"status": 404, "body": "x"}, "--oauth-token-url"),
    ({"status": 400, "body": '{"error":"\\u0007<b>", "error_description":"x"}'}, "refuses"),
])
def test_hostile_answers_are_told_and_survived(certificates, endpoint, client, answer, words):
    command(endpoint, answers=[{"status": 200, **answer}])
    with stage(certificates, echo, *client, profile="ptth") as (gateway, _, agent):
        assert words in no_token(agent)["detail"]
        assert hello(gateway) == "Bearer token-1"
        assert serves(gateway)


def test_a_life_without_end_has_one_here(certificates, endpoint, client):
    command(endpoint, lifetime=1e300)
    with stage(certificates, echo, *client, profile="ptth") as (_, _, agent):
        line = agent.wait_for(lambda line: line["message"] == "access token fetched", "the token")
        assert line["lifetime_s"] == 86400


def test_retry_after_of_the_endpoint_is_kept(certificates, endpoint, client):
    command(endpoint, answers=[{"status": 503, "headers": {"Retry-After": "1"}, "body": ""}])
    with stage(certificates, echo, *client, profile="ptth") as (_, _, agent):
        assert 1000 <= no_token(agent)["wait_ms"] <= 1020


def test_an_endpoint_that_nobody_vouches_for_is_told_nothing(certificates, endpoint, client,
                                                            tmp_path):
    (tmp_path / "other").mkdir()
    other = Certificates(tmp_path / "other")
    with stage(certificates, echo, *client, "--oauth-ca-file", other.ca, profile="ptth",
               wait=False) as (_, _, agent):
        assert "certificate" in no_token(agent)["detail"]
        assert not [line for line in endpoint.lines if line.get("asked")]


def test_the_endpoint_can_be_reached_through_a_proxy_of_its_own(certificates, endpoint, client,
                                                                tmp_path):
    credentials = tmp_path / "proxy-credentials"
    credentials.write_text("user:pass%41word")
    with Proxy(tmp_path, "BasicAuth user pass%41word").running() as proxy, \
            stage(certificates, echo, *client, "--oauth-proxy", f"http://127.0.0.1:{proxy.port}",
                  "--proxy-credentials-file", credentials, profile="ptth") as (gateway, _, _):
        assert hello(gateway) == "Bearer token-1"
        assert proxy.tunnels() == [f"localhost:{endpoint.port}"]


def test_an_agent_without_a_token_yet_can_be_drained(certificates, endpoint, client):
    endpoint.tell(down=True)
    endpoint.wait_for(lambda line: line.get("isDown"))
    with stage(certificates, echo, *client, profile="ptth", wait=False) as (_, _, agent):
        no_token(agent)
        agent.child.terminate()
        assert agent.child.wait(20) == 0


def test_fetches_and_the_tokens_end_are_metrics(certificates, endpoint, client):
    admin = free_port()
    with stage(certificates, echo, *client, admin=f"127.0.0.1:{admin}",
               profile="ptth"):
        name = "ptth_oauth_token_fetches_total"
        wait_until(lambda: 'outcome="ok"} 1' in metrics(admin), "the fetch")
        text = metrics(admin)
        assert name in text
        line, = [line for line in text.splitlines()
                 if line.startswith("ptth_oauth_token_expiry_timestamp_seconds{")]
        assert float(line.split()[-1]) > 1.7e9


def test_secrets_and_tokens_come_out_nowhere(certificates, endpoint, client):
    admin = free_port()
    command(endpoint, prefix="canary-token-", answers=[
        {"status": 400, "body": '{"error":"' + SECRET + '","error_description":"' + SECRET + '"}'},
        {"status": 200, "body": '{"access_token":"canary token","token_type":"Bearer"}'}])
    refuses = REFUSES.replace("Length: 0\r\n\r\n", "Length: 14\r\n\r\ncanary-token-1")
    with stage(certificates, echo, *client, "--log-level", "trace",
               admin=f"127.0.0.1:{admin}", profile="ptth", answers=[refuses]) as (gateway, _, agent):
        assert hello(gateway, count=2).startswith("Bearer canary-token-")
        wait_until(lambda: curl(f"http://127.0.0.1:{admin}/livez", check=False).returncode == 0,
                   "admin")
        pages = [curl(f"http://127.0.0.1:{admin}/{page}").stdout.decode()
                 for page in ("metrics", "readyz?verbose", "startupz")]
        process = Path(f"/proc/{agent.child.pid}")
        said = "\n".join([*map(str, agent.lines), *pages, (process / "cmdline").read_text()])
    assert "canary" not in said


def test_check_names_what_cannot_be_used(tmp_path):
    secret = tmp_path / "secret"

    def check(*options):
        done = subprocess.run(
            [AGENT, "check", "--gateway", "https://gw.test", "--profile", "ptth", "--serve",
             "https://app.example", "--origin", "3000", "--oauth-token-url", "https://idp.test/",
             "--oauth-client-id", "w", "--oauth-client-secret-file", secret, *options],
            capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    code, said = check()
    assert code == 78 and str(secret) in said
    secret.write_text("secret")
    secret.chmod(0o644)
    code, said = check()
    assert code == 0 and "others may read this secret" in said, said
    secret.chmod(0o600)
    code, said = check()
    assert code == 0 and "others may read" not in said
    code, said = check("--oauth-ca-file", tmp_path / "missing.pem")
    assert code == 78 and "missing.pem" in said


def test_libcurl_is_loaded_by_those_who_need_it_only(certificates, client):
    def has_libcurl(agent):
        return "libcurl" in Path(f"/proc/{agent.child.pid}/maps").read_text()

    with stage(certificates, echo, profile="ptth") as (_, _, agent):
        assert not has_libcurl(agent)
    with stage(certificates, echo, *client, profile="ptth") as (_, _, agent):
        assert has_libcurl(agent)
